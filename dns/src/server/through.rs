//! A question's way through the parts of its block, and its answer's way back.

use super::resolve::{Asking, says};
use super::respond::{Responder, Response};
use crate::extended_error;
use crate::forward::Alias;
use crate::message::{Says, Transport, write_code};
use crate::metrics::Source;
use crate::part::template::{Also, Templated};
use crate::part::{Told, any, local, minimal};
use crate::plan::AclAction;
use crate::question::Head;
use crate::reply::Reply;
use crate::serving::{Block, Parts};
use hickory_proto::rr::RecordType;
use std::sync::Arc;

/// What is still to be done with an answer.
#[derive(Debug)]
pub(super) struct After {
    block: Arc<Block>,
    head: Head,
    transport: Transport,
}

impl After {
    /// Does it.
    pub(super) fn change(&self, message: &mut Vec<u8>) {
        let Some(parts) = &self.block.parts else { return };
        if parts.is_minimal {
            minimal::make(message);
        }
        if let Some(headers) = &parts.headers {
            headers.change_response(message);
        }
        if let Some(nsid) = &parts.nsid {
            nsid.add(message, (&self.head, self.transport));
        }
    }
}

impl Responder {
    /// Answers as the block has it.
    pub(super) fn respond_in(&self, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let Some(parts) = &block.parts else { return self.resolve(block, asking, out) };
        let Asking { query, transport, .. } = *asking;
        let nsid = |out: &mut Vec<u8>| {
            if let Some(nsid) = &parts.nsid {
                nsid.add(out, (&query.head, transport));
            }
        };
        if let Some(response) = self.before(parts, asking, out) {
            nsid(out);
            return response;
        }
        let mut asking = *asking;
        if let Some(headers) = &parts.headers {
            headers.change_query(&mut asking.query.head);
        }
        let after = After { block: Arc::clone(block), head: query.head, transport };
        match self.inner(parts, block, &asking, out) {
            Response::Silence => Response::Silence,
            Response::Ready(answered) => {
                after.change(out);
                Response::Ready(answered)
            }
            Response::Pending(mut pending) => {
                pending.after = Some(Box::new(after));
                Response::Pending(pending)
            }
        }
    }

    /// What answers before anything is changed.
    fn before(&self, parts: &Parts, asking: &Asking<'_>, out: &mut Vec<u8>) -> Option<Response> {
        let Asking { query, name, peer, transport, .. } = *asking;
        let record_type = query.asked.record_type;
        if parts.is_local {
            let response = written(asking, (Source::Itself, Says::default()), out, |reply| {
                local::answer(name, record_type, reply)
            });
            if response.is_some() {
                return response;
            }
        }
        let verdict = parts.acls.as_ref().map(|acls| acls.verdict(name, record_type, peer.ip()));
        if verdict == Some(AclAction::Drop) {
            return Some(self.silence("acl"));
        }
        if let Some((code, error)) = verdict.and_then(AclAction::refusal) {
            write_code(out, &query.head, Some(query.asked), (code, Says::default()));
            error.add("", out, (&query.head, transport));
            return Some(asking.answered(Source::Itself, code));
        }
        if !parts.minimises_any || record_type != RecordType::ANY {
            return None;
        }
        written(asking, (Source::Itself, Says::default()), out, |reply| {
            any::answer(reply);
            Told::Answered
        })
    }

    /// What answers where nobody before has, and nothing is done with the answer yet.
    fn inner(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        if let Some(response) = self.template(parts, block, asking, out) {
            return response;
        }
        if let Some(hosts) = &parts.hosts {
            let says = says(&block.forwarder, true);
            let (name, record_type) = (asking.name, asking.query.asked.record_type);
            if let Some(response) =
                written(asking, (Source::Hosts, says), out, |reply| hosts.answer(name, record_type, reply))
            {
                return response;
            }
        }
        self.resolve(block, asking, out)
    }

    /// What is made of the question itself.
    fn template(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Option<Response> {
        let Asking { query, name, peer, transport, .. } = *asking;
        let mut reply = Reply::new(out, query.asked.wire, query.head.room(transport));
        let templated = parts.templates.as_ref()?.answer(&query, name, peer.ip(), &mut reply);
        let Templated::Answered(Also { error, alias }) = templated else { return None };
        let code = reply.code;
        reply.finish(&query.head, says(&block.forwarder, true));
        if let Some((number, text)) = error {
            extended_error::add(number, text, out, (&query.head, transport));
        }
        let alias = alias.and_then(|target| Alias::new(&target, query.asked.record_type, out));
        Some(match alias {
            Some(alias) => self.follow(alias, block, asking, out),
            None => asking.answered(Source::Template, code),
        })
    }

    /// Answers in class CHAOS, where the block does; else such a question is refused, as any other class is.
    pub(super) fn chaos(&self, asking: &Asking<'_>, block: &Arc<Block>, out: &mut Vec<u8>) -> Option<Response> {
        let parts = block.parts.as_ref()?;
        let kind = (asking.query.head.class, asking.query.asked.record_type);
        let chaos = parts.chaos.as_ref();
        let told = chaos.and_then(|chaos| {
            written(asking, (Source::Itself, Says::default()), out, |reply| chaos.answer(asking.name, kind, reply))
        });
        told.or_else(|| self.template(parts, block, asking, out))
    }
}

/// Writes what a part says, if it says anything.
pub(super) fn written(
    asking: &Asking<'_>,
    (source, says): (Source, Says),
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Reply<'_>) -> Told,
) -> Option<Response> {
    let Asking { query, transport, .. } = *asking;
    let mut reply = Reply::new(out, query.asked.wire, query.head.room(transport));
    match write(&mut reply) {
        Told::Nothing => None,
        Told::Answered => {
            let code = reply.code;
            reply.finish(&query.head, says);
            Some(asking.answered(source, code))
        }
    }
}
