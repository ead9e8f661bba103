//! What DNS answers for a name and why, with each question that a resolver asks on its way.

use super::corefile::Planned;
use super::search;
use crate::cli::{Asker, NameFlags};
use crate::offline::World;
use crate::settings::{clusterset_zones, compatibility};
use crate::text::Table;
use anyhow::Context as _;
use config::{DomainName, Kind, ObjectName, ObjectRef};
use dns::{
    Answer, Explanation, Name, Question, Reason, Record, RecordType, ResponseCode, Sections, ZoneSettings, explain,
};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A name, and how it is asked for.
#[derive(Debug)]
pub(super) struct Asking {
    name: String,
    record_type: RecordType,
    from: Option<Asker>,
    search: Vec<DomainName>,
    questions: Vec<Name>,
    answering: Answering,
}

/// Who answers.
#[derive(Debug)]
enum Answering {
    Flags { settings: Box<ZoneSettings>, upstreams: Vec<SocketAddr> },
    Corefile(Planned),
}

/// What is said to one question.
#[derive(Debug)]
pub(super) struct Said {
    /// Who asked it, where that counts.
    pub(super) client: Option<IpAddr>,
    pub(super) verdict: Verdict,
    pub(super) records: Vec<Record>,
    pub(super) why: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Code(ResponseCode),
    /// What upstreams say.
    Upstream,
    /// There is no answer.
    Silence,
}

impl Asking {
    /// # Errors
    /// The name is none, asks for what only a Pod's search list has, or for a second zone that is the first one; or the
    /// Corefile cannot be taken.
    pub(super) fn new(name: &str, flags: NameFlags, zone: &DomainName) -> anyhow::Result<Self> {
        let NameFlags {
            record_type,
            from,
            corefile,
            at,
            client,
            search: of_node,
            dns_upstream,
            dns_ttl,
            dns_clusterset_domain,
            dns_compat,
        } = flags;
        let (name, usual_type) = match name.parse::<IpAddr>() {
            Ok(address) => (Name::from(address).to_string(), RecordType::PTR),
            Err(_) => (name.to_owned(), RecordType::A),
        };
        Name::from_ascii(&name).with_context(|| format!("{name:?} is no name"))?;
        anyhow::ensure!(from.is_some() || of_node.is_empty(), "--search is for the Pods that --from names");
        let search = from.as_ref().map(|from| search::list(&from.namespace, zone, of_node)).unwrap_or_default();
        let questions = search::questions(&name, &search);
        let compatibility = compatibility(dns_compat);
        let answering = match corefile {
            Some(path) => Answering::Corefile(Planned::read(path, compatibility, (at, client))?),
            None => {
                let multicluster = clusterset_zones(dns_clusterset_domain, zone)?;
                let settings = ZoneSettings {
                    ttl: dns_ttl,
                    compatibility,
                    zones: multicluster.clone(),
                    multicluster,
                    ..ZoneSettings::default()
                };
                Answering::Flags { settings: Box::new(settings), upstreams: dns_upstream }
            }
        };
        let record_type = record_type.unwrap_or(usual_type);
        Ok(Self { name, record_type, from, search, questions, answering })
    }

    /// Asks one question after the other until one has an answer.
    ///
    /// # Errors
    /// Something that the Corefile names cannot be had here, or nothing listens where it is to be asked.
    pub(super) fn report(&self, world: &World) -> anyhow::Result<Report<'_>> {
        let asked = self.asked(world)?;
        let mut report = Report {
            name: &self.name,
            record_type: self.record_type,
            from: self.from.as_ref(),
            client: None,
            search: &self.search,
            questions: Vec::new(),
            answer: Outcome::None { code: code(ResponseCode::NXDomain) },
            note: None,
            client_note: None,
        };
        let mut questions = self.questions.iter().peekable();
        while let Some(name) = questions.next() {
            let question = Question { name: name.clone(), record_type: self.record_type };
            let said = match (&self.answering, &asked) {
                (Answering::Flags { settings, upstreams }, _) => {
                    said(explain(&world.snapshot.names, &question, settings, None), upstreams, world)
                }
                (Answering::Corefile(_), Some(asked)) => asked.said(&question, world)?,
                (Answering::Corefile(_), None) => break,
            };
            let goes_on = report.take(name.to_string(), said);
            if !goes_on {
                break;
            }
            let is_cut_short =
                questions.peek().is_some() && report.questions.last().is_some_and(|asked| asked.is_empty);
            report.note = report.note.or(is_cut_short.then_some(MUSL));
        }
        if asked.is_some_and(|asked| asked.is_asked_from_here()) {
            report.client_note = report.client.zip(self.from.as_ref()).and_then(|(client, from)| {
                from.pod.as_ref().map(|_| format!("the manifests have no address of Pod {from}: {client} asks instead"))
            });
        }
        let is_upstream = matches!(report.answer, Outcome::Upstream { .. });
        if is_upstream && !self.has_clusterset() && names_import(&self.name, world) {
            report.note = Some(NO_CLUSTERSET);
        } else if self.from.is_none() && !self.name.ends_with('.') && is_upstream {
            report.note = Some(UNSEARCHED);
        }
        Ok(report)
    }
}

impl Asking {
    /// Whether there may be a zone of several clusters: a Corefile says it where it is asked for names of that zone.
    fn has_clusterset(&self) -> bool {
        match &self.answering {
            Answering::Flags { settings, .. } => !settings.multicluster.is_empty(),
            Answering::Corefile(_) => true,
        }
    }

    /// What the Corefile makes of questions; `None`: there is none.
    fn asked(&self, world: &World) -> anyhow::Result<Option<super::corefile::Asked<'_>>> {
        match &self.answering {
            Answering::Flags { .. } => Ok(None),
            Answering::Corefile(planned) => planned.asked(self.from.as_ref(), world).map(Some),
        }
    }
}

/// A reason, with where the Service is described that it is about, and what there is where nothing is ready.
pub(super) fn told(reason: &Reason, world: &World) -> String {
    let mut text = reason.to_string();
    let Some(object) = reason.service() else { return text };
    let name = ObjectName::from(object);
    let (slices, exists) = match object.kind {
        Kind::ServiceImport => (world.objects.slices_of_import(&name), world.objects.import(&name).is_some()),
        _ => (world.objects.slices(&name), world.objects.service(&name).is_some()),
    };
    if let Reason::NoEndpoint(_) | Reason::HiddenService(_) = reason {
        let addresses: usize = slices.iter().map(|slice| slice.endpoints.len()).sum();
        text += &match (slices.len(), addresses) {
            (0, _) => ": no EndpointSlice is for it".to_owned(),
            (_, 0) => ": its EndpointSlices have no address".to_owned(),
            (_, addresses) => format!(": of {addresses} addresses in its EndpointSlices none is ready"),
        };
    }
    if matches!(reason, Reason::NoService(_)) && exists {
        text = format!("{object} has no names: {}", why_none(object, world));
    }
    match world.place(object) {
        Some(place) => format!("{text} ({place})"),
        None => text,
    }
}

/// Why there are no names of what there is.
fn why_none(object: &ObjectRef, world: &World) -> String {
    if object.kind == Kind::Service {
        return "DNS cannot lead to what its externalName is".to_owned();
    }
    let problems = world.statuses.entry(object).map(|status| &status.problems[..]).unwrap_or_default();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What is said of a name.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    name: &'a str,
    #[serde(rename = "type", serialize_with = "text")]
    record_type: RecordType,
    /// `None`: somebody who asks for this very name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text_of_some")]
    from: Option<&'a Asker>,
    /// Where the questions come from, where that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    search: &'a [DomainName],
    questions: Vec<Asked>,
    answer: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// Who asks in the place of the Pod that should.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_note: Option<String>,
}

/// A question that is asked.
#[derive(Debug, Serialize)]
struct Asked {
    question: String,
    /// `None`: it is what upstreams say.
    code: Option<String>,
    records: Vec<String>,
    why: Vec<String>,
    #[serde(skip)]
    is_empty: bool,
}

/// What the application gets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// The records of that question.
    Records { question: String },
    /// What upstreams say to that question, or where they have nothing, to those after it, if there are any.
    Upstream { question: String, is_last: bool },
    /// Nothing.
    None { code: String },
}

impl Report<'_> {
    /// Takes what is said to a question; whether the next one is asked.
    fn take(&mut self, question: String, Said { client, verdict, records, mut why }: Said) -> bool {
        self.client = self.client.or(client);
        // Where another address is asked, of another family.
        why.extend(client.filter(|_| client != self.client).map(|client| format!("asked from {client}")));
        let is_asked_for = |of: RecordType| of == self.record_type || self.record_type == RecordType::ANY;
        let has_answer = records.iter().any(|record| is_asked_for(record.record_type()));
        let is_empty = verdict == Verdict::Code(ResponseCode::NoError) && !has_answer;
        let goes_on = verdict == Verdict::Upstream || (verdict != Verdict::Silence && !has_answer);
        let word = match verdict {
            Verdict::Upstream => None,
            Verdict::Code(of) => Some(code(of)),
            Verdict::Silence => Some(SILENCE.to_owned()),
        };
        let was_empty =
            matches!(&self.answer, Outcome::None { code: before } if *before == code(ResponseCode::NoError));
        let outcome = match (&word, verdict) {
            (None, _) => Some(Outcome::Upstream { question: question.clone(), is_last: true }),
            _ if has_answer => Some(Outcome::Records { question: question.clone() }),
            (Some(word), of) if of != Verdict::Code(ResponseCode::NXDomain) && !was_empty => {
                Some(Outcome::None { code: word.clone() })
            }
            _ => None,
        };
        match (outcome, &mut self.answer) {
            (_, Outcome::Upstream { is_last, .. }) => *is_last = false,
            (Some(outcome), answer) => *answer = outcome,
            (None, _) => {}
        }
        let records = records.iter().map(ToString::to_string).collect();
        self.questions.push(Asked { question, code: word, records, why, is_empty });
        goes_on
    }
}

/// Whether the name is one that a ServiceImport would have in some zone.
fn names_import(name: &str, world: &World) -> bool {
    let name = name.to_ascii_lowercase();
    let mut imports = world.names.iter().filter(|object| object.kind == Kind::ServiceImport);
    imports.any(|import| {
        let own = format!("{}.{}.svc.", import.name, import.namespace);
        name.starts_with(&own) || name.contains(&format!(".{own}"))
    })
}

/// What is said where flags say what is answered.
fn said(Explanation { answer, reasons }: Explanation, upstreams: &[SocketAddr], world: &World) -> Said {
    let mut why: Vec<_> = reasons.iter().map(|reason| told(reason, world)).collect();
    let (sections, led_to) = match answer {
        Answer::Zone(sections) => (sections, None),
        Answer::Alias { sections, target } => (sections, Some(format!("{target} is"))),
        Answer::Outside => (Sections::default(), Some("it is".to_owned())),
    };
    why.extend(led_to.as_ref().map(|what| asked_of(what, upstreams)));
    let verdict = if led_to.is_some() { Verdict::Upstream } else { Verdict::Code(sections.code) };
    Said { client: None, verdict, records: sections.answers, why }
}

/// In place of a code.
const SILENCE: &str = "no answer";
/// What is easily forgotten.
const NO_CLUSTERSET: &str =
    "ServiceImports have names in the zone that --dns-clusterset-domain says, and none without it";
/// The same.
const UNSEARCHED: &str = "a Pod would search for a name without a dot at its end: --from NS walks its list";
/// Where the resolvers of C libraries differ: glibc goes on.
const MUSL: &str = "musl's resolver ends its search at the first empty answer (NOERROR without a record)";

fn asked_of(what: &str, upstreams: &[SocketAddr]) -> String {
    if upstreams.is_empty() {
        return format!("{what} asked of the resolvers of the machine that Tidegate runs on");
    }
    let upstreams: Vec<_> = upstreams.iter().map(ToString::to_string).collect();
    format!("{what} asked of {}", upstreams.join(", "))
}

/// As `dig` writes it.
fn code(code: ResponseCode) -> String {
    format!("{code:?}").to_uppercase()
}

fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn text_of_some<S: Serializer>(value: &Option<&Asker>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(asker) => serializer.collect_str(asker),
        None => serializer.serialize_none(),
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = Table::default();
        let mut say = |name: &str, value: String| head.row([name.to_owned(), value]);
        say("name", self.name.to_owned());
        say("type", self.record_type.to_string());
        if let Some(from) = self.from {
            let who = if from.pod.is_some() { format!("Pod {from}") } else { format!("Pods of {from}") };
            say("asked by", who);
            let search: Vec<_> = self.search.iter().map(DomainName::as_str).collect();
            say("search", search.join(" "));
        }
        self.client.into_iter().for_each(|client| say("client", client.to_string()));
        writeln!(f, "{head}")?;
        let mut questions = Table::default();
        for Asked { question, code, records, why, .. } in &self.questions {
            questions.row([question.clone(), code.clone().unwrap_or_else(|| "upstream".to_owned())]);
            questions.below(why.iter().chain(records).cloned());
        }
        writeln!(f, "{questions}")?;
        let mut end = Table::default();
        end.row(["answer".to_owned(), self.answer.to_string()]);
        let notes = self.client_note.as_deref().into_iter().chain(self.note);
        notes.for_each(|note| end.row(["note".to_owned(), note.to_owned()]));
        write!(f, "{end}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { question } => write!(f, "that to {question}"),
            Self::Upstream { question, is_last: true } => write!(f, "what upstreams say to {question}"),
            Self::Upstream { question, is_last: false } => {
                write!(f, "what upstreams say to {question}, or where they have nothing, to the questions after it")
            }
            Self::None { code } => write!(f, "none ({code})"),
        }
    }
}
