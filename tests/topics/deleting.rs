//! Deleting topics: only what nobody uses, by evidence that producers can't forge; and what a person has to type.

use kafka_toolbox::clients::kafka::memory::{Call, Memory, Model};
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;

use super::applying::partitions;
use crate::support::desk::Desk;

/// Time passes: the end offsets that runs have noted stand still since long ago.
fn age(desk: &Desk) {
    for entry in std::fs::read_dir(desk.folder().join("state/records")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut parts = text.split("\"since\": \"");
        let mut aged = parts.next().unwrap().to_owned();
        for part in parts {
            let (_, rest) = part.split_once('"').unwrap();
            aged.push_str("\"since\": \"2020-01-01T00:00:00Z\"");
            aged.push_str(rest);
        }
        std::fs::write(&path, aged).unwrap();
    }
}

#[tokio::test]
async fn a_topic_that_is_read_or_fresh_is_deleted_only_by_name() {
    let now = jiff::Timestamp::now().as_millisecond();
    let kafka = Memory::kraft(3)
        .topic("read", &[&[1, 2]])
        .group("billing", &["read"])
        .topic("fresh", &[&[1, 2]])
        .records("fresh", 0, &[now - 1000])
        .topic("stale", &[&[1, 2]])
        .records("stale", 0, &[now - 8 * 86_400_000]);
    let desk = Desk::new(kafka);
    desk.declare(&["{name: read, state: absent}", "{name: fresh, state: absent}", "{name: stale, state: absent}"]);
    let some = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Refused);
    assert!(some.out.contains("consumer group billing reads it now"), "{some:#?}");
    assert!(some.out.contains("newer than --min-idle 7d"), "{some:#?}");
    assert!(some.out.contains("it holds 1 record, whose times are what producers say"), "{some:#?}");
    assert_eq!(some.lines().last(), Some(&"0 done, 0 failed, 3 refused, 0 unknown"));
    let named = ["--max-risk", "loses-data", "--delete", "read", "--delete", "fresh"];
    desk.apply(&named).await.ends_with(Exit::Refused);
    let left = ["read", "fresh", "stale"].map(|name| partitions(&desk, name));
    assert_eq!(left, [0, 0, 1]);
}

#[tokio::test]
async fn records_that_are_written_now_with_a_time_of_last_month_keep_their_topic_and_a_topic_that_stands_still_goes() {
    let old = jiff::Timestamp::now().as_millisecond() - 30 * 86_400_000;
    let append = move |cluster: &mut Model| {
        let topic = cluster.topics.get_mut(&TopicName::new("old").unwrap()).unwrap();
        topic.partitions[0].timestamps.push(old);
    };
    let desk = Desk::new(Memory::kraft(3).topic("old", &[&[1, 2]]).records("old", 0, &[old]));
    desk.declare(&["{name: old, state: absent}"]);
    let delete = ["--max-risk", "loses-data"];
    let noted = desk.apply(&delete).await.ends_with(Exit::Refused);
    assert!(noted.out.contains("its end offsets are noted now: run again in --min-idle 7d"), "{noted:#?}");
    // Time passes, and a producer of events of last month goes on.
    age(&desk);
    desk.kafka.edit(append);
    desk.apply(&delete).await.ends_with(Exit::Refused);
    let early = desk.apply(&delete).await.ends_with(Exit::Refused);
    assert!(early.out.contains("its end offsets are known to stand still since"), "{early:#?}");
    assert_eq!(partitions(&desk, "old"), 1);
    age(&desk);
    desk.apply(&delete).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "old"), 0);
}

#[tokio::test]
async fn a_topic_that_is_written_to_after_its_deletion_was_planned_is_not_deleted() {
    let append = |cluster: &mut Model| {
        let topic = cluster.topics.get_mut(&TopicName::new("old").unwrap()).unwrap();
        topic.partitions[0].timestamps.push(1);
    };
    // Before the last look at its end, right before it would be deleted.
    let calls = async |kafka: Memory, more: &[&str]| {
        let desk = Desk::new(kafka);
        desk.declare(&["{name: old, state: absent}"]);
        let said = desk.apply(&[&["--max-risk", "loses-data"], more].concat()).await;
        let count = desk.kafka.calls().iter().filter(|call| **call == Call::ListOffsets).count();
        (said, count, partitions(&desk, "old"))
    };
    let (_, looks, _) = calls(Memory::kraft(3).topic("old", &[&[1, 2]]), &["--dry-run"]).await;
    let kafka = Memory::kraft(3).topic("old", &[&[1, 2]]).before(Call::ListOffsets, looks + 1, append);
    let (said, _, left) = calls(kafka, &[]).await;
    let said = said.ends_with(Exit::Refused);
    assert!(said.out.contains("records were appended to it since the plan was made"), "{said:#?}");
    assert_eq!(left, 1);
}

#[tokio::test]
async fn above_reversible_the_name_or_the_count_is_typed() {
    let desk = Desk::new(Memory::kraft(3).topic("old", &[&[1, 2]]).topic("older", &[&[1, 2]]));
    let spec = desk.declare(&["{name: old, state: absent}"]);
    let apply = ["topics", "apply", "-f", &spec];
    let one = desk.run_and_answer(Some(false), &apply).await.ends_with(Exit::Refused);
    let question = "Type the name of the topic whose change is loses-data, `old`, to apply:";
    assert!(one.err.contains(question), "{one:#?}");
    desk.declare(&["{name: old, state: absent}", "{name: older, state: absent}"]);
    let two = desk.run_and_answer(Some(false), &apply).await.ends_with(Exit::Refused);
    assert!(two.err.contains("Type the number of changes above risk reversible, 2, to apply:"), "{two:#?}");
    desk.run_and_answer(Some(true), &apply).await.ends_with(Exit::Done);
    assert!(!desk.has("old") && !desk.has("older"));
}

#[tokio::test]
async fn a_topic_that_was_deleted_a_moment_ago_is_nothing_to_do() {
    let name = TopicName::new("old").unwrap();
    // The metadata still had it; its leader has not.
    let kafka = Memory::kraft(3).topic("old", &[&[1, 2]]);
    let kafka = kafka.before(Call::ListOffsets, 1, move |cluster| drop(cluster.topics.remove(&name)));
    let desk = Desk::new(kafka);
    desk.declare(&["{name: old, state: absent}"]);
    let run = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(run.lines(), ["nothing to do"]);
}

#[tokio::test]
async fn nothing_is_deleted_unnamed_while_a_live_group_hides_what_it_reads() {
    let desk = Desk::new(Memory::kraft(3).topic("old", &[&[1, 2]]).group("streaming", &[]));
    desk.declare(&["{name: old, state: absent}"]);
    let kept = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Refused);
    assert!(kept.out.contains("group streaming is live, and what it reads cannot be found out"), "{kept:#?}");
    assert_eq!(partitions(&desk, "old"), 1);
    desk.apply(&["--max-risk", "loses-data", "--delete", "old"]).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "old"), 0);
}

#[tokio::test]
async fn a_lock_of_this_toolbox_keeps_no_topic_from_being_deleted() {
    let desk = Desk::new(Memory::kraft(3).topic("old", &[&[1, 2]]).lock_group("toolbox-lock-moves"));
    desk.declare(&["{name: old, state: absent}"]);
    desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "old"), 0);
}
