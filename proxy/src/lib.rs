//! The data plane: listeners, TLS, the exchange loop, upstreams and balancing.
//! It answers from the snapshot that a [`config::Reader`] gives, and knows nothing of Kubernetes.

pub mod access_log;
mod answer;
pub mod balance;
mod budget;
mod clock;
mod connection;
mod dead_peer;
mod down;
mod downstream;
pub mod drain;
mod exchange;
mod fields;
mod forward;
mod h1;
mod h2_io;
mod h2_pulse;
mod h2_read;
mod h2_screen;
mod h2_send;
mod h2_unread;
pub mod health;
mod limits;
pub mod line_output;
pub mod listener;
pub mod live;
pub mod metrics;
mod pace;
mod pool;
mod proxy;
pub mod record;
mod request;
mod response;
pub mod tls;
mod up;
mod websocket;
mod wire;
mod worker;

pub use limits::Limits;
pub use proxy::{Proxy, ProxySettings, Shared, Sockets, StartError};
