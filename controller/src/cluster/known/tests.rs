use super::*;
use crate::cluster::resource::SERVICES;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// An object, or the end of one, as the server has it.
#[derive(Debug, Clone)]
struct Moment {
    name: usize,
    uid: u64,
    version: u64,
    exists: bool,
}

impl Moment {
    fn received(&self) -> Received {
        let Self { name, uid, version, .. } = self;
        let text = format!(
            r#"{{"metadata":{{"name":"s{name}","namespace":"shop","uid":"u{uid}","resourceVersion":"{version}"}},"spec":{{}}}}"#
        );
        serde_json::from_str(&text).expect("an object")
    }
}

/// What the server has been through.
#[derive(Default)]
struct Server {
    version: u64,
    objects: BTreeMap<usize, Moment>,
    history: Vec<Moment>,
}

impl Server {
    /// Creates, changes or deletes an object.
    fn write(&mut self, name: usize, deletes: bool) {
        self.version += 1;
        let version = self.version;
        let uid = self.objects.get(&name).map_or(version, |object| object.uid);
        let moment = Moment { name, uid, version, exists: !deletes };
        if !deletes {
            self.objects.insert(name, moment.clone());
        } else if self.objects.remove(&name).is_none() {
            return;
        }
        self.history.push(moment);
    }

    fn state(&self) -> BTreeMap<String, String> {
        self.objects.values().map(|object| (format!("s{}", object.name), object.version.to_string())).collect()
    }
}

/// What whoever takes the changes has.
struct Follower {
    known: Known,
    state: BTreeMap<String, String>,
}

impl Follower {
    fn new() -> Self {
        Self { known: Known::new(SERVICES), state: BTreeMap::new() }
    }

    fn take(&mut self, changes: impl IntoIterator<Item = Change>) -> Vec<String> {
        let mut deleted = Vec::new();
        for change in changes {
            match change {
                Change::Apply(object) => {
                    let version = object.metadata().resource_version.clone().expect("a version");
                    self.state.insert(object.object_ref().name.to_string(), version);
                }
                Change::Delete(name) => {
                    assert!(self.state.remove(&*name.name).is_some(), "{name} was not known");
                    deleted.push(name.name.to_string());
                }
                Change::Refuse(name, _) => panic!("{name} refused"),
            }
        }
        deleted
    }

    fn hear(&mut self, moment: &Moment) {
        let received = moment.received();
        let change = if moment.exists {
            self.known.applied(&received).expect("a Service")
        } else {
            self.known.deleted(&received)
        };
        self.take(change);
    }

    fn list(&mut self, server: &Server) -> Vec<String> {
        self.known.begin();
        for object in server.objects.values() {
            self.known.listed(&object.received()).expect("a Service");
        }
        let changes = self.known.end(&server.version.to_string());
        self.take(changes)
    }

    /// A list that comes to nothing.
    fn list_in_vain(&mut self, server: &Server, objects: usize) {
        self.known.begin();
        for object in server.objects.values().take(objects) {
            self.known.listed(&object.received()).expect("a Service");
        }
    }
}

/// What happens, to the server or to what is heard of it.
#[derive(Debug, Clone)]
enum Act {
    Write {
        name: usize,
        deletes: bool,
    },
    /// One of the events there ever were is heard, in time or late, for the first time or once more.
    Hear(usize),
    List,
    ListInVain(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4_usize, any::<bool>()).prop_map(|(name, deletes)| Act::Write { name, deletes }),
        6 => (0..64_usize).prop_map(Act::Hear),
        1 => Just(Act::List),
        1 => (0..4_usize).prop_map(Act::ListInVain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_whole_list_mends_everything(acts in vec(act(), 0..60)) {
        let (mut server, mut follower) = (Server::default(), Follower::new());
        for act in acts {
            match act {
                Act::Write { name, deletes } => server.write(name, deletes),
                Act::Hear(index) if !server.history.is_empty() => {
                    let moment = server.history[index % server.history.len()].clone();
                    // A list ends before anything else is heard, or is begun again.
                    if follower.known.list.is_none() {
                        follower.hear(&moment);
                    }
                }
                Act::Hear(_) => {}
                Act::List => {
                    let deleted = follower.list(&server);
                    let state = server.state();
                    prop_assert!(deleted.iter().all(|name| !state.contains_key(name)), "{:?} exist", deleted);
                    prop_assert_eq!(&follower.state, &state);
                }
                Act::ListInVain(objects) => {
                    let before = follower.state.clone();
                    follower.list_in_vain(&server, objects);
                    prop_assert_eq!(&follower.state, &before);
                }
            }
        }
        follower.list(&server);
        prop_assert_eq!(&follower.state, &server.state());
        prop_assert_eq!(follower.list(&server), Vec::<String>::new());
    }

    #[test]
    fn events_in_any_order_and_more_than_once_end_in_the_same_state(
        before in vec((0..4_usize, any::<bool>()), 0..10),
        after in vec((0..4_usize, any::<bool>()), 0..20),
        order in vec((any::<u32>(), any::<bool>()), 60),
        told in 0..20_usize,
    ) {
        let (mut server, mut follower) = (Server::default(), Follower::new());
        before.into_iter().for_each(|(name, deletes)| server.write(name, deletes));
        follower.list(&server);
        let old = server.history.clone();
        after.into_iter().for_each(|(name, deletes)| server.write(name, deletes));
        let new = server.history[old.len()..].to_vec();
        // Each new one once at least, some of them twice, and some of the old ones, which the list has already.
        let again = old.iter().chain(&new).zip(&order).filter(|(_, (_, comes))| *comes).map(|(moment, _)| moment);
        let mut events: Vec<_> = new.iter().chain(again).zip(order.iter().rev().map(|(place, _)| *place)).collect();
        events.sort_by_key(|(_, place)| *place);
        let told = new.get(told).map_or(0, |moment| moment.version);
        let mut missing: BTreeSet<_> = new.iter().map(|moment| moment.version).filter(|version| *version <= told).collect();
        for (moment, _) in events {
            follower.hear(moment);
            // It is said at once that all up to there has been told; of what came early some is newer.
            if missing.remove(&moment.version) && missing.is_empty() {
                follower.known.reach(&told.to_string());
            }
        }
        prop_assert_eq!(&follower.state, &server.state());
        follower.known.reach(&server.version.to_string());
        prop_assert!(follower.known.gone.is_empty());
        for moment in &server.history {
            follower.hear(moment);
            prop_assert_eq!(&follower.state, &server.state(), "{:?} is old", moment);
        }
    }
}

#[test]
fn nothing_of_a_list_is_told_before_its_end() {
    let (mut server, mut follower) = (Server::default(), Follower::new());
    server.write(0, false);
    server.write(1, false);
    follower.list(&server);
    server.write(0, true);
    server.write(2, false);
    follower.known.begin();
    for object in server.objects.values() {
        let is_news = follower.known.listed(&object.received()).expect("a Service");
        assert_eq!(is_news, object.name == 2);
    }
    assert_eq!(follower.state.keys().collect::<Vec<_>>(), ["s0", "s1"]);
    let changes = follower.known.end(&server.version.to_string());
    let kinds: Vec<_> = changes.iter().map(|change| matches!(change, Change::Apply(_))).collect();
    assert_eq!(kinds, [true, false], "what is as it was is not told, what is new before what is gone");
    follower.take(changes);
    assert_eq!(follower.state, server.state());
}

#[test]
fn an_object_that_cannot_be_read_stays_as_it_was() {
    let mut known = Known::new(SERVICES);
    let object = |version: u32, spec: &str| -> Received {
        let text =
            format!(r#"{{"metadata":{{"name":"a","namespace":"shop","resourceVersion":"{version}"}},"spec":{spec}}}"#);
        serde_json::from_str(&text).expect("an object")
    };
    known.begin();
    known.listed(&object(1, "{}")).expect("a Service");
    assert_eq!(known.end("1").len(), 1);
    known.applied(&object(2, "[]")).expect_err("no Service");
    assert_eq!(known.applied(&object(2, "[]")), Ok(None), "told once");
    known.begin();
    known.listed(&object(3, "7")).expect_err("no Service");
    assert_eq!(known.end("3"), [], "it is there, and not gone");
    let change = known.applied(&object(4, "{}")).expect("a Service");
    assert!(matches!(change, Some(Change::Apply(_))));
}

#[test]
fn a_store_that_was_restored_begins_at_a_lower_version() {
    let (mut server, mut follower) = (Server { version: 100, ..Server::default() }, Follower::new());
    server.write(0, false);
    follower.list(&server);
    // One that has ended, and is there again in the store of before.
    for deletes in [false, true] {
        server.write(2, deletes);
        follower.hear(&server.history[server.history.len() - 1]);
    }
    let mut server = Server::default();
    server.write(1, false);
    follower.list(&server);
    for name in [1, 2] {
        server.write(name, false);
        follower.hear(&server.history[name]);
        assert_eq!(follower.state, server.state());
    }
}
