//! Files of the state folder. Only this tool writes there: files are 0600, folders 0700, and what is found wider and is
//! ours is narrowed. A link, pipe or device is never followed, waited for or cut: the error names it and says what to
//! do.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::named::{bounded, folder_of};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The endings of files that are not finished yet: [`write()`] makes them, and a killed process leaves them.
const UNFINISHED: &str = ".unfinished";

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// To be read.
    Read,
    /// To be read and appended to.
    Append,
    /// The same, made where it is missing.
    AppendOrCreate,
    /// To be read and written anywhere, made where it is missing: a lock with words in it.
    WriteOrCreate,
    /// To be appended to; it must not be there yet.
    CreateNew,
}

/// Makes a folder in the state folder, or the state folder itself, with those above it that are missing, or narrows the
/// mode of the one that is there. A state folder may be a link, as a person named it: whoever calls this for a folder
/// within it calls [`inner_folder`].
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    let file = File::open(path)?;
    narrow(&file, &file.metadata()?, FOLDER_MODE);
    Ok(())
}

/// The same for a folder within the state folder: a link is refused.
pub fn inner_folder(path: &Path) -> io::Result<()> {
    folder(folder_of(path))?;
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    let how = OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(bits(how)).open(path);
    let file = file.map_err(|error| said(path, error, "a folder"))?;
    narrow(&file, &file.metadata()?, FOLDER_MODE);
    Ok(())
}

/// Opens a file of the state folder. What is no regular file is an error at once.
pub fn open(path: &Path, how: Opened) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE).custom_flags(bits(OFlags::NOFOLLOW | OFlags::NONBLOCK)).read(true);
    match how {
        Opened::Read => &mut options,
        Opened::Append => options.append(true),
        Opened::AppendOrCreate => options.append(true).create(true),
        Opened::WriteOrCreate => options.write(true).create(true).truncate(false),
        Opened::CreateNew => options.append(true).create_new(true),
    };
    let file = options.open(path).map_err(|error| said(path, error, "a regular file"))?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(refused(path, &found, "a regular file"));
    }
    narrow(&file, &found, FILE_MODE);
    Ok(file)
}

/// Reads a file of at most `max` bytes. None if it is not there.
pub fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    match open(path, Opened::Read) {
        Ok(file) => {
            let length = file.metadata()?.len();
            bounded(file, length, max).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a whole file, on the disk when this returns.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let folder = folder_of(path);
    if let Ok(found) = fs::symlink_metadata(path)
        && !found.is_file()
    {
        return Err(refused(path, &found, "a regular file"));
    }
    let own = Permissions::from_mode(FILE_MODE);
    let mut beside = tempfile::Builder::new().suffix(UNFINISHED).permissions(own).tempfile_in(folder)?;
    beside.write_all(bytes.as_ref())?;
    beside.as_file().sync_all()?;
    beside.persist(path)?;
    sync_folder(folder)
}

/// Waits until what was made, renamed and removed in a folder would survive a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The paths in a folder with an ending, as `jsonl`, in the order of their names. A folder that is not there has none,
/// nor has one that can't be listed: that is for the next write to say.
pub fn list(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    paths
}

fn bits(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

/// Takes rights away from others, if the file is ours and its file system lets us.
fn narrow(file: &File, found: &Metadata, mode: u32) {
    let is_wider = found.mode() & 0o777 & !mode != 0;
    if is_wider && found.uid() == rustix::process::geteuid().as_raw() {
        drop(file.set_permissions(Permissions::from_mode(mode)));
    }
}

/// What is in the way, where the kernel's word for it does not say.
fn said(path: &Path, error: io::Error, wanted: &str) -> io::Error {
    match fs::symlink_metadata(path) {
        Ok(found) if is_in_the_way(&found, wanted) => refused(path, &found, wanted),
        _ => error,
    }
}

fn is_in_the_way(found: &Metadata, wanted: &str) -> bool {
    if wanted == "a folder" { !found.is_dir() } else { !found.is_file() }
}

fn refused(path: &Path, found: &Metadata, wanted: &str) -> io::Error {
    let kind = found.file_type();
    let what = match () {
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () if kind.is_dir() => "a folder",
        () => "a regular file",
    };
    let path = path.display();
    io::Error::other(format!("{path} is {what}; the state folder may only have {wanted} there: remove it"))
}
