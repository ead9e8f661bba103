//! The path of a rule: its type, what the API server refuses, and the form that requests are compared in.

use crate::objects::annotations::choice;
use crate::status::Reason;
use config::{PathMatch, canonical_rule_path};

#[derive(Clone, Copy, PartialEq)]
enum PathType {
    Exact,
    Prefix,
    ImplementationSpecific,
}

/// Reads a path; the empty one is `/`. `ImplementationSpecific`, and no type in old objects, mean `Prefix`.
pub(super) fn read(path: &str, path_type: &str) -> Result<PathMatch, (Reason, String)> {
    let choices = [
        ("Exact", PathType::Exact),
        ("Prefix", PathType::Prefix),
        ("ImplementationSpecific", PathType::ImplementationSpecific),
    ];
    let path_type = match path_type {
        "" => PathType::ImplementationSpecific,
        word => choice(word, &choices).map_err(|message| (Reason::BadPathType, message))?,
    };
    let path = if path.is_empty() { "/" } else { path };
    let refuse = |message: &dyn std::fmt::Display| (Reason::BadPath, format!("{path:?}: {message}"));
    if path_type != PathType::ImplementationSpecific
        && let Some(part) = forbidden_part(path)
    {
        return Err(refuse(&part));
    }
    let path = canonical_rule_path(path).map_err(|error| refuse(&error))?;
    Ok(if path_type == PathType::Exact { PathMatch::Exact(path.into()) } else { PathMatch::prefix(&path) })
}

/// What the API server refuses in paths of a defined type.
fn forbidden_part(path: &str) -> Option<String> {
    let inside = ["//", "/./", "/../", "%2f", "%2F"].into_iter().find(|part| path.contains(part));
    let at_end = || ["/..", "/."].into_iter().find(|part| path.ends_with(part));
    match inside {
        Some(part) => Some(format!("a path must not contain {part}")),
        None => at_end().map(|part| format!("a path must not end in {part}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_spellings() {
        for (path, path_type, expected) in [
            ("/foo", "Exact", "Exact /foo"),
            ("/foo/", "Exact", "Exact /foo/"),
            ("/foo/", "Prefix", "Prefix /foo"),
            ("/foo", "ImplementationSpecific", "Prefix /foo"),
            ("/foo", "", "Prefix /foo"),
            ("", "", "Prefix /"),
            ("", "Prefix", "Prefix /"),
            ("", "Exact", "Exact /"),
            ("/café", "Prefix", "Prefix /caf%C3%A9"),
            ("/%7euser", "Prefix", "Prefix /~user"),
            ("/a%2fb", "ImplementationSpecific", "Prefix /a%2Fb"),
        ] {
            let read = read(path, path_type).map(|path| path.to_string());
            assert_eq!(read.as_deref(), Ok(expected), "{path_type} {path}");
        }
    }

    #[test]
    fn what_the_api_server_refuses() {
        for (path, path_type, reason, message) in [
            ("foo", "Prefix", Reason::BadPath, "\"foo\": path does not begin with /"),
            ("foo", "", Reason::BadPath, "\"foo\": path does not begin with /"),
            ("/a//b", "Prefix", Reason::BadPath, "\"/a//b\": a path must not contain //"),
            ("/a/./b", "Exact", Reason::BadPath, "\"/a/./b\": a path must not contain /./"),
            ("/a/../b", "Prefix", Reason::BadPath, "\"/a/../b\": a path must not contain /../"),
            ("/a%2fb", "Prefix", Reason::BadPath, "\"/a%2fb\": a path must not contain %2f"),
            ("/a%2Fb", "Exact", Reason::BadPath, "\"/a%2Fb\": a path must not contain %2F"),
            ("/a/..", "Prefix", Reason::BadPath, "\"/a/..\": a path must not end in /.."),
            ("/a/.", "Exact", Reason::BadPath, "\"/a/.\": a path must not end in /."),
            ("/a b", "Prefix", Reason::BadPath, "\"/a b\": target holds a byte that must be encoded"),
            ("/%zz", "", Reason::BadPath, "\"/%zz\": path holds a % that two hexadecimal digits do not follow"),
            (
                "/a",
                "prefix",
                Reason::BadPathType,
                "\"prefix\" is none of Exact, Prefix, ImplementationSpecific; did you mean Prefix?",
            ),
        ] {
            assert_eq!(read(path, path_type), Err((reason, message.to_owned())), "{path_type} {path}");
        }
    }
}
