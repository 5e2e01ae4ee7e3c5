//! The one program that holds all of Kubernetes: built once from pinned Go modules, kept outside the tree.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::supervisor::run;

/// Cold on two cores it takes five minutes.
const BUILD_MAX: Duration = Duration::from_mins(30);

const SOURCES: [&str; 5] = ["build.sh", "go.mod", "go.sum", "kubelet.go", "main.go"];

/// The path of the program, built if it is not there yet.
pub(crate) fn kube() -> &'static Path {
    static KUBE: OnceLock<PathBuf> = OnceLock::new();
    KUBE.get_or_init(build)
}

/// The folder for what is built once and used by every run: never in the tree.
pub(crate) fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    cache.join("kafka-toolbox")
}

fn build() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/kubernetes/build");
    let mut hash = Sha256::new();
    for name in SOURCES {
        hash.update(fs::read(sources.join(name)).unwrap());
    }
    let version = hash.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let folder = cache().join(format!("kubernetes-{version}"));
    let program = folder.join("kube");
    fs::create_dir_all(&folder).unwrap();
    // Whoever comes second waits here and then finds it built. The lock ends with the process that holds it.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !program.exists() {
        let unfinished = folder.join("unfinished");
        let output = run(Command::new(sources.join("build.sh")).arg(&unfinished), "", BUILD_MAX);
        assert!(
            output.status.success(),
            "failed to build Kubernetes, which needs Go 1.24 or newer (`make setup` installs it):\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::rename(unfinished, &program).unwrap();
    }
    program
}
