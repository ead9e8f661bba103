//! A whole zone for others to serve (AXFR, RFC 5936; IXFR, RFC 1995), one message after the other.
//! What is sent is what questions are answered with, so that a secondary says the same.

mod allowed;
mod notify;
mod page;

pub(crate) use allowed::{Place, Transfers};
pub(crate) use notify::{Secondary, notify};

use crate::answer::{Sections, Zone, ZoneSettings, present};
use crate::message::Says;
use crate::name::LowerName;
use crate::question::{CLASS_IN, Head, Query};
use crate::reply::Reply;
use crate::wire::Cursor;
use config::{NameTable, ServiceNames};
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::BinEncodable;
use page::{Page, Records};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a Service's names may have.
const TYPES: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::SRV];

/// A zone on its way out: an iterator over messages of at most 16 KiB, each with the question and our OPT record if the
/// client has sent one. It holds the table that it began with, and the records of one Service at a time.
#[derive(Debug)]
pub(crate) struct Transfer {
    table: Arc<NameTable>,
    settings: ZoneSettings,
    asked_at: Option<SocketAddr>,
    head: Head,
    /// Its name in lower case.
    name: Box<LowerName>,
    /// The question: its name is the zone's.
    question: Vec<u8>,
    /// The SOA record, which comes last too.
    soa: Vec<u8>,
    /// What is yet to be written.
    records: Records,
    services: std::vec::IntoIter<(Arc<str>, Arc<str>)>,
    is_ended: bool,
}

impl Transfer {
    /// Begins to answer `query` with the zone that it names, or with the SOA alone where the client `has` this serial or
    /// a newer one already (RFC 1995 §2). `asked_at`: where the question came to. `None`: it names no zone of Services.
    ///
    /// Pods are in no transfer, as in CoreDNS's: those that are not verified have every address. Costs O(Services · log
    /// Services).
    pub(crate) fn new(
        (table, settings): (&Arc<NameTable>, &ZoneSettings),
        asked_at: Option<SocketAddr>,
        query: &Query<'_>,
        has: Option<u32>,
    ) -> Option<Self> {
        let name = LowerName::read(query.asked.name())?;
        Zone::new(table, settings, asked_at).at(&name)?;
        let mut transfer = Self {
            table: Arc::clone(table),
            settings: settings.clone(),
            asked_at,
            head: query.head,
            name: Box::new(name),
            question: query.asked.wire.to_vec(),
            soa: Vec::new(),
            records: Records::default(),
            services: Vec::new().into_iter(),
            is_ended: true,
        };
        let mut apex = Records::default();
        transfer.ask(&[], RecordType::SOA, &mut apex);
        transfer.soa = apex.next()?.to_vec();
        transfer.records.push(&transfer.soa);
        let serial = transfer.zone().serial();
        if !has.is_some_and(|has| is_current(has, serial)) {
            transfer.begin();
        }
        Some(transfer)
    }

    /// The zone that is sent.
    fn zone(&self) -> Zone<'_> {
        let zone = Zone::new(&self.table, &self.settings, self.asked_at);
        zone.at(&self.name).unwrap_or(zone)
    }

    /// What follows the first SOA: the zone's own records, and then those of Services, by namespace and name.
    fn begin(&mut self) {
        let own = |(namespace, service): (&Arc<str>, &Arc<str>)| (Arc::clone(namespace), Arc::clone(service));
        let mut services: Vec<_> = self.zone().all_services().map(own).collect();
        services.sort_unstable();
        services.dedup();
        (self.services, self.is_ended) = (services.into_iter(), false);
        let mut records = std::mem::take(&mut self.records);
        self.ask(&[], RecordType::NS, &mut records);
        self.glue(&mut records);
        self.ask(&["dns-version"], RecordType::TXT, &mut records);
        self.records = records;
    }

    /// The addresses of the name servers.
    fn glue(&self, records: &mut Records) {
        let Some(message) = self.answer(&[], RecordType::NS) else { return };
        let additionals = Sections::read(&message).unwrap_or_default().additionals;
        additionals.iter().filter_map(|record| record.to_bytes().ok()).for_each(|record| records.push(&record));
    }

    /// All records of a Service.
    fn service(&self, namespace: &str, service: &str, records: &mut Records) {
        let (zone, service) = (self.zone(), (namespace, service));
        let names = zone.find(namespace, service.1);
        let own = zone.labels(service, None);
        let own = present(&own);
        let is_alias = match names {
            Some(ServiceNames::External { target }) => Some(target),
            Some(ServiceNames::Hosts { targets, .. }) => targets.first(),
            _ => None,
        };
        if let Some(target) = is_alias {
            self.alias(own, LowerName::of(target).as_ref(), records);
        }
        // Beside a CNAME there is nothing (RFC 1034 §3.6.2), and the names of ports would be others.
        let types = if is_alias.is_some() { &[RecordType::SRV] } else { &TYPES[..] };
        if is_alias.is_none() {
            types.iter().for_each(|record_type| self.ask(own, *record_type, records));
        }
        let endpoints = zone.with_endpoints(names, service).map_or(&[][..], ServiceNames::endpoints);
        let ports = match names {
            Some(ServiceNames::ClusterIp { ports, .. } | ServiceNames::Hosts { ports, .. }) => &**ports,
            _ => &[],
        };
        let of_endpoints = names.map_or(&[][..], ServiceNames::endpoints);
        let ports = ports.iter().chain(of_endpoints.iter().flat_map(|endpoint| &*endpoint.group.ports));
        let ports = ports.filter_map(|port| Some((port.name.as_deref()?, port.transport.as_str())));
        for (port, transport) in ports.collect::<BTreeSet<_>>() {
            let [port, transport] = [port, transport].map(|label| format!("_{label}"));
            let labels = [&[&*port, &*transport], own].concat();
            types.iter().for_each(|record_type| self.ask(&labels, *record_type, records));
        }
        let labels = endpoints.iter().map(|endpoint| endpoint.label(self.settings.names_pods));
        for label in labels.collect::<BTreeSet<_>>() {
            let labels = zone.labels(service, Some(label));
            types.iter().for_each(|record_type| self.ask(present(&labels), *record_type, records));
        }
    }

    /// The CNAME of an ExternalName Service, if that has one.
    fn alias(&self, labels: &[&str], target: Option<&LowerName>, records: &mut Records) {
        let mut found = Records::default();
        // Who asks for addresses gets it in any case.
        self.ask(labels, RecordType::A, &mut found);
        if let Some(target) = target.filter(|_| found.next().is_some()) {
            let start = page::start(labels, RecordType::CNAME, self.zone().ttl());
            records.push(&page::record(start, target.suffix(0)));
        }
    }

    /// Adds the records that a name below the zone has; what they hold is written out, or leads to the question.
    fn ask(&self, labels: &[&str], record_type: RecordType, records: &mut Records) {
        let Some(message) = self.answer(labels, record_type) else { return };
        let mut cursor = Cursor::new(&message);
        let answers = cursor.header().map_or(0, |header| header.answers);
        if cursor.question().is_none() {
            return;
        }
        for record in (0..answers).map_while(|_| cursor.record()) {
            let start = page::start(labels, record.record_type.into(), record.ttl);
            records.push(&page::record(start, record.content));
        }
    }

    /// The answer to a question for a name below the zone; `None`: that is no name.
    fn answer(&self, labels: &[&str], record_type: RecordType) -> Option<Vec<u8>> {
        let (zone, _) = self.question.split_last_chunk::<4>()?;
        let mut wire: Vec<u8> = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).ok()?);
            wire.extend(label.bytes());
        }
        wire.extend(zone);
        let name = LowerName::read(&wire)?;
        wire.extend([record_type.into(), CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
        let mut message = Vec::new();
        let mut reply = Reply::new(&mut message, &wire, usize::MAX);
        Zone::new(&self.table, &self.settings, self.asked_at).answer(&name, record_type, &mut reply);
        reply.finish(&Head { edns: None, ..self.head }, Says::default());
        Some(message)
    }
}

impl Iterator for Transfer {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut page = Page::new(&self.question, &self.head);
        loop {
            while let Some(record) = self.records.peek() {
                if !page.add(record) {
                    return page.finish(&self.head);
                }
                self.records.next();
            }
            if let Some((namespace, service)) = self.services.next() {
                let mut records = std::mem::take(&mut self.records);
                records.clear();
                self.service(&namespace, &service, &mut records);
                self.records = records;
            } else if self.is_ended {
                return page.finish(&self.head);
            } else {
                self.is_ended = true;
                self.records.push(&self.soa);
            }
        }
    }
}

/// Whether a serial is ours or comes after it (RFC 1982 §3.2).
fn is_current(serial: u32, ours: u32) -> bool {
    serial.wrapping_sub(ours) < 1 << 31
}

#[cfg(test)]
mod tests;
