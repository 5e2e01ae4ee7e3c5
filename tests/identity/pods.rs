//! Pods whose init containers run `identity assign`: each has a disk and a folder of output files, all have one
//! registry.

use std::path::{Path, PathBuf};

use crate::support::toolbox::{Ran, Toolbox, finish};

/// A toolbox.yaml with the map `map1` of six brokers.
pub(super) const MAPS: &str = "clusters: {main: {maps: {map1: {topics: '.*', brokers: [1001-1006]}}}}\n";

/// Pods of one cluster, outside Kubernetes.
pub(super) struct Pods {
    pub(super) toolbox: Toolbox,
    folder: tempfile::TempDir,
}

impl Pods {
    pub(super) fn new() -> Self {
        Self::of(Toolbox::alone(), MAPS)
    }

    /// With this toolbox.yaml.
    pub(super) fn of(toolbox: Toolbox, file: &str) -> Self {
        toolbox.file("toolbox.yaml", file);
        Self { toolbox, folder: tempfile::tempdir().unwrap() }
    }

    /// The disk of a pod.
    pub(super) fn disk(&self, pod: &str) -> PathBuf {
        let disk = self.path_of_disk(pod);
        std::fs::create_dir_all(&disk).unwrap();
        disk
    }

    /// Where it is; a test may have something else there.
    pub(super) fn path_of_disk(&self, pod: &str) -> PathBuf {
        self.folder.path().join(format!("{pod}-disk"))
    }

    /// Writes what Kafka would write there.
    pub(super) fn format(&self, pod: &str, text: &str) -> PathBuf {
        let path = self.disk(pod).join("meta.properties");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Where a pod's output files go.
    pub(super) fn out(&self, pod: &str) -> PathBuf {
        self.folder.path().join(format!("{pod}-out"))
    }

    /// An output file of a pod.
    #[track_caller]
    pub(super) fn output(&self, pod: &str, name: &str) -> String {
        std::fs::read_to_string(self.out(pod).join(name)).unwrap()
    }

    /// The command of a pod's init container.
    pub(super) fn command(&self, pod: &str, more: &[&str]) -> std::process::Command {
        let (disk, out) = (self.disk(pod), self.out(pod));
        let own = ["identity", "assign", "--yes", "--log-dirs", text(&disk), "--out", text(&out)];
        let mut command = self.toolbox.command(&[&own[..], more].concat());
        command.env("POD_NAME", pod).env("POD_UID", format!("uid-{pod}"));
        command
    }

    /// Runs it.
    pub(super) fn assign(&self, pod: &str, more: &[&str]) -> Ran {
        finish(&mut self.command(pod, more))
    }
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
