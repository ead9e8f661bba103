//! Options of one value that stand several times in a block: the last one counts, as in CoreDNS, and those before it are
//! told. What is not here adds up, as `except` of `forward` does, or is the same however often it is said.

use super::Item;
use crate::plan::reading::Reading;
use std::collections::BTreeMap;

/// What of a line a later one takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overruled {
    Whole,
    /// Arguments that the later one has too.
    ArgumentByArgument,
    /// All of it, where the later one has the same first argument.
    OfFirstArgument,
}

use Overruled::{ArgumentByArgument, OfFirstArgument, Whole};

/// The options by their plugins.
const LAST_COUNTS: [(&str, &[(&str, Overruled)]); 13] = [
    ("bind", &[("except", Whole)]),
    (
        "cache",
        &[
            ("denial", ArgumentByArgument),
            ("disable", OfFirstArgument),
            ("prefetch", ArgumentByArgument),
            ("serve_stale", Whole),
            ("servfail", Whole),
            ("success", ArgumentByArgument),
        ],
    ),
    ("dns64", &[("prefix", Whole)]),
    (
        "forward",
        &[
            ("expire", Whole),
            // But for `no_rec`, which stays.
            ("health_check", ArgumentByArgument),
            ("max_age", Whole),
            ("max_concurrent", Whole),
            ("max_connect_attempts", Whole),
            ("max_fails", Whole),
            ("max_idle_conns", Whole),
            ("policy", Whole),
            ("read_timeout", Whole),
            ("source_address", Whole),
            ("tls", Whole),
            ("tls_servername", Whole),
        ],
    ),
    ("health", &[("lameduck", Whole)]),
    ("hosts", &[("fallthrough", Whole), ("reload", Whole), ("ttl", Whole)]),
    ("k8s_external", &[("apex", Whole), ("fallthrough", Whole), ("ttl", Whole)]),
    (
        "kubernetes",
        &[
            ("fallthrough", Whole),
            ("labels", Whole),
            ("multicluster", Whole),
            ("namespace_labels", Whole),
            ("pods", Whole),
            ("ttl", Whole),
        ],
    ),
    ("local", &[("localhost_prefix", Whole)]),
    ("ready", &[("monitor", Whole)]),
    ("template", &[("ederror", Whole), ("fallthrough", Whole), ("rcode", Whole)]),
    ("timeouts", &[("idle", Whole), ("maxtcpqueries", Whole), ("read", Whole), ("write", Whole)]),
    ("tls", &[("client_auth", Whole)]),
];

/// The options of one block that have been read and may be overruled, each as it was written last.
#[derive(Debug, Default)]
pub(super) struct Written<'l>(BTreeMap<(&'l str, Option<&'l str>), Item<'l>>);

impl<'l> Written<'l> {
    /// Takes an option that is written after the others, and tells of the one that it overrules.
    pub(super) fn add(&mut self, option: Item<'l>, reading: &mut Reading<'_>) {
        let options = LAST_COUNTS.iter().find(|(plugin, _)| *plugin == option.plugin);
        let found = options.and_then(|(_, options)| options.iter().find(|(name, _)| *name == option.name()));
        let Some((name, overruled)) = found else { return };
        let first = option.arguments().first().filter(|_| *overruled == OfFirstArgument);
        let Some(before) = self.0.insert((name, first.map(|word| word.as_str())), option) else { return };
        let place = option.place();
        let is_in_part = *overruled == ArgumentByArgument && before.arguments().len() > option.arguments().len();
        let message = if is_in_part {
            format!("of what both say that of {place} counts")
        } else {
            format!("changes nothing: what {place} says counts")
        };
        reading.note(before, message);
    }
}

#[cfg(test)]
mod tests {
    use crate::corefile::System;
    use crate::plan::Plan;

    /// What is understood of a block of such lines, in one line, and the notes.
    fn read(lines: &str) -> (String, Vec<String>) {
        let (plan, notes) = Plan::from_corefile(&format!(". {{\n{lines}\n}}\n"), "Corefile", &System).unwrap();
        let printed = plan.to_string();
        let words: Vec<_> = printed.split_whitespace().collect();
        (words.join(" "), notes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn of_options_of_one_value_the_last_counts() {
        let kubernetes = "kubernetes c.test in-addr.arpa ip6.arpa a.test b.test";
        let hosts = "hosts /dev/null";
        for (plugin, first, last) in [
            ("bind lo", "except ::1", "except 127.0.0.1"),
            ("cache", "servfail 1s", "servfail 2s"),
            ("cache", "serve_stale 2h verify 1s", "serve_stale 3h immediate 30s 30s"),
            ("cache", "success 1000 60 1", "success 2000 70 2"),
            ("cache", "denial 1000 60", "denial 2000 70 2"),
            ("cache", "prefetch 1 1m 20%", "prefetch 2 2m 30%"),
            ("cache", "disable success a.test", "disable success b.test"),
            ("cache", "disable denial a.test", "disable denial b.test"),
            ("dns64", "prefix 64:ff9b::/96", "prefix 64:ff9c::/96"),
            ("forward . 192.0.2.1", "max_fails 3", "max_fails 4"),
            ("forward . 192.0.2.1", "health_check 1s domain a.test", "health_check 2s domain b.test"),
            ("health", "lameduck 1s", "lameduck 2s"),
            (hosts, "ttl 10", "ttl 20"),
            (hosts, "reload 10s", "reload 20s"),
            (hosts, "fallthrough a.test", "fallthrough b.test"),
            (kubernetes, "ttl 10", "ttl 20"),
            (kubernetes, "pods insecure", "pods verified"),
            (kubernetes, "labels a=b", "labels c=d"),
            (kubernetes, "namespace_labels a=b", "namespace_labels c=d"),
            (kubernetes, "multicluster a.test", "multicluster b.test"),
            (kubernetes, "fallthrough in-addr.arpa", "fallthrough ip6.arpa"),
            ("kubernetes c.test\nk8s_external e.test", "apex a", "apex b"),
            ("kubernetes c.test\nk8s_external e.test", "ttl 10", "ttl 20"),
            ("kubernetes c.test\nk8s_external e.test", "fallthrough x.e.test", "fallthrough y.e.test"),
            ("local", "localhost_prefix on", "localhost_prefix off"),
            ("template IN A a.test", "rcode NXDOMAIN", "rcode SERVFAIL"),
            ("template IN A a.test", "ederror 1 a", "ederror 2 b"),
            ("template IN A a.test", "fallthrough x.a.test", "fallthrough y.a.test"),
            ("timeouts", "read 1s", "read 2s"),
            ("timeouts", "write 1s", "write 2s"),
            ("timeouts", "idle 1s", "idle 2s"),
            ("timeouts", "maxtcpqueries 1", "maxtcpqueries 2"),
        ] {
            let (both, told) = read(&format!("{plugin} {{\n{first}\n{last}\n}}"));
            let (alone, before) = read(&format!("{plugin} {{\n{last}\n}}"));
            assert_eq!(both, alone, "{plugin}: {first}");
            assert!(both.contains(last.split_once(' ').unwrap().1), "{both}");
            let line = 3 + plugin.matches('\n').count();
            let subject = plugin.lines().last().unwrap().split(' ').next().unwrap();
            let option = first.split(' ').next().unwrap();
            let note = format!(
                "Corefile:{line}: {subject}: {option}: changes nothing: what Corefile:{} says counts",
                line + 1
            );
            assert!(told.contains(&note), "{plugin}: {told:?}");
            assert_eq!(told.len(), before.len() + 1, "{told:?}");
        }
    }

    /// As CoreDNS reads them (`cache/setup.go`), argument by argument.
    #[test]
    fn arguments_that_a_later_line_does_not_have_stay() {
        let (cache, notes) = read(
            "cache {\nsuccess 1000 60 2\nsuccess 2000\ndenial 1000 60\ndenial 2000\nprefetch 9 2m 20%\nprefetch 8\n}",
        );
        let kept = "success 2000 60 2 denial 2000 60 5 servfail 5s prefetch 8 2m 20%";
        assert!(cache.contains(kept), "{cache}");
        let told = |line: u32, option: &str| {
            format!("Corefile:{line}: cache: {option}: of what both say that of Corefile:{} counts", line + 1)
        };
        assert_eq!(notes, [told(3, "success"), told(5, "denial"), told(7, "prefetch")]);
        let (forward, notes) = read("forward . 192.0.2.1 {\nhealth_check 1s no_rec\nhealth_check 2s\n}");
        assert!(forward.contains("health_check 2s no_rec"), "{forward}");
        let of_both = "Corefile:3: forward: health_check: of what both say that of Corefile:4 counts";
        assert_eq!(notes, [of_both]);
    }

    #[test]
    fn a_shortest_ttl_is_compared_with_the_longest_that_counts() {
        for (first, second, counts) in [
            ("1000 5 10", "1000 20", "1000 20 10"),
            ("1000 20 10", "1000 5", "1000 5 5"),
            ("1000 3", "1000", "1000 3 3"),
        ] {
            let (cache, notes) = read(&format!("cache {{\nsuccess {first}\nsuccess {second}\n}}"));
            assert!(cache.contains(&format!("success {counts} ")), "{cache}");
            let told = "Corefile:3: cache: success: the shortest TTL 10 is above the longest, 5, and counts as that";
            assert_eq!(notes.iter().any(|note| note == told), counts == "1000 5 5", "{notes:?}");
        }
    }

    #[test]
    fn what_adds_up_is_no_note() {
        for lines in [
            "cache {\ndisable success a.test\ndisable denial b.test\n}",
            "kubernetes c.test {\nnamespaces a\nnamespaces b\n}",
            "template IN A a.test {\nmatch a\nmatch b\nanswer \"a. 60 IN A 192.0.2.1\"\nanswer \"a. 60 IN A 192.0.2.2\"\n}",
            "log . {\nclass denial\nclass error\n}",
        ] {
            assert_eq!(read(lines).1, [""; 0], "{lines}");
        }
    }
}
