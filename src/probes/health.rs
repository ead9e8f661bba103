//! Asks `/health` over the network once a second, as CoreDNS's plugin `health` does: how long that takes tells how busy
//! the process is.

use crate::figures::HealthMetrics;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

const INTERVAL: Duration = Duration::from_secs(1);
/// As CoreDNS has it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of an answer; bytes.
const MOST: u64 = 4096;
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const GOOD: &[u8] = b"HTTP/1.1 200 ";

/// Asks for ever.
pub(crate) async fn ask_again_and_again(address: SocketAddr, metrics: Arc<HealthMetrics>) {
    let mut turns = interval_at(Instant::now() + INTERVAL, INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_good = true;
    loop {
        turns.tick().await;
        let since = Instant::now();
        let outcome = timeout(PATIENCE, ask(address)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in 3 s")));
        metrics.asked(since.elapsed(), outcome.is_ok());
        if let Err(error) = &outcome
            && was_good
        {
            tracing::warn!(%address, %error, "/health does not answer this process itself; told once until it does");
        }
        was_good = outcome.is_ok();
    }
}

/// # Errors
/// There is no answer, or one that is not 200.
async fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    if answer.starts_with(GOOD) {
        return Ok(());
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Err(io::Error::other(format!("it said {:?}", String::from_utf8_lossy(line))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_200_is_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let answers = ["HTTP/1.1 200 OK\r\n\r\nOK", "HTTP/1.1 503 Service Unavailable\r\n\r\n", ""];
        let serving = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; REQUEST.len()];
                stream.read_exact(&mut request).await.expect("a request");
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
        });
        assert!(ask(address).await.is_ok());
        assert_eq!(
            ask(address).await.map_err(|error| error.to_string()).expect_err("503"),
            "it said \"HTTP/1.1 503 Service Unavailable\""
        );
        assert!(ask(address).await.is_err());
        serving.await.expect("served");
        assert!(ask(address).await.is_err(), "nobody listens any more");
    }
}
