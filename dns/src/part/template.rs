//! `template`: answers that are made of the question.

mod record;

use super::spelling;
use crate::extended_error::ExtendedError;
use crate::metrics::Matched;
use crate::name::LowerName;
use crate::plan::{self, Groups, TemplateClass, Zone};
use crate::question::{CLASS_IN, Query};
use crate::reply::{Lead, Pointer, Reply, Section};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use record::Made;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::warn;

/// CHAOS (RFC 1035 §3.2.4).
const CLASS_CHAOS: u16 = 3;

/// The templates of a block, in their order.
#[derive(Debug)]
pub(crate) struct Templates(Vec<Template>);

#[derive(Debug)]
struct Template {
    plan: plan::Template,
    /// Whether it was logged already that a record could not be made.
    has_failed: AtomicBool,
}

/// What the templates did with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Templated<'t> {
    /// The reply is written, its code too; by which of the block's templates, counted from 0.
    Answered { template: usize, also: Also<'t> },
    /// The question is for those after this part; nothing is written.
    Nothing,
}

/// What is to be done with a written reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Also<'t> {
    /// An extended error to be added: its number and its text.
    pub(crate) error: Option<(u16, &'t str)>,
    /// Where a CNAME leads, in wire form, whose records are to be looked up and added, as those who asked for addresses
    /// want them; where they cannot be, the CNAME is the answer.
    pub(crate) alias: Option<Vec<u8>>,
    /// What is counted of it; `None`: no template was met.
    pub(crate) matched: Option<Matched>,
    /// The record that could not be made, with its section.
    pub(crate) failed: Option<(&'static str, String)>,
}

/// What the fields of a record are made of.
struct Fields<'f> {
    /// The name in lower case with a dot at the end.
    name: &'f str,
    /// The zone of the template that it is in, the same way.
    zone: String,
    query: &'f Query<'f>,
    record_type: RecordType,
    client: IpAddr,
    /// `None`: there is no expression to match.
    groups: Option<Groups<'f>>,
}

impl Templates {
    pub(crate) fn new(templates: &[plan::Template]) -> Self {
        let template = |plan: &plan::Template| Template { plan: plan.clone(), has_failed: AtomicBool::new(false) };
        Self(templates.iter().map(template).collect())
    }

    /// Writes what the first template says that is for this question. One that is for its zone, class and type but not
    /// for its name ends the search with SERVFAIL, unless the name falls through.
    pub(crate) fn answer(
        &self,
        query: &Query<'_>,
        name: &LowerName,
        client: IpAddr,
        reply: &mut Reply<'_>,
    ) -> Templated<'_> {
        let asked = query.asked.record_type;
        let mut text = None;
        for (index, template) in self.0.iter().enumerate() {
            let plan = &template.plan;
            let Some(zone) = plan.zone_of(name).filter(|_| plan.is_for(query.head.class, asked)) else { continue };
            let text = text.get_or_insert_with(|| spelling::text(name.suffix(0)));
            let groups = plan.matches.iter().find_map(|pattern| pattern.captures(text));
            if groups.is_none() && !plan.matches.is_empty() {
                if plan.fallthrough.takes(name.suffix(0)) {
                    continue;
                }
                reply.code = ResponseCode::ServFail;
                return Templated::Answered { template: index, also: Also::default() };
            }
            let record_type = if asked == RecordType::ANY { plan.record_type } else { asked };
            let client = client.to_canonical();
            let zone = spelling::text(zone.wire());
            let fields = Fields { name: text, zone, query, record_type, client, groups };
            let mut also = template.write(&fields, name, reply);
            also.matched = Some(Matched { zone: fields.zone, class: query.head.class, record_type: asked });
            return Templated::Answered { template: index, also };
        }
        Templated::Nothing
    }
}

impl plan::Template {
    /// The longest of its zones that holds the name.
    fn zone_of(&self, name: &LowerName) -> Option<&Zone> {
        self.zones.iter().filter(|zone| zone.holds(name.suffix(0))).max_by_key(|zone| zone.label_count())
    }

    fn is_for(&self, class: u16, asked: RecordType) -> bool {
        let is_class = match self.class {
            TemplateClass::Internet => class == CLASS_IN,
            TemplateClass::Chaos => class == CLASS_CHAOS,
            TemplateClass::Any => true,
        };
        is_class && (self.record_type == asked || [self.record_type, asked].contains(&RecordType::ANY))
    }
}

impl Template {
    /// Writes all records or, where one cannot be made, SERVFAIL.
    fn write(&self, fields: &Fields<'_>, name: &LowerName, reply: &mut Reply<'_>) -> Also<'_> {
        let plan = &self.plan;
        let code = ResponseCode::from(0, plan.rcode.0);
        let error = plan.extended_error.as_ref().map(|(code, text)| (*code, text.as_str()));
        let sections = [
            (Section::Answer, "answer", &plan.answers),
            (Section::Authority, "authority", &plan.authorities),
            (Section::Additional, "additional", &plan.additionals),
        ];
        let records = sections
            .into_iter()
            .flat_map(|(section, name, records)| records.iter().map(move |record| (section, name, record)));
        let made = records.map(|(section, name, record)| match record.make(fields) {
            Ok(made) => Ok((section, made)),
            Err(why) => Err((why, (name, record.to_string()))),
        });
        let made: Vec<(Section, Made)> = match made.collect() {
            Ok(made) if code != ResponseCode::ServFail => made,
            Ok(_) => Vec::new(),
            Err((why, failed)) => {
                if !self.has_failed.swap(true, Ordering::Relaxed) {
                    warn!(place = %plan.place, name = %fields.name, "template makes no record: {why}");
                }
                reply.code = ResponseCode::ServFail;
                let error = Some((ExtendedError::Other as u16, "a template makes no record"));
                return Also { error, failed: Some(failed), ..Also::default() };
            }
        };
        reply.code = code;
        let class = fields.query.head.class;
        made.iter().all(|(section, made)| {
            let lead = Lead { section: *section, record_type: made.record_type, class, ttl: made.ttl };
            let is_question = made.owner.eq_ignore_ascii_case(name.suffix(0));
            // The question's own name stays in the client's spelling.
            let owner = |reply: &mut Reply<'_>| match is_question {
                true => reply.pointer(Pointer::QUESTION),
                false => reply.bytes(&made.owner),
            };
            reply.record_of(lead, owner, |reply| reply.bytes(&made.content))
        });
        Also { error, alias: alias(&made, fields.query.asked.record_type), ..Also::default() }
    }
}

/// Where the last CNAME leads that no record of the answer goes on from.
fn alias(made: &[(Section, Made)], asked: RecordType) -> Option<Vec<u8>> {
    if !matches!(asked, RecordType::A | RecordType::AAAA) {
        return None;
    }
    let answers = || made.iter().filter(|(section, _)| *section == Section::Answer).map(|(_, made)| made);
    let target = &answers().rfind(|made| made.record_type == RecordType::CNAME)?.content;
    let is_open = !answers().any(|made| made.owner.eq_ignore_ascii_case(target));
    is_open.then(|| target.clone())
}

#[cfg(test)]
mod tests;
