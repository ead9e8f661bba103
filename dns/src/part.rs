//! The parts of a server block that change questions and answers, each made from its plan: pure, without sockets, and
//! without a clock but for the time that a file is looked at again.

pub(crate) mod acl;
pub(crate) mod alias;
pub(crate) mod any;
pub(crate) mod autopath;
pub(crate) mod chaos;
pub(crate) mod dns64;
pub(crate) mod header;
pub(crate) mod hosts;
pub(crate) mod loadbalance;
pub(crate) mod local;
pub(crate) mod minimal;
pub(crate) mod nsid;
pub(crate) mod rewrite;
pub(crate) mod template;
pub(crate) mod whoami;

mod opened;
pub(crate) mod spelling;

#[cfg(test)]
pub(crate) mod harness;

/// What a part did with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has written the reply, its code too.
    Answered,
    /// The question is for those after it; nothing is written.
    Nothing,
}

#[cfg(test)]
mod tests;
