//! The image of the process that holds a pod together, made without any tool but tar.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::live::kubernetes::supervisor::run;

/// The image of the process that holds a pod together: any static program that sleeps.
pub(crate) fn image(folder: &Path) -> PathBuf {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.unwrap_or_else(|| panic!("busybox-static is not installed: `make setup` installs it"));
    archive(folder, "localhost/pause:1", Path::new(busybox), &["/busybox", "sleep", "2147483647"])
}

/// An image of one program, as an archive that containerd imports.
fn archive(folder: &Path, name: &str, program: &Path, entrypoint: &[&str]) -> PathBuf {
    let work = folder.join(name.replace(['/', ':'], "-"));
    fs::create_dir_all(work.join("root")).unwrap();
    fs::copy(program, work.join("root").join(program.file_name().unwrap())).unwrap();
    tar(&work.join("layer.tar"), &work.join("root"), &[program.file_name().unwrap().to_str().unwrap()]);
    let layer = hex(&fs::read(work.join("layer.tar")).unwrap());
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
    });
    fs::write(work.join("config.json"), config.to_string()).unwrap();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    fs::write(work.join("manifest.json"), manifest.to_string()).unwrap();
    let image = work.with_extension("tar");
    tar(&image, &work, &["manifest.json", "config.json", "layer.tar"]);
    image
}

fn tar(archive: &Path, folder: &Path, files: &[&str]) {
    let mut command = Command::new("tar");
    command.arg("--create").arg("--file").arg(archive).arg("--directory").arg(folder).args(files);
    let output = run(&mut command, "", Duration::from_mins(1));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
