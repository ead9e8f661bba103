//! `log`: a line for each answer of some classes.

mod format;

pub(crate) use format::{Field, Format, Label, Piece};

use super::item::{Item, name_of};
use super::print::Printed;
use super::reading::Reading;
use super::zone::Zone;
use crate::corefile::PlanError;

#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// Names whose answers are logged.
    pub(crate) zones: Vec<Zone>,
    pub(crate) format: Format,
    /// At least one.
    pub(crate) classes: Vec<Class>,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    All,
    /// Records, or nothing at all.
    Success,
    /// NXDOMAIN, or that there are no records of the type, with an SOA.
    Denial,
    /// SERVFAIL, NOTIMP, REFUSED and the like, and transfers.
    Error,
}

const CLASSES: [(&str, Class); 4] =
    [("all", Class::All), ("success", Class::Success), ("denial", Class::Denial), ("error", Class::Error)];

impl Class {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        name_of(&self, &CLASSES)
    }
}

impl Log {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let (words, format) = match item.arguments() {
            [words @ .., last] if last.text.contains('{') => (words, Some(last.as_str())),
            words => (words, None),
        };
        let format = Format::read(item, format)?;
        let zones = item.zones_or(words, &[Zone::root()])?;
        let (mut classes, mut written) = (Vec::new(), Vec::new());
        item.options(reading, |_, option| match option.name() {
            "class" => {
                for word in option.some("classes: all, success, denial or error")? {
                    classes.push(option.choice(word, &CLASSES)?);
                    written.push((option, word));
                }
                Ok(())
            }
            _ => Err(option.unknown(&["class"])),
        });
        if classes.contains(&Class::All) {
            for (option, word) in written.into_iter().filter(|(_, word)| word.as_str() != Class::All.as_str()) {
                reading.note(option, format!("{} changes nothing: all has every class", word.text));
            }
        }
        classes.sort_unstable();
        classes.dedup();
        if classes.is_empty() || classes.contains(&Class::All) {
            classes = vec![Class::All];
        }
        Ok(Self { zones, format, classes })
    }

    pub(super) fn printed(&self) -> Printed {
        let classes = self.classes.iter().map(|class| name_of(class, &CLASSES));
        Printed::new("log").words(&self.zones).words(self.format.printed()).list("class", classes)
    }
}
