//! Who was seen alive when, from run to run: each pass is a process of its own, as a CronJob's are.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::exit::Exit;
use rustix::process::Signal;
use serde_json::Value;

use crate::ensemble::bed::Bed;
use crate::ensemble::quorum::{once, quorum, read, run, stops, voters};
use crate::live::zookeeper::Shape;
use crate::support::desk::Desk;

/// When a server was seen alive last, as the record has it.
fn seen_alive(bed: &Bed, number: u32) -> Value {
    bed.record()["members"][number.to_string()]["lastSeenAlive"].clone()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_server_that_another_pass_saw_alive_in_the_last_15_minutes_is_not_removed_as_gone() {
    let bed = Bed::adopted(&Shape::of(4), 3);
    let all = [1, 2, 3, 4];
    assert!(all.iter().all(|number| seen_alive(&bed, *number).is_null()), "nobody passed yet");
    bed.run(&["plan"]);
    assert!(all.iter().all(|number| seen_alive(&bed, *number).is_null()), "a plan writes nothing");
    let begun = Timestamp::now();
    bed.pass();
    let first: Vec<_> = all.iter().map(|number| seen_alive(&bed, *number)).collect();
    assert!(first.iter().all(|seen| time(seen) >= begun - SignedDuration::from_secs(1)), "{first:?}");
    let record = bed.record();
    bed.pass();
    assert_eq!(bed.record(), record, "it is not written at every pass");

    let leader = bed.servers.await_leader(&all).unwrap();
    let dead = all.into_iter().rfind(|number| *number != leader).unwrap();
    bed.servers.stop(dead, Signal::KILL).unwrap();
    bed.run(&["retire", &dead.to_string(), "--reason", "its node burnt", "--max-risk", "loses-data"]).ends_with(0);
    let refused = bed.pass().ends_with(4);
    assert!(refused.out.contains("E_NOT_GONE") && refused.out.contains("alive within the last 15 min"), "{refused:#?}");
    let status = bed.run(&["status"]);
    assert!(status.out.contains("E_NOT_GONE"), "{status:#?}");

    // It may have been seen for five minutes more than the record has it.
    bed.was_alive_before(dead, SignedDuration::from_mins(19));
    let refused = bed.pass().ends_with(4);
    assert!(refused.out.contains("E_NOT_GONE"), "{refused:#?}");
    // A clock was wrong: its time counts as now, from now on.
    bed.was_alive_before(dead, SignedDuration::from_hours(-24));
    let refused = bed.pass().ends_with(4);
    assert!(refused.out.contains("E_NOT_GONE") && refused.err.contains("times that lie in the future"), "{refused:#?}");
    assert!(time(&seen_alive(&bed, dead)) <= Timestamp::now(), "{:#}", bed.record());

    bed.was_alive_before(dead, SignedDuration::from_mins(21));
    assert!(bed.members(&[leader]).contains(&dead));
    let ran = bed.pass_until(0);
    assert!(ran.out.contains(&format!("DROP: server {dead} is removed")), "{ran:#?}");
    assert!(!bed.members(&[leader]).contains(&dead));
}

#[test]
fn what_a_pass_notes_of_servers_does_not_refuse_what_a_person_declares_meanwhile() {
    let bed = Bed::adopted(&Shape::of(4), 3);
    // Another pass notes that the servers run, right before the declaration is written.
    let words = Bed::line(&["leave", "4"]);
    let ran = bed.toolbox.run_and_meanwhile("intents:1", &words, |_| {
        bed.pass();
    });
    ran.ends_with(0);
    assert_eq!(bed.record()["members"]["4"]["state"], "leaving");
    assert!(!seen_alive(&bed, 1).is_null(), "what was noted is kept: {:#}", bed.record());
}

/// The file with the record of a quorum, which is the only one.
fn record_file(desk: &Desk) -> PathBuf {
    let files = std::fs::read_dir(desk.folder().join("state/records")).unwrap();
    let mut records = files.map(|file| file.unwrap().path());
    records.find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_another_pass_saw_alive_in_the_last_15_minutes_is_not_removed_as_gone() {
    let desk = Desk::new(quorum(4));
    run(&desk, &["adopt", "--size", "3"]).await.ends_with(Exit::Done);
    once(&desk).await;
    let path = record_file(&desk);
    let noted = read(&path);
    let seen = &noted["document"]["members"]["104"]["lastSeenAlive"];
    assert!(time(seen) <= Timestamp::now(), "{noted:#}");
    once(&desk).await;
    assert_eq!(read(&path), noted, "it is not written at every pass");

    desk.kafka.edit(|model| stops(model, 104));
    run(&desk, &["retire", "104", "--reason", "its node burnt"]).await.ends_with(Exit::Done);
    let was_alive_before = |minutes: i64| {
        let mut record = read(&path);
        let time = (Timestamp::now() - SignedDuration::from_mins(minutes)).to_string();
        record["document"]["members"]["104"]["lastSeenAlive"] = time.into();
        std::fs::write(&path, record.to_string()).unwrap();
    };
    for minutes in [0, 19, -1_440] {
        was_alive_before(minutes);
        let refused = once(&desk).await.ends_with(Exit::Refused);
        assert!(refused.out.contains("E_NOT_GONE"), "{minutes}: {refused:#?}");
    }
    assert_eq!(voters(&desk), [101, 102, 103, 104]);
    was_alive_before(21);
    once(&desk).await.ends_with(Exit::Done);
    assert_eq!(voters(&desk), [101, 102, 103]);
}
