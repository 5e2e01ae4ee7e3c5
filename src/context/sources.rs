//! Texts from files, folders and standard input, for commands that read a spec.
//!
//! A folder is read as a mounted ConfigMap has it: hidden entries (`..data`, `..2026_11_22`) are passed over, links are
//! followed to files, folders inside are read, too. The order is that of the names, so it never depends on the disk.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::clients::files;
use crate::exit::Stop;
use crate::formats::gzip;
use crate::formats::source::Source;
use crate::formats::yaml::BYTES_MAX;

/// Most files that one run reads.
const FILES_MAX: usize = 10_000;

/// Most bytes that one run reads, all files together.
const TOTAL_BYTES_MAX: usize = 64 << 20;

/// Most folders inside each other.
const DEPTH_MAX: usize = 8;

/// Endings of the files that a folder is searched for.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What a folder is searched for where it should hold a plan of moves.
const PLANS: [&str; 2] = ["plan.json", "plan.json.gz"];

/// Reads what the paths name: a file, all `.yaml`, `.yml` and `.json` files of a folder, or `-` for standard input.
pub fn load(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut total = 0;
    for path in paths {
        for file in files_of(path)? {
            let source = read(&file)?;
            total += source.bytes.len();
            if sources.len() == FILES_MAX || total > TOTAL_BYTES_MAX {
                let most = format!("{FILES_MAX} files and {} MiB", TOTAL_BYTES_MAX >> 20);
                return Err(
                    Stop::usage(format!("{} and the files before it are more than {most}", source.label)).into()
                );
            }
            sources.push(source);
        }
    }
    Ok(sources)
}

/// Reads the file of moves that the path names: a file, packed by gzip or not, `-` for standard input, or a folder with
/// `plan.json` or `plan.json.gz`, as a mounted ConfigMap has it.
pub fn load_plan(path: &Path) -> anyhow::Result<Source> {
    if path == Path::new("-") || !path.is_dir() {
        return read(path);
    }
    let there: Vec<_> = PLANS.iter().map(|name| path.join(name)).filter(|file| file.exists()).collect();
    match &there[..] {
        [one] => read(one),
        [] => Err(Stop::usage(no_plan(path)).into()),
        _ => Err(Stop::usage(format!("{} has both {}: keep one of them", path.display(), PLANS.join(" and "))).into()),
    }
}

/// What to do about a folder without a plan.
fn no_plan(path: &Path) -> String {
    let namespace = std::env::var("POD_NAMESPACE").unwrap_or_else(|_| "NAMESPACE".to_owned());
    format!(
        "there is no plan in {}: neither plan.json nor plan.json.gz. Nothing was changed. In the Job of manifests/reassign \
         this folder is the ConfigMap `reassign-plan`: `kubectl --namespace {namespace} create configmap reassign-plan \
         --from-file=plan.json`, then start a new Job",
        path.display()
    )
}

fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path == Path::new("-") {
        return Ok(vec![path.to_owned()]);
    }
    let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    collect(path, 0, &mut files)?;
    if files.is_empty() {
        return Err(Stop::usage(format!("the folder {} has no .yaml, .yml or .json file", path.display())).into());
    }
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > DEPTH_MAX {
        let message = format!("{} lies more than {DEPTH_MAX} folders deep; is a link leading back?", folder.display());
        return Err(Stop::usage(message).into());
    }
    let entries = fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))?;
    let mut paths: Vec<_> = entries
        .take(FILES_MAX * 10)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("failed to list {}", folder.display()))?;
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || files.len() > FILES_MAX {
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        let is_spec = ending.is_some_and(|ending| ENDINGS.iter().any(|one| ending.eq_ignore_ascii_case(one)));
        // A link that leads nowhere matters only where a spec should be.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => collect(&path, depth + 1, files)?,
            Ok(metadata) if metadata.is_file() && is_spec => files.push(path),
            Err(error) if is_spec => return Err(cannot_read(&path, &error)),
            _ => {}
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Source> {
    let mut bytes = Vec::new();
    // One byte more than is allowed: whoever reads the text says that it is too long, and where.
    let most = BYTES_MAX as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        files::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| cannot_read(path, &error))?;
    if gzip::is_packed(&bytes) && bytes.len() > BYTES_MAX {
        let message = format!("{} is longer than {} MiB, the most that is read", path.display(), BYTES_MAX >> 20);
        return Err(Stop::usage(message).into());
    }
    let bytes =
        gzip::unpacked(bytes).map_err(|error| Stop::usage(format!("failed to unpack {}: {error}", path.display())))?;
    Ok(Source::new(path.display().to_string(), bytes))
}

/// Input that is not there is wrong usage, not a failure of the cluster.
fn cannot_read(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Stop::usage(format!("failed to read {}: {error}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mounted_configmap_is_read_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("..2026_11_22");
        fs::create_dir(&data).unwrap();
        for name in ["b.yaml", "a.yml", "notes.txt", ".hidden.yaml", "c.YAML"] {
            fs::write(data.join(name), name).unwrap();
            symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
        }
        symlink("..2026_11_22", folder.path().join("..data")).unwrap();
        let sources = load(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = sources.iter().map(|source| String::from_utf8_lossy(&source.bytes).into_owned()).collect();
        assert_eq!(names, ["a.yml", "b.yaml", "c.YAML"]);
        assert!(sources[0].label.ends_with("/a.yml"));
    }

    #[test]
    fn a_folder_holds_one_plan_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let error = load_plan(path).unwrap_err().to_string();
        assert!(error.contains("there is no plan in") && error.contains("create configmap reassign-plan"), "{error}");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packer, b"{\"moves\": []}").unwrap();
        fs::write(path.join("plan.json.gz"), packer.finish().unwrap()).unwrap();
        let plan = load_plan(path).unwrap();
        assert_eq!(plan.bytes, b"{\"moves\": []}");
        assert!(plan.label.ends_with("/plan.json.gz"));
        assert_eq!(load_plan(&path.join("plan.json.gz")).unwrap(), plan);
        fs::write(path.join("plan.json"), "{}").unwrap();
        let error = load_plan(path).unwrap_err().to_string();
        assert!(error.contains("has both plan.json and plan.json.gz"), "{error}");
        fs::write(path.join("cut.json.gz"), [0x1f, 0x8b, 8]).unwrap();
        let error = load_plan(&path.join("cut.json.gz")).unwrap_err().to_string();
        assert!(error.contains("cut.json.gz: it is not a complete gzip file"), "{error}");
        assert!(load_plan(&path.join("nope.json")).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| load(&[path.to_owned()]).unwrap_err().to_string();
        assert!(message(folder.path()).contains("has no .yaml, .yml or .json file"));
        assert!(message(&folder.path().join("nope.yaml")).contains("nope.yaml: No such file"));
        symlink("nowhere", folder.path().join("x.yaml")).unwrap();
        assert!(message(folder.path()).contains("x.yaml"));
        fs::remove_file(folder.path().join("x.yaml")).unwrap();
        symlink(".", folder.path().join("again")).unwrap();
        assert!(message(folder.path()).contains("is a link leading back?"));
    }
}
