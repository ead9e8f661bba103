//! Zones for secondaries that may have them, over TCP alone (RFC 5936 §4.2).

use super::respond::Responder;
use crate::name::LowerName;
use crate::plan::AclAction;
use crate::question::{CLASS_IN, Query, Refusal};
use crate::transfer::{Place, Transfer};
use crate::wire::{Cursor, HEADER};
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
    /// The zone that a question for one gets, which is refused else, and its first message. `None`: it stays refused.
    pub(super) fn transfer(
        &self,
        packet: &[u8],
        (peer, asked_at): (SocketAddr, Option<SocketAddr>),
    ) -> Option<(Box<Sending>, Vec<u8>)> {
        let Err(Refusal::Code(mut head, Some(asked), _)) = Query::parse(packet) else { return None };
        self.shared.guards.answer_cookie(&mut head, packet, peer.ip()).ok()?;
        let query = Query { head, asked };
        let name = LowerName::read(asked.name()).filter(|_| head.class == CLASS_IN)?;
        let serving = self.shared.serving.load();
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
        let verdict = parts.acls.as_ref().and_then(|acls| acls.verdict(&name, asked.record_type, peer.ip()));
        let may_ask = verdict.is_none_or(|verdict| verdict.action == AclAction::Allow);
        let place = parts.transfers.as_ref().filter(|_| may_ask)?.admit(&name, peer.ip())?;
        let mut transfer = Transfer::new((&snapshot.names, &records.settings), asked_at, &query, has)?;
        let first = transfer.next()?;
        info!(zone = ?name, client = %peer.ip(), "a zone is transferred");
        Some((Box::new(Sending { transfer, _place: place }), first))
    }
}
