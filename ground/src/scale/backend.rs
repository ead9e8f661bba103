//! One backend on every address of a network: it answers with the address that it was asked on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The first half of its addresses.
pub(super) const NETWORK: &str = "10.1";
/// On each of them.
pub(super) const PORT: u16 = 8000;

/// The address that belongs to a number; each has another, and none is the interface's own.
pub(super) fn address(number: u32) -> String {
    let number = number + 2;
    format!("{NETWORK}.{}.{}", number / 256 % 256, number % 256)
}

/// Serves until this program ends, each connection on a thread.
pub(super) fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An error is the end of a connection; whoever asks on it sees that.
            thread::spawn(move || answer(stream).ok());
        }
    });
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let body = stream.local_addr()?.ip().to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            writer.write_all(answer.as_bytes())?;
        }
    }
    Ok(())
}
