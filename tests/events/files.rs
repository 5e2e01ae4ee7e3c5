//! The files of the state folder: for their owner alone, and nothing there leads or holds anyone elsewhere.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::double::{Double, Mood};
use super::late::spool;
use super::toolbox::Toolbox;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn what_a_run_leaves_behind_is_for_its_owner_alone_even_where_an_older_version_left_it_open() {
    let double = Double::start();
    double.is(Mood::Answer(503, ""));
    let toolbox = Toolbox::for_datadog(&double.url).with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "0s");
    let audit = toolbox.state().join("audit.jsonl");
    std::fs::write(&audit, "").unwrap();
    for (path, wide) in [(&audit, 0o644), (&toolbox.state(), 0o755)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(wide)).unwrap();
    }
    toolbox.send("quiet");
    let begun = toolbox.run(&["events", "send", "--intent", "--title", "rotate"]);
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let state = toolbox.state();
    for folder in [&state, &state.join("open"), &state.join("spool")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        }
    }
    assert_eq!((toolbox.files("open"), toolbox.files("spool")), (1, 1));
}

#[test]
fn a_named_pipe_in_the_spool_holds_no_run_up_and_is_said() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    spool(&toolbox.state(), &["datadog"], "topics.created", &[1]);
    pipe(&toolbox.state().join("spool/0.jsonl"));
    let ran = toolbox.send("on its way");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.err.contains("spool/0.jsonl is a named pipe; the state folder may only have a regular file"),
        "{ran:?}"
    );
    assert!(ran.took < Duration::from_secs(30), "{ran:?}");
    assert_eq!(double.accepted().len(), 2, "its neighbours are delivered");
    let listed = toolbox.run(&["events", "list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
}

#[test]
fn a_link_among_the_journals_leaves_what_it_leads_to_as_it_is() {
    let toolbox = Toolbox::alone();
    let precious = toolbox.file("precious", "a line without an end");
    std::fs::create_dir(toolbox.state().join("open")).unwrap();
    symlink(&precious, toolbox.state().join("open/0.jsonl")).unwrap();
    let ran = toolbox.send("x");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("open/0.jsonl is a symbolic link;"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "a line without an end");
}

#[test]
fn an_audit_log_that_is_a_pipe_or_a_link_is_refused_by_name() {
    for make in [pipe, |path: &Path| symlink("/dev/null", path).unwrap()] {
        let toolbox = Toolbox::alone();
        make(&toolbox.state().join("audit.jsonl"));
        let ran = toolbox.send("x");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.err.contains("the audit log can't be written: ") && ran.err.contains("audit.jsonl is a "),
            "{ran:?}"
        );
        assert_eq!(toolbox.files("open"), 1, "the journal keeps what the audit log lacks");
    }
}

#[test]
fn an_observation_without_an_end_is_refused() {
    let toolbox = Toolbox::alone();
    let spec = toolbox.file("spec.yaml", "topics: [{name: orders, partitions: 1, replicationFactor: 1}]\n");
    let ran = toolbox.run(&["topics", "diff", "-f", &spec, "--observed", "/dev/zero"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("/dev/zero is not a saved observation: it is a device, not a regular file"), "{ran:?}");
}
