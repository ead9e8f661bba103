//! The bearer token that a file holds. It is read for every request: requests are few, since watches live for minutes,
//! and so a token counts from the moment at which it is replaced, however short its life is.

use super::fault::Sort;
use super::outage::Outage;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Who we are, as a file says it that somebody replaces from time to time: the kubelet does for a service account.
pub(super) struct TokenFile {
    path: PathBuf,
    last: Mutex<Last>,
}

/// What was read last.
struct Last {
    header: HeaderValue,
    outage: Outage,
}

impl TokenFile {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// Where there is no token in it; the message names the file.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let what = format!("read the token file {}", path.display());
        let header = read(&path).map_err(|reason| format!("cannot {what}: {reason}"))?;
        Ok(Self { path, last: Mutex::new(Last { header, outage: Outage::new(what) }) })
    }

    /// Puts the token of now into a request. Where it cannot be read, it is the one before: some remove the file once
    /// it was read (kubernetes/kubernetes#68164).
    pub(super) fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.path) {
            Ok(header) => {
                last.header = header;
                last.outage.over();
            }
            Err(reason) => last.outage.failed(Sort::Other, &reason),
        }
        request.headers_mut().insert(AUTHORIZATION, last.header.clone());
        request
    }
}

fn read(path: &Path) -> Result<HeaderValue, String> {
    // A pipe would be waited for, and a device may have no end.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() {
        return Err("it is empty".to_owned());
    }
    let header = HeaderValue::try_from(format!("Bearer {token}"));
    let mut header = header.map_err(|_| "a token is one line of ASCII, and this is none".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_from_the_moment_at_which_it_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let refused = |text: &str| {
            fs::write(&path, text).expect("written");
            TokenFile::open(path.clone()).err().expect("no token").replace(&path.display().to_string(), "FILE")
        };
        assert_eq!(refused(" \n"), "cannot read the token file FILE: it is empty");
        assert!(refused("a\nb").contains("one line"));
        // It has no end.
        let endless = TokenFile::open("/dev/zero".into()).err().expect("no token");
        assert_eq!(endless, "cannot read the token file /dev/zero: it is no regular file");
        fs::write(&path, "one\n").expect("written");
        let file = TokenFile::open(path.clone()).expect("a token");
        let sent = || {
            let request = file.authorize(Request::new(()));
            let header = request.headers().get(AUTHORIZATION).expect("a token");
            assert!(header.is_sensitive(), "it is in no log");
            header.to_str().expect("ASCII").to_owned()
        };
        assert_eq!(sent(), "Bearer one", "a line end is none of it");
        fs::write(&path, "two").expect("written");
        assert_eq!(sent(), "Bearer two");
        for unusable in ["", "a\nb"] {
            fs::write(&path, unusable).expect("written");
            assert_eq!(sent(), "Bearer two", "{unusable:?} is no token");
        }
        fs::remove_file(&path).expect("it is there");
        assert_eq!(sent(), "Bearer two");
        fs::write(&path, "three").expect("written");
        assert_eq!(sent(), "Bearer three");
    }
}
