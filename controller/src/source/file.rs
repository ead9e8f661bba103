//! Reading one manifest file, whatever stands under its name: never blocks, never reads without bound.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Clocks of file systems tick this slowly at worst: a file that changed within one tick of its reading may change
/// again and keep its stamp.
const CLOCK_TICK: Duration = Duration::from_millis(50);

/// What tells that a file is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp of what stands under that name now; `None` where nothing does.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    /// Whether a later change would surely change the stamp.
    fn is_settled(metadata: &Metadata) -> bool {
        let settled = |changed: SystemTime| changed.elapsed().is_ok_and(|age| age > CLOCK_TICK);
        metadata.modified().is_ok_and(settled)
    }
}

/// A file's text.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) text: String,
    /// `None` where the stamp could not tell a later change.
    pub(super) stamp: Option<Stamp>,
    /// Whether it changed while it was read, so that its text may be half of one and half of another.
    pub(super) is_torn: bool,
}

/// Why a file's text is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Nothing stands under that name.
    #[error("does not exist")]
    Gone,
    /// It has no text of its own.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// More than [`MAX_FILE`].
    #[error("has more than {} MiB", MAX_FILE / 1024 / 1024)]
    TooLarge,
    /// Bytes that are no text.
    #[error("is not UTF-8 text")]
    NotText {
        /// Of the first such byte.
        line: u32,
    },
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone,
            // What open() says of a socket, and of a device without a driver.
            _ if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENODEV)) => {
                Self::NotAFile("a socket or device")
            }
            _ => Self::Io(error),
        }
    }
}

/// Opens a file, and waits for nobody: without O_NONBLOCK the open of a FIFO would wait for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Content, ReadError> {
    let file = open(path)?;
    let before = file.metadata()?;
    check_type(&before)?;
    if before.size() > MAX_FILE {
        return Err(ReadError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.size()).unwrap_or(0));
    (&file).take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ReadError::TooLarge);
    }
    let after = file.metadata()?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let lines = valid.iter().filter(|&&byte| byte == b'\n').count();
        ReadError::NotText { line: u32::try_from(lines + 1).unwrap_or(u32::MAX) }
    })?;
    Ok(Content {
        text,
        stamp: Stamp::is_settled(&after).then(|| Stamp::of(&after)),
        is_torn: Stamp::of(&before) != Stamp::of(&after),
    })
}

fn check_type(metadata: &Metadata) -> Result<(), ReadError> {
    let file_type = metadata.file_type();
    match () {
        () if file_type.is_file() => Ok(()),
        () if file_type.is_dir() => Err(ReadError::NotAFile("a directory")),
        () if file_type.is_fifo() => Err(ReadError::NotAFile("a FIFO")),
        () if file_type.is_socket() => Err(ReadError::NotAFile("a socket")),
        () => Err(ReadError::NotAFile("a device")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    fn refusal(path: &Path) -> String {
        read(path).expect_err("refused").to_string()
    }

    #[test]
    fn a_file_is_read_with_its_stamp() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.yaml");
        fs::write(&path, "a: 1\n").expect("written");
        let fresh = read(&path).expect("readable");
        assert_eq!((fresh.text.as_str(), fresh.stamp, fresh.is_torn), ("a: 1\n", None, false));
        let old = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(&path).expect("open").set_modified(old).expect("a time");
        assert_eq!(read(&path).expect("readable").stamp, Stamp::of_path(&path));
        assert!(Stamp::of_path(&path).is_some());
    }

    #[test]
    fn what_is_no_file_is_named_and_never_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("fifo.yaml");
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
        assert_eq!(refusal(&fifo), "is a FIFO, not a file");
        let socket = dir.path().join("socket.yaml");
        let _listener = UnixListener::bind(&socket).expect("bound");
        assert_eq!(refusal(&socket), "is a socket or device, not a file");
        assert_eq!(refusal(dir.path()), "is a directory, not a file");
        assert_eq!(refusal(Path::new("/dev/zero")), "is a device, not a file");
        assert_eq!(refusal(&dir.path().join("none")), "does not exist");
        assert_eq!(refusal(&fifo.join("below")), "does not exist");
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.yaml");
        fs::write(&path, b"a: 1\nb: \xff\n").expect("written");
        assert!(matches!(read(&path), Err(ReadError::NotText { line: 2 })));
        File::create(&path).expect("created").set_len(MAX_FILE + 1).expect("sparse");
        assert_eq!(refusal(&path), "has more than 64 MiB");
    }
}
