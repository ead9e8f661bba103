//! A client with one HTTP/1.1 connection that it keeps.

use anyhow::{Context as _, ensure};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions, so that the client does not take a core from what it waits for.
const PAUSE: Duration = Duration::from_micros(500);

pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The status and body of a GET.
    pub(super) fn ask(&mut self, host: &str, path: &str) -> anyhow::Result<(u16, String)> {
        self.stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status line: {first:?}"))?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                _ if line.is_empty() => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }

    /// Asks until `is_there` agrees to an answer, and tells when that came.
    ///
    /// # Errors
    /// Those of `is_there`, where the connection ends, and where nothing comes within ten seconds.
    pub(super) fn ask_until(
        &mut self,
        host: &str,
        is_there: impl Fn(u16, &str) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.ask(host, "/")?;
            let now = Instant::now();
            if is_there(status, &body)? {
                return Ok(now);
            }
            ensure!(now < deadline, "{host} answers {status} {body:?} still after {} s", PATIENCE.as_secs());
            thread::sleep(PAUSE);
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection has ended");
        Ok(line.trim_end().to_owned())
    }
}
