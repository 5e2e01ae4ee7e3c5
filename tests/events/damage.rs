//! Journals with lines that can't be read.

use std::path::PathBuf;

use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::recorders::folder::journals;

use super::crash::dead_run;
use super::double::Double;
use super::toolbox::{Toolbox, assert_each_ended_once};

/// Overwrites bytes in the middle of the lines of the only journal in `open`.
fn damage(toolbox: &Toolbox, lines: &[usize]) -> PathBuf {
    let path = journals(&toolbox.state().join("open")).remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut all: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    for line in lines {
        let half = all[line - 1].len() / 3;
        all[line - 1][half..half + 20].fill(0);
    }
    std::fs::write(&path, [all.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
    path
}

fn outcomes(toolbox: &Toolbox, intents: &[Event]) -> Vec<Option<Outcome>> {
    let audited = toolbox.audit();
    let of = |id| audited.iter().find(|event| event.event_id == id && !event.is_intent()).map(|event| event.outcome);
    intents.iter().map(|intent| of(intent.event_id)).collect()
}

#[test]
fn a_damaged_intent_is_kept_in_the_quarantine_and_said_and_its_neighbours_are_ended() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let intents = dead_run(&toolbox.state(), 3, 1, None);
    // Line 1 is the header, line 3 the second intent.
    let path = damage(&toolbox, &[3]);
    let ran = toolbox.run(&["events", "flush"]);
    assert!(
        ran.err.contains(&format!("events: {}:3 can't be read, the others are; kept in ", path.display())),
        "{ran:?}"
    );
    assert!(ran.err.contains("it may have been the intent of a change: what that change did is not known"), "{ran:?}");
    let ended = outcomes(&toolbox, &intents);
    assert_eq!(ended, [Some(Outcome::Done), None, Some(Outcome::Unknown)]);
    let name = path.file_stem().unwrap().to_str().unwrap();
    let kept = std::fs::read_to_string(toolbox.state().join(format!("quarantine/{name}-damaged.json"))).unwrap();
    assert!(kept.contains("\"line\":3") && kept.contains(&intents[1].event_id.to_string()[..13]), "{kept}");
    assert!(toolbox.audit().iter().any(|event| event.kind == "events.damaged"));
    assert_each_ended_once(&toolbox.audit());
    let again = toolbox.run(&["events", "flush"]);
    assert!(!again.err.contains("can't be read"), "it is said once: {again:?}");
}

#[test]
fn a_damaged_outcome_leaves_its_intent_unknown_and_hides_nothing() {
    let toolbox = Toolbox::alone();
    let intents = dead_run(&toolbox.state(), 2, 2, None);
    damage(&toolbox, &[4]);
    let ran = toolbox.run(&["events", "flush"]);
    assert!(ran.err.contains(":4 can't be read") && !ran.err.contains("it may have been the intent"), "{ran:?}");
    assert_eq!(outcomes(&toolbox, &intents), [Some(Outcome::Unknown), Some(Outcome::Done)]);
}

#[test]
fn a_journal_whose_first_line_is_damaged_is_delivered_to_the_sinks_of_the_next_run() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let intents = dead_run(&toolbox.state(), 2, 2, None);
    damage(&toolbox, &[1]);
    toolbox.run(&["events", "flush"]);
    for intent in &intents {
        assert_eq!(double.accepted_with(&intent.event_id.to_string()), 1, "{}", intent.title);
    }
    assert_eq!((toolbox.files("open"), toolbox.files("spool")), (0, 0));
}
