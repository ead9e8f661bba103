//! From the lines of a server block to its parts. What is not known is an error: a plugin that is passed over answers
//! wrongly, and nobody knows why.

use super::acl::Acl;
use super::autopath::Autopath;
use super::bind::Bind;
use super::block::Block;
use super::cache::Cache;
use super::dns64::Dns64;
use super::errors::Errors;
use super::external::External;
use super::forward::Forward;
use super::header::Header;
use super::hosts::Hosts;
use super::item::{Item, closest};
use super::key::Key;
use super::kubernetes::Kubernetes;
use super::log::Log;
use super::probes::{self, Health, Prometheus, Ready};
use super::reading::Reading;
use super::rewrite::Rewrite;
use super::small::{self, Chaos, Local, Reload};
use super::template::Template;
use super::timeouts::Timeouts;
use super::tls::ServerTls;
use super::transfer::Transfer;
use super::unsupported;
use super::zone::Zone;
use crate::corefile::{PlanError, Section};

const KNOWN: [&str; 37] = [
    "acl",
    "any",
    "autopath",
    "bind",
    "bufsize",
    "cache",
    "cancel",
    "chaos",
    "debug",
    "dns64",
    "errors",
    "forward",
    "header",
    "health",
    "hosts",
    "k8s_external",
    "kubernetes",
    "local",
    "log",
    "loadbalance",
    "loop",
    "metadata",
    "minimal",
    "multisocket",
    "nsid",
    "pprof",
    "prometheus",
    "ready",
    "reload",
    "rewrite",
    "template",
    "timeouts",
    "tls",
    "transfer",
    "whoami",
    "import",
    "prometheus",
];

/// Zones of one block.
const MAX_KEYS: usize = 1000;

/// The block of a section; `None`: none of its keys can be read.
pub(super) fn block(section: &Section, reading: &mut Reading<'_>) -> Option<Block> {
    let mut keys: Vec<Key> = Vec::new();
    for word in &section.keys {
        let parsed = Key::parse_all(word.as_str()).map_err(|message| PlanError::syntax(&word.place, message));
        keys.extend(reading.keep(parsed).into_iter().flatten());
        if keys.len() > MAX_KEYS {
            let message = format!("a server block for more than {MAX_KEYS} zones");
            reading.errors.push(PlanError::syntax(&word.place, message));
            return None;
        }
    }
    let zones: Vec<Zone> = keys.iter().map(|key| key.zone.clone()).collect();
    let mut block = Block::new(section.place.clone(), keys);
    for line in &section.lines {
        let item = Item::plugin(line, reading.zones_left);
        block.places.entry(item.name().to_owned()).or_default().push(line.name.place.clone());
        let read = read(&mut block, item, reading, &zones);
        reading.keep(read);
    }
    (!block.keys.is_empty()).then_some(block)
}

fn read(block: &mut Block, item: Item<'_>, reading: &mut Reading<'_>, zones: &[Zone]) -> Result<(), PlanError> {
    match item.name() {
        "acl" => block.acls.push(Acl::read(item, reading, zones)?),
        "any" => once(&mut block.any, item, item.alone())?,
        "autopath" => once(&mut block.autopath, item, Autopath::read(item, reading, zones))?,
        "bind" => block.binds.push(Bind::read(item, reading, &block.binds)?),
        "bufsize" => once(&mut block.bufsize, item, small::read_bufsize(item, reading))?,
        "cache" => once(&mut block.cache, item, Cache::read(item, reading, zones))?,
        "cancel" => once(&mut block.cancel, item, small::read_cancel(item))?,
        "chaos" => once(&mut block.chaos, item, Chaos::read(item))?,
        "dns64" => once(&mut block.dns64, item, Dns64::read(item, reading))?,
        "errors" => once(&mut block.errors, item, Errors::read(item, reading))?,
        "forward" => block.forwards.push(Forward::read(item, reading)?),
        "header" => once(&mut block.header, item, Header::read(item, reading))?,
        "health" => {
            tell_again(block, item, reading, "of what both say this line counts");
            block.health = Some(Health::read(item, reading, block.health.as_ref())?);
        }
        "hosts" => once(&mut block.hosts, item, Hosts::read(item, reading, zones))?,
        "k8s_external" => once(&mut block.external, item, External::read(item, reading, zones))?,
        "kubernetes" => once(&mut block.kubernetes, item, Kubernetes::read(item, reading, zones))?,
        "loadbalance" => {
            tell_again(block, item, reading, "this line changes nothing");
            block.loadbalance = Some(small::read_loadbalance(item, reading)?);
        }
        "local" => once(&mut block.local, item, Local::read(item, reading))?,
        "log" => block.logs.push(Log::read(item, reading)?),
        "loop" => once(&mut block.loop_detection, item, item.alone())?,
        "metadata" => once(&mut block.metadata, item, small::read_metadata(item, zones))?,
        "minimal" => once(&mut block.minimal, item, item.alone())?,
        "nsid" => once(&mut block.nsid, item, small::read_nsid(item))?,
        "prometheus" => once(&mut block.prometheus, item, Prometheus::read(item, reading))?,
        "ready" => once(&mut block.ready, item, Ready::read(item, reading))?,
        "reload" => {
            tell_again(block, item, reading, "that line counts, and not this one");
            let reload = Reload::read(item)?;
            block.reload.get_or_insert(reload);
        }
        "rewrite" => block.rewrites.push(Rewrite::read(item, reading)?),
        "template" => block.templates.push(Template::read(item, reading, zones)?),
        "timeouts" => once(&mut block.timeouts, item, Timeouts::read(item, reading))?,
        "tls" => once(&mut block.tls, item, ServerTls::read(item, reading))?,
        "transfer" => block.transfers.push(Transfer::read(item, reading, zones)?),
        "whoami" => once(&mut block.whoami, item, item.alone())?,
        _ => return read_without_effect(block, item, reading),
    }
    Ok(())
}

/// What is taken so that a Corefile need not be changed, and told to do nothing here.
fn read_without_effect(block: &mut Block, item: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
    match item.name() {
        "debug" => {
            once(&mut block.debug, item, item.alone())?;
            reading.note(item, "changes nothing: --log-level says what the log tells");
        }
        "multisocket" => {
            item.no_body()?;
            if let Some(word) = item.at_most_one("a number of sockets")? {
                item.number(word, 1..=1024)?;
            }
            reading.note(item, "changes nothing: --workers says how many threads there are");
        }
        "pprof" => probes::read_pprof(item, reading)?,
        name => return Err(unknown(item, name)),
    }
    Ok(())
}

fn unknown(item: Item<'_>, name: &str) -> PlanError {
    if let Some(instead) = unsupported::plugin(name) {
        return item.error(format!("this plugin of CoreDNS is not supported: {instead}"));
    }
    match closest(name, KNOWN) {
        Some(near) => item.error(format!("unknown plugin; did you mean {near}?")),
        None => item.error("unknown plugin"),
    }
}

/// Says what becomes of a line for a plugin that the block has already, as where `import` has brought one: CoreDNS takes
/// several of some.
fn tell_again(block: &Block, item: Item<'_>, reading: &mut Reading<'_>, outcome: &str) {
    if let Some([.., before, _]) = block.places.get(item.name()).map(Vec::as_slice) {
        reading.note(item, format!("stands in {before} already: {outcome}"));
    }
}

/// Puts a part in its place, where there may be only one.
fn once<T>(slot: &mut Option<T>, item: Item<'_>, part: Result<T, PlanError>) -> Result<(), PlanError> {
    if slot.is_some() {
        return Err(item.error("may stand only once in a server block"));
    }
    *slot = Some(part?);
    Ok(())
}
