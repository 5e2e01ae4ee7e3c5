//! Opens what is to be read, for every file that this program reads: nothing that it opens holds it up.
//!
//! A path leads to a regular file, links followed. A named pipe, a socket or a device is refused at once: whoever put it there
//! decides whether an end ever comes. `/dev/null` is an empty file. What this process was given open is read, too: `/dev/stdin`,
//! and `/dev/fd/63`, as shells write `<(…)`; there data is waited for a while.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// Longest wait for the end of what a shell's `<(…)` writes.
const PIPE_WITHIN: Duration = Duration::from_mins(1);

/// The pause between two looks whether a pipe has data.
const PIPE_POLL: Duration = Duration::from_millis(10);

/// Folders in which the files stand that this process was given open.
const GIVEN: [&str; 3] = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"];

/// Names of its standard input: a person may type there, for as long as it takes.
const STDIN: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// An open file: a regular one, or what this process was given open.
#[derive(Debug)]
pub struct Reading {
    file: File,
    /// Until when data is waited for; none waits for ever.
    until: Option<Instant>,
}

/// Opens a file to read it. What is no regular file is an error of the kind [`io::ErrorKind::InvalidInput`] that says what it is.
pub fn open(path: &Path) -> io::Result<Reading> {
    open_within(path, PIPE_WITHIN)
}

fn open_within(path: &Path, pipe_within: Duration) -> io::Result<Reading> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    let is_stdin = STDIN.iter().any(|name| path == Path::new(name));
    if !found.is_file() && !is_null(&found) && !is_stdin && !is_given(path, &found) {
        return Err(refused(&found));
    }
    Ok(Reading { file, until: (!is_stdin).then(|| Instant::now() + pipe_within) })
}

impl Reading {
    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.until.is_some_and(|until| Instant::now() >= until) {
                let words = "what writes to it did not come to its end in time";
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            std::thread::sleep(PIPE_POLL);
        }
    }
}

/// Whether this is what a shell makes of `<(…)`: the end of a pipe, or a terminal.
fn is_given(path: &Path, found: &Metadata) -> bool {
    let kind = found.file_type();
    let is_open_here = path.to_str().is_some_and(|path| GIVEN.iter().any(|folder| path.starts_with(folder)));
    is_open_here && (kind.is_fifo() || kind.is_char_device())
}

/// Refuses what is no regular file, by its name.
pub(super) fn refused(found: &Metadata) -> io::Error {
    let kind = found.file_type();
    if kind.is_dir() {
        return io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a regular file");
    }
    let what = match (kind.is_fifo(), kind.is_socket()) {
        (true, _) => "a named pipe",
        (_, true) => "a socket",
        _ => "a device",
    };
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a regular file"))
}

/// Whether it is `/dev/null`: Linux gives it the numbers 1 and 3.
pub(super) fn is_null(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0x103
}

/// Whether a library may open this path by itself: it would wait for a named pipe, and read a device without an end.
pub(super) fn may_be_opened(path: &Path, found: &Metadata) -> io::Result<()> {
    let is_stdin = STDIN.iter().any(|name| path == Path::new(name));
    if found.is_file() || found.is_dir() || is_null(found) || is_stdin || is_given(path, found) {
        return Ok(());
    }
    Err(refused(found))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn text(reading: io::Result<Reading>) -> io::Result<String> {
        let mut text = String::new();
        reading?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn a_named_pipe_a_socket_and_a_device_are_refused_at_once_also_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket, link) =
            (folder.path().join("pipe"), folder.path().join("socket"), folder.path().join("link"));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let begun = Instant::now();
        for path in [&pipe, &link] {
            let error = open(path).unwrap_err();
            assert_eq!(error.to_string(), "it is a named pipe, not a regular file");
        }
        assert!(open(&socket).is_err());
        assert_eq!(open(Path::new("/dev/zero")).unwrap_err().to_string(), "it is a device, not a regular file");
        assert!(open(folder.path()).unwrap_err().to_string().contains("folder"));
        assert_eq!(text(open(Path::new("/dev/null"))).unwrap(), "");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn what_a_shell_gives_as_a_file_is_read_to_its_end_and_no_longer_than_its_time() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let given = open(Path::new(&path));
        writer.write_all(b"topics: []\n").unwrap();
        drop(writer);
        assert_eq!(text(given).unwrap(), "topics: []\n");
        let (reader, _writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let error = text(open_within(Path::new(&path), Duration::from_millis(30))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_file_that_was_given_open_is_read_from_its_begin() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        file.rewind().unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert_eq!(text(open(Path::new(&path))).unwrap(), "text");
    }
}
