//! What each of the two kinds of files keeps, follows and refuses.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::state::{self, Opened};
use super::{Readers, check_length, folder_of, read_bounded, write, write_all};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn pipe(path: &Path) {
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
}

fn place(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

#[test]
fn a_file_is_replaced_and_nothing_else_is_left_in_its_folder() {
    let (folder, path) = place("saved.json");
    for text in ["one", "two"] {
        write(&path, text, Readers::Umask).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_write_that_fails_leaves_the_old_text() {
    let (folder, path) = place("missing/saved.json");
    assert_eq!(write(&path, "new", Readers::Owner).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(!folder.path().join("missing").exists());
}

#[test]
fn a_file_that_exists_keeps_its_mode() {
    let (_folder, path) = place("saved.json");
    for kept in [0o600, 0o640, 0o444] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
        write(&path, "new", Readers::Everyone).unwrap();
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (kept, "new"));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_new_file_has_the_readers_that_were_asked_for() {
    let (_folder, path) = place("new");
    for (readers, wanted) in [(Readers::Owner, 0o600), (Readers::Everyone, 0o644)] {
        write(&path, "text", readers).unwrap();
        assert_eq!(mode(&path), wanted);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let (folder, path) = place("saved.json");
    let link = folder.path().join("latest.json");
    symlink("saved.json", &link).unwrap();
    for text in ["made through the link", "replaced through the link"] {
        write(&link, text, Readers::Owner).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(link.is_symlink());
    }
    symlink(folder.path().join("b"), folder.path().join("a")).unwrap();
    symlink(folder.path().join("a"), folder.path().join("b")).unwrap();
    assert!(write(&folder.path().join("a"), "", Readers::Owner).is_err());
}

#[test]
fn a_device_is_written_to_and_stays_one() {
    write(Path::new("/dev/null"), "text", Readers::Umask).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let (folder, link) = place("plan.json");
    symlink("/dev/null", &link).unwrap();
    assert!(write_all(folder.path(), &[("plan.json", String::new())], Readers::Umask).is_err());
}

#[test]
fn a_named_pipe_is_written_to_if_someone_reads_and_else_it_holds_nobody_up() {
    let (_folder, path) = place("pipe");
    pipe(&path);
    let error = write(&path, "text", Readers::Umask).unwrap_err();
    assert_eq!(error.to_string(), "no process reads from this pipe");
    let long = "x".repeat(1 << 20);
    let reader = std::thread::spawn({
        let path = path.clone();
        move || fs::read(&path).unwrap().len()
    });
    write(&path, &long, Readers::Umask).unwrap();
    assert_eq!(reader.join().unwrap(), long.len());
}

#[test]
fn a_file_is_read_to_its_limit_only_and_what_has_no_end_not_at_all() {
    let (folder, path) = place("file");
    fs::write(&path, [b'x'; 1000]).unwrap();
    let error = read_bounded(&path, 999).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::FileTooLarge, "it has more than 999 bytes"));
    assert!(read_bounded(Path::new("/dev/zero"), 1000).is_err());
    pipe(&folder.path().join("pipe"));
    assert!(check_length(&folder.path().join("pipe"), 1000).is_err(), "a library would wait for whoever writes to it");
    assert_eq!(read_bounded(&path, 1000).unwrap().len(), 1000);
    assert!(read_bounded(&path, 999).is_err());
    assert!(check_length(Path::new("/dev/null"), 1000).is_ok());
    assert!(check_length(&path, 1000).is_ok() && check_length(&path, 999).is_err());
    assert!(check_length(Path::new("/dev/zero"), 1000).is_err());
}

#[test]
fn what_the_state_folder_has_is_for_its_owner_alone() {
    let (_folder, state) = place("above/state");
    let (inner, file) = (state.join("spool"), state.join("spool/one.jsonl"));
    state::inner_folder(&inner).unwrap();
    drop(state::open(&file, Opened::AppendOrCreate).unwrap());
    assert_eq!((mode(&state), mode(&inner), mode(&file)), (0o700, 0o700, 0o600));
    for (path, wide) in [(&state, 0o755), (&inner, 0o777), (&file, 0o664)] {
        fs::set_permissions(path, Permissions::from_mode(wide)).unwrap();
    }
    state::inner_folder(&inner).unwrap();
    assert_eq!(state::read(&file, 10).unwrap(), Some(Vec::new()));
    assert_eq!((mode(&state), mode(&inner), mode(&file)), (0o700, 0o700, 0o600));
    state::write(&file, "text").unwrap();
    assert_eq!((mode(&file), state::read(&file, 4).unwrap().unwrap()), (0o600, b"text".to_vec()));
    assert_eq!(state::read(&state.join("none"), 10).unwrap(), None);
}

#[test]
fn what_is_no_regular_file_is_refused_by_name_and_at_once() {
    let (folder, path) = place("file");
    let other = folder.path().join("precious");
    let all = [Opened::Read, Opened::Append, Opened::AppendOrCreate, Opened::WriteOrCreate];
    let refused = |what: &str| {
        for how in all {
            let error = state::open(&path, how).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{} is {what};", path.display())), "{how:?}: {error}");
        }
        let error = state::write(&path, "text").unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    fs::write(&other, "precious").unwrap();
    symlink(&other, &path).unwrap();
    refused("a symbolic link");
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    pipe(&path);
    refused("a named pipe");
    fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    refused("a socket");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("a folder");
    let linked = folder.path().join("linked");
    symlink(&path, &linked).unwrap();
    let error = state::inner_folder(&linked).unwrap_err().to_string();
    assert!(error.contains("linked is a symbolic link; the state folder may only have a folder there"), "{error}");
}

#[test]
fn a_file_that_is_named_without_a_folder_is_in_the_working_folder() {
    assert_eq!(folder_of(Path::new("l3.json")), Path::new("."));
    assert_eq!(folder_of(Path::new("a/l3.json")), Path::new("a"));
    // Nothing is written into the working folder of the tests: a name there is only read.
    assert_eq!(state::read(Path::new("no-such-latch.json"), 10).unwrap(), None);
    let folder = folder_of(Path::new("no-such-latch.json"));
    assert!(state::sync_folder(folder).is_ok() && folder.is_dir());
}
