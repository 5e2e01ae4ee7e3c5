//! One run at a time per cluster and spec: a Lease in Kubernetes, a locked file outside.
//!
//! A second run is refused with the words who holds the lock and since when. A file's lock ends with its process,
//! however that ends; a Lease runs out when nobody renews it.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clients::kubernetes::ObjectName;
use crate::context::Context;
use crate::context::home::Home;
use crate::context::home::Scope;
use crate::context::lease;
use crate::exit::Stop;

/// A lock that this run holds.
#[derive(Debug)]
pub(super) enum Alone {
    /// A locked file; closing it unlocks it.
    File(#[expect(dead_code, reason = "it is held, not read")] File),
    /// A Lease that is renewed in the background.
    Lease(lease::Held),
}

/// Who holds a file's lock, for the words to those who find it locked.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since: Timestamp,
    run_id: Uuid,
    command: String,
}

impl Context {
    /// Makes sure that no other run works on the same: from now to [`Context::leave`], or refuses.
    pub async fn be_alone(&mut self, scope: &Scope) -> anyhow::Result<()> {
        let alone = match self.home().await? {
            Home::Folder(folder) => Alone::File(self.lock_file(&folder.join("locks"), scope)?),
            Home::Kubernetes(kubernetes) => {
                let identity = kubernetes.identity();
                let pod = identity.pod.as_ref().map_or_else(host, |pod| pod.name.clone());
                let claim = lease::Claim {
                    name: ObjectName::new(identity.namespace.clone(), scope.object_name()),
                    scope: scope.clone(),
                    holder: format!("{pod}_{}", self.run_id),
                    clock: self.clock,
                };
                let held = lease::take(kubernetes, claim, self.brake.clone()).await;
                Alone::Lease(held.context("failed to make sure that no other run is working")?)
            }
        };
        self.alone.push(alone);
        Ok(())
    }

    /// Whether some other run seems to work on the same, without waiting and without a lock: what a run that only wants to
    /// ask it for something goes by. A run that died in Kubernetes some seconds ago is taken for a living one.
    pub async fn is_taken(&self, scope: &Scope) -> anyhow::Result<bool> {
        match self.home().await? {
            Home::Folder(folder) => {
                let path = folder.join("locks").join(format!("{}.lock", scope.object_name()));
                let Ok(file) = File::open(&path) else { return Ok(false) };
                Ok(matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
            }
            Home::Kubernetes(kubernetes) => {
                let name = ObjectName::new(kubernetes.identity().namespace.clone(), scope.object_name());
                let found = kubernetes.lease(&name).await.context("failed to look whether another run is working")?;
                Ok(found.is_some_and(|lease| lease::is_renewed(&lease, self.now())))
            }
        }
    }

    /// Gives back the locks that this run holds, the last one first. Called last, however the run ended.
    pub async fn leave(&mut self) {
        while let Some(alone) = self.alone.pop() {
            if let Alone::Lease(held) = alone {
                held.release().await;
            }
        }
    }

    fn lock_file(&self, folder: &Path, scope: &Scope) -> anyhow::Result<File> {
        let path = folder.join(format!("{}.lock", scope.object_name()));
        let failed = || format!("failed to lock {}", path.display());
        std::fs::create_dir_all(folder).with_context(failed)?;
        // Never removed: another run could lock a file that has no name any more.
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(refusal(&mut file, &path, scope).into()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let since = self.now();
        let holder =
            Holder { pid: std::process::id(), host: host(), since, run_id: self.run_id, command: self.command.clone() };
        let text = serde_json::to_vec(&holder)?;
        file.set_len(0).and_then(|()| file.write_all(&text)).with_context(failed)?;
        Ok(file)
    }
}

fn refusal(file: &mut File, path: &Path, scope: &Scope) -> Stop {
    let mut text = String::new();
    // The holder may not have written its name yet.
    let read = file.rewind().and_then(|()| file.take(4_096).read_to_string(&mut text));
    let holder: Option<Holder> = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    let words = match holder {
        Some(Holder { pid, host, since, run_id: _, command }) => {
            let since = since.round(jiff::Unit::Second).unwrap_or(since);
            format!("process {pid} on {host} (`toolbox {command}`) holds {} since {since}", path.display())
        }
        None => format!("another process holds {}", path.display()),
    };
    Stop::refused(format!(
        "another run works on the {scope}: {words}. Nothing was changed. Wait until it ends, or end that process; the \
         lock ends with it"
    ))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "unknown".into(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Flags;

    fn context(folder: &Path) -> Context {
        let line = ["--state", "file", "--state-folder", folder.to_str().unwrap()];
        let mut context = Context::new(Flags::of(line));
        context.command = "topics apply".into();
        context.with_clock(|| "2026-11-22T08:00:00.7Z".parse().unwrap())
    }

    fn scope(spec: &str) -> Scope {
        Scope { room: "topics", cluster: "orders".into(), spec: spec.into() }
    }

    #[tokio::test]
    async fn a_second_run_is_refused_until_the_first_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (context(folder.path()), context(folder.path()));
        first.be_alone(&scope("a")).await.unwrap();
        let error = second.be_alone(&scope("a")).await.unwrap_err();
        let words = error.to_string();
        let expected = format!("process {} on {} (`toolbox topics apply`) holds", std::process::id(), host());
        assert!(words.contains(&expected) && words.contains("since 2026-11-22T08:00:01Z"), "{words}");
        assert_eq!(error.downcast_ref::<Stop>().unwrap().exit, crate::exit::Exit::Refused);
        first.leave().await;
        second.be_alone(&scope("a")).await.unwrap();
    }

    #[tokio::test]
    async fn another_spec_has_a_lock_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (context(folder.path()), context(folder.path()));
        first.be_alone(&scope("a")).await.unwrap();
        second.be_alone(&scope("b")).await.unwrap();
    }

    #[tokio::test]
    async fn a_lock_whose_process_died_is_free() {
        let folder = tempfile::tempdir().unwrap();
        context(folder.path()).be_alone(&scope("a")).await.unwrap();
        context(folder.path()).be_alone(&scope("a")).await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let error = context(Path::new("/proc/nowhere")).be_alone(&scope("a")).await.unwrap_err();
        assert!(
            format!("{error:#}").starts_with("failed to lock /proc/nowhere/locks/toolbox-topics-orders-"),
            "{error:#}"
        );
    }
}
