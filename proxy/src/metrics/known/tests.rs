use super::*;
use config::{BackendPort, Kind};

/// Counts a request to a host by a route, as an exchange does.
fn count(known: &mut KnownSeries, host: &str, route: &str) -> Arc<RouteSeries> {
    let route = Arc::new(ObjectRef::new(Kind::Ingress, "shop", route));
    let backend = BackendKey { namespace: "shop".into(), service: "web".into(), port: BackendPort::Number(80) };
    let (route, backend) = (Some(&route), Some(&Arc::new(backend)));
    let guess = known.fetch(host);
    known.guess_or_find(guess, route, backend, || Arc::new(RouteSeries::new(route, backend)))
}

#[test]
fn guesses_do_not_grow_with_the_hosts_of_a_wildcard() {
    let mut known = KnownSeries::default();
    for number in 0..1000 {
        count(&mut known, &format!("{number}.test"), "web");
    }
    assert_eq!(known.len(), 1);
    assert!(known.by_host.len() <= 3, "{}", known.by_host.len());
}

#[test]
fn the_room_of_what_was_dropped_is_given_back() {
    let mut known = KnownSeries::default();
    for number in 0..1000 {
        let series = count(&mut known, &format!("{number}.test"), &format!("route{number}"));
        if number > 0 {
            series.drop_from_scrapes();
        }
    }
    known.forget_dropped();
    count(&mut known, "a.test", "route0");
    assert_eq!(known.len(), 1);
    let room = known.by_address.capacity().max(known.by_host.capacity()).max(known.by_name.capacity());
    assert!(room < 16, "{room}");
}
