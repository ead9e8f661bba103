//! `template`: answers that are made of the question.

mod record;
mod text;

pub(crate) use record::{RecordTemplate, seconds};
pub(crate) use text::{Field, TemplateText};

use super::item::{Item, name_of};
use super::pattern::Pattern;
use super::print::Printed;
use super::question::{Fallthrough, Rcode, record_type};
use super::reading::Reading;
use super::zone::Zone;
use crate::corefile::{Place, PlanError};
use crate::question::TypeName;
use hickory_proto::rr::RecordType;

#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Where it was written.
    pub(crate) place: Place,
    pub(crate) class: TemplateClass,
    /// ANY: all.
    pub(crate) record_type: RecordType,
    /// Names that it is for.
    pub(crate) zones: Vec<Zone>,
    /// The first that a name matches gives the groups; empty: all names match.
    pub(crate) matches: Vec<Pattern>,
    pub(crate) answers: Vec<RecordTemplate>,
    pub(crate) authorities: Vec<RecordTemplate>,
    pub(crate) additionals: Vec<RecordTemplate>,
    pub(crate) rcode: Rcode,
    /// Extended DNS error (RFC 8914): its code and what it adds.
    pub(crate) extended_error: Option<(u16, String)>,
    /// Names for which a question that matches nothing is not SERVFAIL but goes on.
    pub(crate) fallthrough: Fallthrough,
}

/// Classes of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplateClass {
    Internet,
    Chaos,
    Any,
}

const CLASSES: [(&str, TemplateClass); 3] =
    [("IN", TemplateClass::Internet), ("CH", TemplateClass::Chaos), ("ANY", TemplateClass::Any)];
const OPTIONS: [&str; 7] = ["additional", "answer", "authority", "ederror", "fallthrough", "match", "rcode"];

impl Template {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let [class, kind, zones @ ..] = item.arguments() else {
            return Err(item.error("takes a class and a type, such as IN AAAA or ANY ANY"));
        };
        let mut template = Self {
            place: item.place().clone(),
            class: item.choice(class, &CLASSES)?,
            record_type: record_type(item, kind)?,
            zones: item.zones_or(zones, block)?,
            matches: Vec::new(),
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            rcode: Rcode::NO_ERROR,
            extended_error: None,
            fallthrough: Fallthrough::default(),
        };
        // Records may stand before the expressions whose groups they use.
        item.options(reading, |reading, option| {
            if option.name() == "match" {
                for word in option.some("regular expressions")? {
                    template.matches.push(reading.pattern(option, word)?);
                }
            }
            Ok(())
        });
        item.options(reading, |reading, option| template.read_option(option, reading));
        Ok(template)
    }

    fn read_option(&mut self, option: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
        match option.name() {
            "match" => {}
            "answer" | "authority" | "additional" => {
                for word in option.some("records")? {
                    let record = RecordTemplate::parse(word.as_str(), &self.matches);
                    let record = record.map_err(|message| option.error(message))?;
                    match option.name() {
                        "answer" => self.answers.push(record),
                        "authority" => self.authorities.push(record),
                        _ => self.additionals.push(record),
                    }
                }
            }
            "rcode" => self.rcode = Rcode::read(option, option.one("a response code")?)?,
            "ederror" => {
                let (code, text) = match option.arguments() {
                    [code] => (code, String::new()),
                    [code, text] => (code, text.as_str().to_owned()),
                    _ => return Err(option.error("takes a code and, if need be, a text")),
                };
                let code = option.number(code, 0..=u32::from(u16::MAX))?;
                self.extended_error = u16::try_from(code).ok().map(|code| (code, text));
            }
            "fallthrough" => self.fallthrough = Fallthrough::read(option)?,
            "upstream" => reading.note(option, "changes nothing: where a CNAME leads is always looked up"),
            _ => return Err(option.unknown(&OPTIONS)),
        }
        Ok(())
    }

    pub(super) fn printed(&self) -> Printed {
        let printed = Printed::new("template").word(name_of(&self.class, &CLASSES)).word(TypeName(self.record_type));
        let printed = printed.words(&self.zones).list("match", &self.matches);
        let sections = [("answer", &self.answers), ("authority", &self.authorities), ("additional", &self.additionals)];
        let records = sections.into_iter().flat_map(|(name, records)| records.iter().map(move |record| (name, record)));
        let printed = records.fold(printed, |printed, (name, record)| printed.option(Printed::new(name).word(record)));
        let error = |(code, text): &(u16, String)| {
            Printed::new("ederror").word(code).words(Some(text).filter(|text| !text.is_empty()))
        };
        printed
            .option(Printed::new("rcode").word(self.rcode))
            .maybe(self.extended_error.as_ref().map(error))
            .list("fallthrough", &self.fallthrough.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::corefile::System;
    use crate::plan::Plan;

    #[test]
    fn upstream_is_taken_as_in_coredns() {
        let text = ". {\n template IN CNAME {\n upstream 192.0.2.1\n answer \"a. 60 IN CNAME b.\"\n }\n}\n";
        let (plan, notes) = Plan::from_corefile(text, "Corefile", &System).unwrap();
        assert_eq!(plan.blocks()[0].templates[0].answers.len(), 1);
        let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes, ["Corefile:3: template: upstream: changes nothing: where a CNAME leads is always looked up"]);
    }
}
