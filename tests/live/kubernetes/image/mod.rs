//! Container images for the node: our own, as the Dockerfile makes them, and the one that holds a pod together.

pub(crate) mod pause;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::address::is_root;
use super::supervisor::run;
use crate::support::skipped::skipped;

/// A release build takes four minutes on two cores that do nothing else.
const BUILD_MAX: Duration = Duration::from_mins(30);
/// A first run makes the base of the images from Debian's packages.
const IMAGES_MAX: Duration = Duration::from_mins(15);

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The archives of our two images.
pub(crate) struct Images {
    /// The binary alone.
    pub(crate) toolbox: PathBuf,
    /// The binary with a shell.
    pub(crate) shell: PathBuf,
}

/// Whether this machine can build and run images. Where it can't, that is said loudly.
pub(crate) fn is_possible() -> bool {
    if !is_root() {
        skipped("to build and run images needs root: run the tests as root");
    }
    is_root()
}

/// The release binary, static; built if it is not there or older than its sources.
///
/// With `TOOLBOX_BINARY=given` in the environment it is taken as it is, whatever the sources say.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // The Dockerfile looks for it here, wherever else cargo may be told to build.
        let folder = Path::new(ROOT).join("target");
        if std::env::var_os("TOOLBOX_BINARY").is_none_or(|value| value != "given") {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--release", "--locked", "--target", &target(), "--target-dir"]).arg(&folder);
            cargo.current_dir(ROOT);
            let output = run(&mut cargo, "", BUILD_MAX);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        folder.join(target()).join("release/toolbox")
    })
}

/// The kind of this machine, as in the Makefile's STATIC.
fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// Our images, built around the static binary and run once.
pub(crate) fn ours() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| {
        binary();
        let script = Path::new(ROOT).join("tests/live/kubernetes/image/image.sh");
        let output = run(&mut Command::new(script), "", IMAGES_MAX);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let folder = Path::new(ROOT).join("target/image");
        Images { toolbox: folder.join("kafka-toolbox.tar"), shell: folder.join("kafka-toolbox-shell.tar") }
    })
}

#[test]
fn the_binary_is_static_and_at_most_25_mb() {
    let bytes = binary().metadata().unwrap().len();
    assert!(bytes <= 25_000_000, "{bytes} bytes");
    let output = run(Command::new("ldd").arg(binary()), "", Duration::from_secs(10));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("statically linked") || said.contains("not a dynamic executable"), "{said}");
}

/// Size, user, entrypoint and a read-only root file system: image.sh looks at them.
#[test]
fn both_images_run_without_root_and_without_writing() {
    if !is_possible() {
        return;
    }
    let images = ours();
    assert!(images.toolbox.metadata().unwrap().len() < 30_000_000);
    assert!(images.shell.is_file());
}
