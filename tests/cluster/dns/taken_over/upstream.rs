//! The resolver of the node, which answers when it is told to.

use crate::harness::SOON;
use anyhow::Context as _;
use ground::{Ground, until};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What it says of any name, one of each family.
pub(super) const ANSWERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53))];
const HEADER: usize = 12;

pub(super) struct Upstream {
    socket: UdpSocket,
    asked: Vec<Asked>,
}

struct Asked {
    /// The message as far as its question goes.
    message: Vec<u8>,
    client: SocketAddr,
}

impl Upstream {
    pub(super) fn of(ground: &Ground) -> anyhow::Result<Self> {
        let socket = ground.enter(|| UdpSocket::bind((ground::ADDRESS, 53)))??;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, asked: Vec::new() })
    }

    /// Waits until it has been asked for an address of each family.
    pub(super) fn until_asked(&mut self) -> anyhow::Result<()> {
        until("the node's resolver is asked", SOON, || {
            self.receive()?;
            let is_asked = |is_six| self.asked.iter().any(|asked| asked.is_six() == is_six);
            Ok((is_asked(false) && is_asked(true)).then_some(()))
        })
    }

    /// Answers all that it has been asked.
    pub(super) fn answer(&mut self) -> anyhow::Result<()> {
        self.receive()?;
        for asked in self.asked.drain(..) {
            self.socket.send_to(&asked.answer()?, asked.client)?;
        }
        Ok(())
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let mut message = [0; 2048];
        loop {
            match self.socket.recv_from(&mut message) {
                Ok((length, client)) => {
                    let labels = message.get(HEADER..length).unwrap_or_default();
                    let name = labels.iter().position(|byte| *byte == 0).context("no name")?;
                    // What stands behind the question is no part of the answer.
                    let message = message.get(..HEADER + name + 5).context("no question")?.to_vec();
                    self.asked.push(Asked { message, client });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Asked {
    fn is_six(&self) -> bool {
        self.message.ends_with(&[0, 28, 0, 1])
    }

    /// With one record (RFC 1035 §4.1).
    fn answer(&self) -> anyhow::Result<Vec<u8>> {
        let (id, question) = (self.message.get(..2).context("no id")?, self.message.get(HEADER..).unwrap_or_default());
        let [four, six] = ANSWERS;
        let (kind, data) = match if self.is_six() { six } else { four } {
            IpAddr::V4(address) => (1, address.octets().to_vec()),
            IpAddr::V6(address) => (28, address.octets().to_vec()),
        };
        let record = [0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len())?];
        Ok([id, &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], question, &record, &data].concat())
    }
}
