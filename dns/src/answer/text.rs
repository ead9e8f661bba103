//! Records as zone-file text (RFC 1035 §5.1, RFC 3597 §5), for those who read them.

use crate::part::spelling::NameText;
use crate::question::TypeName;
use hickory_proto::rr::rdata::{HTTPS, SOA};
use hickory_proto::rr::{RData, Record};
use std::fmt::{self, Write as _};

/// A record as a line of a zone file, with its strings in quotes: `example. 5 IN TXT "a b" ""`.
#[derive(Debug, Clone, Copy)]
pub struct RecordText<'r>(pub &'r Record);

/// A string of a record, in quotes.
struct Quoted<'s>(&'s [u8]);

impl fmt::Display for RecordText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { name, dns_class, ttl, data, .. } = self.0;
        write!(f, "{} {ttl} {dns_class} {}", NameText(name), TypeName(self.0.record_type()))?;
        match data {
            RData::CNAME(to) => write!(f, " {}", NameText(to)),
            RData::NS(to) => write!(f, " {}", NameText(to)),
            RData::PTR(to) => write!(f, " {}", NameText(to)),
            RData::ANAME(to) => write!(f, " {}", NameText(to)),
            RData::MX(mx) => write!(f, " {} {}", mx.preference, NameText(&mx.exchange)),
            RData::SRV(srv) => {
                write!(f, " {} {} {} {}", srv.priority, srv.weight, srv.port, NameText(&srv.target))
            }
            RData::SOA(soa) => {
                let SOA { mname, rname, serial, refresh, retry, expire, minimum, .. } = soa;
                let [mname, rname] = [mname, rname].map(NameText);
                write!(f, " {mname} {rname} {serial} {refresh} {retry} {expire} {minimum}")
            }
            RData::SVCB(service) | RData::HTTPS(HTTPS(service)) => {
                write!(f, " {} {}", service.svc_priority, NameText(&service.target_name))?;
                service.svc_params.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
            RData::TXT(text) => text.txt_data.iter().try_for_each(|string| write!(f, " {}", Quoted(string))),
            RData::HINFO(host) => write!(f, " {} {}", Quoted(&host.cpu), Quoted(&host.os)),
            RData::CAA(caa) => write!(f, " {} {} {}", caa.flags(), caa.tag, Quoted(&caa.value)),
            RData::NAPTR(naptr) => {
                let [flags, services, regexp] = [&naptr.flags, &naptr.services, &naptr.regexp].map(|text| Quoted(text));
                write!(
                    f,
                    " {} {} {flags} {services} {regexp} {}",
                    naptr.order,
                    naptr.preference,
                    NameText(&naptr.replacement)
                )
            }
            RData::Unknown { rdata, .. } => {
                write!(f, " \\# {}", rdata.anything.len())?;
                let gap = if rdata.anything.is_empty() { "" } else { " " };
                f.write_str(gap)?;
                rdata.anything.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            other => write!(f, " {other}"),
        }
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for byte in self.0 {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\{byte:03}")?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::spelling;
    use hickory_proto::rr::Name;
    use hickory_proto::rr::rdata::caa::KeyValue;
    use hickory_proto::rr::rdata::{A, CAA, CNAME, HINFO, MX, NAPTR, NS, NULL, PTR, SRV, SVCB, TXT};

    #[test]
    fn strings_are_in_quotes_and_unknown_content_is_in_hexadecimal() {
        let unknown = |code: u16, bytes: &[u8]| RData::Unknown { code: code.into(), rdata: NULL::with(bytes.to_vec()) };
        let [flags, service, regexp] = [&b"U"[..], b"E2U+sip", b"!^.*$!\\1!"].map(Box::from);
        let caa = CAA::new_issue(true, None, vec![KeyValue::new("a", "\"b\"")]);
        for (data, expected) in [
            (RData::TXT(TXT::new(vec!["1.1.0".into()])), r#"TXT "1.1.0""#),
            (RData::TXT(TXT::new(vec!["a b".into(), String::new()])), r#"TXT "a b" """#),
            (RData::TXT(TXT::from_bytes(vec![b"\"\\;\x07\xc3"])), r#"TXT "\"\\;\007\195""#),
            (RData::HINFO(HINFO::new("RFC8482".into(), String::new())), r#"HINFO "RFC8482" """#),
            (RData::CAA(caa), r#"CAA 128 issue "; a=\"b\"""#),
            (
                RData::NAPTR(NAPTR::new(1, 2, flags, service, regexp, Name::root())),
                r#"NAPTR 1 2 "U" "E2U+sip" "!^.*$!\\1!" ."#,
            ),
            (RData::A(A::new(192, 0, 2, 1)), "A 192.0.2.1"),
            (unknown(65280, b"\x00\xff"), r"TYPE65280 \# 2 00ff"),
            (RData::Unknown { code: 65280.into(), rdata: NULL::new() }, r"TYPE65280 \# 0"),
        ] {
            let record = Record::from_rdata(Name::from_ascii("a.example.").unwrap(), 5, data);
            assert_eq!(RecordText(&record).to_string(), format!("a.example. 5 IN {expected}"));
        }
    }

    /// As zone files and `dig` have them; the library's are octal.
    #[test]
    fn the_escapes_of_names_are_decimal() {
        let name = || spelling::name(r"a\032b\195.test").unwrap();
        let told = r"a\032b\195.test.";
        for (data, expected) in [
            (RData::CNAME(CNAME(name())), format!("CNAME {told}")),
            (RData::NS(NS(name())), format!("NS {told}")),
            (RData::PTR(PTR(name())), format!("PTR {told}")),
            (RData::MX(MX::new(10, name())), format!("MX 10 {told}")),
            (RData::SRV(SRV::new(1, 2, 53, name())), format!("SRV 1 2 53 {told}")),
            (RData::SOA(SOA::new(name(), name(), 1, 2, 3, 4, 5)), format!("SOA {told} {told} 1 2 3 4 5")),
            (RData::HTTPS(HTTPS(SVCB::new(1, name(), Vec::new()))), format!("HTTPS 1 {told}")),
            (
                RData::NAPTR(NAPTR::new(1, 2, [].into(), [].into(), [].into(), name())),
                format!(r#"NAPTR 1 2 "" "" "" {told}"#),
            ),
        ] {
            let record = Record::from_rdata(name(), 5, data);
            assert_eq!(RecordText(&record).to_string(), format!("{told} 5 IN {expected}"));
        }
    }
}
