//! `toolbox events`, whole commands.

use serde_json::Value;

use super::toolbox::{Toolbox, assert_each_ended_once};

#[test]
fn a_script_records_before_and_after_and_the_log_has_one_side_effect() {
    let toolbox = Toolbox::alone();
    let arguments = ["events", "send", "--intent", "--title", "rotate the keys", "--kind", "keys.rotated"];
    let begun = toolbox.run(&[&arguments[..], &["--subject", "cluster:prod", "--before", "serial: 1"]].concat());
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let id = begun.out.trim();
    assert!(toolbox.run(&["events", "list"]).out.contains("planned  keys.rotated  cluster:prod  rotate the keys"));
    let ended = toolbox.run(&["events", "send", "--outcome-of", id, "--outcome", "failed", "--text", "no disk"]);
    assert_eq!((ended.code, ended.out.trim()), (Some(0), id), "{ended:?}");
    let listed = toolbox.run(&["events", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let events = listed["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    for (field, expected) in
        [("event_id", id), ("outcome", "failed"), ("severity", "error"), ("reason", "no disk"), ("before", "serial: 1")]
    {
        assert_eq!(events[0][field], expected, "{field}");
    }
    assert_each_ended_once(&toolbox.audit());
}

#[test]
fn an_outcome_without_its_intent_is_refused_with_the_reason() {
    let toolbox = Toolbox::alone();
    let nowhere = toolbox.run(&["events", "send", "--outcome-of", "01a2045f-d4e5-7808-b451-0b0a48207ff0"]);
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    assert!(nowhere.err.contains("no intent 01a2045f-d4e5-7808-b451-0b0a48207ff0 is open here"), "{nowhere:?}");
    let id = toolbox.run(&["events", "send", "--intent", "--title", "x"]).out;
    toolbox.run(&["events", "send", "--outcome-of", id.trim()]);
    let twice = toolbox.run(&["events", "send", "--outcome-of", id.trim(), "--outcome", "failed"]);
    assert_eq!(twice.code, Some(4), "{twice:?}");
    assert!(twice.err.contains("ended as done at 2") && twice.err.contains("nothing was recorded"), "{twice:?}");
}

#[test]
fn wrong_input_is_told_and_nothing_is_recorded() {
    let toolbox = Toolbox::alone();
    for (arguments, said) in [
        (&["--title", "x", "--kind", "hook"][..], "--kind `hook` is not words with dots"),
        (&["--title", "x", "--subject", "orders"], "--subject `orders` is not KIND:NAME"),
        (&["--title", "x", "--tag", "team"], "it is not KEY=VALUE"),
        (&["--title", "x", "--tag", "password=1234"], "secrets do not belong into events"),
        (&["--title", "x", "--outcome", "planned"], "--intent records what is about to be tried"),
        (&["--kind", "a.b"], "--title"),
    ] {
        let ran = toolbox.run(&[&["events", "send"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
    }
    assert_eq!(toolbox.audit(), []);
    let since = toolbox.run(&["events", "list", "--since", "yesterday"]);
    assert_eq!(since.code, Some(2), "{since:?}");
    assert!(since.err.contains("--since `yesterday` is neither a time"), "{since:?}");
}

#[test]
fn the_list_is_filtered_limited_and_says_what_it_leaves_out() {
    let toolbox = Toolbox::alone();
    for (title, kind, cluster) in [("one", "a.x", "prod"), ("two", "b.x", "prod"), ("three", "a.y", "test")] {
        let arguments = ["events", "send", "--title", title, "--kind", kind, "--cluster", cluster];
        assert_eq!(toolbox.run(&arguments).code, Some(0));
    }
    let titles = |arguments: &[&str]| -> Vec<String> {
        let ran = toolbox.run(&[&["events", "list", "-o", "json"], arguments].concat());
        let listed: Value = serde_json::from_str(&ran.out).unwrap();
        listed["events"].as_array().unwrap().iter().map(|event| event["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles(&[]), ["one", "two", "three"]);
    assert_eq!(titles(&["--kind", "a.*"]), ["one", "three"]);
    assert_eq!(titles(&["--cluster", "test"]), ["three"]);
    assert_eq!(titles(&["--since", "1h", "--command", "events *", "--outcome", "done"]).len(), 3);
    assert_eq!(titles(&["--outcome", "failed"]).len(), 0);
    let newest = toolbox.run(&["events", "list", "--limit", "1"]);
    assert!(newest.out.contains("three") && !newest.out.contains("two"), "{newest:?}");
    assert!(newest.err.contains("2 older ones are not shown"), "{newest:?}");
}

#[test]
fn without_events_nothing_is_written_and_nothing_is_waited_for() {
    let toolbox = Toolbox::for_datadog("http://127.0.0.1:1");
    let ran = toolbox.run(&["events", "list"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let ran = toolbox.run(&["events", "flush"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "0 sent, 0 dropped, 0 left\n"), "{ran:?}");
    assert_eq!(std::fs::read_dir(toolbox.state()).unwrap().count(), 0);
}
