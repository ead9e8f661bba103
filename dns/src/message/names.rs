//! Names in a message that is being written, each as short as what stands before it allows (RFC 1035 §4.1.4).

use crate::reply::Pointer;
use hickory_proto::rr::Name;
use std::collections::HashMap;

/// What can be pointed to: each name that is written out, and each that one of them ends with.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By their wire form, in the case they are written in: no name gets another's spelling. Clients and upstreams choose
    /// them, so that the hash has a key.
    places: HashMap<Box<[u8]>, Pointer>,
    /// The name at hand in wire form.
    wire: Vec<u8>,
}

impl Names {
    /// Appends a name, and from where a pointer does for the rest of it no more than that. Looks once for each label that
    /// it writes and once more, so that the work is bound by the length of the message.
    pub(super) fn write(&mut self, name: &Name, message: &mut Vec<u8>) {
        let Self { places, wire } = self;
        wire.clear();
        for label in name.iter() {
            // hickory holds labels to 63 bytes.
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        let mut rest = wire.as_slice();
        while let Some((&length @ 1.., _)) = rest.split_first() {
            if let Some(place) = places.get(rest) {
                message.extend(place.to_bytes());
                return;
            }
            if let Some(here) = Pointer::to(message.len()) {
                places.insert(rest.into(), here);
            }
            let Some((label, after)) = rest.split_at_checked(1 + usize::from(length)) else { break };
            message.extend_from_slice(label);
            rest = after;
        }
        message.push(0);
    }
}
