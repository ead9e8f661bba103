//! `any`: one record instead of all of them (RFC 8482 §4.2).

use crate::reply::{Pointer, Reply, Section, Start};
use hickory_proto::rr::RecordType;

/// CoreDNS's; seconds.
const TTL: u32 = 8482;

/// Writes the HINFO record that ANY gets.
pub(crate) fn answer(reply: &mut Reply<'_>) {
    let start = Start {
        section: Section::Answer,
        labels: &[],
        owner: Pointer::QUESTION,
        record_type: RecordType::HINFO,
        ttl: TTL,
    };
    reply.record(start, |reply| {
        reply.label(b"ANY obsoleted");
        reply.label(b"See RFC 8482");
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;

    #[test]
    fn it_is_one_record() {
        let ((), text) = client("Example.org.", "ANY").told(answer);
        assert_eq!(text, "No Error\nExample.org. 8482 HINFO ANY obsoleted See RFC 8482");
    }
}
