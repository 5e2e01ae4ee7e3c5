//! Files that a person names on the command line, as `--out` and `--observed`.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::clients::files::reading::{may_be_opened, open};

/// Links that lead to links, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// Longest wait for another process that opens a named pipe to read what we write.
const READER_WAIT: Duration = Duration::from_secs(2);
const READER_POLL: Duration = Duration::from_millis(20);

/// Who may read a file that is made new. One that exists keeps its mode, and its owner where we may set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone (0600).
    Owner,
    /// Whom the process's umask lets (0666 less the umask).
    Umask,
    /// Everyone, whatever the umask (0644): a collector of metrics is another user.
    Everyone,
}

/// Writes a whole file: into a new one beside it, to the disk, then renamed. What is no regular file, as a pipe or
/// `/dev/stdout`, is written to as it is; a link stays, and what it leads to is replaced.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>, readers: Readers) -> io::Result<()> {
    let (bytes, path) = (bytes.as_ref(), target(path)?);
    let there = fs::metadata(&path).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return open_to_write(&path)?.write_all(bytes);
    }
    let beside = beside(&path, bytes, readers, there.as_ref())?;
    beside.persist(&path)?;
    File::open(folder_of(&path))?.sync_all()
}

/// Writes a whole file, as [`write()`] does, into a folder that is made where it is missing.
pub fn write_with_folder(path: &Path, bytes: impl AsRef<[u8]>, readers: Readers) -> io::Result<()> {
    make_folder(folder_of(path))?;
    write(path, bytes, readers)
}

/// Writes files of one folder, which is made where it is missing. None is replaced before all are on the disk; the
/// last one is replaced last. The error names the file.
pub fn write_all(folder: &Path, files: &[(&str, String)], readers: Readers) -> Result<(), (PathBuf, io::Error)> {
    make_folder(folder).map_err(|error| (folder.to_owned(), error))?;
    let mut written = Vec::new();
    for (name, text) in files {
        let named = folder.join(name);
        let prepared = target(&named).and_then(|path| {
            let there = fs::metadata(&path).ok();
            if there.as_ref().is_some_and(|there| !there.is_file()) {
                return Err(io::Error::other("it is there and is no regular file"));
            }
            Ok((beside(&path, text.as_bytes(), readers, there.as_ref())?, path))
        });
        written.push(prepared.map_err(|error| (named, error))?);
    }
    for (file, path) in written {
        file.persist(&path).map_err(|error| (path, error.error))?;
    }
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| (folder.to_owned(), error))
}

/// Makes a folder that a person names, and those above it.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Whether files can be made in a folder, as far as its mode and its file system say; of one that is missing, whether it can be
/// made.
pub fn may_write_in(folder: &Path) -> io::Result<bool> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    match rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(there.is_dir()),
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads a file of at most `max` bytes, as [`open`] opens it; a longer one is an error of the kind
/// [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let reading = open(path)?;
    let length = reading.file().metadata()?.len();
    bounded(reading, length, max)
}

/// Whether a file that a library reads by itself has at most `max` bytes, and an end. A pipe that this process was given open is
/// read only once, by the library.
pub fn check_length(path: &Path, max: u64) -> io::Result<()> {
    let found = fs::metadata(path)?;
    may_be_opened(path, &found)?;
    if found.is_file() && found.len() > max { Err(too_long(max)) } else { Ok(()) }
}

/// Reads a text of at most `max` bytes, as [`read_bounded`] does.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read_bounded(path, max)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("it is not UTF-8: {}", error.utf8_error())))
}

fn too_long(max: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max} bytes"))
}

/// Reads what is open, of about this length, to its end, if that comes within `max` bytes.
pub(super) fn bounded(file: impl Read, length: u64, max: u64) -> io::Result<Vec<u8>> {
    if length > max {
        return Err(too_long(max));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(too_long(max)) } else { Ok(bytes) }
}

/// Opens a pipe, a terminal or a device. A named pipe that nobody reads from would hold us up for ever.
fn open_to_write(path: &Path) -> io::Result<File> {
    let until = Instant::now() + READER_WAIT;
    loop {
        let opened = OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
        match opened {
            Ok(file) => {
                fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
                return Ok(file);
            }
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                if Instant::now() >= until {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no process reads from this pipe"));
                }
                std::thread::sleep(READER_POLL);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Where a path leads, links followed. The last link may lead to a file that is not there yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        // Links of /proc, as /dev/stdout, can be opened but not followed by name: `pipe:[123]`.
        if fs::metadata(&path).is_ok() {
            return Ok(path.canonicalize().unwrap_or(path));
        }
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links lead to links"))
}

/// The folder of a path; that of a mere name is the working folder.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file with its bytes on the disk, beside the one that it will replace.
fn beside(path: &Path, bytes: &[u8], readers: Readers, there: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Umask => 0o666,
        Readers::Everyone => 0o644,
    };
    let new = Permissions::from_mode(if there.is_some() { 0o600 } else { mode });
    let mut beside = tempfile::Builder::new().permissions(new).tempfile_in(folder_of(path))?;
    beside.write_all(bytes)?;
    let file = beside.as_file();
    match there {
        Some(there) => keep_owner_and_mode(file, there)?,
        None if readers == Readers::Everyone => file.set_permissions(Permissions::from_mode(mode))?,
        None => {}
    }
    file.sync_all()?;
    Ok(beside)
}

fn keep_owner_and_mode(file: &File, there: &Metadata) -> io::Result<()> {
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) != (there.uid(), there.gid()) {
        // Only root may give a file away; a group is set by its members. What can't be kept becomes ours.
        let both = fchown(file, Some(there.uid()), Some(there.gid()));
        drop(both.or_else(|_| fchown(file, None, Some(there.gid()))));
    }
    file.set_permissions(Permissions::from_mode(there.mode() & 0o7777))
}
