use super::*;
use crate::balance::Random;
use config::{BackendPort, BackendProtocol, Balancing, Endpoint, publisher};
use std::collections::BTreeSet;
use std::rc::Rc;

pub(crate) fn key(service: &str) -> BackendKey {
    BackendKey { namespace: "shop".into(), service: service.into(), port: BackendPort::Number(80) }
}

/// Endpoints as `10.0.0.1:80`, with a `-` before those that drain.
pub(crate) fn backend(service: &str, balancing: Balancing, endpoints: &[&str]) -> Arc<Backend> {
    let endpoint = |text: &&str| Endpoint {
        address: EndpointAddress::Socket(text.trim_start_matches('-').parse().expect("an address")),
        state: if text.starts_with('-') { EndpointState::Draining } else { EndpointState::Serving },
    };
    Arc::new(Backend {
        key: key(service),
        protocol: BackendProtocol::Http1,
        tls: None,
        balancing,
        endpoints: endpoints.iter().map(endpoint).collect(),
    })
}

pub(crate) fn snapshot(backends: impl IntoIterator<Item = Arc<Backend>>) -> Arc<Snapshot> {
    let backends = Arc::new(backends.into_iter().collect());
    Arc::new(Snapshot { generation: 1, routing: Arc::default(), backends, names: Arc::default() })
}

fn web(endpoints: &[&str]) -> Arc<Backend> {
    backend("web", Balancing::LeastRequests, endpoints)
}

fn live_backend(view: &View, service: &str) -> Arc<LiveBackend> {
    Arc::clone(view.backend(&key(service)).expect("a backend"))
}

fn only_upstream(view: &View) -> Arc<Upstream> {
    Arc::clone(&live_backend(view, "web").serving[0])
}

fn pick(backend: &LiveBackend) -> Picked {
    crate::balance::pick(backend, &[], tokio::time::Instant::now(), &Random::seeded(1)).expect("an endpoint")
}

#[test]
fn endpoints_are_split_by_state() {
    let live = Live::new(&snapshot([web(&["10.0.0.1:80", "-10.0.0.2:80"])]));
    let backend = live_backend(&live.view(), "web");
    let addresses =
        |upstreams: &[Arc<Upstream>]| -> Vec<_> { upstreams.iter().map(|u| u.address().to_string()).collect() };
    assert_eq!(addresses(&backend.serving), ["10.0.0.1:80"]);
    assert_eq!(addresses(&backend.draining), ["10.0.0.2:80"]);
    assert!(live.view().backend(&key("other")).is_none());
}

#[test]
fn only_what_changed_is_made_anew() {
    let (shared, changed) = (web(&["10.0.0.1:80"]), backend("api", Balancing::RoundRobin, &["10.0.0.1:80"]));
    let live = Live::new(&snapshot([Arc::clone(&shared), changed]));
    let before = live.view();
    let after = live.apply(&snapshot([shared, backend("api", Balancing::RoundRobin, &["10.0.0.1:80", "10.0.0.2:80"])]));
    assert!(Arc::ptr_eq(&live_backend(&before, "web"), &live_backend(&after, "web")));
    assert!(!Arc::ptr_eq(&live_backend(&before, "api"), &live_backend(&after, "api")));
    assert_eq!(live_backend(&before, "api").serving.len(), 1);
    assert_eq!(live_backend(&after, "api").serving.len(), 2);

    let same_backends = Arc::new(Snapshot { generation: 2, ..Snapshot::clone(&after.snapshot) });
    assert!(Arc::ptr_eq(&after.backends, &live.apply(&same_backends).backends));
}

#[test]
fn an_address_has_one_state_for_all_backends_and_snapshots() {
    let live =
        Live::new(&snapshot([web(&["10.0.0.1:80"]), backend("api", Balancing::LeastRequests, &["10.0.0.1:80"])]));
    let view = live.view();
    let picked = pick(&live_backend(&view, "web"));
    assert!(Arc::ptr_eq(picked.upstream(), &live_backend(&view, "api").serving[0]));
    let after = live.apply(&snapshot([web(&["-10.0.0.1:80"])]));
    assert!(Arc::ptr_eq(picked.upstream(), &live_backend(&after, "web").draining[0]));
    assert_eq!(picked.upstream().in_flight(), 1);
}

#[test]
fn an_address_that_nothing_names_is_not_current_until_it_comes_back() {
    let live = Live::new(&snapshot([web(&["10.0.0.1:80"])]));
    let upstream = only_upstream(&live.view());
    assert!(upstream.is_current());
    live.apply(&snapshot([web(&["10.0.0.2:80"])]));
    assert!(!upstream.is_current());
    live.apply(&snapshot([web(&["10.0.0.1:80"])]));
    assert!(upstream.is_current());
    live.apply(&snapshot([]));
    assert!(!upstream.is_current());

    // Nothing remembers it: it starts anew.
    let id = upstream.id();
    drop(upstream);
    live.apply(&snapshot([web(&["10.0.0.1:80"])]));
    assert_ne!(only_upstream(&live.view()).id(), id);
}

#[test]
fn turns_go_on_where_a_backend_changed() {
    let live = Live::new(&snapshot([backend("web", Balancing::RoundRobin, &["10.0.0.1:80", "10.0.0.2:80"])]));
    drop(pick(&live_backend(&live.view(), "web")));
    let view = live.apply(&snapshot([backend("web", Balancing::RoundRobin, &["10.0.0.1:80", "10.0.0.3:80"])]));
    assert_eq!(pick(&live_backend(&view, "web")).upstream().address().to_string(), "10.0.0.3:80");
}

#[test]
fn addresses_that_are_gone_take_no_room() {
    let live = Live::new(&snapshot([]));
    for number in 0..5_000_u32 {
        let address = format!("10.{}.{}.1:80", number / 256, number % 256);
        live.apply(&snapshot([web(&[&address])]));
    }
    assert!(live.registry().upstreams.len() <= Registry::SMALLEST_SWEEP + 1);
}

#[test]
fn after_any_changes_current_is_what_the_newest_snapshot_names() {
    let random = Random::seeded(7);
    let live = Live::new(&snapshot([]));
    let mut seen: Vec<Arc<Upstream>> = Vec::new();
    let mut backends: Vec<Arc<Backend>> = Vec::new();
    for _ in 0..500 {
        // Up to three of eight backends change, each to some of twelve addresses, or go.
        for _ in 0..random.below(4) {
            let service = format!("service-{}", random.below(8));
            backends.retain(|backend| *backend.key.service != *service);
            let endpoints: Vec<_> =
                (1..=12).filter(|_| random.below(3) == 0).map(|n| format!("10.0.0.{n}:80")).collect();
            let endpoints: Vec<_> = endpoints.iter().map(String::as_str).collect();
            if random.below(4) > 0 {
                backends.push(backend(&service, Balancing::LeastRequests, &endpoints));
            }
        }
        let view = live.apply(&snapshot(backends.iter().cloned()));
        assert_eq!(view.backends().count(), backends.len());
        for live_backend in view.backends() {
            let addresses = live_backend.serving.iter().map(|upstream| upstream.address());
            assert!(addresses.eq(live_backend.backend.endpoints.iter().map(|endpoint| &endpoint.address)));
        }
        seen.extend(view.backends().flat_map(|backend| backend.upstreams()).cloned());
        seen.sort_by_key(|upstream| upstream.id());
        seen.dedup_by_key(|upstream| upstream.id());
        let named: BTreeSet<_> = backends.iter().flat_map(|backend| &backend.endpoints).map(|e| &e.address).collect();
        let current: BTreeSet<_> = seen.iter().filter(|upstream| upstream.is_current()).map(|u| u.address()).collect();
        assert_eq!(current, named);
    }
    assert_eq!(seen.len(), 12, "an address in use keeps its state");
}

#[test]
fn a_worker_sees_a_new_view_at_its_next_exchange_and_keeps_the_old_one_in_running_ones() {
    let live = Live::new(&snapshot([web(&["10.0.0.1:80"])]));
    let cache = ViewCache::new(Arc::clone(&live));
    let running = cache.current();
    assert!(Rc::ptr_eq(&running, &cache.current()));
    live.apply(&snapshot([web(&["10.0.0.2:80"])]));
    assert_eq!(only_upstream(&cache.current()).address().to_string(), "10.0.0.2:80");
    assert_eq!(only_upstream(&running).address().to_string(), "10.0.0.1:80");
}

#[tokio::test]
async fn each_publication_is_applied_after_what_it_relies_on() {
    let (publisher, subscriber) = publisher();
    publisher.publish(snapshot([web(&["10.0.0.1:80"])]));
    let reader = subscriber.ready().await.expect("a snapshot");
    let live = Live::new(&reader.current());
    let mut seen = Vec::new();
    let before = |next: &Arc<Snapshot>| {
        assert!(!Arc::ptr_eq(next, &live.view().snapshot), "exchanges see it too early");
        seen.push(Arc::clone(next));
    };
    let publishing = async {
        for address in ["10.0.0.2:80", "10.0.0.3:80"] {
            publisher.publish(snapshot([web(&[address])]));
            while only_upstream(&live.view()).address().to_string() != address {
                tokio::task::yield_now().await;
            }
        }
        drop(publisher);
    };
    tokio::join!(follow(Arc::clone(&live), reader, before), publishing);
    assert_eq!(seen.len(), 2);
    assert!(Arc::ptr_eq(&seen[1], &live.view().snapshot));
}
