//! A plain HTTP/1.1 backend: reads every body, answers each request with the same text, keeps connections open.

use crate::http;
use anyhow::Context as _;
use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The path that is answered with 1 MiB.
pub(crate) const LARGE: &str = "/large";
/// Bytes of that answer.
pub(crate) const LARGE_BYTES: usize = 1 << 20;
/// What every other path is answered with.
pub(crate) const TEXT: &str =
    "What the tide brings in, the tide takes out again: a hundred bytes of it, and no more than that.\n";

/// Serves on a free port of loopback until the program ends.
///
/// # Errors
/// Where no port can be bound.
pub(crate) fn start(text: &'static str) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a port for the backend")?;
    let address = listener.local_addr()?;
    thread::spawn(move || accept(&listener, text));
    Ok(address)
}

/// Serves on `bind`, in this thread.
///
/// # Errors
/// Where the address cannot be bound.
pub(crate) fn serve_forever(bind: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(bind).with_context(|| format!("binding {bind}"))?;
    accept(&listener, TEXT);
    Ok(())
}

fn accept(listener: &TcpListener, text: &'static str) {
    for stream in listener.incoming().flatten() {
        // A client that goes away or sends nonsense ends its own connection, nothing else.
        thread::spawn(move || converse(&stream, text).ok());
    }
}

fn converse(stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    while let Some(head) = http::read_head(&mut input)? {
        http::read_body(&mut input, &head)?;
        (&mut &*stream).write_all(&answer(&head, text))?;
        if head.says_close() {
            break;
        }
    }
    Ok(())
}

fn answer(head: &http::Head, text: &str) -> Vec<u8> {
    let mut words = head.first.split(' ');
    let method = words.next();
    let is_large = words.next() == Some(LARGE);
    let length = if is_large { LARGE_BYTES } else { text.len() };
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    match (method, is_large) {
        (Some("HEAD"), _) => {}
        (_, true) => answer.resize(answer.len() + LARGE_BYTES, b'x'),
        (_, false) => answer.extend_from_slice(text.as_bytes()),
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    #[test]
    fn connection_stays_open_between_answers() {
        let mut client = Client::connect(start("hello").unwrap(), "localhost").unwrap();
        assert_eq!(client.get("/").unwrap(), (200, b"hello".to_vec()));
        assert_eq!(client.get(LARGE).unwrap().1.len(), LARGE_BYTES);
        assert_eq!(client.get("/again").unwrap(), (200, b"hello".to_vec()));
    }

    #[test]
    fn head_is_answered_without_a_body() {
        let head = http::read_head(&mut b"HEAD / HTTP/1.1\r\n\r\n".as_slice()).unwrap().unwrap();
        assert!(answer(&head, "hello").ends_with(b"Content-Length: 5\r\n\r\n"));
    }
}
