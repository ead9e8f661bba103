//! Tidegate in a real Kubernetes: each test has a control plane of its own, and Pods that are processes.

mod following;
mod harness;
mod publishing;
