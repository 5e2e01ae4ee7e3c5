//! Many writers of one state folder, killed again and again: a whole audit log, tidy journals, nothing lost that was said
//! to be recorded. `make acceptance` has 40 writers and 60 rounds.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use uuid::Uuid;

use super::audit::assert_all_json;
use super::crash::assert_tidy;
use super::toolbox::Toolbox;

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn writers_that_are_killed_at_any_moment_leave_a_whole_audit_log_and_lose_nothing_that_was_recorded() {
    let (writers, rounds) = (number("TOOLBOX_TEST_WRITERS", 8), number("TOOLBOX_TEST_ROUNDS", 4));
    let toolbox = Toolbox::alone();
    let text = "x".repeat(2_000);
    let mut recorded = BTreeSet::new();
    for round in 0..rounds {
        let write = |writer| {
            let title = format!("event {round}.{writer}");
            let mut command = toolbox.command(&["events", "send", "--title", &title, "--text", &text]);
            command.stderr(Stdio::null()).spawn().unwrap()
        };
        let mut children: Vec<_> = (0..writers).map(write).collect();
        // Another moment each time, spread over the life of a run.
        std::thread::sleep(Duration::from_millis(round * 23 % 101));
        for child in &mut children {
            // One that has ended can't be killed.
            drop(child.kill());
        }
        let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap().stdout);
        recorded.extend(outputs.filter_map(|out| String::from_utf8_lossy(&out).trim().parse::<Uuid>().ok()));
        // Whoever comes next cuts off what a killed one left unfinished.
        assert_eq!(toolbox.send("the next run").code, Some(0));
        assert_all_json(&toolbox.state());
    }
    assert_eq!(toolbox.run(&["events", "flush"]).code, Some(0));
    assert_tidy(&toolbox, "killed");
    let audited: BTreeSet<_> = toolbox.audit().into_iter().map(|event| event.event_id).collect();
    let lost: Vec<_> = recorded.difference(&audited).collect();
    assert!(lost.is_empty(), "recorded and not in the audit log: {lost:?}");
}
