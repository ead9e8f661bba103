//! A question's way through the parts of its block, and its answer's way back.

use super::after::{After, Restore};
use super::errand::{Errand, First, Owned};
use super::resolve::{Asking, code, says};
use super::respond::{Responder, Response};
use super::trace;
use crate::extended_error;
use crate::message::{Says, write_code};
use crate::metrics::{Answered, Source};
use crate::name::LowerName;
use crate::part::acl::AclVerdict;
use crate::part::autopath::SearchList;
use crate::part::rewrite::{Made, Rewriting};
use crate::part::template::{Also, Templated};
use crate::part::{Told, any, local};
use crate::plan::AclAction;
use crate::question::{CLASS_CHAOS, Query, is_of_zones};
use crate::reply::Reply;
use crate::serving::{Block, Parts};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::sync::Arc;

impl Responder {
    /// Answers as the block has it.
    pub(super) fn respond_in(&self, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let response = match &block.parts {
            Some(parts) => self.respond_through(parts, block, asking, out),
            None => self.resolve(block, asking, out),
        };
        if !block.balances || takes_turns(&response) || is_of_zones(asking.query.asked.record_type) {
            return response;
        }
        // Whoever wants to know what would be answered is told the same each time.
        let turn = if self.shared.trace.is_some() { 0 } else { rand::random() };
        finally(response, asking, out, || After::Balance(asking.query.head, turn))
    }

    /// Answers by the block's parts.
    fn respond_through(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let name = asking.name;
        let told = parts.local.map(|names| {
            let record_type = asking.query.asked.record_type;
            written(asking, (Source::Local, Says::default()), out, |reply| {
                local::answer((name, record_type), names, reply)
            })
        });
        let response = match told.flatten() {
            Some(response) => {
                self.metrics.parts.local(asking.name);
                self.said((block, asking), ("local", 0), || "names of this host itself are answered here".to_owned());
                response
            }
            None => self.translated(parts, block, asking, out),
        };
        match &parts.nsid {
            // Once, in what the client gets.
            Some(_) if asking.led == 0 => {
                finally(response, asking, out, || After::Nsid(Arc::clone(block), asking.query.head))
            }
            _ => response,
        }
    }

    /// With addresses that are made for networks without IPv4, where they are wanted.
    fn translated(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let response = self.changed(parts, block, asking, out);
        let dns64 = parts.dns64.as_ref().filter(|dns64| dns64.wants(&asking.query, asking.peer.ip()));
        let Some(dns64) = dns64 else { return response };
        if matches!(response, Response::Ready(_)) && !dns64.is_lacking(out) {
            return response;
        }
        self.said((block, asking), ("dns64", 0), || {
            "where there is no AAAA record the A records are asked for, and translated".to_owned()
        });
        match First::of(response, out) {
            Ok(aaaa) => self.send(Errand::Translate { asked: Owned::of(asking, block), aaaa }, asking, out),
            Err(none) => none,
        }
    }

    /// With all that changes a question, and its answer.
    pub(super) fn changed(
        &self,
        parts: &Parts,
        block: &Arc<Block>,
        asking: &Asking<'_>,
        out: &mut Vec<u8>,
    ) -> Response {
        if let Some(response) = self.minimised(parts, block, asking, out) {
            return response;
        }
        let rewriting = parts.rewrites.as_ref().map(|rewrites| {
            let tell = |rule, made: Made<'_>| self.rewritten((block, asking), rule, made);
            rewrites.apply(asking.name, asking.query.asked.record_type, tell)
        });
        match rewriting {
            None | Some(Rewriting::Same) => self.allowed(parts, block, asking, out),
            Some(Rewriting::Invalid) => {
                let query = asking.query;
                write_code(out, &query.head, Some(query.asked), (ResponseCode::ServFail, Says::default()));
                asking.answered(Source::Itself, ResponseCode::ServFail)
            }
            Some(Rewriting::Other(rewritten)) => {
                let query = Query { head: asking.query.head, asked: rewritten.asked() };
                // It was made of text that was checked.
                let Some(name) = LowerName::read(query.asked.name()) else { return Response::Silence };
                let response = self.allowed(parts, block, &Asking { query, name: &name, ..*asking }, out);
                finally(response, asking, out, || After::Restore(Box::new(Restore::new(rewritten, &asking.query))))
            }
        }
    }

    /// To those who may ask: for what is answered in the end, be it that the client has spelled it or a rule.
    fn allowed(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        match self.refusal(parts, block, asking, out) {
            Some(refusal) => refusal,
            None => self.headed(parts, block, asking, out),
        }
    }

    /// With flags that are changed, and no more than was asked for.
    fn headed(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let mut asking = *asking;
        if let Some(headers) = &parts.headers {
            headers.change_query(&mut asking.query.head);
            self.said((block, &asking), ("header", 0), || "flags of question and answer are changed".to_owned());
        }
        if parts.is_minimal {
            self.said((block, &asking), ("minimal", 0), || "what was not asked for is left out".to_owned());
        }
        let response = self.walked(parts, block, &asking, out);
        if parts.headers.is_none() && !parts.is_minimal {
            return response;
        }
        finally(response, &asking, out, || After::Parts(Arc::clone(block)))
    }

    /// With the client's search list walked.
    fn walked(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let list = (asking.led == 0).then(|| self.search_list(parts, block, asking)).flatten();
        let list = list.filter(|(list, _)| list.walk(&asking.query, asking.name).is_some());
        let response = self.inner(parts, block, asking, out);
        let Some((list, is_whole)) = list else { return response };
        if matches!(&response, Response::Ready(answered) if answered.code != ResponseCode::NXDomain) {
            asking.site.metrics.walked();
            return response;
        }
        self.said((block, asking), ("autopath", 0), || {
            "where there is no such name the rest of the client's search list is walked here".to_owned()
        });
        match First::of(response, out) {
            Ok(first) => {
                self.send(Errand::Walk { asked: Owned::of(asking, block), list, is_whole, first }, asking, out)
            }
            Err(none) => none,
        }
    }

    /// The client's, if it is to be walked and known, and whether it is known to be whole.
    fn search_list(&self, parts: &Parts, block: &Block, asking: &Asking<'_>) -> Option<(SearchList, bool)> {
        let autopath = parts.autopath.as_ref()?;
        let pod = asking.now.names.as_ref().and_then(|known| known.names.pod_namespace(asking.peer.ip()));
        let zone = block.records.as_ref().map(|records| records.unknown.zone());
        let list = autopath.list(asking.name, zone.zip(pod.map(|(namespace, _)| &**namespace)));
        let is_whole = autopath.is_same_for_all() || pod.is_some_and(|(_, has_own_search)| !has_own_search);
        list.map(|list| (list.into_owned(), is_whole))
    }

    /// What those get that may not ask.
    fn refusal(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Option<Response> {
        let Asking { query, name, peer, transport, .. } = *asking;
        let found = parts.acls.as_ref()?.verdict(name, query.asked.record_type, peer.ip());
        asking.site.metrics.judged(found.map_or(AclAction::Allow, |found| found.action), found.map(|found| found.zone));
        let AclVerdict { action: verdict, list, zone: _ } = found?;
        self.said((block, asking), ("acl", list), || format!("the client {} {}", peer.ip(), verdict.words()));
        if verdict == AclAction::Drop {
            return Some(Response::Dropped);
        }
        let (code, error) = verdict.refusal()?;
        write_code(out, &query.head, Some(query.asked), (code, Says::default()));
        error.add("", out, (&query.head, transport));
        Some(asking.answered(Source::Acl, code))
    }

    /// One record where all are asked for, by those who may ask for the name as they have it.
    fn minimised(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Option<Response> {
        if !parts.minimises_any || asking.query.asked.record_type != RecordType::ANY {
            return None;
        }
        if let Some(refusal) = self.refusal(parts, block, asking, out) {
            return Some(refusal);
        }
        self.said((block, asking), ("any", 0), || "ANY gets one record (RFC 8482)".to_owned());
        written(asking, (Source::Any, Says::default()), out, |reply| {
            any::answer(reply);
            Told::Answered
        })
    }

    /// What answers where nobody before has, and nothing is done with the answer yet.
    pub(super) fn inner(&self, parts: &Parts, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        if let Some(response) = self.template(parts, block, asking, out) {
            return response;
        }
        if let Some(hosts) = &parts.hosts {
            let says = says(&block.forwarder, true);
            let (name, record_type) = (asking.name, asking.query.asked.record_type);
            let told = written(asking, (Source::Hosts, says), out, |reply| hosts.answer(name, record_type, reply));
            if let Some(response) = told {
                shorten(parts, asking, out);
                self.said((block, asking), ("hosts", 0), || trace::hosts_words(out, record_type));
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
        let Templated::Answered { template, also } = templated else { return None };
        let Also { error, alias, matched, failed } = also;
        let metrics = &asking.site.metrics;
        matched.iter().for_each(|matched| metrics.matched(matched));
        if let Some((matched, (section, record))) = matched.zip(failed) {
            metrics.record_failed(&matched, section, &record);
        }
        let code = reply.code;
        reply.finish(&query.head, says(&block.forwarder, true));
        shorten(parts, asking, out);
        if let Some((number, text)) = error {
            extended_error::add(number, text, out, (&query.head, transport));
        }
        self.said((block, asking), ("template", template), || trace::template_words(code));
        Some(match alias {
            Some(target) => self.follow(&target, (block, Source::Template), asking, out),
            None => asking.answered(Source::Template, code),
        })
    }

    /// What the block says to a question that is refused for its class or its type: nothing, unless the client may not ask
    /// it, or it is of class CHAOS and the block answers such.
    pub(super) fn respond_to_refused(
        &self,
        block: &Arc<Block>,
        asking: &Asking<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Response> {
        let parts = block.parts.as_ref()?;
        if let Some(refusal) = self.refusal(parts, block, asking, out) {
            return Some(refusal);
        }
        if asking.query.head.class != CLASS_CHAOS {
            return None;
        }
        let kind = (asking.query.head.class, asking.query.asked.record_type);
        let chaos = parts.chaos.as_ref();
        let told = chaos.and_then(|chaos| {
            let as_ours = (Source::Chaos, Says::default());
            written(asking, as_ours, out, |reply| chaos.answer(asking.name, kind, reply))
        });
        told.or_else(|| self.template(parts, block, asking, out))
    }
}

/// Whether addresses take turns in an answer already, as they do in the cluster's table.
fn takes_turns(response: &Response) -> bool {
    matches!(response, Response::Ready(Answered { source: Source::Zone | Source::External, .. }))
}

/// Holds what was made here to the TTLs of the block's cache.
fn shorten(parts: &Parts, asking: &Asking<'_>, out: &mut [u8]) {
    if let Some(longest) = &parts.longest {
        longest.shorten(asking.name.suffix(0), out);
    }
}

/// Does what is left to do with an answer, now or once it is there.
pub(super) fn finally(
    response: Response,
    asking: &Asking<'_>,
    out: &mut Vec<u8>,
    after: impl FnOnce() -> After,
) -> Response {
    match response {
        Response::Silence | Response::HeldBack | Response::Dropped => response,
        Response::Ready(answered) => {
            after().change(out, asking.transport);
            Response::Ready(Answered { code: code(out), ..answered })
        }
        Response::Pending(mut pending) => {
            pending.after.push(after());
            Response::Pending(pending)
        }
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
