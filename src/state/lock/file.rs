//! A locked file: the lock of one machine. It ends with its process, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clients::files::state as files;
use crate::exit::Stop;
use crate::state::identity::Identity;

/// Most bytes that are read of who holds a lock.
const HOLDER_BYTES_MAX: u64 = 16 << 10;

/// Who holds a lock, for those who find it locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// Since when.
    pub since: Timestamp,
    /// Its run.
    pub run_id: Uuid,
    /// Its command, as `topics apply`.
    pub command: String,
    /// Its member id in the consumer group of the lock, where the lock is in Kafka.
    #[serde(default)]
    pub member_id: Option<String>,
}

/// A locked file that is ours until it is dropped.
#[derive(Debug)]
pub struct Held {
    file: File,
    path: PathBuf,
    inode: u64,
    holder: Holder,
    /// Who held it before, and is dead: else the file would be locked.
    former: Option<Holder>,
}

/// Locks the file of an identity in a state folder, or is refused with who holds it.
pub fn take(folder: &Path, identity: &Identity, holder: Holder) -> anyhow::Result<Held> {
    let folder = folder.join("locks");
    let path = folder.join(format!("{}.lock", identity.file_name()));
    let failed = || format!("failed to lock {}", path.display());
    files::inner_folder(&folder).with_context(failed)?;
    // Never removed: another run could lock a file that has no name any more.
    let mut file = files::open(&path, files::Opened::WriteOrCreate).with_context(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(refusal(&mut file, &path, identity).into()),
        Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
    }
    let former = read(&mut file);
    let inode = file.metadata().with_context(failed)?.ino();
    let mut held = Held { file, path: path.clone(), inode, holder, former };
    held.write().with_context(failed)?;
    Ok(held)
}

impl Held {
    /// Who held it before this run and did not give it back.
    pub fn former(&self) -> Option<&Holder> {
        self.former.as_ref()
    }

    /// Notes the member id of the lock in Kafka, for whoever finds this process dead.
    pub fn note_member(&mut self, member_id: Option<String>) -> std::io::Result<()> {
        self.holder.member_id = member_id;
        self.write()
    }

    /// Whether it still excludes others: not after somebody removed or replaced the file.
    pub fn check(&self) -> Result<(), String> {
        match std::fs::metadata(&self.path) {
            Ok(found) if found.ino() == self.inode => Ok(()),
            _ => Err(format!("the lock file {} was removed, so that another run may have begun", self.path.display())),
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_vec(&self.holder)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

/// Who holds the lock, in words and as it says itself; without waiting, and without taking it for longer than the look.
pub fn holder(folder: &Path, identity: &Identity) -> Option<(String, Option<Holder>)> {
    let path = folder.join("locks").join(format!("{}.lock", identity.file_name()));
    let mut file = files::open(&path, files::Opened::Read).ok()?;
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let holder = read(&mut file);
    Some((words(holder.clone(), &path), holder))
}

/// The last holder, if it is dead and did not give the lock back: its file is not locked any more.
pub fn dead(folder: &Path, identity: &Identity) -> Option<Holder> {
    let path = folder.join("locks").join(format!("{}.lock", identity.file_name()));
    let mut file = files::open(&path, files::Opened::Read).ok()?;
    file.try_lock_shared().ok()?;
    read(&mut file)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    // The holder may not have written its name yet.
    file.rewind().and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

fn words(holder: Option<Holder>, path: &Path) -> String {
    match holder {
        Some(Holder { pid, host, since, command, .. }) => {
            let since = since.round(jiff::Unit::Second).unwrap_or(since);
            format!("process {pid} on {host} (`toolbox {command}`) holds {} since {since}", path.display())
        }
        None => format!("another process holds {}", path.display()),
    }
}

fn refusal(file: &mut File, path: &Path, identity: &Identity) -> Stop {
    let holder = read(file);
    let name = holder.as_ref().map_or_else(|| "another process".to_owned(), name);
    Stop::refused(format!(
        "another run works on the {identity}: {}. Nothing was changed. Wait until it ends, or end that process; the lock \
         ends with it",
        words(holder, path)
    ))
    .held_by(name)
}

/// Who that is.
fn name(holder: &Holder) -> String {
    let Holder { pid, host, since, command, .. } = holder;
    format!("process {pid} on {host} (`toolbox {command}`) since {}", since.round(jiff::Unit::Second).unwrap_or(*since))
}

/// The name of this host.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "unknown".into(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::state::identity::{ClusterRef, Purpose};

    fn identity(owner: &str) -> Identity {
        let cluster = ClusterRef { id: "id-1".into(), name: Some("orders".into()) };
        Identity { purpose: Purpose::Topics, cluster, owner: Some(owner.into()) }
    }

    fn holder_of(run: u128) -> Holder {
        Holder {
            pid: std::process::id(),
            host: host(),
            since: "2026-11-22T08:00:00.7Z".parse().unwrap(),
            run_id: Uuid::from_u128(run),
            command: "topics apply".into(),
            member_id: None,
        }
    }

    #[test]
    fn a_second_run_is_refused_until_the_first_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), &identity("a"), holder_of(1)).unwrap();
        let error = take(folder.path(), &identity("a"), holder_of(2)).unwrap_err();
        let words = error.to_string();
        let expected = format!("process {} on {} (`toolbox topics apply`) holds", std::process::id(), host());
        assert!(words.contains(&expected) && words.contains("since 2026-11-22T08:00:01Z"), "{words}");
        assert_eq!(error.downcast_ref::<Stop>().unwrap().exit, Exit::Refused);
        assert!(holder(folder.path(), &identity("a")).unwrap().0.contains("topics apply"));
        drop(first);
        assert_eq!(holder(folder.path(), &identity("a")), None);
        take(folder.path(), &identity("a"), holder_of(2)).unwrap();
    }

    #[test]
    fn another_owner_has_a_lock_of_its_own_and_another_name_of_the_cluster_has_not() {
        let folder = tempfile::tempdir().unwrap();
        let _first = take(folder.path(), &identity("a"), holder_of(1)).unwrap();
        take(folder.path(), &identity("b"), holder_of(2)).unwrap();
        let unnamed = Identity { cluster: ClusterRef { id: "id-1".into(), name: None }, ..identity("a") };
        assert!(take(folder.path(), &unnamed, holder_of(3)).is_err());
    }

    #[test]
    fn who_died_with_the_lock_is_known_to_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut dead = take(folder.path(), &identity("a"), holder_of(1)).unwrap();
        dead.note_member(Some("member-7".into())).unwrap();
        drop(dead);
        assert_eq!(super::dead(folder.path(), &identity("a")).unwrap().pid, std::process::id());
        let next = take(folder.path(), &identity("a"), holder_of(2)).unwrap();
        assert_eq!(super::dead(folder.path(), &identity("a")), None);
        assert_eq!(next.former().unwrap().member_id.as_deref(), Some("member-7"));
    }

    #[test]
    fn a_lock_whose_file_was_removed_or_replaced_excludes_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path(), &identity("a"), holder_of(1)).unwrap();
        assert_eq!(held.check(), Ok(()));
        std::fs::remove_file(&held.path).unwrap();
        assert!(held.check().unwrap_err().contains("was removed"));
        let _other = take(folder.path(), &identity("a"), holder_of(2)).unwrap();
        assert!(held.check().is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let error = take(Path::new("/proc/nowhere"), &identity("a"), holder_of(1)).unwrap_err();
        assert!(format!("{error:#}").starts_with("failed to lock /proc/nowhere/locks/topics-id-1-a.lock"), "{error:#}");
    }
}
