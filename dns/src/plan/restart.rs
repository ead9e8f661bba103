//! What a plan asks of those around the server and cannot have before they start again: other objects, other probes.

use super::around::{PlannedObjects, Probes, socket_address};
use super::autopath::SearchList;
use super::kubernetes::{Kubernetes, Pods};
use super::{Block, Listener, Plan, Zone};
use crate::corefile::Note;
use std::collections::BTreeSet;

impl Plan {
    /// The same where `objects` alone are read, `None`: none, and `before` is served. A block that needs others keeps the
    /// `kubernetes` that it had before, or has none, and no `k8s_external` without either; each such line is told.
    #[must_use]
    pub fn with_objects(mut self, objects: Option<&PlannedObjects>, before: &Self) -> (Self, Vec<Note>) {
        let mut notes = Vec::new();
        for block in &mut self.blocks {
            let Some(wanted) = &block.kubernetes else { continue };
            let Some(missing) = missing(wanted, objects) else { continue };
            let known = before.with_kubernetes_of(block, wanted);
            let kubernetes = known.and_then(|known| known.kubernetes.clone());
            let until = if kubernetes.is_some() { "the one from before is served" } else { "there is none" };
            notes
                .push(block.note("kubernetes", format!("{missing} counts from the next start on; until then {until}")));
            let walks = block.autopath.as_ref().is_some_and(|autopath| matches!(autopath.search, SearchList::Pod));
            if walks && kubernetes.as_ref().is_none_or(|kubernetes| kubernetes.pods != Pods::Verified) {
                block.autopath = known.and_then(|known| known.autopath.clone());
            }
            if kubernetes.is_none() {
                block.places.remove("kubernetes");
            }
            block.kubernetes = kubernetes;
        }
        let has_externals = objects.is_some_and(|objects| objects.externals);
        // A zone that the kept one has is no other's.
        let is_others = |block: &Block| {
            let kept = block.kubernetes.as_ref().map(|kubernetes| &kubernetes.zones);
            let wanted = block.external.iter().flat_map(|external| &external.zones);
            kept.is_none_or(|kept| wanted.into_iter().any(|zone| !zone.is_reverse() && kept.contains(zone)))
        };
        for block in &mut self.blocks {
            if block.external.is_some() && (!has_externals || is_others(block)) {
                notes.push(block.note("k8s_external", "counts from the next start on; until then there is none"));
                (block.external, _) = (None, block.places.remove("k8s_external"));
            }
        }
        (self, notes)
    }

    /// The block that `kubernetes` of another plan's block is of here: the one at the same places for the same zones; else,
    /// as where a block has moved, the first that has the same zones and namespaces. No other: its names may be hidden
    /// there, or lead to another zone.
    fn with_kubernetes_of(&self, block: &Block, kubernetes: &Kubernetes) -> Option<&Block> {
        fn served(block: &Block) -> BTreeSet<(Listener, &Zone)> {
            block.listeners().collect()
        }
        fn named(kubernetes: &Kubernetes) -> BTreeSet<&Zone> {
            kubernetes.zones.iter().filter(|zone| !zone.is_reverse()).collect()
        }
        let mut all = self.blocks.iter().filter(|known| known.kubernetes.is_some());
        let (served_there, named_there) = (served(block), named(kubernetes));
        let is_alike = |known: &Kubernetes| known.exposed == kubernetes.exposed && named(known) == named_there;
        let same = all.clone().find(|known| served(known) == served_there);
        same.or_else(|| all.find(|known| known.kubernetes.as_ref().is_some_and(is_alike)))
    }

    /// Each line that asks for a probe which is not at `bound`, and each probe that is there and nobody asks for.
    #[must_use]
    pub fn probes_beside(&self, bound: &Probes) -> Vec<Note> {
        let mut notes = Vec::new();
        for block in &self.blocks {
            let health = block.health.as_ref().map(|health| health.address);
            let ready = block.ready.as_ref().map(|ready| ready.address);
            let metrics = block.prometheus.as_ref().map(|metrics| metrics.address);
            let asked = [("health", health, &bound.health), ("ready", ready, &bound.ready)];
            for (plugin, address, bound) in asked.into_iter().chain([("prometheus", metrics, &bound.metrics)]) {
                if let Some(address) = address.map(socket_address).filter(|address| !bound.contains(address)) {
                    notes.push(block.note(plugin, format!("{address} counts from the next start on")));
                }
            }
        }
        let Probes { health, ready, metrics, lameduck: _ } = self.probes();
        let asked = [("health", health, &bound.health), ("ready", ready, &bound.ready)];
        for (plugin, asked, bound) in asked.into_iter().chain([("prometheus", metrics, &bound.metrics)]) {
            let left = bound.iter().filter(|address| !asked.contains(address));
            let told =
                |address| Some(self.blocks.first()?.note(plugin, format!("is at {address} until the next start")));
            notes.extend(left.filter_map(told));
        }
        notes
    }
}

/// What of the objects that it needs is not read; `None`: all is.
fn missing(kubernetes: &Kubernetes, objects: Option<&PlannedObjects>) -> Option<String> {
    let Some(PlannedObjects { pods, imports, externals: _, labels, namespace_labels }) = objects else {
        return Some("a first `kubernetes`".to_owned());
    };
    let (wanted, of_namespaces) = kubernetes.chosen();
    let missing = [
        ("pods verified", kubernetes.pods == Pods::Verified && !pods),
        ("multicluster", !kubernetes.multicluster.is_empty() && !imports),
        ("labels", wanted != labels.as_ref()),
        ("namespace_labels", of_namespaces != namespace_labels.as_ref()),
    ];
    let missing: Vec<_> = missing.into_iter().filter_map(|(option, is_missing)| is_missing.then_some(option)).collect();
    (!missing.is_empty()).then(|| missing.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;

    fn plan(text: &str) -> Plan {
        Plan::from_corefile(text, "Corefile", &System).expect("a good Corefile").0
    }

    fn told(notes: &[Note]) -> Vec<String> {
        notes.iter().map(ToString::to_string).collect()
    }

    /// A block as it is printed, without what is the same in all.
    fn kubernetes(plan: &Plan) -> String {
        let lines = plan.to_string();
        let kept = ["kubernetes", "pods", "ttl", "namespaces", "labels", "multicluster", "autopath", "whoami"];
        let kept = lines.lines().map(str::trim).filter(|line| kept.iter().any(|word| line.starts_with(word)));
        kept.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_needs_objects_that_are_not_read_stays_as_it_was() {
        let block = |options: &str| format!(".:53 {{\n {options}\n whoami\n}}\n");
        let before = block("kubernetes a.b {\n pods insecure\n ttl 7\n }");
        for (options, expected, note) in [
            ("kubernetes a.b {\n ttl 9\n }", "kubernetes a.b {; pods disabled; ttl 9; whoami", ""),
            (
                "kubernetes a.b {\n pods verified\n ttl 9\n }\n autopath @kubernetes",
                "kubernetes a.b {; pods insecure; ttl 7; whoami",
                "pods verified counts from the next start on; until then the one from before is served",
            ),
            (
                "kubernetes a.b c.d {\n multicluster c.d\n labels team=a\n }",
                "kubernetes a.b {; pods insecure; ttl 7; whoami",
                "multicluster and labels counts from the next start on; until then the one from before is served",
            ),
            (
                "kubernetes c.d {\n namespace_labels team=a\n }",
                "kubernetes a.b {; pods insecure; ttl 7; whoami",
                "namespace_labels counts from the next start on; until then the one from before is served",
            ),
        ] {
            let before = plan(&before);
            let (taken, notes) = plan(&block(options)).with_objects(before.objects().as_ref(), &before);
            assert_eq!(kubernetes(&taken), expected, "{options}");
            let expected = (!note.is_empty()).then(|| format!("Corefile:2: kubernetes: {note}"));
            assert_eq!(told(&notes), expected.into_iter().collect::<Vec<_>>(), "{options}");
        }
    }

    #[test]
    fn external_addresses_that_are_not_read_have_no_names() {
        let before = plan(".:53 {\n kubernetes a.b\n}\n");
        let next = plan(".:53 {\n kubernetes a.b {\n ttl 9\n }\n k8s_external example.org\n}\n");
        let (taken, notes) = next.clone().with_objects(before.objects().as_ref(), &before);
        let note = "Corefile:5: k8s_external: counts from the next start on; until then there is none";
        assert_eq!(told(&notes), [note]);
        assert!(kubernetes(&taken).contains("ttl 9") && !taken.to_string().contains("k8s_external"), "{taken}");
        let (taken, notes) = next.clone().with_objects(next.objects().as_ref(), &before);
        assert_eq!((taken.to_string(), notes.len()), (next.to_string(), 0));
        // Nor does one have names in a zone of a `kubernetes` that stays.
        let before = plan(".:53 {\n kubernetes a.b\n k8s_external example.org\n}\n");
        let other = plan(".:53 {\n kubernetes c.d {\n pods verified\n }\n k8s_external a.b\n}\n");
        let (taken, notes) = other.with_objects(before.objects().as_ref(), &before);
        assert_eq!((kubernetes(&taken), notes.len()), ("kubernetes a.b {; pods disabled; ttl 5".to_owned(), 2));
        assert!(!taken.to_string().contains("k8s_external"), "{taken}");
        // Without the Services of a block there are none of their addresses.
        let others = plan("c.d:53 {\n kubernetes c.d {\n pods verified\n }\n k8s_external b.c.d\n}\n");
        let (taken, notes) = others.with_objects(next.objects().as_ref(), &before);
        assert_eq!((kubernetes(&taken), notes.len()), (String::new(), 2), "{taken}");
        assert!(!taken.to_string().contains("k8s_external"), "{taken}");
    }

    #[test]
    fn a_block_is_given_no_other_ones_kubernetes() {
        let block = |key: &str, zone: &str, options: &str| {
            let plugins = format!("kubernetes {zone} in-addr.arpa ip6.arpa {{\n {options}\n }}\n bind 127.0.0.1");
            format!("{key} {{\n {plugins}\n}}\n")
        };
        let before =
            [block(".:1", "a.b", "ttl 1"), block(".:2", "a.b", "namespaces shop"), block("c.d:3", "c.d", "ttl 3")];
        let before = plan(&before.concat());
        let [all, shop, other] = [
            "kubernetes a.b in-addr.arpa ip6.arpa {; pods disabled; ttl 1",
            "kubernetes a.b in-addr.arpa ip6.arpa {; pods disabled; ttl 5; namespaces shop",
            "kubernetes c.d in-addr.arpa ip6.arpa {; pods disabled; ttl 3",
        ];
        for (key, options, expected) in [
            (".:2", "namespaces shop", vec![all, shop, other]),
            (".:2", "namespaces other", vec![all, shop, other]),
            // It has moved.
            (".:4", "namespaces shop", vec![all, shop, other]),
            (".:4", "ttl 9", vec![all, all, other]),
            (".:4", "namespaces other", vec![all, other]),
        ] {
            let next = |key, zone, options| block(key, zone, &format!("pods verified\n {options}"));
            let next = [next(".:1", "a.b", ""), next(key, "a.b", options), next("c.d:3", "c.d", "")].concat();
            let (taken, notes) = plan(&next).with_objects(before.objects().as_ref(), &before);
            assert_eq!((kubernetes(&taken), notes.len()), (expected.join("; "), 3), "{key} {options}");
        }
    }

    #[test]
    fn what_is_read_already_needs_no_restart() {
        let read = ".:53 {\n kubernetes a.b c.d {\n pods verified\n multicluster c.d\n labels team=a\n }\n}\n";
        let less = ".:53 {\n kubernetes a.b {\n labels team=a\n }\n}\n";
        let (before, next) = (plan(read), plan(less));
        let (taken, notes) = next.clone().with_objects(before.objects().as_ref(), &before);
        assert_eq!((taken.to_string(), told(&notes)), (next.to_string(), Vec::new()));
        let (again, notes) = before.clone().with_objects(before.objects().as_ref(), &taken);
        assert_eq!((again.to_string(), told(&notes)), (before.to_string(), Vec::new()));
        // A walk needs the Pods alone, which are still the ones from before.
        let other = plan(&read.replace("team=a", "team=b").replace("}\n}", "}\n autopath @kubernetes\n}"));
        let (taken, notes) = other.with_objects(before.objects().as_ref(), &before);
        assert_eq!(notes.len(), 1);
        assert!(kubernetes(&taken).contains("labels team=a") && kubernetes(&taken).contains("autopath"), "{taken}");

        let (none, notes) = plan(less).with_objects(None, &plan(".:53 {\n whoami\n}\n"));
        assert_eq!(kubernetes(&none), "");
        let expected = "a first `kubernetes` counts from the next start on; until then there is none";
        assert_eq!(told(&notes), [format!("Corefile:2: kubernetes: {expected}")]);
    }

    #[test]
    fn probes_that_come_and_go_are_told_with_their_lines() {
        let before = plan(".:53 {\n health :8080\n ready\n prometheus :9153\n}\n");
        let bound = before.probes();
        assert_eq!(before.probes_beside(&bound), Vec::new());
        let same = plan(".:53 {\n health :8080 {\n lameduck 5s\n }\n ready\n prometheus :9153\n}\n");
        assert_eq!(same.probes_beside(&bound), Vec::new());
        let next = plan("a:53 {\n any\n}\n.:53 {\n health :8081\n ready\n}\n");
        let expected = [
            "Corefile:5: health: [::]:8081 counts from the next start on",
            "Corefile:1: health: is at [::]:8080 until the next start",
            "Corefile:1: prometheus: is at [::]:9153 until the next start",
        ];
        assert_eq!(told(&next.probes_beside(&bound)), expected);
    }
}
