//! The folders of a server. Nothing is written here. A disk that hangs is one that can't be read: it is read in a thread of its own,
//! within a limit.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clients::files;
use crate::cluster::ensemble::member::ServerId;
use crate::commands::ensemble::plan::prestart::{Disk, DiskFile, FoundFiles, Layout, Marker};
use crate::formats::ensemble_config::{self, TEXT_BYTES_MAX, check_members};
use crate::formats::properties::{self, FILE_BYTES_MAX};

/// Longest wait for the disk.
const WITHIN: Duration = Duration::from_secs(20);

/// Longest `myid` and marker.
const SMALL_BYTES_MAX: u64 = 4 << 10;

/// Most files of `version-2` that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// What stands in the folders; why that can't be known, where it can't.
pub async fn look_at_disk(layout: &Layout) -> Result<FoundFiles, String> {
    let (done, answer) = oneshot::channel();
    let of_thread = layout.clone();
    // On a thread that nobody waits for: one that a dead disk holds can't be ended.
    std::thread::spawn(move || drop(done.send(look(&of_thread))));
    match timeout(WITHIN, answer).await {
        Ok(Ok(found)) => found,
        _ => Err(format!("{}: no answer within {} s", layout.data, WITHIN.as_secs())),
    }
}

fn look(layout: &Layout) -> Result<FoundFiles, String> {
    let data = Path::new(&layout.data);
    // One that is missing is made; if the one above it is missing, too, no volume is mounted.
    if !data.is_dir() && !files::folder_of(data).is_dir() {
        return Err(format!("neither {} nor the folder above it is there; is the volume mounted?", layout.data));
    }
    let settings = settings(layout)?;
    let dynamic = settings.as_ref().and_then(|settings| settings.get("dynamicConfigFile"));
    let dynamic = dynamic.cloned().unwrap_or_else(|| layout.dynamic());
    let in_folder = |folder: &String| has_data(Path::new(folder)).map_err(|error| shown(folder, &error));
    let mut has_data = in_folder(&layout.data)?;
    if let Some(log) = &layout.log {
        has_data |= in_folder(log)?;
    }
    let disk = Disk {
        myid: myid(&layout.myid())?,
        marker: marker(&layout.marker())?,
        file: dynamic_file(&dynamic)?,
        has_data,
        epoch: epoch(&layout.data)?,
        is_writable: files::may_write_in(Path::new(&layout.conf)).map_err(|error| shown(&layout.conf, &error))?,
    };
    let initialize = layout.initialize().into_iter().filter(|path| fs::symlink_metadata(path).is_ok()).collect();
    Ok(FoundFiles { disk, settings, dynamic, initialize })
}

fn shown(path: &str, error: &io::Error) -> String {
    format!("{path}: {error}")
}

/// A file, if it is there. A link that leads nowhere is no missing file.
fn bytes(path: &str, max: u64) -> Result<Option<Vec<u8>>, String> {
    match files::read_bounded(Path::new(path), max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => Ok(None),
        Err(error) => Err(shown(path, &error)),
    }
}

/// zoo.cfg, if it is there; one that can't be understood is written anew.
fn settings(layout: &Layout) -> Result<Option<BTreeMap<String, String>>, String> {
    let path = layout.zoo_cfg();
    let Some(bytes) = bytes(&path, FILE_BYTES_MAX as u64)? else { return Ok(None) };
    let found = properties::parse(&path, &bytes);
    let pair = |property: &properties::Property| (property.key.clone(), property.value().trim().to_owned());
    Ok(found.ok().map(|found| found.iter().map(pair).collect()))
}

fn myid(path: &str) -> Result<Option<Result<ServerId, String>>, String> {
    let Some(bytes) = bytes(path, SMALL_BYTES_MAX)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok(Some(text.parse().map_err(|_| text.chars().take(40).collect())))
}

fn marker(path: &str) -> Result<Option<Marker>, String> {
    let Some(bytes) = bytes(path, SMALL_BYTES_MAX)? else { return Ok(None) };
    let wrong = |error| format!("{path} is no marker of a member: {error}");
    serde_json::from_slice(&bytes).map(Some).map_err(wrong)
}

fn dynamic_file(path: &str) -> Result<DiskFile, String> {
    let Some(bytes) = bytes(path, TEXT_BYTES_MAX as u64)? else { return Ok(DiskFile::Absent) };
    let read = ensemble_config::read(path, &bytes).map_err(|faults| faults.to_string());
    Ok(match read.and_then(|read| check_members(&read.config).map(|()| read.config)) {
        Ok(config) => DiskFile::Read(config),
        Err(why) => DiskFile::Unreadable(why),
    })
}

/// The higher one of the epochs that a server keeps (`QuorumPeer`: `version-2/currentEpoch` and `acceptedEpoch`), if it has one. Of an
/// empty disk on which `zookeeper.db.autocreate` allows no data it is -1.
fn epoch(data: &str) -> Result<Option<u64>, String> {
    let of = |name: &str| {
        let path = format!("{data}/version-2/{name}");
        let Some(bytes) = bytes(&path, SMALL_BYTES_MAX)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().parse::<i64>() {
            Ok(epoch) => Ok(u64::try_from(epoch).ok()),
            Err(_) => Err(format!("{path}: `{}` is no epoch", text.trim().chars().take(40).collect::<String>())),
        }
    };
    Ok(of("currentEpoch")?.max(of("acceptedEpoch")?))
}

/// Whether there is any snapshot or transaction log (`FileTxnSnapLog`: `version-2/snapshot.ZXID`, `version-2/log.ZXID`).
fn has_data(folder: &Path) -> io::Result<bool> {
    let folder: PathBuf = folder.join("version-2");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries.take(ENTRIES_MAX) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("snapshot.") || name.starts_with("log.") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path) -> Layout {
        let data = folder.display().to_string();
        Layout { conf: format!("{data}/conf"), data, log: None }
    }

    #[test]
    fn an_empty_folder_is_empty_and_one_that_is_not_mounted_is_no_empty_disk() {
        let folder = tempfile::tempdir().unwrap();
        let found = look(&layout(folder.path())).unwrap();
        let empty =
            Disk { myid: None, marker: None, file: DiskFile::Absent, has_data: false, epoch: None, is_writable: true };
        assert_eq!((found.disk, found.settings, found.initialize), (empty, None, Vec::new()));
        assert!(look(&layout(Path::new("/nonexistent/data"))).unwrap_err().contains("is the volume mounted?"));
    }

    #[test]
    fn a_cut_file_is_unreadable_and_what_is_no_id_is_no_missing_id() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("myid", "zk\n");
        write("version-2/acceptedEpoch", "7\n");
        write("version-2/currentEpoch", "-1");
        write("conf/zoo.cfg.dynamic", "");
        write("version-2/log.1", "");
        write("initialize", "");
        let found = look(&layout(folder.path())).unwrap();
        assert_eq!(found.disk.myid, Some(Err("zk".to_owned())));
        assert!(matches!(found.disk.file, DiskFile::Unreadable(_)) && found.disk.has_data);
        assert_eq!(found.initialize.len(), 1);
        write("conf/zoo.cfg", "tickTime=1\ndynamicConfigFile=/elsewhere/x\n");
        assert_eq!(look(&layout(folder.path())).unwrap().dynamic, "/elsewhere/x");
        write(".member", "{");
        assert!(look(&layout(folder.path())).unwrap_err().contains("is no marker"));
    }
}
