//! The least of HTTP/1.1 that the chores need: request heads and bodies read, one answer fetched.

use anyhow::Context as _;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that is kept open between requests.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    /// Connects; every read and write has five seconds.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) fn connect(address: SocketAddr, host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// The status and body of `GET path`.
    ///
    /// # Errors
    /// Where the answer is not HTTP or does not come whole.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let head = read_head(&mut self.stream)?.context("the connection was closed before an answer")?;
        let status = head.first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("{:?} is no status line", head.first))?;
        Ok((status, read_body(&mut self.stream, &head)?))
    }
}

/// The first line and the fields of a message.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn says_close(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// The next head; `None`: the peer has closed.
pub(crate) fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(first) = read_line(stream)? else { return Ok(None) };
    let mut head = Head { first, fields: Vec::new() };
    loop {
        let line = read_line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        head.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The whole body that `head` announces, chunked or by length.
pub(crate) fn read_body(stream: &mut impl BufRead, head: &Head) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = read_line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                // Trailers, then the empty line.
                while !read_line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?.is_empty() {}
                return Ok(body);
            }
            read_exactly(stream, size, &mut body)?;
            read_line(stream)?;
        }
    }
    if let Some(length) = head.field("content-length") {
        read_exactly(stream, length.parse().map_err(|_| io::ErrorKind::InvalidData)?, &mut body)?;
    }
    Ok(body)
}

fn read_exactly(stream: &mut impl BufRead, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(length).read_to_end(into)?;
    if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.take(64 * 1024).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<(Head, Vec<u8>)> {
        let mut stream = text.as_bytes();
        let head = read_head(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = read_body(&mut stream, &head)?;
        Ok((head, body))
    }

    #[test]
    fn body_is_read_by_length() {
        let (head, body) = read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcd").unwrap();
        assert_eq!((head.first.as_str(), body.as_slice()), ("POST / HTTP/1.1", b"abc".as_slice()));
        assert!(!head.says_close());
    }

    #[test]
    fn body_is_read_in_chunks_past_the_trailers() {
        let text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                    2;x=y\r\nab\r\n1\r\nc\r\n0\r\nSum: 1\r\n\r\n";
        let (head, body) = read(text).unwrap();
        assert!(head.says_close());
        assert_eq!(body, b"abc");
    }

    #[test]
    fn what_ends_early_is_an_error() {
        for text in [
            "",
            "GET / HTTP/1.1\r\nHost",
            "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
            "GET / HTTP/1.1\r\nx\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
