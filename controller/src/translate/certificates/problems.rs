//! What is wrong with the certificates that an Ingress names, whoever else names them.

use crate::objects::{Ingress, Objects, Validity};
use crate::status::{Problem, Reason};
use config::{Certificate, HostPattern, ObjectName};
use jiff::Timestamp;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// What is wrong with the entries of `spec.tls`, in their order.
pub(in crate::translate) fn ingress_problems(ingress: &Ingress, objects: &Objects) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut hostless = Vec::new();
    for tls in &ingress.tls {
        let Some(secret) = &tls.secret else { continue };
        let kept = objects.secret(secret);
        let problem = secret_problem(secret, objects);
        problems.extend(problem.map(|(reason, message)| Problem::at(Arc::clone(&tls.field), reason, message)));
        let Some(certificate) = kept.and_then(|kept| kept.certificate.as_ref()) else { continue };
        match &tls.hosts {
            None => hostless.push(certificate),
            Some(hosts) => problems.extend(hosts.iter().filter(|host| !covers(certificate, host)).map(|host| {
                let message =
                    format!("{} does not cover host {host}, only {}", certificate.source, certificate.names.join(", "));
                Problem::at(Arc::clone(&tls.field), Reason::HostNotCovered, message)
            })),
        }
    }
    report_not_covered(ingress, &hostless, &mut problems);
    problems
}

/// Reports hosts of rules that only entries without hosts could be for, and are not.
fn report_not_covered(ingress: &Ingress, hostless: &[&Arc<Certificate>], problems: &mut Vec<Problem>) {
    if hostless.is_empty() {
        return;
    }
    let listed: FxHashSet<_> = ingress.tls.iter().filter_map(|tls| tls.hosts.as_ref()).flatten().collect();
    let wildcard = |host: &str| Some(HostPattern::Wildcard(host.split_once('.')?.1.into()));
    let mut seen = FxHashSet::default();
    for rule in ingress.rules.iter().filter(|rule| rule.host != HostPattern::Any && seen.insert(&rule.host)) {
        let host = rule.host.to_string();
        let is_listed = listed.contains(&rule.host) || wildcard(&host).is_some_and(|pattern| listed.contains(&pattern));
        if !is_listed && !hostless.iter().any(|certificate| certificate.covers(&host)) {
            let sources: Vec<_> = hostless.iter().map(|certificate| certificate.source.to_string()).collect();
            let message = format!("no certificate of spec.tls covers host {host}: {}", sources.join(", "));
            problems.push(Problem::at(Arc::clone(&rule.field), Reason::HostNotCovered, message));
        }
    }
}

fn covers(certificate: &Certificate, host: &HostPattern) -> bool {
    certificate.covers(&host.to_string())
}

/// What is wrong with a Secret that somebody names.
pub(in crate::translate) fn secret_problem(name: &ObjectName, objects: &Objects) -> Option<(Reason, String)> {
    let kept = objects.secret(name);
    let has_certificate = kept.is_some_and(|kept| kept.certificate.is_some());
    let last_good = if has_certificate { ", its last good certificate is served" } else { "" };
    if let Some(reason) = objects.secret_refusal(name) {
        return Some((Reason::SecretForbidden, format!("Secret {name} may not be read: {reason}{last_good}")));
    }
    let Some(kept) = kept else {
        return Some((Reason::SecretNotFound, format!("Secret {name} does not exist")));
    };
    if !kept.exists {
        return Some((Reason::SecretNotFound, format!("Secret {name} does not exist any more{last_good}")));
    }
    if let Some(problem) = &kept.problem {
        return Some((Reason::BadCertificate, format!("Secret {name}: {problem}{last_good}")));
    }
    let certificate = kept.certificate.as_ref()?;
    let time = |seconds| Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string());
    match kept.validity {
        Validity::Valid => None,
        Validity::NotYet => {
            let message =
                format!("Secret {name}: the certificate is not valid before {}", time(certificate.not_before));
            Some((Reason::CertificateNotYetValid, message))
        }
        Validity::Expired => {
            let message = format!("Secret {name}: the certificate expired on {}", time(certificate.not_after));
            Some((Reason::CertificateExpired, message))
        }
    }
}
