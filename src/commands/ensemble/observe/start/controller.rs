//! The disk of a KRaft controller. Nothing is written here; a disk that hangs is one that can't be read.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clients::files;
use crate::cluster::quorum::DirectoryId;
use crate::commands::ensemble::plan::kraft::prestart::{Disk, Meta};
use crate::commands::ensemble::spec::controller::Properties;
use crate::commands::identity::spec::disk::meta_properties;

/// Longest wait for the disk.
const WITHIN: Duration = Duration::from_secs(20);

/// Longest `meta.properties`.
const META_BYTES_MAX: u64 = 64 << 10;

/// The folder of the metadata log.
const METADATA_LOG: &str = "__cluster_metadata-0";

/// The snapshot that `kafka-storage format --standalone` writes: offset 0 of epoch 0, with the only voter in it.
const STANDALONE: &str = "00000000000000000000-0000000000.checkpoint";

/// What stands on the disk; why that can't be known, where it can't.
pub async fn look_at_controller_disk(properties: &Properties) -> Result<Disk, String> {
    let (done, answer) = oneshot::channel();
    let of_thread = properties.clone();
    // On a thread that nobody waits for: one that a dead disk holds can't be ended.
    std::thread::spawn(move || drop(done.send(look(&of_thread))));
    match timeout(WITHIN, answer).await {
        Ok(Ok(found)) => found,
        _ => Err(format!("{}: no answer within {} s", properties.metadata_dir, WITHIN.as_secs())),
    }
}

fn look(properties: &Properties) -> Result<Disk, String> {
    let folder = Path::new(&properties.metadata_dir);
    // A folder that is missing is made by Kafka; if the one above it is missing, too, no volume is mounted.
    if !folder.is_dir() && !files::folder_of(folder).is_dir() {
        return Err(format!("neither {} nor the folder above it is there; is the volume mounted?", folder.display()));
    }
    let log = folder.join(METADATA_LOG);
    let has_log = is_there(&log)?;
    let mut remains = has_log.then(|| format!("{} is there", log.display()));
    for other in &properties.other_dirs {
        let path = Path::new(other).join("meta.properties");
        if is_there(&path)? {
            remains = Some(format!("{} is there", path.display()));
        }
    }
    Ok(Disk { meta: meta(&folder.join("meta.properties"))?, remains, is_standalone: is_there(&log.join(STANDALONE))? })
}

fn is_there(path: &Path) -> Result<bool, String> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn meta(path: &Path) -> Result<Option<Meta>, String> {
    let source = path.display().to_string();
    let bytes = match files::read_bounded(path, META_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(path)? => return Ok(None),
        Err(error) => return Err(format!("{source}: {error}")),
    };
    let found = meta_properties(&source, &bytes)?;
    let directory = found.directory_id.as_deref().map(str::parse::<DirectoryId>).transpose();
    let directory = directory.map_err(|why| format!("{source}: directory.id: {why}"))?;
    Ok(Some(Meta { node: found.id.into(), cluster_id: found.cluster_id, directory }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ensemble::spec::controller::read;

    #[test]
    fn a_disk_is_empty_or_formatted_or_has_remains_and_never_something_between() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("process.roles=controller\nlog.dirs={}\n", folder.path().display());
        let properties = read("x", text.as_bytes()).unwrap();
        assert_eq!(look(&properties).unwrap(), Disk::default());
        let log = folder.path().join(METADATA_LOG);
        fs::create_dir(&log).unwrap();
        assert!(look(&properties).unwrap().remains.unwrap().contains(METADATA_LOG));
        fs::write(log.join(STANDALONE), "").unwrap();
        let meta = "version=1\nnode.id=1\ncluster.id=a\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\n";
        fs::write(folder.path().join("meta.properties"), meta).unwrap();
        let disk = look(&properties).unwrap();
        assert!(disk.is_standalone && disk.meta.unwrap().directory.is_some());
        for wrong in ["", "version=1\nnode.id=1\ndirectory.id=x\n"] {
            fs::write(folder.path().join("meta.properties"), wrong).unwrap();
            assert!(look(&properties).is_err(), "{wrong}");
        }
    }
}
