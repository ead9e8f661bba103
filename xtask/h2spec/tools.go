//go:build tools

// Package tools names the commands that xtask builds.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
