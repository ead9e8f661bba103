//! `autopath`: the search list of a client, walked on its behalf when it asks for the first name of its walk.

use super::opened::{self, Opened};
use crate::corefile::Environment;
use crate::message::Transport;
use crate::name::{LONGEST, LowerName};
use crate::plan::{self, Zone};
use crate::question::Query;
use config::DomainName;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{RData, Record};
use std::borrow::Cow;
use std::io;
use std::path::Path;

/// How long it may be believed that a walk found nothing: the first of its names may come to be at any time; seconds.
const LONGEST_DENIAL: u32 = 5;

/// For which names it is done, and where the list of a client comes from.
#[derive(Debug, Clone)]
pub(crate) struct Autopath {
    zones: Vec<Zone>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// The namespace of the Pod that asks, and what this node has, as every other has it.
    Pod { node: Vec<Zone> },
    /// All clients have the same.
    File(SearchList),
}

/// Domains of a list, as many as Kubernetes lets a Pod have.
const MOST_DOMAINS: usize = 32;
/// What this node's resolver is set to.
const NODE: &str = "/etc/resolv.conf";

/// The domains that a client puts behind a name, one after the other, each in wire form and lower case; the root, for the
/// name as it was meant, is the last one always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SearchList(Vec<Box<[u8]>>);

/// The names that a client would ask for, in their order; the first is the one that it did ask for.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'w> {
    /// What the client wants to know, without the root.
    base: &'w [u8],
    domains: std::slice::Iter<'w, Box<[u8]>>,
    /// As it was asked for.
    first: Option<&'w [u8]>,
}

impl Autopath {
    /// # Errors
    /// The file that the plan names cannot be read. Without this node's own there is nothing more than the cluster's.
    pub(crate) fn new(plan: &plan::Autopath, environment: &dyn Environment) -> io::Result<Self> {
        let read = |path: &str| environment.read_lossily(Path::new(path));
        let source = match &plan.search {
            plan::SearchList::Pod => Source::Pod { node: domains(&read(NODE).unwrap_or_default()) },
            plan::SearchList::File(path) => {
                let text = read(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
                Source::File(SearchList::of(domains(&text).iter().map(Zone::wire)))
            }
        };
        Ok(Self { zones: plan.zones.clone(), source })
    }

    /// The list of the client that asks for a name, if the name can be the first of a walk. `pod`: the zone of the cluster
    /// that it is in, and the namespace of the Pod that asks.
    pub(crate) fn list(&self, name: &LowerName, pod: Option<(&DomainName, &str)>) -> Option<Cow<'_, SearchList>> {
        if !self.zones.iter().any(|zone| zone.holds(name.suffix(0))) {
            return None;
        }
        match &self.source {
            Source::File(list) => Some(Cow::Borrowed(list)),
            Source::Pod { node } => {
                let (zone, namespace) = pod?;
                let depth = name.depth_below(zone).filter(|depth| *depth > 2)?;
                let is_first = name.label(depth - 1) == b"svc" && name.label(depth - 2) == namespace.as_bytes();
                is_first.then(|| Cow::Owned(SearchList::of_pod(name.suffix(depth - 2), node)))
            }
        }
    }

    /// Whether all clients have the same list.
    pub(crate) fn is_same_for_all(&self) -> bool {
        matches!(self.source, Source::File(_))
    }
}

/// The domains of the last `search` or `domain` line of a resolv.conf(5); what is no name is passed over.
fn domains(text: &str) -> Vec<Zone> {
    let lines = text.lines().map(|line| line.split_ascii_whitespace());
    let mut named = lines.filter_map(|mut words| match words.next()? {
        "search" => Some(words.collect::<Vec<_>>()),
        "domain" => Some(words.take(1).collect()),
        _ => None,
    });
    let words = named.next_back().unwrap_or_default();
    words.iter().filter_map(|word| Zone::parse(word).ok()).collect()
}

impl SearchList {
    /// That of a Pod without a `dnsConfig` of its own: its namespace's Services, which `own` is the domain of, all Services,
    /// the cluster's zone, and what its node has (Kubernetes, `dnsPolicy: ClusterFirst`).
    fn of_pod(own: &[u8], node: &[Zone]) -> Self {
        let parent = |name: &[u8]| {
            let (length, rest) = name.split_first()?;
            Some(rest.get(usize::from(*length)..)?.to_vec())
        };
        let services = parent(own).unwrap_or_default();
        let zone = parent(&services).unwrap_or_default();
        Self::of([own, &services, &zone].into_iter().chain(node.iter().map(Zone::wire)))
    }

    /// Of domains in wire form and lower case.
    fn of<'d>(domains: impl Iterator<Item = &'d [u8]>) -> Self {
        let mut known: Vec<Box<[u8]>> = Vec::new();
        for domain in domains.filter(|domain| *domain != [0]).take(MOST_DOMAINS).chain([&[0][..]]) {
            if !known.iter().any(|other| **other == *domain) {
                known.push(domain.into());
            }
        }
        Self(known)
    }

    /// The walk that a question begins: its name ends with the first domain of the list, below which it is.
    pub(crate) fn walk<'w>(&'w self, query: &Query<'w>, name: &LowerName) -> Option<Walk<'w>> {
        let (first, rest) = self.0.split_first()?;
        let depth = (1..name.count()).find(|index| *name.suffix(*index) == **first)?;
        let asked = query.asked.name();
        let base = asked.get(..name.start(depth)).filter(|_| !rest.is_empty())?;
        Some(Walk { base, domains: rest.iter(), first: Some(asked) })
    }
}

impl Walk<'_> {
    /// The name as it was meant, which is the last one.
    pub(crate) fn meant(&self) -> Vec<u8> {
        [self.base, &[0]].concat()
    }
}

/// In wire form; those that are too long to be names are passed over.
impl Iterator for Walk<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first.to_vec());
        }
        let base = self.base;
        let mut names = self.domains.by_ref().map(|domain| [base, &domain[..]].concat());
        names.find(|name| name.len() <= LONGEST)
    }
}

/// The answer to the question that began a walk, of the one that ended it: the first that is not "no such name". A CNAME
/// leads from the name that was asked for to `found`, in wire form, also where there are no records of this type.
pub(crate) fn bridge(query: &Query<'_>, found: &[u8], message: &[u8], transport: Transport) -> Vec<u8> {
    let Some(mut opened) = Opened::read(message) else { return opened::failure(query) };
    if !found.eq_ignore_ascii_case(query.asked.name()) {
        let shortest = opened.sections.answers.iter().map(|record| record.ttl).min();
        let ttl = shortest.or_else(|| opened.denial_ttl()).unwrap_or(LONGEST_DENIAL);
        let Some(alias) = alias(query, found, ttl) else { return opened::failure(query) };
        opened.sections.answers.insert(0, alias);
    }
    opened.close(query, transport)
}

/// The answer that ends a walk on which no name exists, of the first and the last "no such name".
///
/// "No such name" makes every resolver library go on through the rest of its list, and so does an empty answer with
/// glibc, which stops at any answer with a record in it and no error, and with musl, which stops where there is no error.
/// So the answer is a CNAME to the name as it was meant, and nothing about that: both then tell that there is no address.
/// Those who follow the CNAME by themselves learn that there is no such name. It is for lists alone that are known to be
/// the client's own and whole: a domain that it has besides would never be tried.
pub(crate) fn end(query: &Query<'_>, meant: &[u8], denials: [&[u8]; 2], transport: Transport) -> Vec<u8> {
    let [Some(first), Some(mut last)] = denials.map(Opened::read) else { return opened::failure(query) };
    let ttls = [&first, &last].map(|opened| opened.denial_ttl().unwrap_or(0));
    let ttl = ttls.into_iter().fold(LONGEST_DENIAL, u32::min);
    let Some(alias) = alias(query, meant, ttl) else { return opened::failure(query) };
    last.sections = crate::answer::Sections { code: ResponseCode::NoError, answers: vec![alias], ..Default::default() };
    last.says.is_authoritative = false;
    last.close(query, transport)
}

fn alias(query: &Query<'_>, to: &[u8], ttl: u32) -> Option<Record> {
    let question = query.asked.to_question()?;
    Some(Record::from_rdata(question.name, ttl, RData::CNAME(CNAME(opened::name(to)?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{block, client, text};
    use crate::part::spelling;

    /// One file, whatever it is called.
    struct File(&'static str);

    impl Environment for File {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }

        fn read(&self, _: &Path) -> io::Result<String> {
            if self.0 == "none" { Err(io::ErrorKind::NotFound.into()) } else { Ok(self.0.to_owned()) }
        }

        fn list(&self, _: &Path) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }
    }

    const OF_PODS: &str = "autopath @kubernetes\n kubernetes cluster.local {\n pods verified\n}";

    fn autopath(plugins: &str, text: &'static str) -> io::Result<Autopath> {
        Autopath::new(&block(plugins).autopath.unwrap(), &File(text))
    }

    /// The names that are tried for a Pod of the namespace `shop`.
    fn tried(autopath: &Autopath, name: &str) -> Vec<String> {
        let zone = "cluster.local".parse().unwrap();
        let list = autopath.list(&client(name, "A").name, Some((&zone, "shop")));
        list.map(|list| walked(&list, name)).unwrap_or_default()
    }

    fn of_file(text: &'static str) -> SearchList {
        let autopath = autopath("autopath /etc/search", text).unwrap();
        autopath.list(&client("a.", "A").name, None).unwrap().into_owned()
    }

    fn walked(list: &SearchList, name: &str) -> Vec<String> {
        let client = client(name, "A");
        let walk = list.walk(&client.query(), &client.name);
        walk.into_iter().flatten().map(|name| spelling::text(&name)).collect()
    }

    #[test]
    fn a_walk_tries_what_the_client_would_try() {
        let pods = autopath(OF_PODS, "search corp.example .\n").unwrap();
        assert_eq!(
            tried(&pods, "Web.shop.SVC.cluster.local."),
            [
                "Web.shop.SVC.cluster.local.",
                "Web.svc.cluster.local.",
                "Web.cluster.local.",
                "Web.corp.example.",
                "Web."
            ]
        );
        assert_eq!(tried(&pods, "www.Example.org.shop.svc.cluster.local.").last().unwrap(), "www.Example.org.");
        for name in [
            "shop.svc.cluster.local.",
            "web.other.svc.cluster.local.",
            "web.svc.cluster.local.",
            "web.shop.pod.cluster.local.",
            "web.shop.svc.example.",
            "web.",
            ".",
        ] {
            assert_eq!(tried(&pods, name), [""; 0], "{name}");
        }
        assert_eq!(pods.list(&client("web.shop.svc.cluster.local.", "A").name, None), None, "who asks is no Pod");
        // Nothing but what the cluster has.
        assert_eq!(tried(&autopath(OF_PODS, "none").unwrap(), "a.shop.svc.cluster.local.").len(), 4);
    }

    #[test]
    fn a_file_has_the_list_of_its_last_line() {
        let text = "nameserver 10.0.0.1\nsearch old.example\nsearch\ta.example B.example. no/name\noptions ndots:5\n";
        assert_eq!(walked(&of_file(text), "x.a.example."), ["x.a.example.", "x.b.example.", "x."]);
        assert_eq!(walked(&of_file("search a.\ndomain b c\n"), "x.b."), ["x.b.", "x."]);
        for nothing in ["", "search\n", "search .\n"] {
            assert_eq!(walked(&of_file(nothing), "x.a."), [""; 0], "{nothing:?}");
        }
        let many: String = (0..100).map(|index| format!(" d{index}.")).collect();
        let many: &'static str = format!("search{many}").leak();
        assert_eq!(walked(&of_file(many), "x.d0.").len(), 33);
        let error = autopath("autopath /etc/search", "none").unwrap_err().to_string();
        assert!(error.starts_with("/etc/search: "), "{error}");
    }

    #[test]
    fn names_that_are_too_long_are_passed_over() {
        let long = ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".");
        let list = of_file("search s.example a.much.longer.example");
        let name = format!("{long}.s.example.");
        assert_eq!(walked(&list, &name), [name.clone(), format!("{long}.")]);
    }

    #[test]
    fn it_is_done_for_its_zones() {
        let autopath = autopath("autopath cluster.local /etc/search", "search cluster.local").unwrap();
        assert!(autopath.is_same_for_all());
        assert_eq!(tried(&autopath, "a.cluster.local."), ["a.cluster.local.", "a."]);
        assert_eq!(tried(&autopath, "a.local."), [""; 0]);
    }

    #[test]
    fn an_alias_leads_to_what_was_found() {
        let asked = client("Web.Shop.svc.cluster.local.", "A");
        let bridged = |found: &str, code: &str, records: &str| {
            let message = client(found, "A").answer(code, records);
            text(&bridge(&asked.query(), &spelling::wire(found).unwrap(), &message, Transport::Udp))
        };
        assert_eq!(
            bridged("web.corp.example.", "NOERROR", "web.corp.example. 60 CNAME b.\n b. 30 A 192.0.2.1"),
            "No Error
Web.Shop.svc.cluster.local. 30 CNAME web.corp.example.
web.corp.example. 60 CNAME b.
b. 30 A 192.0.2.1"
        );
        let soa = "| corp.example. 60 SOA ns.example. root.example. 1 20";
        assert_eq!(
            bridged("web.corp.example.", "NOERROR", soa),
            "No Error
Web.Shop.svc.cluster.local. 20 CNAME web.corp.example.
authority corp.example. 60 SOA ns.example. root.example. 1 7200 1800 86400 20"
        );
        assert_eq!(
            bridged("web.shop.svc.cluster.local.", "NOERROR", "web.shop.svc.cluster.local. 5 A 10.0.0.1"),
            "No Error\nWeb.Shop.svc.cluster.local. 5 A 10.0.0.1"
        );
        let message = bridge(&asked.query(), b"\x01a\0", b"short", Transport::Udp);
        assert_eq!(text(&message), "Server Failure");
    }

    #[test]
    fn a_walk_to_nowhere_ends_at_the_name_that_was_meant() {
        let asked = client("Web.Shop.svc.cluster.local.", "AAAA");
        let list = of_file("search shop.svc.cluster.local svc.cluster.local");
        let meant = list.walk(&asked.query(), &asked.name).unwrap().meant();
        let first = asked.answer("NXDOMAIN", "| cluster.local. 5 SOA ns.dns.cluster.local. h.cluster.local. 1 3");
        let last = client("web.", "AAAA").answer("NXDOMAIN", "| . 86400 SOA a. b. 1 86400");
        let ended = |denials| text(&end(&asked.query(), &meant, denials, Transport::Udp));
        assert_eq!(ended([&first, &last]), "No Error\nWeb.Shop.svc.cluster.local. 3 CNAME Web.");
        assert_eq!(ended([&last, &last]), "No Error\nWeb.Shop.svc.cluster.local. 5 CNAME Web.");
        let silent = client("web.", "AAAA").answer("NXDOMAIN", "");
        assert_eq!(ended([&first, &silent]), "No Error\nWeb.Shop.svc.cluster.local. 0 CNAME Web.");
        assert_eq!(ended([&first, b"short"]), "Server Failure");
    }
}
