//! From a packet to its answer: what all transports share.

use super::resolve::{Asking, Pending};
use crate::extended_error::ExtendedError;
use crate::message::{Says, Transport, write_code};
use crate::metrics::{Answered, Metrics, Source};
use crate::name::LowerName;
use crate::question::{CLASS_CHAOS, Query, Refusal};
use crate::serving::{At, Serving};
use arc_swap::ArcSwap;
use config::Subscriber;
use hickory_proto::op::ResponseCode;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::runtime::Handle;

/// What all listeners share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) names: Subscriber,
    pub(super) serving: ArcSwap<Serving>,
    /// Where upstreams are asked.
    pub(super) runtime: Handle,
    pub(super) metrics: Arc<Metrics>,
}

/// Answers packets that come in at one address.
#[derive(Debug)]
pub(super) struct Responder {
    pub(super) shared: Arc<Shared>,
    at: At,
    pub(super) metrics: Arc<Metrics>,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(super) enum Response {
    /// No answer.
    Silence,
    /// The message that was written, still to be counted.
    Ready(Answered),
    /// A message once an upstream has answered.
    Pending(Box<Pending>),
}

impl Responder {
    pub(super) fn new(shared: Arc<Shared>, at: At) -> Self {
        let metrics = Arc::clone(&shared.metrics);
        Self { shared, at, metrics }
    }

    /// Answers at once what needs no upstream, into `out`. `asked_at`: where the packet came to, if that is known.
    pub(super) fn respond(
        &self,
        packet: &[u8],
        (peer, asked_at): (SocketAddr, Option<SocketAddr>),
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Response {
        let asked_at = asked_at.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
        if asked_at.is_some_and(|address| is_everybody(address.ip())) {
            // All would answer at once; besides, no answer can leave from there.
            return self.silence("broadcast");
        }
        if peer.port() == 0 {
            // Nobody can be asked back there, and some services would answer (RFC 768).
            return self.silence("port");
        }
        let mut query = match Query::parse(packet) {
            Ok(query) => query,
            Err(Refusal::Silence(reason)) => return self.silence(reason),
            Err(Refusal::Code(head, asked, code)) => {
                let query = asked.filter(|_| head.class == CLASS_CHAOS).map(|asked| Query { head, asked });
                let ends = (peer, asked_at);
                if let Some(told) = query.and_then(|query| self.tell_about_server(query, ends, transport, out)) {
                    return told;
                }
                write_code(out, &head, asked, (code, Says::default()));
                let record_type = asked.map(|asked| asked.record_type);
                return Response::Ready(Answered { source: Source::Zone, record_type, code });
            }
        };
        // Those that can be parsed can be read.
        let Some(name) = LowerName::read(query.asked.name()) else { return self.silence("short") };
        let serving = self.shared.serving.load();
        let site = serving.site(self.at);
        let Some((site, block)) = site.and_then(|site| Some((site, site.find(&name)?))) else {
            return refused(&query, transport, out);
        };
        if let Some(edns) = &mut query.head.edns {
            edns.payload = edns.payload.min(block.most_over_udp);
        }
        let asking = Asking { query, name: &name, peer, asked_at, transport, site };
        self.respond_in(block, &asking, out)
    }

    /// Answers in class CHAOS, if a block does.
    fn tell_about_server(
        &self,
        query: Query<'_>,
        (peer, asked_at): (SocketAddr, Option<SocketAddr>),
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Option<Response> {
        let name = LowerName::read(query.asked.name())?;
        let serving = self.shared.serving.load();
        let site = serving.site(self.at)?;
        let block = site.find(&name)?;
        self.chaos(&Asking { query, name: &name, peer, asked_at, transport, site }, block, out)
    }

    pub(super) fn silence(&self, reason: &'static str) -> Response {
        self.metrics.dropped.with_label_values(&[reason]).inc();
        Response::Silence
    }
}

/// What a name gets that is in no zone.
fn refused(query: &Query<'_>, transport: Transport, out: &mut Vec<u8>) -> Response {
    let code = ResponseCode::Refused;
    write_code(out, &query.head, Some(query.asked), (code, Says::default()));
    ExtendedError::NotAuthoritative.add("no zone that is served here has the name", out, (&query.head, transport));
    Response::Ready(Answered { source: Source::Zone, record_type: Some(query.asked.record_type), code })
}

/// Whether an address is that of no single host.
fn is_everybody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Settings;
    use config::DomainName;
    use prometheus::Registry;

    #[tokio::test]
    async fn what_is_sent_to_everybody_gets_no_answer() {
        let (_publisher, subscriber) = config::publisher();
        let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
        let block = Settings::new(DomainName::cluster_local(), Vec::new()).block(&metrics);
        let serving = ArcSwap::from_pointee(Serving::everywhere(block));
        let shared = Shared { names: subscriber, serving, runtime: Handle::current(), metrics };
        let at = At { transport: crate::plan::Transport::Dns, address: "192.0.2.1:53".parse().unwrap() };
        let responder = Responder::new(Arc::new(shared), at);
        let packet = [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x00", &[0, 1, 0, 1]].concat();
        let peer = "192.0.2.9:4000".parse().unwrap();
        for (address, is_answered) in [
            ("224.0.0.251:5353", false),
            ("255.255.255.255:53", false),
            ("[ff02::fb]:5353", false),
            ("[::ffff:224.0.0.251]:5353", false),
            ("192.0.2.1:53", true),
            ("[::ffff:192.0.2.1]:53", true),
        ] {
            let asked_at = Some(address.parse().unwrap());
            let response = responder.respond(&packet, (peer, asked_at), Transport::Udp, &mut Vec::new());
            assert_eq!(matches!(response, Response::Ready(_)), is_answered, "{address}: {response:?}");
        }
        assert_eq!(responder.metrics.dropped.with_label_values(&["broadcast"]).get(), 4);
    }
}
