//! The folders of servers' configurations, where their disks can be seen from here: from these the servers would restart.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::clients::zookeeper::folder::stored_version;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::visible;
use crate::commands::ensemble::observe::servers::Look;

/// The folder of each server's zoo.cfg (`--conf-dir`).
pub type Folders = BTreeMap<ServerId, PathBuf>;

/// How long all of it may take: a disk that hangs counts as one that can't be read.
const STORED_LIMIT: Duration = Duration::from_secs(1);

/// Adds what the folders have to what the servers showed.
pub async fn stored(folders: &Folders, look: &mut Look) {
    let live = look.seen.quorum.as_ref().map(|config| config.version).unwrap_or_default();
    let deadline = Instant::now() + STORED_LIMIT;
    let read = folders.iter().map(async |(id, folder)| (*id, stored_version(folder, live.0, deadline).await));
    for (id, version) in join_all(read).await {
        let Some(view) = look.seen.servers.get_mut(&id) else {
            look.notes.push(format!("server {id} of --conf-dir was not found: no server has this id"));
            continue;
        };
        match version {
            Ok(version) => view.disk_version = Some(ConfigVersion(version)),
            Err(why) => view.disk_unread = Some(visible::value(&why).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::membership::EnsembleConfig;
    use crate::cluster::ensemble::view::{Answer, ServerView};

    #[tokio::test]
    async fn what_a_folder_has_becomes_part_of_the_look_and_so_does_that_it_can_not_be_read() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("one");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("zoo.cfg"), "dynamicConfigFile=/data/zoo.cfg.dynamic.10000000a\n").unwrap();
        let mut look = Look::default();
        look.seen.quorum = Some(EnsembleConfig { version: ConfigVersion(0x1_0000_000a), ..EnsembleConfig::default() });
        for id in [1, 2] {
            look.seen.servers.insert(ServerId(id), ServerView::of(Answer::NotServing));
        }
        let folders = [(1, folder), (2, root.path().join("absent")), (9, root.path().to_owned())];
        stored(&folders.map(|(id, folder)| (ServerId(id), folder)).into(), &mut look).await;
        let of = |id: i64| &look.seen.servers[&ServerId(id)];
        assert_eq!((of(1).disk_version, &of(1).disk_unread), (Some(ConfigVersion(0x1_0000_000a)), &None));
        assert!(of(2).disk_unread.as_ref().unwrap().starts_with("failed to read "), "{:?}", of(2));
        assert_eq!(look.notes, ["server 9 of --conf-dir was not found: no server has this id"]);
    }
}
