//! The folder of a server's zoo.cfg: the configuration from which that server would restart. Only whoever sees the disk knows it:
//! ZooKeeper answers a change as made though a server could not write its folder.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::clients::files::{in_time, read_bounded};
use crate::formats::properties::{self, FILE_BYTES_MAX};

/// A server has a change in memory a moment before it has written it: a file that is behind is read again after this time.
const WRITES_WITHIN: Duration = Duration::from_millis(300);

/// The version of the configuration in a folder, once it is not behind `served`, or after a moment. A file that ZooKeeper has not
/// written has version 0.
///
/// # Errors
///
/// What can't be read, or not before the deadline, in words.
pub async fn stored_version(folder: &Path, served: u64, deadline: Instant) -> Result<u64, String> {
    let read = async || {
        let of_thread = folder.to_owned();
        let read = in_time(&folder.display().to_string(), deadline, move || version(&of_thread)).await;
        read.unwrap_or_else(Err)
    };
    let found = read().await;
    let again = Instant::now() + WRITES_WITHIN;
    if again < deadline && found.as_ref().is_ok_and(|version| *version < served) {
        sleep_until(again).await;
        return read().await;
    }
    found
}

/// The version of the file that zoo.cfg names: its name ends in it, in hexadecimal digits (`zoo.cfg.dynamic.100000000`). A file without
/// a version was not written by ZooKeeper: 0.
fn version(folder: &Path) -> Result<u64, String> {
    let path = folder.join("zoo.cfg");
    let source = path.display().to_string();
    let bytes =
        read_bounded(&path, FILE_BYTES_MAX as u64).map_err(|error| format!("failed to read {source}: {error}"))?;
    let found = properties::parse(&source, &bytes).map_err(|faults| faults.to_string())?;
    let named = found.iter().rev().find(|property| property.key == "dynamicConfigFile");
    let name = named.map(|property| property.value().trim().to_owned());
    let name = name.ok_or_else(|| format!("{source} has no dynamicConfigFile"))?;
    Ok(name.rsplit_once(".dynamic.").and_then(|(_, version)| u64::from_str_radix(version, 16).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_on_disk_is_the_end_of_the_name_that_zoo_cfg_has() {
        let folder = tempfile::tempdir().unwrap();
        let with = |text: &str| {
            std::fs::write(folder.path().join("zoo.cfg"), text).unwrap();
            version(folder.path())
        };
        assert!(version(folder.path()).unwrap_err().starts_with("failed to read "));
        assert!(with("tickTime=500\n").unwrap_err().ends_with("has no dynamicConfigFile"));
        assert_eq!(with("dynamicConfigFile=/data/conf/zoo.cfg.dynamic.10000000a\n"), Ok(0x1_0000_000a));
        assert_eq!(with("dynamicConfigFile=/data/conf/zoo.cfg.dynamic\n"), Ok(0));
        assert_eq!(with("dynamicConfigFile=/data/conf/zoo.cfg.dynamic.next\n"), Ok(0));
    }
}
