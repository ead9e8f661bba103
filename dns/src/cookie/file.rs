//! The file of secrets that replicas share, looked at again: what a Secret is mounted as.

use super::Cookies;
use super::secrets::Secrets;
use crate::file::{self, Fault, Seen, Stamp};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// The largest that is read; two lines are a fraction of it. Bytes.
const MOST: u64 = 4096;

/// A file of secrets, and the cookies that are made with them.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    pub(crate) cookies: Arc<Cookies>,
    seen: Mutex<Seen<Option<Stamp>>>,
}

impl SecretFile {
    /// # Errors
    /// It cannot be read, or holds something else; the message names it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let named = |why: String| io::Error::other(format!("{}: {why}", path.display()));
        // Before it is read: a change in between is seen later.
        let stamp = Stamp::of(path).map_err(|error| named(error.to_string()))?;
        let text = file::read_text(path, MOST).map_err(|error| named(error.to_string()))?;
        let secrets = Secrets::parse(&text).map_err(named)?;
        let seen = Mutex::new(Seen::new(Some(Some(stamp))));
        Ok(Self { path: path.to_owned(), cookies: Arc::new(Cookies::new(secrets)), seen })
    }

    /// Looks at it again and again.
    pub(crate) async fn watch(self: Arc<Self>) {
        let path = self.path.display().to_string();
        file::watch(self, LOOK, path, Self::look).await;
    }

    /// Reads it if it has changed. Blocks while it does.
    fn look(&self) {
        match self.news(|path| file::read_text(path, MOST)) {
            None => {}
            Some(Ok(())) => info!(file = %self.path.display(), "cookies are made with new secrets"),
            Some(Err(why)) => {
                warn!(file = %self.path.display(), why, "the secrets of cookies that were read before still hold");
            }
        }
    }

    /// Takes the secrets that have not been read yet, or says what keeps it from that; `None`: there is nothing new.
    fn news(&self, read: impl FnOnce(&Path) -> io::Result<String>) -> Option<Result<(), String>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.news(Stamp::of(&self.path).ok(), || {
            let text = read(&self.path).map_err(|error| Fault::Unread(error.to_string()))?;
            self.cookies.secrets.store(Arc::new(Secrets::parse(&text).map_err(Fault::Bad)?));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::{Cookie, Standing};
    use std::fs;

    const ONE: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const OTHER: &str = "445536bcd2513298075a5d379663c962";

    #[test]
    fn a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let [path, next] = ["secret", "next"].map(|name| directory.path().join(name));
        let put = |text: &str| {
            fs::write(&next, text).unwrap();
            fs::rename(&next, &path).unwrap();
        };
        put(ONE);
        let file = SecretFile::open(&path).unwrap();
        let client = "192.0.2.9".parse().unwrap();
        let first = file.cookies.answer(&[7; 8], client).unwrap();
        let is_proved = |cookie: Cookie| {
            let answer = file.cookies.answer(&cookie.content, client).unwrap();
            answer.standing == Standing::Proved
        };
        for text in ["", "secret", "\u{FF}", &ONE.repeat(1_000)] {
            put(text);
            file.look();
            assert!(is_proved(first), "{text}");
        }
        fs::remove_file(&path).unwrap();
        file.look();
        assert!(is_proved(first), "a file that is gone");
        put(&format!("{OTHER}\n{ONE}\n"));
        file.look();
        let second = file.cookies.answer(&first.content, client).unwrap();
        assert!(
            second.standing == Standing::Proved && second.content != first.content,
            "it gets one of the new secret"
        );
        put(OTHER);
        file.look();
        assert!(is_proved(second) && !is_proved(first));
    }

    #[test]
    fn secrets_that_could_not_be_read_are_read_later_and_it_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let [path, next] = ["secret", "next"].map(|name| directory.path().join(name));
        fs::write(&path, ONE).unwrap();
        let file = SecretFile::open(&path).unwrap();
        let fails = |why: &'static str| file.news(|_| Err(io::Error::other(why)));
        let reads = || file.news(|path| fs::read_to_string(path));
        assert_eq!(fails("it is not even read"), None);
        let first = file.cookies.answer(&[7; 8], "192.0.2.9".parse().unwrap()).unwrap();
        for (text, outcome) in [(OTHER, Ok(())), ("bad", Err("line 1 is not 32 hexadecimal digits".to_owned()))] {
            fs::write(&next, text).unwrap();
            fs::rename(&next, &path).unwrap();
            assert_eq!(fails("no memory"), Some(Err("no memory".to_owned())));
            assert_eq!(fails("no memory"), None);
            assert_eq!(fails("no disk"), Some(Err("no disk".to_owned())));
            assert_eq!(reads(), Some(outcome));
            assert_eq!(reads(), None);
        }
        let now = file.cookies.answer(&first.content, "192.0.2.9".parse().unwrap()).unwrap();
        assert!(now.standing != Standing::Proved, "the secret is another");
        fs::rename(&path, &next).unwrap();
        assert!(reads().is_some_and(|news| news.is_err()));
        assert_eq!(reads(), None);
        fs::rename(&next, &path).unwrap();
        assert_eq!(reads(), None, "the same is back");
        fs::rename(&path, &next).unwrap();
        assert!(reads().is_some_and(|news| news.is_err()), "gone anew");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        for (text, why) in [
            ("", "there is no line of 32 hexadecimal digits"),
            ("\n\n", "there is no line of 32 hexadecimal digits"),
            ("e5e973e5a6b2a43f48e7dc849e37bfc", "line 1 is not 32 hexadecimal digits"),
            (&format!("\n{ONE}0"), "line 2 is not 32 hexadecimal digits"),
            (&format!("{ONE}\n+{}", &ONE[1..]), "line 2 is not 32 hexadecimal digits"),
            (&format!("{ONE}\n{ONE}\n{ONE}"), "there are more than two secrets"),
        ] {
            fs::write(&path, text).unwrap();
            let told = SecretFile::open(&path).unwrap_err().to_string();
            assert!(told.contains(why) && told.contains("secret: "), "{text:?}: {told}");
            assert!(!told.contains("e5e9"), "{told}");
        }
        let told = SecretFile::open(&directory.path().join("none")).unwrap_err().to_string();
        assert!(told.contains("none: No such file"), "{told}");
    }
}
