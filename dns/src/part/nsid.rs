//! `nsid`: the server's name, for clients that ask for it (RFC 5001).

use crate::message::Transport;
use crate::option;
use crate::question::Head;
use crate::wire::NSID;

/// The option that tells the name.
#[derive(Debug)]
pub(crate) struct Nsid(Vec<u8>);

impl Nsid {
    /// `name`: at most 128 bytes; empty: the name of this machine, `host`, is told.
    pub(crate) fn new(name: &str, host: &str) -> Self {
        let name = if name.is_empty() { host } else { name };
        Self(option::option(NSID, name.as_bytes()).unwrap_or_default())
    }

    /// Adds the name to a finished message of ours, if the client wants to know it and there is room.
    pub(crate) fn add(&self, message: &mut Vec<u8>, (head, transport): (&Head, Transport)) {
        if head.edns.is_some_and(|edns| edns.asks_nsid) {
            option::add(&self.0, message, head.limit(transport));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;
    use crate::question::Query;
    use hickory_proto::op::{Edns, Message, MessageType, OpCode};
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
    use hickory_proto::rr::{Name, RecordType};

    fn told(is_asked: bool, name: &str) -> Option<Vec<u8>> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(hickory_proto::op::Query::query(Name::root(), RecordType::NS));
        let mut edns = Edns::new();
        if is_asked {
            edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([]).unwrap()));
        }
        message.edns = Some(edns);
        let packet = message.to_vec().unwrap();
        let head = Query::parse(&packet).unwrap().head;
        let mut answer = client(".", "NS").answer("NOERROR", ". 60 NS ns.example.org.");
        Nsid::new(name, "node-1").add(&mut answer, (&head, Transport::Udp));
        let edns = Message::from_vec(&answer).unwrap().edns.unwrap();
        edns.option(EdnsCode::NSID).map(|option| match option {
            EdnsOption::NSID(name) => name.as_ref().to_vec(),
            option => panic!("{option:?}"),
        })
    }

    #[test]
    fn those_who_ask_are_told_the_name() {
        assert_eq!(told(true, "a name"), Some(b"a name".to_vec()));
        assert_eq!(told(true, ""), Some(b"node-1".to_vec()));
        assert_eq!(told(false, "a name"), None);
    }
}
