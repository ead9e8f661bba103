//! A server block: what is done with questions for some zones. Parts are asked in the order in which CoreDNS has them,
//! whatever their order in a Corefile.

use super::acl::Acl;
use super::autopath::Autopath;
use super::bind::Bind;
use super::cache::Cache;
use super::dns64::Dns64;
use super::errors::Errors;
use super::external::External;
use super::forward::Forward;
use super::header::Header;
use super::hosts::Hosts;
use super::key::{Key, Listener};
use super::kubernetes::{Kubernetes, Pods};
use super::log::Log;
use super::print::Printed;
use super::probes::{Health, Prometheus, Ready};
use super::rewrite::Rewrite;
use super::small::{Chaos, Local, Reload};
use super::span;
use super::template::Template;
use super::timeouts::Timeouts;
use super::tls::ServerTls;
use super::transfer::Transfer;
use super::zone::Zone;
use crate::corefile::{Note, Place, PlanError};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

/// Plugins that CoreDNS asks nothing about a question.
const SETTING_UP: [&str; 9] = ["bind", "debug", "health", "multisocket", "pprof", "ready", "reload", "timeouts", "tls"];

/// What is done with questions for some zones.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it was written.
    pub(crate) place: Place,
    /// Where each of its plugins was written, every time.
    pub(crate) places: BTreeMap<String, Vec<Place>>,
    /// At least one.
    pub(crate) keys: Vec<Key>,
    /// All of them count; empty: all addresses of the host.
    pub(crate) binds: Vec<Bind>,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) reload: Option<Reload>,
    pub(crate) timeouts: Option<Timeouts>,
    pub(crate) cancel: Option<Duration>,
    pub(crate) nsid: Option<String>,
    /// Bytes.
    pub(crate) bufsize: Option<u16>,
    pub(crate) debug: Option<()>,
    pub(crate) ready: Option<Ready>,
    pub(crate) health: Option<Health>,
    pub(crate) prometheus: Option<Prometheus>,
    pub(crate) errors: Option<Errors>,
    pub(crate) logs: Vec<Log>,
    /// Names for which the labels in formats of `log` have values.
    pub(crate) metadata: Option<Vec<Zone>>,
    pub(crate) local: Option<Local>,
    pub(crate) dns64: Option<Dns64>,
    pub(crate) any: Option<()>,
    pub(crate) chaos: Option<Chaos>,
    pub(crate) loadbalance: Option<()>,
    pub(crate) rewrites: Vec<Rewrite>,
    pub(crate) autopath: Option<Autopath>,
    pub(crate) acls: Vec<Acl>,
    pub(crate) cache: Option<Cache>,
    pub(crate) header: Option<Header>,
    pub(crate) minimal: Option<()>,
    pub(crate) templates: Vec<Template>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) hosts: Option<Hosts>,
    /// Never without `kubernetes`.
    pub(crate) external: Option<External>,
    pub(crate) kubernetes: Option<Kubernetes>,
    pub(crate) loop_detection: Option<()>,
    /// The first whose zone a name is in is asked.
    pub(crate) forwards: Vec<Forward>,
    pub(crate) whoami: Option<()>,
}

impl Block {
    /// Whether it is known here which Pod has the address of a client.
    pub(crate) fn knows_pods(&self) -> bool {
        self.kubernetes.as_ref().is_some_and(|kubernetes| kubernetes.pods == Pods::Verified)
    }

    /// A block that does nothing yet.
    pub(super) fn new(place: Place, keys: Vec<Key>) -> Self {
        Self {
            place,
            places: BTreeMap::new(),
            keys,
            binds: Vec::new(),
            tls: None,
            reload: None,
            timeouts: None,
            cancel: None,
            nsid: None,
            bufsize: None,
            debug: None,
            ready: None,
            health: None,
            prometheus: None,
            errors: None,
            logs: Vec::new(),
            metadata: None,
            local: None,
            dns64: None,
            any: None,
            chaos: None,
            loadbalance: None,
            rewrites: Vec::new(),
            autopath: None,
            acls: Vec::new(),
            cache: None,
            header: None,
            minimal: None,
            templates: Vec::new(),
            transfers: Vec::new(),
            hosts: None,
            external: None,
            kubernetes: None,
            loop_detection: None,
            forwards: Vec::new(),
            whoami: None,
        }
    }

    /// The zones whose questions it is for, each once.
    #[must_use]
    pub fn zones(&self) -> Vec<Zone> {
        let mut zones: Vec<Zone> = Vec::new();
        for key in &self.keys {
            if !zones.contains(&key.zone) {
                zones.push(key.zone.clone());
            }
        }
        zones
    }

    /// Those of its plugins that take part in answers: the others set its server up.
    pub(crate) fn answering(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str).filter(|name| !SETTING_UP.contains(name))
    }

    /// Each of its listeners with each of its zones there.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (Listener, &Zone)> {
        let addresses: Vec<_> = match &self.binds[..] {
            [] => vec![None],
            binds => binds.iter().flat_map(|bind| &bind.to).cloned().map(Some).collect(),
        };
        self.keys.iter().flat_map(move |key| {
            let (transport, port) = (key.transport, key.port);
            let listener = move |address| Listener { transport, address, port };
            addresses.clone().into_iter().map(move |address| (listener(address), &key.zone))
        })
    }

    /// The line of `bind` that a listener is of, and which one it is, counted from 0; `None`: there is none.
    pub(crate) fn bind_of(&self, listener: &Listener) -> Option<(usize, &Bind)> {
        let address = listener.address.as_ref()?;
        self.binds.iter().enumerate().find(|(_, bind)| bind.to.contains(address))
    }

    /// How many [`Self::listeners`] has.
    pub(super) fn served_count(&self) -> usize {
        let addresses: usize = self.binds.iter().map(|bind| bind.to.len()).sum();
        self.keys.len().saturating_mul(addresses.max(1))
    }

    /// Where a plugin was written for the `nth` time, counted from 0; the block's own place where it was not.
    pub(crate) fn place_of(&self, plugin: &str, nth: usize) -> &Place {
        self.places.get(plugin).and_then(|places| places.get(nth)).unwrap_or(&self.place)
    }

    /// What there is to say about one of its plugins.
    pub(super) fn note(&self, plugin: &str, message: impl Into<String>) -> Note {
        self.note_of((plugin, 0), message)
    }

    /// The same of one that was written several times, counted from 0.
    pub(super) fn note_of(&self, (plugin, nth): (&str, usize), message: impl Into<String>) -> Note {
        let place = self.place_of(plugin, nth).clone();
        Note { place, subject: plugin.to_owned(), message: message.into(), is_missing: false }
    }

    /// Something that a plugin names, written for the `nth` time, cannot be had.
    pub(crate) fn not_had(&self, plugin: &str, nth: usize, error: impl fmt::Display) -> io::Error {
        io::Error::other(format!("{}: {error}", self.place_of(plugin, nth)))
    }

    pub(super) fn error(&self, plugin: &str, message: impl Into<String>) -> PlanError {
        PlanError(self.note(plugin, message))
    }

    /// One of its zones would be answered in two ways at an address.
    pub(crate) fn served_already(&self, other: &Self, zone: &Zone, at: &Listener) -> PlanError {
        self.error("", format!("{zone} at {at} is served by the block in {} already", other.place))
    }

    /// Connections to an address that it shares with another block would have to be secured in two ways.
    pub(crate) fn secured_otherwise(&self, other: &Self, at: impl fmt::Display) -> PlanError {
        let message = format!(
            "other files or client_auth than in the block in {}, which is at {at} too: connections are secured before \
             anything is asked",
            other.place
        );
        self.error("tls", message)
    }

    /// What connects to a port that it shares with another block, or with another key of its own, would come to either.
    pub(crate) fn shares_port(&self, other: &Self, at: impl fmt::Display, other_at: impl fmt::Display) -> PlanError {
        let message = format!(
            "{at} shares its TCP port with {other_at} of the block in {}: nobody could tell which of them a connection is for",
            other.place
        );
        self.error("", message)
    }

    /// All that says who is asked for other names and what of it is kept, in words.
    pub(crate) fn forwarding(&self) -> String {
        let cache = self.cache.as_ref().map(Cache::printed);
        let printed = cache.into_iter().chain(self.forwards.iter().map(Forward::printed));
        printed.map(|printed| printed.to_string()).collect()
    }

    fn printed(&self) -> Vec<Printed> {
        let switch = |name: &str, is_set: Option<()>| is_set.map(|()| Printed::new(name));
        let mut printed: Vec<_> =
            self.binds.iter().filter(|bind| !bind.to.is_empty()).map(|bind| Some(bind.printed())).collect();
        printed.extend([
            self.tls.as_ref().map(ServerTls::printed),
            self.reload.as_ref().map(Reload::printed),
            self.timeouts.as_ref().map(Timeouts::printed),
            self.cancel.map(|span| Printed::new("cancel").word(span::text(span))),
            self.nsid.as_ref().map(|name| Printed::new("nsid").words(Some(name).filter(|name| !name.is_empty()))),
            self.bufsize.map(|size| Printed::new("bufsize").word(size)),
            switch("debug", self.debug),
            self.ready.as_ref().map(Ready::printed),
            self.health.as_ref().map(Health::printed),
            self.prometheus.as_ref().map(Prometheus::printed),
            self.errors.as_ref().map(Errors::printed),
        ]);
        printed.push(self.metadata.as_ref().map(|zones| Printed::new("metadata").words(zones)));
        printed.extend(self.logs.iter().map(|log| Some(log.printed())));
        printed.extend([
            self.local.map(Local::printed),
            self.dns64.as_ref().map(Dns64::printed),
            switch("any", self.any),
            self.chaos.as_ref().map(Chaos::printed),
            switch("loadbalance", self.loadbalance),
        ]);
        printed.extend(self.rewrites.iter().map(|rewrite| Some(rewrite.printed())));
        printed.push(self.autopath.as_ref().map(Autopath::printed));
        printed.extend(self.acls.iter().map(|acl| Some(acl.printed())));
        printed.extend([
            self.cache.as_ref().map(Cache::printed),
            self.header.as_ref().map(Header::printed),
            switch("minimal", self.minimal),
        ]);
        printed.extend(self.templates.iter().map(|template| Some(template.printed())));
        printed.extend(self.transfers.iter().map(|transfer| Some(transfer.printed())));
        printed.extend([
            self.hosts.as_ref().map(Hosts::printed),
            self.external.as_ref().map(External::printed),
            self.kubernetes.as_ref().map(Kubernetes::printed),
            switch("loop", self.loop_detection),
        ]);
        printed.extend(self.forwards.iter().map(|forward| Some(forward.printed())));
        printed.push(switch("whoami", self.whoami));
        printed.into_iter().flatten().collect()
    }
}

/// As a Corefile.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
        writeln!(f, "{} {{", keys.join(" "))?;
        self.printed().iter().try_for_each(|printed| printed.fmt(f))?;
        writeln!(f, "}}")
    }
}
