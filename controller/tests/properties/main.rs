//! What holds for any objects: translation does not panic, does not depend on the order in which objects came, and
//! step by step gives what it gives from nothing.

#![expect(clippy::expect_used, reason = "tests")]

mod objects;

use config::{Kind, ObjectRef};
use jiff::Timestamp;
use objects::{object, settings};
use proptest::prelude::*;
use std::sync::Arc;
use tidegate_controller::{Object, Objects, TranslateSettings, Translation, Translator, translate};

/// A moment at which some of the certificates are valid, and one at which none is.
const TIMES: [i64; 2] = [1_767_225_600, 95_617_584_000];

#[derive(Debug, Clone)]
enum Event {
    Apply(Object),
    Delete(ObjectRef),
    Advance(i64),
}

impl Event {
    fn name(&self) -> String {
        match self {
            Self::Apply(object) => format!("{} came", object.object_ref()),
            Self::Delete(object) => format!("{object} went"),
            Self::Advance(seconds) => format!("the time is {}", time(*seconds)),
        }
    }

    fn reach(self, objects: &mut Objects) -> bool {
        match self {
            Self::Apply(object) => objects.apply(object),
            Self::Delete(object) => objects.delete(&object),
            Self::Advance(seconds) => objects.advance(time(seconds)),
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => object().prop_map(Event::Apply),
        2 => object().prop_map(|object| Event::Delete(object.object_ref())),
        1 => proptest::sample::select(&TIMES[..]).prop_map(Event::Advance),
    ]
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn kept(settings: &TranslateSettings) -> Objects {
    Objects::new(settings.ingress.default_tls_secret.as_ref(), time(TIMES[0]))
}

/// All that is served and reported, as text.
fn text(translation: &Translation) -> String {
    let Translation { routing, backends, names, statuses } = translation;
    serde_json::to_string_pretty(&(routing, backends, names, statuses)).expect("serializable")
}

proptest! {
    #[test]
    fn step_by_step_equals_from_nothing(settings in settings(), events in proptest::collection::vec(event(), 1..25)) {
        let mut objects = kept(&settings);
        let mut translator = Translator::new(settings.clone());
        for event in events {
            let before = translator.translate(&mut objects);
            let is_change = event.clone().reach(&mut objects);
            prop_assert_eq!(objects.has_changes(), is_change, "after {}", event.name());
            let after = translator.translate(&mut objects);
            let difference = difference(&text(&after), &text(&translate(&objects, &settings)));
            prop_assert!(difference.is_none(), "{difference:?} after {}", event.name());
            // What reads the same is the same.
            let name = event.name();
            prop_assert!(is_shared_or_differs(&before.routing, &after.routing), "routing was copied after {name}");
            prop_assert!(is_shared_or_differs(&before.backends, &after.backends), "backends were copied after {name}");
            prop_assert!(is_shared_or_differs(&before.statuses, &after.statuses), "statuses were copied after {name}");
            prop_assert!(Arc::ptr_eq(&before.names, &after.names) || before.names != after.names, "names after {name}");
        }
    }

    #[test]
    fn many_changes_at_once_equal_from_nothing(
        settings in settings(),
        batches in proptest::collection::vec(proptest::collection::vec(event(), 1..20), 1..5),
    ) {
        let mut objects = kept(&settings);
        let mut translator = Translator::new(settings.clone());
        for batch in batches {
            for event in batch {
                event.reach(&mut objects);
            }
            let step = translator.translate(&mut objects);
            let difference = difference(&text(&step), &text(&translate(&objects, &settings)));
            prop_assert!(difference.is_none(), "{difference:?}");
        }
    }

    #[test]
    fn order_is_no_matter(
        settings in settings(),
        (ordered, shuffled) in proptest::collection::vec(object(), 1..40).prop_flat_map(|objects| {
            // A second object of the same name would be an update, where order matters.
            let mut seen = std::collections::HashSet::new();
            let objects: Vec<_> = objects.into_iter().filter(|object| seen.insert(object.object_ref())).collect();
            (Just(objects.clone()), Just(objects).prop_shuffle())
        }),
    ) {
        let [first, second] = [ordered, shuffled].map(|list| {
            let mut objects = kept(&settings);
            for object in list {
                objects.apply(object);
            }
            text(&translate(&objects, &settings))
        });
        let difference = difference(&first, &second);
        prop_assert!(difference.is_none(), "{difference:?}");
    }

    #[test]
    fn the_same_object_again_is_no_change(objects in proptest::collection::vec(object(), 1..10)) {
        let mut kept = Objects::new(None, time(TIMES[0]));
        for object in objects {
            kept.apply(object.clone());
            prop_assert!(!kept.apply(object));
        }
    }

    /// What is deleted leaves nothing behind but the last good certificates that are still named.
    #[test]
    fn without_objects_nothing_is_served(settings in settings(), objects in proptest::collection::vec(object(), 1..40)) {
        let mut kept = kept(&settings);
        let mut translator = Translator::new(settings.clone());
        let empty = text(&translator.translate(&mut kept));
        let names: Vec<_> = objects.iter().map(Object::object_ref).collect();
        for object in objects {
            kept.apply(object);
        }
        translator.translate(&mut kept);
        let (secrets, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.kind == Kind::Secret);
        for name in others.into_iter().chain(secrets) {
            kept.delete(name);
        }
        let after = translator.translate(&mut kept);
        if settings.ingress.default_tls_secret.is_none() {
            let difference = difference(&text(&after), &empty);
            prop_assert!(difference.is_none(), "{difference:?}");
        }
    }
}

/// The first lines in which two texts differ.
fn difference(a: &str, b: &str) -> Option<(String, String)> {
    let line = |line: Option<&str>| line.unwrap_or_default().to_owned();
    let (mut a, mut b) = (a.lines(), b.lines());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return None,
            (left, right) if left != right => return Some((line(left), line(right))),
            _ => {}
        }
    }
}

fn is_shared_or_differs<T: serde::Serialize>(before: &Arc<T>, after: &Arc<T>) -> bool {
    let json = |value: &Arc<T>| serde_json::to_string(value).expect("serializable");
    Arc::ptr_eq(before, after) || json(before) != json(after)
}
