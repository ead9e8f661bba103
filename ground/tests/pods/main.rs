//! What the kubelet of a ground does with Pods: workloads of all kinds, what containers see, how they end, probes.

mod containers;
mod ending;
mod harness;
mod probes;
mod workloads;
