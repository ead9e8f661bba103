//! A line about an answer: what the format of its `log` names, in CoreDNS's words.

use super::Logged;
use super::kind::Kind;
use crate::answer::{Metadata, NameForm};
use crate::message::Transport;
use crate::option;
use crate::plan::{self, Label, LogField, LogPiece};
use crate::question::{CLASS_CHAOS, CLASS_IN, TypeName};
use crate::wire::{Cursor, flag};
use hickory_proto::op::ResponseCode;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What stands for a value that there is none of.
const NOTHING: &str = "-";

/// A line about an answer.
pub(super) struct Line<'l> {
    pub(super) logged: &'l Logged,
    pub(super) message: &'l [u8],
    /// Who was asked for it; `None`: nobody.
    pub(super) upstream: Option<SocketAddr>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.logged.log.format.pieces.iter().try_for_each(|piece| match piece {
            LogPiece::Text(text) => f.write_str(text),
            LogPiece::Field(field) => self.field(*field, f),
            LogPiece::Label(label) => match &self.logged.metadata {
                Some(_) if *label == Label::Upstream && self.upstream.is_some() => {
                    self.upstream.iter().try_for_each(|upstream| write!(f, "{upstream}"))
                }
                Some(metadata) => f.write_str(value(metadata, *label, self.logged.kind(self.message))),
                None => f.write_str(NOTHING),
            },
        })
    }
}

impl Line<'_> {
    fn field(&self, field: LogField, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { logged, message, upstream: _ } = *self;
        let flags = || Cursor::new(message).header().map_or(0, |header| header.flags);
        match field {
            LogField::Type => write!(f, "{}", TypeName(logged.record_type)),
            LogField::Name => f.write_str(&logged.name),
            LogField::Class => match logged.class {
                CLASS_IN => f.write_str("IN"),
                CLASS_CHAOS => f.write_str("CH"),
                4 => f.write_str("HS"),
                254 => f.write_str("NONE"),
                255 => f.write_str("ANY"),
                other => write!(f, "CLASS{other}"),
            },
            LogField::Transport => f.write_str(match logged.transport {
                Transport::Udp => "udp",
                Transport::Tcp => "tcp",
            }),
            LogField::Remote => write_ip(Some(logged.peer.ip()), f),
            LogField::Port => write!(f, "{}", logged.peer.port()),
            LogField::Local => write_ip(logged.asked_at, f),
            LogField::Size => write!(f, "{}", logged.len),
            LogField::Id => write!(f, "{}", logged.id),
            // No other comes to a block.
            LogField::Opcode => f.write_str("0"),
            LogField::DnssecOk => write!(f, "{}", logged.is_dnssec_ok),
            LogField::Payload => write!(f, "{}", logged.payload),
            LogField::Code | LogField::Flags if message.is_empty() => f.write_str(NOTHING),
            LogField::Code => f.write_str(&code_name(message, flags())),
            LogField::Flags => f.write_str(&flag_names(flags())),
            LogField::AnswerSize => write!(f, "{}", message.len()),
            LogField::Duration => write!(f, "{:.9}s", logged.since.elapsed().as_secs_f64()),
        }
    }
}

/// An address as CoreDNS writes it.
fn write_ip(ip: Option<IpAddr>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match ip {
        None => f.write_str(NOTHING),
        Some(IpAddr::V4(ip)) => write!(f, "{ip}"),
        Some(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
    }
}

/// What a label says; empty where a name has no such part, as CoreDNS has it.
fn value(metadata: &Metadata, label: Label, answer: Kind) -> &str {
    let parts = match &metadata.name {
        Some(NameForm::Valid(parts)) => Some(parts),
        Some(NameForm::Invalid) | None => None,
    };
    let found = match label {
        Label::Kind => parts.map(|parts| &parts.kind),
        Label::Namespace => parts.map(|parts| &parts.namespace),
        Label::Service => parts.map(|parts| &parts.service),
        Label::Endpoint => parts.map(|parts| &parts.endpoint),
        Label::PortName => parts.map(|parts| &parts.port),
        Label::Protocol => parts.map(|parts| &parts.transport),
        Label::Cluster => parts.and_then(|parts| parts.cluster.as_ref()),
        Label::Zone => parts.and_then(|parts| parts.topology.as_ref()),
        Label::ClientNamespace => metadata.client_namespace.as_ref(),
        Label::ClientPod => metadata.client_pod.as_ref(),
        Label::ParseError if metadata.name == Some(NameForm::Invalid) => return "invalid query name",
        Label::AnswerType => return answer.as_str(),
        Label::AnswerClass => return answer.class().as_str(),
        Label::ParseError | Label::Upstream | Label::View => None,
    };
    found.map_or(NOTHING, String::as_str)
}

/// The one longer code that an answer in a block can have is BADCOOKIE, whose low bits alone are another's.
pub(super) fn code_name(message: &[u8], flags: u16) -> String {
    let low = (flags & flag::CODE) as u8;
    let code = ResponseCode::from(option::code_high(message), low);
    if code == ResponseCode::BADCOOKIE { "BADCOOKIE".to_owned() } else { plan::Rcode(low).to_string() }
}

fn flag_names(flags: u16) -> String {
    let names = [
        (flag::RESPONSE, "qr"),
        (flag::AUTHORITATIVE, "aa"),
        (flag::TRUNCATED, "tc"),
        (flag::RECURSION_DESIRED, "rd"),
        (flag::RECURSION_AVAILABLE, "ra"),
        (flag::AUTHENTIC, "ad"),
        (flag::CHECKING_DISABLED, "cd"),
    ];
    let set: Vec<_> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}
