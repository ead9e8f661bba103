// tls-connections asks with a new TLS connection for each request, every handshake a full one (wrk resumes its
// sessions), and prints what it counted as one line of JSON, times in microseconds.
package main

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

type counts struct {
	durations                    []int64
	status, connect, read, write int
}

func main() {
	address := flag.String("address", "", "HOST:PORT to ask")
	connections := flag.Int("connections", 1, "connections at once")
	duration := flag.Duration("duration", time.Second, "how long")
	flag.Parse()
	runtime.GOMAXPROCS(1)

	host, _, err := net.SplitHostPort(*address)
	if err != nil {
		panic(err)
	}
	config := &tls.Config{
		ServerName:         host,
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		NextProtos:         []string{"http/1.1"},
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + *address + "\r\nConnection: close\r\n\r\n")
	start := time.Now()
	all := make([]counts, *connections)
	var group sync.WaitGroup
	for i := range all {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Since(start) < *duration {
				all[i].ask(*address, config, request)
			}
		}()
	}
	group.Wait()
	report(all, time.Since(start))
}

func (c *counts) ask(address string, config *tls.Config, request []byte) {
	start := time.Now()
	connection, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp4", address, config)
	if err != nil || connection.ConnectionState().DidResume {
		c.connect++
		return
	}
	defer connection.Close()
	connection.SetDeadline(start.Add(10 * time.Second))
	if _, err := connection.Write(request); err != nil {
		c.write++
		return
	}
	answer, err := io.ReadAll(connection)
	switch {
	case err != nil:
		c.read++
	case !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")):
		c.status++
	default:
		c.durations = append(c.durations, time.Since(start).Microseconds())
	}
}

func report(all []counts, took time.Duration) {
	var sum counts
	for _, one := range all {
		sum.durations = append(sum.durations, one.durations...)
		sum.status += one.status
		sum.connect += one.connect
		sum.read += one.read
		sum.write += one.write
	}
	slices.Sort(sum.durations)
	percentile := func(percent int) int64 {
		if len(sum.durations) == 0 {
			return 0
		}
		return sum.durations[(len(sum.durations)-1)*percent/100]
	}
	fmt.Printf("{\"requests\":%d,\"duration\":%d,\"p50\":%d,\"p99\":%d,\"status\":%d,\"connect\":%d,\"read\":%d,\"write\":%d,\"timeout\":0}\n",
		len(sum.durations), took.Microseconds(), percentile(50), percentile(99), sum.status, sum.connect, sum.read, sum.write)
}
