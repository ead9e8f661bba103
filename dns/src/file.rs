//! Files that are named to the server, and looked at again: by what it is seen that one has changed, how it is read, and
//! what is done where it cannot be.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    inode: u64,
    /// Bytes.
    len: u64,
    /// Seconds and nanoseconds of its last change.
    changed: (i64, i64),
}

impl Stamp {
    /// The time of its last change, since 1970; nanoseconds.
    pub(crate) fn changed(&self) -> i64 {
        let (seconds, nanoseconds) = self.changed;
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
    }

    /// # Errors
    /// There is none, or it cannot be looked at.
    pub(crate) fn of(path: impl AsRef<Path>) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { inode: found.ino(), len: found.len(), changed: (found.mtime(), found.mtime_nsec()) })
    }
}

/// What is known of one file or several that are looked at again; `S`: what tells their states apart.
#[derive(Debug)]
pub(crate) struct Seen<S> {
    /// What they were when their content was last taken, or found to be bad. `None`: never.
    read: Option<S>,
    /// What they were when they could not be read, and why; it is told once.
    unread: Option<(S, String)>,
}

/// Why nothing is taken of files.
#[derive(Debug)]
pub(crate) enum Fault {
    /// They could not be read, which may be over the next time though they are the same.
    Unread(String),
    /// What they hold is of no use.
    Bad(String),
}

impl<S: PartialEq> Seen<S> {
    pub(crate) fn new(read: Option<S>) -> Self {
        Self { read, unread: None }
    }

    /// Reads files that are other ones than before, as they are `now`, or says what is wrong; `None`: there is nothing new.
    pub(crate) fn news(&mut self, now: S, read: impl FnOnce() -> Result<(), Fault>) -> Option<Result<(), String>> {
        if self.read.as_ref() == Some(&now) {
            self.unread = None;
            return None;
        }
        let outcome = match read() {
            Err(Fault::Unread(why)) => {
                let is_told = self.unread.as_ref().is_some_and(|(was, told)| *was == now && *told == why);
                self.unread = Some((now, why.clone()));
                return (!is_told).then_some(Err(why));
            }
            Err(Fault::Bad(why)) => Err(why),
            Ok(()) => Ok(()),
        };
        (self.read, self.unread) = (Some(now), None);
        Some(outcome)
    }
}

/// Looks at what `file` is read for now, and each time that `every` is over, until it is dropped.
pub(crate) async fn watch<T: Send + Sync + 'static>(of: Arc<T>, every: Duration, file: String, look: fn(&T)) {
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let of = Arc::clone(&of);
        if let Err(error) = tokio::task::spawn_blocking(move || look(&of)).await {
            warn!(file, %error, "it was not looked at");
        }
    }
}

/// The text of a file of at most `most` bytes. Blocks while it is read.
///
/// # Errors
/// It cannot be read, is no regular file, is longer, or is not UTF-8.
pub(crate) fn read_text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The same of a file that need not be UTF-8, as few bytes of it matter: each that is not is U+FFFD.
///
/// # Errors
/// It cannot be read, is no regular file, or is longer.
pub(crate) fn read_lossily(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    read(path, most).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The bytes of one, whatever it holds.
pub(crate) fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    within(bytes.len() as u64, most)?;
    Ok(bytes)
}

/// # Errors
/// A file of `len` bytes is longer than `most`.
pub(crate) fn within(len: u64, most: u64) -> io::Result<()> {
    if len > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most} bytes")));
    }
    Ok(())
}

/// Opens a file to be read.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    // Opening a pipe that nobody writes to would wait for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_anything_else_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let told = |most| read_text(&path, most).map_err(|error| error.to_string());
        assert!(told(4).unwrap_err().contains("No such file"));
        fs::write(&path, "four").unwrap();
        assert_eq!(told(4).unwrap(), "four");
        assert_eq!(told(3).unwrap_err(), "it is larger than 3 bytes");
        fs::write(&path, [0xFF]).unwrap();
        assert_eq!(told(4).unwrap_err(), "it is not UTF-8");
        assert_eq!(read(&path, 4).unwrap(), [0xFF]);
        fs::write(&path, b"a\xE9b").unwrap();
        assert_eq!(read_lossily(&path, 3).unwrap(), "a\u{fffd}b");
        assert_eq!(read_lossily(&path, 2).unwrap_err().to_string(), "it is larger than 2 bytes");
        assert_eq!(read(directory.path(), 4).unwrap_err().to_string(), "it is no regular file");
    }

    #[test]
    fn what_could_not_be_read_is_read_later_and_what_is_bad_is_not() {
        let mut seen = Seen::new(Some(1));
        let unread = |why: &str| Err(Fault::Unread(why.to_owned()));
        let told = |why: &str| Some(Err(why.to_owned()));
        assert_eq!(seen.news(1, || unread("it is not even tried")), None);
        for (now, outcome, expected) in [
            (2, unread("no memory"), told("no memory")),
            (2, unread("no memory"), None),
            (2, unread("no disk"), told("no disk")),
            (3, unread("no disk"), told("no disk")),
            (3, Err(Fault::Bad("bad".to_owned())), told("bad")),
            (3, unread("it is not tried again"), None),
            (4, unread("gone"), told("gone")),
            (3, Ok(()), None),
            (4, unread("gone"), told("gone")),
            (4, Ok(()), Some(Ok(()))),
        ] {
            assert_eq!(seen.news(now, || outcome), expected, "{now}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_is_another_be_it_as_long() {
        let directory = tempfile::tempdir().unwrap();
        let [path, next] = ["file", "next"].map(|name| directory.path().join(name));
        assert!(Stamp::of(&path).is_err());
        fs::write(&path, "one").unwrap();
        let before = Stamp::of(&path).unwrap();
        assert_eq!(Stamp::of(&path).unwrap(), before);
        fs::write(&next, "two").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_ne!(Stamp::of(&path).unwrap(), before);
    }
}
