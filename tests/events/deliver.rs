//! Delivery to Datadog through every kind of trouble: nothing lost, nothing doubled, no waiting beyond the budget.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::double::{Double, Mood};
use super::toolbox::{Ran, Toolbox};

fn last_line(ran: &Ran) -> &str {
    ran.err.lines().rfind(|line| line.starts_with("events: ") && line.contains(" dropped")).unwrap_or_default()
}

/// Runs `send` while the double is in trouble, then a flush when it is well, and says what the first run said.
fn trouble_then_peace(mood: Mood) -> (Ran, Double) {
    let double = Double::start();
    double.is(mood);
    let toolbox = Toolbox::for_datadog(&double.url).with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "1s");
    let ran = toolbox.send("the keys were rotated");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(last_line(&ran), "events: 0 sent, 1 spooled, 0 dropped", "{ran:?}");
    assert!(ran.took < Duration::from_secs(10), "{ran:?}");
    double.is(Mood::Accept);
    let flushed = toolbox.run(&["events", "flush"]);
    assert_eq!((flushed.code, flushed.out.as_str()), (Some(0), "1 sent, 0 dropped, 0 left\n"), "{flushed:?}");
    assert_eq!(double.accepted_with("the keys were rotated"), 1);
    assert_eq!((toolbox.files("spool"), toolbox.files("open")), (0, 0));
    (ran, double)
}

#[test]
fn an_event_arrives_with_the_key_in_a_header_and_within_every_limit() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url)
        .with("DD_ENV", "Live")
        .with("DD_SERVICE", "kafka")
        .with("DD_VERSION", "7")
        .with("TOOLBOX_ACTOR", "pod:kafka/toolbox-1");
    let long = "x".repeat(3_900);
    let arguments = ["events", "send", "--title", &"t".repeat(300), "--text", &long, "--kind", "keys.rotated"];
    let more = ["--subject", "host:kafka-1", "--tag", "team=data", "--severity", "warning", "--cluster", "prod"];
    let ran = toolbox.run(&[&arguments[..], &more[..]].concat());
    assert_eq!((ran.code, last_line(&ran)), (Some(0), "events: 1 sent, 0 spooled, 0 dropped"), "{ran:?}");
    let seen = double.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].status, seen[0].target.as_str()), (202, "/api/v1/events"));
    let body = &seen[0].body;
    assert_eq!((body["alert_type"].as_str(), body["priority"].as_str()), (Some("warning"), Some("normal")));
    let tags: Vec<_> = body["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    for tag in ["source:kafka-toolbox", "kafka_cluster:prod", "env:live", "service:kafka", "version:7", "team:data"] {
        assert!(tags.contains(&tag), "{tag}: {tags:?}");
    }
    assert!(body["text"].as_str().unwrap().contains(ran.out.trim()), "the event's id is in its text");
}

#[test]
fn datadog_hanging_costs_the_flush_budget_and_nothing_else() {
    let (ran, _) = trouble_then_peace(Mood::Hang);
    assert!(ran.took >= Duration::from_secs(1), "{ran:?}");
}

#[test]
fn datadog_answering_garbage_or_breaking_off_changes_no_exit_code_and_loses_nothing() {
    for mood in [
        Mood::Reset,
        Mood::Answer(200, "<html>please log in</html>"),
        Mood::Answer(204, ""),
        Mood::Answer(500, "oops"),
        Mood::Answer(503, "{}"),
        Mood::Answer(408, "{}"),
        Mood::RateLimited(3_600),
    ] {
        let (ran, _) = trouble_then_peace(mood.clone());
        assert!(ran.err.contains("events: 1 wait for datadog: http://127.0.0.1:"), "{mood:?}: {ran:?}");
    }
}

#[test]
fn a_wrong_key_a_redirect_or_a_wrong_path_stops_at_once_says_so_and_keeps_the_spool() {
    for (mood, said) in [
        (Mood::Answer(403, r#"{"errors":["Forbidden"]}"#), "answered 403: Forbidden; look at DD_API_KEY and DD_SITE"),
        (Mood::Answer(401, "no"), "answered 401: no; look at DD_API_KEY"),
        (Mood::Answer(404, "{}"), "answered 404: {}; look at DD_SITE and --datadog-url"),
        (Mood::Answer(302, ""), "answered 302: nothing; look at DD_SITE"),
    ] {
        let (ran, double) = trouble_then_peace(mood);
        assert!(ran.err.contains("events: datadog takes nothing: ") && ran.err.contains(said), "{ran:?}");
        assert_eq!(double.seen().len(), 2, "one attempt in trouble, one in peace");
    }
}

#[test]
fn no_key_at_all_is_said_and_keeps_the_spool() {
    let toolbox = Toolbox::alone().with("TOOLBOX_EVENTS_TO", "datadog");
    let ran = toolbox.send("x");
    assert_eq!(ran.code, Some(0));
    assert!(ran.err.contains("events: datadog takes nothing: DD_API_KEY is not set"), "{ran:?}");
    assert_eq!(toolbox.files("spool"), 1);
}

#[test]
fn nobody_listening_is_no_different() {
    let toolbox = Toolbox::for_datadog("http://127.0.0.1:1").with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "1s");
    let ran = toolbox.send("x");
    assert_eq!((ran.code, last_line(&ran)), (Some(0), "events: 0 sent, 1 spooled, 0 dropped"), "{ran:?}");
    assert!(ran.err.contains("Connection refused"), "{ran:?}");
}

#[test]
fn trouble_that_passes_within_the_budget_is_waited_out() {
    let double = Double::start();
    double.is_first([Mood::Answer(503, ""), Mood::Reset, Mood::RateLimited(1), Mood::Answer(200, "<html>")]);
    let toolbox = Toolbox::for_datadog(&double.url).with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "60s");
    let ran = toolbox.send("patience");
    assert_eq!(last_line(&ran), "events: 1 sent, 0 spooled, 0 dropped", "{ran:?}");
    assert_eq!(double.accepted().len(), 1);
    assert!(ran.took >= Duration::from_secs(1), "the rate limit asked for a second: {ran:?}");
}

#[test]
fn an_event_that_was_accepted_before_the_connection_broke_is_not_sent_again() {
    let double = Double::start();
    double.is(Mood::AcceptThenReset);
    let toolbox = Toolbox::for_datadog(&double.url);
    let ran = toolbox.send("once");
    assert_eq!(last_line(&ran), "events: 1 sent, 0 spooled, 0 dropped", "{ran:?}");
    assert_eq!(toolbox.run(&["events", "flush"]).out, "0 sent, 0 dropped, 0 left\n");
    assert_eq!(double.seen().len(), 1);
}

#[test]
fn what_is_too_large_is_shortened_once() {
    let double = Double::start();
    double.is(Mood::TakesTextOf(1_500));
    let toolbox = Toolbox::for_datadog(&double.url);
    let ran = toolbox.run(&["events", "send", "--title", "long", "--text", &"x".repeat(3_000)]);
    assert_eq!(last_line(&ran), "events: 1 sent, 0 spooled, 0 dropped", "{ran:?}");
    let statuses: Vec<_> = double.seen().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [413, 202]);
}

#[test]
fn what_is_malformed_is_set_aside_said_and_never_sent_again() {
    for (mood, attempts) in [
        (Mood::Answer(400, r#"{"errors":["Invalid date"]}"#), 1),
        (Mood::Answer(400, r#"{"errors":["text exceeds the limit"]}"#), 2),
        (Mood::TakesTextOf(1), 2),
    ] {
        let double = Double::start();
        double.is(mood);
        let toolbox = Toolbox::for_datadog(&double.url);
        let ran = toolbox.send("strange");
        assert_eq!((ran.code, last_line(&ran)), (Some(0), "events: 0 sent, 0 spooled, 1 dropped"), "{ran:?}");
        assert!(ran.err.contains("events: datadog will never take 1: "), "{ran:?}");
        assert_eq!((toolbox.files("quarantine"), toolbox.files("spool")), (1, 0));
        assert_eq!(double.seen().len(), attempts);
    }
}

#[test]
fn events_change_the_exit_code_only_where_they_are_required() {
    let toolbox = Toolbox::for_datadog("http://127.0.0.1:1").with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "0s");
    let ran = toolbox.run(&["events", "send", "--title", "x", "--require-events"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("--require-events asks for that"), "{ran:?}");
}

#[test]
fn one_sinks_outage_sends_nothing_again_to_the_others() {
    let agent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let port = agent.local_addr().unwrap().port().to_string();
    let double = Double::start();
    double.is(Mood::Answer(503, ""));
    let toolbox = Toolbox::for_datadog(&double.url)
        .with("TOOLBOX_EVENTS_TO", "datadog,dogstatsd")
        .with("DD_AGENT_HOST", "127.0.0.1")
        .with("DD_DOGSTATSD_PORT", &port)
        .with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "1s");
    let first = toolbox.send("first");
    assert_eq!(last_line(&first), "events: 0 sent, 1 spooled, 0 dropped", "{first:?}");
    double.is(Mood::Accept);
    let second = toolbox.send("second");
    assert_eq!(last_line(&second), "events: 1 sent, 0 spooled, 0 dropped; 1 of earlier runs sent", "{second:?}");
    let mut datagrams = Vec::new();
    let mut buffer = [0; 9_000];
    while let Ok(length) = agent.recv(&mut buffer) {
        datagrams.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    for title in ["first", "second"] {
        assert_eq!(double.accepted_with(title), 1, "{title}");
        assert_eq!(datagrams.iter().filter(|sent| sent.contains(title)).count(), 1, "{title}: {datagrams:?}");
    }
}

#[test]
fn a_dry_run_records_and_sends_nothing() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let ran = toolbox.run(&["events", "send", "--title", "x", "--dry-run"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!((double.seen().len(), toolbox.audit().len(), toolbox.files("open")), (0, 0, 0));
}

#[test]
fn a_folder_that_cannot_be_written_is_said_loudly_and_the_event_is_sent_all_the_same() {
    let double = Double::start();
    let toolbox = Toolbox::for_datadog(&double.url);
    let file = toolbox.state().join("file");
    std::fs::write(&file, "").unwrap();
    let state = file.join("below").display().to_string();
    let ran = toolbox.run(&["events", "send", "--title", "homeless", "--state-folder", &state]);
    let kept = format!("1 could not be kept in {state}: the audit log lacks them");
    let counts = format!("events: 1 sent, 0 spooled, 0 dropped; {kept}");
    assert_eq!((ran.code, last_line(&ran)), (Some(0), counts.as_str()), "{ran:?}");
    assert!(ran.err.contains("can't be written") && ran.err.contains("--state-folder"), "{ran:?}");
    let said = ran.err.lines().find(|line| line.starts_with('{')).unwrap();
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    assert_eq!((said["spool"].as_str(), said["event"]["title"].as_str()), (Some("failed"), Some("homeless")));
    double.is(Mood::Answer(503, ""));
    let arguments = ["events", "send", "--title", "x", "--state-folder", &state, "--events-flush-timeout", "0s"];
    let ran = toolbox.run(&arguments);
    let counts = format!("events: 0 sent, 0 spooled, 1 dropped; {kept}");
    assert_eq!((ran.code, last_line(&ran)), (Some(0), counts.as_str()), "{ran:?}");
}

#[test]
fn a_person_who_does_not_want_to_wait_ends_the_flush_and_the_next_run_sends_the_rest() {
    let double = Double::start();
    double.is(Mood::Hang);
    let toolbox = Toolbox::for_datadog(&double.url).with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "60s");
    let begun = Instant::now();
    let mut child = toolbox
        .command(&["events", "send", "--title", "later"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waiting = lines.next().unwrap().unwrap();
    assert_eq!(waiting, "events: waiting for datadog, 60 s at most; the next run sends the rest");
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = lines.next().unwrap().unwrap();
    assert_eq!(said, "events: not waited for any longer; the next run sends the rest");
    assert_eq!(lines.last().unwrap().unwrap(), "events: 0 sent, 1 spooled, 0 dropped");
    assert!(child.wait().unwrap().success());
    assert_eq!((toolbox.files("open"), toolbox.files("spool")), (0, 1));
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    double.is(Mood::Accept);
    assert_eq!(toolbox.run(&["events", "flush"]).out, "1 sent, 0 dropped, 0 left\n");
    assert_eq!(double.accepted_with("later"), 1);
}
