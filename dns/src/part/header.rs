//! `header`: flags of questions and answers that are set or cleared.

use crate::plan::{self, Flag, HeaderOf};
use crate::question::Head;
use crate::wire::flag;

/// The rules of a block as masks, which hold all of them in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headers {
    query: Masks,
    response: Masks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Masks {
    set: u16,
    cleared: u16,
}

impl Headers {
    pub(crate) fn new(plan: &plan::Header) -> Self {
        let masks = |of: HeaderOf| {
            let mut masks = Masks::default();
            for rule in plan.rules.iter().filter(|rule| rule.of == of) {
                rule.flags.iter().for_each(|flag| masks.add(bit(*flag), rule.is_set));
            }
            masks
        };
        Self { query: masks(HeaderOf::Query), response: masks(HeaderOf::Response) }
    }

    /// Changes a question for those after this part, and with it what answers repeat of it.
    pub(crate) fn change_query(&self, head: &mut Head) {
        // AA and RA mean nothing in a question (RFC 1035 §4.1.1), and no upstream is sent any.
        head.flags = self.query.on(head.flags) & !(flag::AUTHORITATIVE | flag::RECURSION_AVAILABLE);
    }

    /// Changes a whole answer.
    pub(crate) fn change_response(&self, message: &mut [u8]) {
        if let Some(place) = message.get_mut(2..4)
            && let Ok(flags) = <[u8; 2]>::try_from(&*place)
        {
            place.copy_from_slice(&self.response.on(u16::from_be_bytes(flags)).to_be_bytes());
        }
    }
}

impl Masks {
    fn add(&mut self, bit: u16, is_set: bool) {
        let (to, from) = if is_set { (&mut self.set, &mut self.cleared) } else { (&mut self.cleared, &mut self.set) };
        *to |= bit;
        *from &= !bit;
    }

    fn on(self, flags: u16) -> u16 {
        (flags | self.set) & !self.cleared
    }
}

fn bit(flag: Flag) -> u16 {
    match flag {
        Flag::AuthoritativeAnswer => flag::AUTHORITATIVE,
        Flag::RecursionAvailable => flag::RECURSION_AVAILABLE,
        Flag::RecursionDesired => flag::RECURSION_DESIRED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{block, client};

    fn headers(plugins: &str) -> Headers {
        Headers::new(&block(plugins).header.unwrap())
    }

    #[test]
    fn the_last_rule_for_a_flag_counts() {
        let headers = headers("header {\n set aa ra\n clear rd\n response clear ra\n query clear rd\n}");
        let mut message = [0, 7, 0x81, 0xA3];
        headers.change_response(&mut message);
        // QR, AA, AD and the code; RD and RA are gone.
        assert_eq!(message, [0, 7, 0x84, 0x23]);
        headers.change_response(&mut []);
    }

    #[test]
    fn rules_for_answers_leave_questions_alone() {
        let flags = |plugins: &str, flags: u16| {
            let mut head = Head { flags, ..client("example.org.", "A").head };
            headers(plugins).change_query(&mut head);
            head.flags
        };
        assert_eq!(flags("header {\n clear rd\n}", 0x0110), 0x0110);
        assert_eq!(flags("header {\n query clear rd\n}", 0x0110), 0x0010);
        assert_eq!(flags("header {\n query set rd aa\n}", 0x0010), 0x0110);
    }
}
