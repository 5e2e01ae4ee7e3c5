//! What the log dirs say together: one id, none, or a refusal. Several that disagree stop the start.

use crate::cluster::broker::BrokerId;
use crate::cluster::visible;
use crate::commands::identity::plan::evidence::{Folder, Holds, Seen};
use crate::commands::identity::plan::refusal::{Code, Halt, refused};
use crate::commands::identity::plan::registry::Registry;
use crate::commands::identity::plan::terms::{Kind, Terms};
use crate::commands::identity::spec::disk::DiskId;

/// The id that the disk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnDisk {
    /// The id, and the cluster's where a log dir has it.
    pub(super) disk: DiskId,
    /// The ids of all log dirs that have one.
    pub(super) directory_ids: Vec<String>,
}

/// The id that all log dirs hold, or none where all are empty.
pub(super) fn on_disk(terms: &Terms, seen: &Seen) -> Result<Option<OnDisk>, Halt> {
    let mut found: Option<(&str, OnDisk)> = None;
    for Folder { path, holds } in &seen.folders {
        let disk = match holds {
            Holds::Nothing | Holds::Data(_) => continue,
            Holds::Unreadable(why) => {
                return refused(
                    Code::DiskIo,
                    format!(
                        "{path} can't be read ({}), and does not count as empty. Nothing was written. Repair or replace \
                             the disk, then start the pod again",
                        visible::line(why)
                    ),
                );
            }
            Holds::Id(disk) => disk,
        };
        match &mut found {
            None => {
                let directory_ids = disk.directory_id.iter().cloned().collect();
                found = Some((path.as_str(), OnDisk { disk: disk.clone(), directory_ids }));
            }
            Some((first, all)) => join(all, disk, first, path)?,
        }
    }
    check_data(terms, seen)?;
    Ok(found.map(|(_, all)| all))
}

/// Adds a second log dir: it must say the same broker and the same cluster.
fn join(all: &mut OnDisk, disk: &DiskId, first: &str, path: &str) -> Result<(), Halt> {
    if all.disk.id != disk.id {
        return refused(
            Code::DiskMismatch,
            format!(
                "{first} is a log dir of broker {}, {path} one of broker {}. Nothing was written. Find out which disk belongs \
                     to this pod, and mount only its log dirs",
                all.disk.id, disk.id
            ),
        );
    }
    if let (Some(one), Some(other)) = (&all.disk.cluster_id, &disk.cluster_id)
        && one != other
    {
        return refused(
            Code::DiskMismatch,
            format!(
                "{first} belongs to cluster {}, {path} to cluster {}. Nothing was written. Mount the log dirs of one \
                     cluster only",
                visible::value(one),
                visible::value(other)
            ),
        );
    }
    all.disk.cluster_id = all.disk.cluster_id.take().or_else(|| disk.cluster_id.clone());
    all.directory_ids.extend(disk.directory_id.clone());
    Ok(())
}

/// Data in a folder without an id is somebody's data: a broker that starts there would take it for its own.
fn check_data(terms: &Terms, seen: &Seen) -> Result<(), Halt> {
    let with_data = seen.folders.iter().find_map(|folder| match &folder.holds {
        Holds::Data(name) => Some((&folder.path, name)),
        _ => None,
    });
    let Some((path, name)) = with_data else { return Ok(()) };
    let (file, what) = match terms.kind {
        Kind::Kafka => ("meta.properties", "partition"),
        Kind::Zookeeper => ("myid", "data file"),
    };
    refused(
        Code::DiskNoId,
        format!(
            "{path} holds the {what} {} but no {file}: whose it is can't be known. Nothing was written. Put the {file} back \
             (from a backup, or from another log dir of the same broker), or empty the folder if its data are not needed",
            visible::value(name)
        ),
    )
}

/// Refuses a disk of another cluster, and a disk that was retired.
pub(super) fn check_disk(terms: &Terms, seen: &Seen, on_disk: &OnDisk) -> Result<(), Halt> {
    let OnDisk { disk, directory_ids } = on_disk;
    let expected = terms.cluster_id.as_ref().or(seen.registry.cluster_id.as_ref());
    if let (Some(expected), Some(found)) = (expected, &disk.cluster_id)
        && expected != found
    {
        return refused(
            Code::WrongCluster,
            format!(
                "the disk belongs to cluster {}, but this is cluster {expected}. Nothing was written. A cluster that was built \
                 anew needs new disks: delete the claim, or mount the disk where its cluster is. If the registry is what is \
                 out of date, delete it",
                visible::value(found)
            ),
        );
    }
    check_retired(&seen.registry, disk.id, || {
        let place = seen.place();
        seen.registry.retired_disks.iter().any(|retired| retired.is(disk, directory_ids, &place))
    })
}

fn check_retired(registry: &Registry, id: BrokerId, is_retired: impl Fn() -> bool) -> Result<(), Halt> {
    use crate::commands::identity::plan::registry::State;
    let is_id_retired = registry.ids.get(&id).is_some_and(|entry| entry.state == State::Retired);
    if !is_id_retired && !is_retired() {
        return Ok(());
    }
    let why = if is_id_retired { "that id was retired" } else { "another disk has taken that id over" };
    refused(
        Code::RetiredDisk,
        format!(
            "the disk holds id {id}, and {why}: its data are out of date. Nothing was written. Use a new, empty disk (delete \
             the claim), or take the disk off `retired_disks` in the registry if it was retired by mistake"
        ),
    )
}
