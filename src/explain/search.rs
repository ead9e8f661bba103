//! A search for a name as glibc goes through it (`res_nsearch`): which name is asked for next, and what it comes to. Notes
//! say where musl does otherwise.

use super::name::Verdict;
use dns::{Name, ResponseCode};
use std::collections::VecDeque;

/// The names of a search.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) as_it_is: Name,
    /// With the domains of the list, in its order.
    pub(super) listed: VecDeque<Name>,
    /// The domain with which it is no name, or too long for one: the list ends early there.
    pub(super) unfit: Option<String>,
    /// Whether the name as it is comes first, and not last.
    pub(super) is_dotted: bool,
}

/// Whether an answer has records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Some, of other types than was asked for.
    Others,
    Records,
}

/// What is left of a search, and what it came to so far.
#[derive(Debug)]
pub(super) struct Search {
    /// `None`: it was asked for.
    as_it_is: Option<Name>,
    listed: VecDeque<Name>,
    unfit: Option<String>,
    /// Where the name is from that is next at the beginning, and was asked for last then.
    place: Place,
    /// What has ended it, or was said to the name as it is before the list.
    lasting: Option<Verdict>,
    has_empty: bool,
    has_failed: bool,
    last: Verdict,
    musl: Musl,
    /// What there is to say of its way.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The name as it is, before the list.
    First,
    List,
    /// The name as it is, behind the list.
    Last,
}

/// How far musl's resolver comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Musl {
    GoesOn,
    /// No further, for this reason.
    Ends(&'static str),
    /// Not as far as this.
    HasEnded,
}

const NXDOMAIN: Verdict = Verdict::Code(ResponseCode::NXDomain);
/// Why it tries no domain.
const DOTTED: &str = "musl's resolver asks for a name with as many dots as ndots says as it is, and does not search";
/// What it takes for the end.
const NOT_ABSENT: &str =
    "musl's resolver ends its search at the first answer that is not NXDOMAIN, such as NOERROR without a record";

impl Search {
    pub(super) fn new(Names { as_it_is, listed, unfit, is_dotted }: Names) -> Self {
        Self {
            as_it_is: Some(as_it_is),
            listed,
            unfit,
            place: if is_dotted { Place::First } else { Place::List },
            lasting: None,
            has_empty: false,
            has_failed: false,
            last: NXDOMAIN,
            musl: Musl::GoesOn,
            notes: Vec::new(),
        }
    }

    /// The name that is asked for next; `None`: it is over.
    pub(super) fn next_name(&mut self) -> Option<Name> {
        let name = match self.place {
            Place::First if self.as_it_is.is_some() => self.as_it_is.take(),
            _ => self.listed_or_last(),
        }?;
        if let Musl::Ends(why) = self.musl {
            self.musl = Musl::HasEnded;
            self.notes.push(why.to_owned());
        }
        Some(name)
    }

    fn listed_or_last(&mut self) -> Option<Name> {
        self.place = Place::List;
        if let Some(name) = self.listed.pop_front() {
            // The domain `.` makes it the name as it is.
            self.as_it_is.take_if(|as_it_is| *as_it_is == name);
            return Some(name);
        }
        if let Some(domain) = self.unfit.take() {
            self.notes.push(format!(
                "with {domain} it is no name, or too long for one: glibc leaves the list there, musl goes on"
            ));
        }
        self.place = Place::Last;
        self.as_it_is.take()
    }

    /// Takes what is said to the name that was asked for last; what comes of it, where that is not plain.
    pub(super) fn hear(&mut self, said: Verdict, found: Found) -> Option<&'static str> {
        if self.musl == Musl::GoesOn {
            self.musl = match said {
                _ if self.place == Place::First => Musl::Ends(DOTTED),
                NXDOMAIN | Verdict::Upstream => Musl::GoesOn,
                Verdict::Code(_) | Verdict::Silence => Musl::Ends(NOT_ABSENT),
            };
        }
        if said == Verdict::Upstream {
            return None;
        }
        self.last = said;
        let was_over = self.is_over();
        let words = if said == Verdict::Code(ResponseCode::NoError) && found != Found::Nothing {
            self.lasting = Some(said);
            self.as_it_is = None;
            self.leave_list();
            (found == Found::Others).then_some("the search ends: to glibc any record is an answer, such as a CNAME")
        } else {
            match self.place {
                Place::First => {
                    self.lasting = Some(said);
                    (said != NXDOMAIN).then_some("the search goes on; where it finds nothing this counts")
                }
                Place::List => self.hear_listed(said),
                Place::Last => None,
            }
        };
        words.filter(|_| !was_over)
    }

    fn hear_listed(&mut self, said: Verdict) -> Option<&'static str> {
        let is_first_word = self.lasting.is_none() && !self.has_empty;
        match said {
            NXDOMAIN | Verdict::Upstream => None,
            Verdict::Code(ResponseCode::NoError) => {
                self.has_empty = true;
                is_first_word.then_some("the search goes on; where it finds nothing there is no such record")
            }
            Verdict::Code(ResponseCode::ServFail) => {
                let is_first_word = is_first_word && !self.has_failed;
                self.has_failed = true;
                is_first_word.then_some("the search goes on; where it finds nothing that may change (TRY_AGAIN)")
            }
            Verdict::Code(_) | Verdict::Silence => {
                let words = match self.as_it_is {
                    Some(_) => "the search leaves the list for the name as it is",
                    None => "the search ends",
                };
                self.leave_list().then_some(words)
            }
        }
    }

    /// Asks for no more domains; whether there were any.
    fn leave_list(&mut self) -> bool {
        let had_more = !self.listed.is_empty() || self.unfit.is_some();
        self.listed.clear();
        self.unfit = None;
        had_more
    }

    fn is_over(&self) -> bool {
        self.as_it_is.is_none() && self.listed.is_empty() && self.unfit.is_none()
    }

    /// What the program is told where no records that it has asked for were found, by the code that says the same.
    pub(super) fn outcome(&self) -> Verdict {
        let of_list = match (self.has_empty, self.has_failed) {
            (true, _) => Verdict::Code(ResponseCode::NoError),
            (false, true) => Verdict::Code(ResponseCode::ServFail),
            (false, false) => self.last,
        };
        self.lasting.unwrap_or(of_list)
    }
}

#[cfg(test)]
mod tests;
