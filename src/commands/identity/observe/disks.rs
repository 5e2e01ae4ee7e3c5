//! Log dirs and data dirs. Nothing is written here. A disk that hangs is one that can't be read: each is read in a
//! thread of its own, within a limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clients::files;
use crate::commands::identity::plan::{Folder, Holds, Kind};
use crate::commands::identity::spec::disk;

/// Longest wait for one folder.
const WITHIN: Duration = Duration::from_secs(20);

/// Longest file that holds an id.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Most entries of a folder that are looked at: a broker has some thousand partitions in one.
const ENTRIES_MAX: usize = 1_000_000;

/// What each folder holds, in the order in which they were named.
pub async fn folders(kind: Kind, paths: &[PathBuf]) -> Vec<Folder> {
    let mut found = Vec::new();
    for path in paths {
        let (done, answer) = oneshot::channel();
        let of_thread = path.clone();
        // On a thread that nobody waits for: one that a dead disk holds can't be ended.
        std::thread::spawn(move || drop(done.send(look(kind, &of_thread))));
        let holds = match timeout(WITHIN, answer).await {
            Ok(Ok(holds)) => holds,
            _ => Holds::Unreadable(format!("no answer within {} s", WITHIN.as_secs())),
        };
        found.push(Folder { path: path.display().to_string(), holds });
    }
    found
}

fn look(kind: Kind, folder: &Path) -> Holds {
    look_into(kind, folder).unwrap_or_else(|error| Holds::Unreadable(error.to_string()))
}

fn look_into(kind: Kind, folder: &Path) -> io::Result<Holds> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(folder),
        entries => entries?,
    };
    let name = if kind == Kind::Kafka { "meta.properties" } else { "myid" };
    let path = folder.join(name);
    match files::read_bounded(&path, FILE_BYTES_MAX) {
        Ok(bytes) => {
            let source = path.display().to_string();
            let read = if kind == Kind::Kafka { disk::meta_properties } else { disk::myid };
            return Ok(read(&source, &bytes).map_or_else(Holds::Unreadable, Holds::Id));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(&path) => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
    for entry in entries.take(ENTRIES_MAX) {
        let entry = entry?;
        if let Some(name) = data_in(kind, &entry)? {
            return Ok(Holds::Data(name));
        }
    }
    Ok(Holds::Nothing)
}

/// A link that leads nowhere is no missing file.
fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A folder that is not there will be made by the broker; if the one above it is missing, too, no volume is mounted.
fn missing(folder: &Path) -> io::Result<Holds> {
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    if !is_link(folder) && above.is_some_and(Path::is_dir) {
        return Ok(Holds::Nothing);
    }
    Err(io::Error::other("neither it nor the folder above it is there; is the volume mounted?"))
}

/// The name of the entry where it holds data.
fn data_in(kind: Kind, entry: &fs::DirEntry) -> io::Result<Option<String>> {
    let name = entry.file_name().to_string_lossy().into_owned();
    if !entry.file_type()?.is_dir() {
        return Ok(None);
    }
    if kind == Kind::Kafka {
        return Ok(Some(name).filter(|name| disk::is_partition(name)));
    }
    // ZooKeeper's own folder, as `FileTxnSnapLog` names it.
    if name != "version-2" {
        return Ok(None);
    }
    let is_data = |file: &str| file.starts_with("snapshot.") || file.starts_with("log.");
    for inner in fs::read_dir(entry.path())?.take(ENTRIES_MAX) {
        let file = inner?.file_name().to_string_lossy().into_owned();
        if is_data(&file) {
            return Ok(Some(format!("version-2/{file}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(kind: Kind, make: impl FnOnce(&Path)) -> Holds {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        look(kind, folder.path())
    }

    fn with_file(name: &'static str, text: &'static str) -> impl FnOnce(&Path) {
        move |folder| fs::write(folder.join(name), text).unwrap()
    }

    #[test]
    fn an_empty_log_dir_holds_nothing_and_lost_and_found_is_no_data() {
        assert_eq!(holds(Kind::Kafka, |_| {}), Holds::Nothing);
        assert_eq!(holds(Kind::Kafka, |folder| fs::create_dir(folder.join("lost+found")).unwrap()), Holds::Nothing);
        assert_eq!(holds(Kind::Kafka, |folder| fs::write(folder.join(".lock"), "").unwrap()), Holds::Nothing);
        assert_eq!(holds(Kind::Zookeeper, |folder| fs::create_dir(folder.join("version-2")).unwrap()), Holds::Nothing);
    }

    #[test]
    fn data_without_an_id_is_not_empty() {
        let kafka = holds(Kind::Kafka, |folder| fs::create_dir(folder.join("orders-0")).unwrap());
        assert_eq!(kafka, Holds::Data("orders-0".into()));
        let zookeeper = holds(Kind::Zookeeper, |folder| {
            fs::create_dir(folder.join("version-2")).unwrap();
            fs::write(folder.join("version-2/snapshot.0"), "").unwrap();
        });
        assert_eq!(zookeeper, Holds::Data("version-2/snapshot.0".into()));
    }

    #[test]
    fn what_cannot_be_read_or_understood_is_never_empty() {
        let unreadable = |holds: Holds| matches!(holds, Holds::Unreadable(_));
        assert!(unreadable(holds(Kind::Kafka, with_file("meta.properties", ""))));
        assert!(unreadable(holds(Kind::Kafka, with_file("meta.properties", "version=1\nnode.id=$X\n"))));
        assert!(unreadable(holds(Kind::Zookeeper, with_file("myid", "0"))));
        assert!(unreadable(holds(Kind::Kafka, |folder| fs::create_dir(folder.join("meta.properties")).unwrap())));
        let dangling = |folder: &Path| std::os::unix::fs::symlink("nowhere", folder.join("meta.properties")).unwrap();
        assert!(unreadable(holds(Kind::Kafka, dangling)));
        assert!(unreadable(look(Kind::Kafka, Path::new("/nonexistent/data"))));
        assert!(unreadable(look(Kind::Kafka, Path::new("/dev/null"))));
    }

    #[test]
    fn a_log_dir_that_the_broker_will_make_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(Kind::Kafka, &folder.path().join("data")), Holds::Nothing);
    }
}
