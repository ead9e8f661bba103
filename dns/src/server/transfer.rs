//! Zones for secondaries that may have them, over TCP alone (RFC 5936 §4.2).

use super::now::Now;
use super::respond::{Responder, metadata};
use crate::message::Transport;
use crate::metrics::{Answered, Source};
use crate::name::LowerName;
use crate::question::{CLASS_IN, Query, Refusal};
use crate::transfer::{Place, Transfer};
use crate::wire::{Cursor, HEADER};
use crate::written::Question;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use tracing::info;

/// A zone on its way.
pub(super) struct Sending {
    transfer: Transfer,
    _place: Place,
}

impl Iterator for Sending {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.transfer.next()
    }
}

impl Responder {
    /// What a question for a zone gets that `acl` lets pass and that is refused so far, as it is counted, and the rest of
    /// the zone if it gets that.
    pub(super) fn transfer(
        &self,
        packet: &[u8],
        ends: (SocketAddr, Option<SocketAddr>),
        (answered, refusal): (Answered, Vec<u8>),
    ) -> (Answered, Vec<u8>, Option<Box<Sending>>) {
        let (answered, message, sending) = match self.begin_transfer(packet, ends) {
            Some((sending, first)) => {
                (Answered { code: ResponseCode::NoError, source: Source::Transfer, ..answered }, first, Some(sending))
            }
            None => (answered, refusal, None),
        };
        self.log_zone(packet, ends, &message);
        (answered, message, sending)
    }

    /// Writes the line about a question for a zone over anything but UDP, once it is known what it gets.
    pub(super) fn log_zone(&self, packet: &[u8], (peer, asked_at): (SocketAddr, Option<SocketAddr>), message: &[u8]) {
        let Err(Refusal::Code(head, Some(asked), _)) = Query::parse(packet) else { return };
        let (query, len, transport) = (&Query { head, asked }, packet.len(), Transport::Tcp);
        let now = self.now();
        let Some(name) = &LowerName::read(asked.name()) else { return };
        let served = now.serving.site(self.at).and_then(|site| site.find(name));
        let logged = served.and_then(|served| {
            let question = Question { query, name, len, peer, asked_at, transport };
            served.block.queries.as_ref()?.begin(question, || metadata(&served.block, &now, (name, peer)))
        });
        if let Some(logged) = logged {
            logged.end(message, None);
        }
    }

    /// The zone, and its first message. `None`: it stays refused.
    fn begin_transfer(
        &self,
        packet: &[u8],
        (peer, asked_at): (SocketAddr, Option<SocketAddr>),
    ) -> Option<(Box<Sending>, Vec<u8>)> {
        let Err(Refusal::Code(mut head, Some(asked), _)) = Query::parse(packet) else { return None };
        self.shared.guards.answer_cookie(&mut head, packet, peer.ip()).ok()?;
        let query = Query { head, asked };
        let name = LowerName::read(asked.name()).filter(|_| head.class == CLASS_IN)?;
        let Now { serving, .. } = self.now();
        let block = &serving.site(self.at)?.find(&name)?.block;
        let (parts, records) = (block.parts.as_ref()?, block.records.as_ref()?);
        let snapshot = self.shared.names.current()?;
        let has = match asked.record_type {
            RecordType::IXFR => {
                let mut cursor = Cursor::new(packet.get(HEADER + asked.wire.len()..)?);
                Some(cursor.serial()?)
            }
            _ => None,
        };
        let place = parts.transfers.as_ref()?.admit(&name, peer.ip())?;
        let mut transfer = Transfer::new((&snapshot.names, &records.settings), asked_at, &query, has)?;
        let first = transfer.next()?;
        info!(zone = ?name, client = %peer.ip(), "a zone is transferred");
        Some((Box::new(Sending { transfer, _place: place }), first))
    }
}
