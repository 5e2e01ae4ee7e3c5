//! A real node: containerd, runc and kubelet, which run pods on the host's network. It needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::address::is_root;
use super::control_plane::ControlPlane;
use super::program::kube;
use super::supervisor::run;
use crate::support::skipped::skipped;

/// Longest wait for a node to be ready, its images imported.
const READY_MAX: Duration = Duration::from_mins(2);

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/kubernetes/node");

/// A node of a control plane; it ends with the control plane.
pub(crate) struct Node {
    name: String,
}

impl Node {
    /// Whether this machine can have a node. Where it can't, that is said loudly.
    pub(crate) fn is_possible() -> bool {
        let missing: Vec<_> = ["containerd", "ctr", "runc", "unshare", "iptables"]
            .into_iter()
            .filter(|program| !is_installed(program))
            .collect();
        match (is_root(), missing.is_empty()) {
            (true, true) => true,
            (false, _) => {
                skipped("a Kubernetes node needs root: run the tests as root");
                false
            }
            (true, false) => panic!("{} is not installed: `make setup` installs it", missing.join(", ")),
        }
    }

    /// Starts a node that knows these images and no registry.
    pub(crate) fn start(cluster: &ControlPlane, images: &[&Path]) -> Self {
        let name = cluster.network().node(1);
        let folder = cluster.folder().join(format!("node-{name}"));
        for part in ["containerd", "state", "cni", "kubelet", "images"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        // All logs of a cluster are in one place.
        let logs = cluster.folder().join("log").join(format!("node-{name}"));
        fs::create_dir_all(&logs).unwrap();
        std::os::unix::fs::symlink(&logs, folder.join("logs")).unwrap();
        for image in images {
            std::os::unix::fs::symlink(image, folder.join("images").join(image.file_name().unwrap())).unwrap();
        }
        let cgroup = format!("kafka-toolbox-{name}");
        write_settings(cluster, &folder, &name, &cgroup);
        cluster.authority().server(&format!("kubelet-{name}-serving"), &format!("system:node:{name}"), &[&name]);
        cluster.write_client(&format!("kubelet-{name}"), &format!("system:node:{name}"), Some("system:nodes"));
        start_programs(cluster, &folder, &name, &cgroup);
        Self { name }
    }

    /// Its name, which is its address.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

fn write_settings(cluster: &ControlPlane, folder: &Path, address: &str, cgroup: &str) {
    let pki = cluster.folder().join("pki");
    for file in ["containerd.toml", "kubelet.yaml", "cni.conflist"] {
        let text = fs::read_to_string(Path::new(HERE).join(file))
            .unwrap()
            .replace("@FOLDER@", folder.to_str().unwrap())
            .replace("@PKI@", pki.to_str().unwrap())
            .replace("@ADDRESS@", address)
            .replace("@CGROUP@", cgroup)
            .replace("@SNAPSHOTTER@", snapshotter(folder));
        let target = if file == "cni.conflist" { "cni/10-none.conflist" } else { file };
        fs::write(folder.join(target), text).unwrap();
    }
}

/// An overlay can't be laid over an overlay: inside a container, images are copied.
fn snapshotter(folder: &Path) -> &'static str {
    let output = run(Command::new("stat").args(["-f", "-c", "%T"]).arg(folder), "", Duration::from_secs(10));
    if output.stdout.starts_with(b"overlayfs") { "native" } else { "overlayfs" }
}

fn start_programs(cluster: &ControlPlane, folder: &Path, name: &str, cgroup: &str) {
    let script = |file: &str| PathBuf::from(HERE).join(file).to_str().unwrap().to_owned();
    cluster.supervisor().at_the_end(&format!("cgroups-{name}"), &[&script("remove_cgroups.sh"), cgroup]);
    let output = run(Command::new(script("make_cgroups.sh")).arg(cgroup), "", Duration::from_secs(10));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    let (node, folder, kube) = (script("node.sh"), folder.to_str().unwrap(), kube().to_str().unwrap());
    let command: Vec<&str> = alone.into_iter().chain([node.as_str(), folder, kube, name]).collect();
    let program = format!("kubelet-{name}");
    cluster.supervisor().start(&program, &command);
    let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    cluster.supervisor().wait_for(&program, READY_MAX, || {
        let (_, answer) = cluster.try_kubectl(&["get", "node", name, "-o", ready]);
        (answer == "True").then_some(())
    });
}
