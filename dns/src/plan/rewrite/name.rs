//! Names that become others, and back again in the answers.

use crate::corefile::{PlanError, Word};
use crate::plan::item::Item;
use crate::plan::pattern::Pattern;
use crate::plan::print::Printed;
use crate::plan::reading::Reading;
use config::DomainName;
use std::fmt;

/// Which names. Texts are in lower case; as CoreDNS has it, all end with a dot, whether it is written or not, so that a
/// prefix and a part are whole labels at their end.
#[derive(Debug, Clone)]
pub(crate) enum NameMatch {
    Exact(DomainName),
    Prefix(String),
    Suffix(String),
    Substring(String),
    /// Over the name with a dot at the end.
    Regex(Pattern),
}

#[derive(Debug, Clone)]
pub(crate) struct NameRewrite {
    pub(crate) names: NameMatch,
    /// What the matching part becomes, without the dot at its end; of a regular expression the whole name.
    pub(crate) to: Substitute,
    /// How answers are made to fit the question; none: as the match says, back for an exact name, else not at all.
    pub(crate) answers: Vec<Answer>,
}

/// How a part of an answer is rewritten.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Owners and targets as the question was, the other way round.
    Auto,
    /// Owners that match.
    Name { names: Pattern, to: Substitute },
    /// Targets (CNAME, SRV, PTR, MX, NS) that match.
    Value { names: Pattern, to: Substitute },
}

/// Text with groups of a match put in: `{1}.svc.{2}`.
#[derive(Debug, Clone)]
pub(crate) struct Substitute(pub(crate) Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// 0: the whole match.
    Group(usize),
}

impl NameMatch {
    /// Reads `[exact|prefix|suffix|substring|regex] TEXT`.
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, words: &[Word]) -> Result<Self, PlanError> {
        let (kind, text) = match words {
            [text] => ("exact".to_owned(), text),
            [kind, text] => (kind.text.to_ascii_lowercase(), text),
            _ => return Err(item.error("takes names as [exact|prefix|suffix|substring|regex] TEXT")),
        };
        let lower = text.text.to_ascii_lowercase();
        let part = || match lower.strip_suffix('.').unwrap_or(&lower) {
            "" => Err(item.error("matches no text, and so every name")),
            part => Ok(part.to_owned()),
        };
        match kind.as_str() {
            "exact" => {
                let name = lower.parse();
                name.map(Self::Exact).map_err(|error| item.error(format!("{:?} is no name: {error}", text.text)))
            }
            "prefix" if lower.is_empty() => part().map(Self::Prefix),
            "prefix" => Ok(Self::Prefix(lower)),
            "suffix" => part().map(Self::Suffix),
            "substring" => part().map(Self::Substring),
            "regex" => reading.pattern(item, text).map(Self::Regex),
            other => Err(item.error(format!("{other:?} is none of exact, prefix, suffix, substring, regex"))),
        }
    }

    /// Whether it is for every name that another one is for, as far as their words show it.
    pub(in crate::plan) fn covers(&self, other: &Self) -> bool {
        let [own, text] = [self, other].map(|names| {
            let [_, text] = names.words();
            if text.ends_with('.') { text } else { text + "." }
        });
        match (self, other) {
            (Self::Regex(own), Self::Regex(other)) => own.is_all() || own.to_string() == other.to_string(),
            (Self::Regex(own), Self::Exact(_)) => own.is_match(&text),
            (Self::Regex(own), _) => own.is_all(),
            (_, Self::Regex(_)) => false,
            (Self::Exact(_), Self::Exact(_)) => own == text,
            (Self::Prefix(_), Self::Exact(_) | Self::Prefix(_)) => text.starts_with(&own),
            (Self::Suffix(_), Self::Exact(_) | Self::Suffix(_)) => text.ends_with(&own),
            (Self::Substring(_), _) => text.contains(&own),
            (Self::Exact(_) | Self::Prefix(_) | Self::Suffix(_), _) => false,
        }
    }

    /// Whether it is for all names.
    pub(in crate::plan) fn is_all(&self) -> bool {
        matches!(self, Self::Regex(pattern) if pattern.is_all())
    }

    pub(in crate::plan) fn words(&self) -> [String; 2] {
        match self {
            Self::Exact(name) => ["exact".to_owned(), name.to_string()],
            Self::Prefix(text) => ["prefix".to_owned(), text.clone()],
            Self::Suffix(text) => ["suffix".to_owned(), text.clone()],
            Self::Substring(text) => ["substring".to_owned(), text.clone()],
            Self::Regex(pattern) => ["regex".to_owned(), pattern.to_string()],
        }
    }
}

impl NameRewrite {
    /// Reads the match and the new name, then `answer …` on the same line or on those after it.
    pub(super) fn read(
        item: Item<'_>,
        reading: &mut Reading<'_>,
        words: &[Word],
        lines: &[Vec<Word>],
    ) -> Result<Self, PlanError> {
        let end = words.iter().skip(2).position(|word| word.as_str() == "answer").map_or(words.len(), |at| at + 2);
        let (rule, inline) = words.split_at(end);
        if let [kind, _, _, metadata] = rule
            && (kind.as_str(), metadata.as_str()) == ("regex", "metadata")
        {
            let message = "metadata is not supported: a new name is made of text and groups, such as {1}";
            return Err(item.error(message));
        }
        let [matched @ .., to] = rule else { return Err(item.error("name takes a name and what it becomes")) };
        let names = NameMatch::read(item, reading, matched)?;
        let to = match &names {
            NameMatch::Regex(pattern) => Substitute::read(item, to, pattern)?,
            NameMatch::Exact(_) => {
                let name = to.text.parse::<DomainName>();
                let name = name.map_err(|error| item.error(format!("{:?} is no name: {error}", to.text)))?;
                Substitute::text(name.as_str())
            }
            _ => Substitute::text(to.text.to_ascii_lowercase().trim_end_matches('.')),
        };
        let mut answers = Vec::new();
        for words in std::iter::once(inline).chain(lines.iter().map(Vec::as_slice)) {
            Answer::read_all(item, reading, words, &mut answers)?;
        }
        let is_auto = |answer: &Answer| matches!(answer, Answer::Auto);
        if answers.iter().any(is_auto) && answers.iter().any(|answer| matches!(answer, Answer::Name { .. })) {
            return Err(item.error("answer auto and answer name may not stand together: auto turns back all owners"));
        }
        Ok(Self { names, to, answers })
    }

    pub(super) fn printed(&self, printed: Printed) -> Printed {
        let printed = printed.word("name").words(self.names.words()).word(&self.to);
        self.answers.iter().fold(printed, |printed, answer| match answer {
            Answer::Auto => printed.words(["answer", "auto"]),
            Answer::Name { names, to } => printed.words(["answer", "name"]).word(names).word(to),
            Answer::Value { names, to } => printed.words(["answer", "value"]).word(names).word(to),
        })
    }
}

impl Answer {
    /// Reads those of a line, behind the others: `answer` may be left out of all but the first.
    fn read_all(
        item: Item<'_>,
        reading: &mut Reading<'_>,
        words: &[Word],
        answers: &mut Vec<Self>,
    ) -> Result<(), PlanError> {
        let mut rest = words;
        while let [first, after @ ..] = rest {
            if first.as_str() == "answer" {
                rest = after;
            } else if answers.is_empty() {
                rest = &[];
            }
            let texts: Vec<_> = rest.iter().take(3).map(Word::as_str).collect();
            let answer = match (&texts[..], rest) {
                (["auto", ..], [_, after @ ..]) => {
                    rest = after;
                    Self::Auto
                }
                // As CoreDNS's README spells it too.
                (["name", "auto"] | ["name", "auto", "answer"], [_, _, after @ ..]) => {
                    rest = after;
                    Self::Auto
                }
                ([field @ ("name" | "value"), ..], [_, names, to, after @ ..]) => {
                    rest = after;
                    let names = reading.pattern(item, names)?;
                    let to = Substitute::read(item, to, &names)?;
                    if *field == "name" { Self::Name { names, to } } else { Self::Value { names, to } }
                }
                _ => {
                    let line = words.iter().map(Word::as_str).collect::<Vec<_>>().join(" ");
                    let message = "is none of answer auto, answer name FROM TO, answer value FROM TO";
                    return Err(item.error(format!("{line:?} {message}")));
                }
            };
            answers.push(answer);
        }
        Ok(())
    }
}

impl Substitute {
    fn text(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }

    /// Reads text with `{N}` in it, where each N is a group of `pattern`.
    fn read(item: Item<'_>, word: &Word, pattern: &Pattern) -> Result<Self, PlanError> {
        let mut pieces = Vec::new();
        let mut rest = word.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (number, after) =
                after.split_once('}').ok_or_else(|| item.error(format!("{:?} has '{{' without '}}'", word.text)))?;
            let group = number.parse().ok().filter(|group| *group < pattern.group_count());
            let wrong = || item.error(format!("{{{number}}} is no group of the regular expression {pattern}"));
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_ascii_lowercase()));
            }
            pieces.push(Piece::Group(group.ok_or_else(wrong)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_ascii_lowercase()));
        }
        if pieces.is_empty() { Err(item.error("the new name is empty")) } else { Ok(Self(pieces)) }
    }
}

impl fmt::Display for Substitute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Group(group) => write!(f, "{{{group}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::corefile::System;
    use crate::part::harness::block;
    use crate::plan::Plan;

    /// As the README of CoreDNS's plugin shows them.
    #[test]
    fn answers_follow_each_other_in_a_line() {
        for (written, answers) in [
            ("name suffix a b answer name auto", "answer auto"),
            ("name suffix a b answer name auto answer value c d", "answer auto answer value c d"),
            ("name suffix a b answer auto value c d", "answer auto answer value c d"),
            ("name suffix a b answer name c d value e f", "answer name c d answer value e f"),
            (
                "name suffix a b answer name c d answer value e f name g h",
                "answer name c d answer value e f answer name g h",
            ),
            ("name suffix a b answer name auto d", "answer name auto d"),
            ("name suffix a b answer value c d answer auto", "answer value c d answer auto"),
            ("name suffix a b answer value auto answer", "answer value auto answer"),
            ("{\n name suffix a b\n answer name auto\n answer value c d\n}", "answer auto answer value c d"),
            ("{\n name suffix a b\n answer name c d\n value e f\n}", "answer name c d answer value e f"),
        ] {
            let printed = block(&format!("rewrite {written}")).to_string();
            let words: Vec<_> = printed.split_whitespace().collect();
            assert_eq!(words.join(" "), format!(".:53 {{ rewrite stop name suffix a b {answers} }}"), "{written}");
        }
    }

    /// As CoreDNS has it (`parseAnswerRules`), for exact names too.
    #[test]
    fn owners_are_turned_back_in_one_way() {
        for wrong in [
            "name suffix a b answer auto answer name c d",
            "name suffix a b answer name c d answer auto",
            "name suffix a b answer name c d value e f auto",
            "name exact a b answer auto name c d",
            "{\n name suffix a b\n answer name c d\n answer auto\n}",
        ] {
            let refusal =
                Plan::from_corefile(&format!(". {{\nrewrite {wrong}\n}}\n"), "Corefile", &System).unwrap_err();
            let errors: Vec<_> = refusal.errors.iter().map(ToString::to_string).collect();
            let why = "answer auto and answer name may not stand together: auto turns back all owners";
            assert_eq!(errors, [format!("Corefile:2: rewrite: {why}")], "{wrong}");
        }
    }
}
