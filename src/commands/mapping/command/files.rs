//! Writes files so that each is whole or not there: into a file beside it, to the disk, then renamed.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Writes one file.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    keep(beside(folder, text).with_context(|| format!("failed to write {}", path.display()))?, path)
}

/// Writes files of one folder, which is made where it is missing. None is replaced before all are on the disk; the
/// last one is replaced last.
pub(super) fn write_all(folder: &Path, files: &[(&str, String)]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        let file = beside(folder, text).with_context(|| format!("failed to write {}", path.display()))?;
        written.push((file, path));
    }
    written.into_iter().try_for_each(|(file, path)| keep(file, &path))
}

fn beside(folder: &Path, text: &str) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    readable(&file)?;
    Ok(file)
}

/// Temporary files are for their owner alone; a plan is for whoever carries it out.
fn readable(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))
}

fn keep(file: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    file.persist(path).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(())
}
