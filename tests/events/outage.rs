//! A sink that is away for a while is tried again while the run lives, in order, and people read two lines about it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kafka_toolbox::change::event::{Event, Outcome, Recorder};
use kafka_toolbox::recorders::lane::QUEUE_LENGTH;
use kafka_toolbox::recorders::outbox::{JOURNAL_BYTES, Outbox, Settings};
use kafka_toolbox::recorders::sink::{Message, Sink, Verdict};
use kafka_toolbox::recorders::spool::Bounds;
use tokio::time::sleep;

use super::late::run;

/// A sink whose next answers are told; it notes what it took.
#[derive(Default)]
struct Moody {
    answer: Mutex<Option<Verdict>>,
    /// Refused whatever else is taken.
    poison: Mutex<Option<String>>,
    taken: Mutex<Vec<String>>,
    attempts: Mutex<usize>,
}

impl Moody {
    fn is(&self, answer: Option<Verdict>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    fn attempts(&self) -> usize {
        *self.attempts.lock().unwrap()
    }
}

#[async_trait]
impl Sink for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn parallel(&self) -> usize {
        4
    }

    fn late_group(&self) -> usize {
        1
    }

    async fn deliver(&self, message: &Message<'_>) -> Verdict {
        *self.attempts.lock().unwrap() += 1;
        sleep(Duration::from_millis(10)).await;
        let title = message.events[0].title.clone();
        if self.poison.lock().unwrap().as_ref() == Some(&title) {
            return later();
        }
        if let Some(answer) = self.answer.lock().unwrap().clone() {
            return answer;
        }
        self.taken.lock().unwrap().push(title);
        Verdict::Taken
    }
}

fn later() -> Verdict {
    Verdict::Later { after: None, why: "no answer".into() }
}

fn outbox(sink: &Arc<Moody>, say: fn(&str)) -> (tempfile::TempDir, Outbox) {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::new(Settings {
        state: folder.path().to_owned(),
        run: run(),
        command_line: None,
        sinks: vec![sink.clone()],
        flush_within: Duration::from_secs(10),
        bounds: Bounds::default(),
        journal_bytes: JOURNAL_BYTES,
        say,
    });
    (folder, outbox)
}

fn done(subject: &str, title: &str) -> Event {
    run().event("throttle.changed", subject, Outcome::Done, title)
}

fn titles(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("event {n}")).collect()
}

/// How many times a line with these words was said.
fn said(lines: &Mutex<Vec<String>>, words: &str) -> usize {
    lines.lock().unwrap().iter().filter(|line| line.contains(words)).count()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_was_away_for_an_hour_gets_everything_in_order_and_two_lines_are_said() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let sink = Arc::new(Moody::default());
    let (_folder, mut outbox) = outbox(&sink, |line| SAID.lock().unwrap().push(line.to_owned()));
    sink.is(Some(later()));
    for title in titles(0..60) {
        outbox.record(&[done("throttle:cluster", &title)]).await;
        sleep(Duration::from_mins(1)).await;
    }
    assert!(sink.attempts() < 400, "{} attempts in an hour", sink.attempts());
    sink.is(None);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(sink.taken(), titles(0..60));
    assert_eq!(said(&SAID, "events: moody has taken nothing for "), 1);
    assert_eq!(said(&SAID, "events: moody takes events again, after 36"), 1);
    assert_eq!(SAID.lock().unwrap().len(), 2, "{:?}", SAID.lock().unwrap());
    assert_eq!(outbox.close().await.sent, 60);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_refused_is_tried_again_during_the_life_of_an_agent() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let sink = Arc::new(Moody::default());
    let (_folder, mut outbox) = outbox(&sink, |line| SAID.lock().unwrap().push(line.to_owned()));
    sink.is(Some(Verdict::Stop("the Role lacks a rule".into())));
    outbox.record(&[done("throttle:cluster", "event 0")]).await;
    sleep(Duration::from_mins(20)).await;
    assert!((4..=12).contains(&sink.attempts()), "{} attempts", sink.attempts());
    sink.is(None);
    sleep(Duration::from_mins(6)).await;
    assert_eq!(sink.taken(), ["event 0"]);
    assert_eq!(said(&SAID, "events: moody takes nothing: the Role lacks a rule"), 1);
    assert_eq!(said(&SAID, "events: moody takes events again, after "), 1);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_queue_holds_waits_in_the_journal_and_is_delivered_in_the_same_run() {
    let sink = Arc::new(Moody::default());
    let (_folder, mut outbox) = outbox(&sink, |_| {});
    sink.is(Some(later()));
    let count = QUEUE_LENGTH + 500;
    let events: Vec<_> = titles(0..count).iter().map(|title| done("throttle:cluster", title)).collect();
    for events in events.chunks(500) {
        outbox.record(events).await;
    }
    sleep(Duration::from_mins(1)).await;
    sink.is(None);
    sleep(Duration::from_mins(2)).await;
    // What comes now is behind what waits.
    outbox.record(&[done("throttle:cluster", &format!("event {count}"))]).await;
    sleep(Duration::from_mins(2)).await;
    assert!(sink.taken() == titles(0..count + 1), "{} of {} taken", sink.taken().len(), count + 1);
}

#[tokio::test(start_paused = true)]
async fn one_message_that_a_sink_never_answers_does_not_block_the_others() {
    let sink = Arc::new(Moody::default());
    *sink.poison.lock().unwrap() = Some("event 0".into());
    let (_folder, mut outbox) = outbox(&sink, |_| {});
    for (n, title) in titles(0..50).iter().enumerate() {
        outbox.record(&[done(&format!("topic:t-{n}"), title)]).await;
    }
    sleep(Duration::from_mins(30)).await;
    let mut taken = sink.taken();
    taken.sort_by_key(|title| title[6..].parse::<usize>().unwrap());
    assert_eq!(taken, titles(1..50));
    assert_eq!(outbox.close().await.spooled, 1);
}

#[tokio::test(start_paused = true)]
async fn an_audit_log_that_could_not_be_written_for_a_while_has_everything_afterwards() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let sink = Arc::new(Moody::default());
    let (folder, mut outbox) = outbox(&sink, |line| SAID.lock().unwrap().push(line.to_owned()));
    let audit = folder.path().join("audit.jsonl");
    std::fs::create_dir(&audit).unwrap();
    for title in titles(0..20) {
        outbox.record(&[done("throttle:cluster", &title)]).await;
        sleep(Duration::from_secs(30)).await;
    }
    std::fs::remove_dir(&audit).unwrap();
    sleep(Duration::from_mins(1)).await;
    outbox.record(&[done("throttle:cluster", "event 20")]).await;
    let audited: Vec<_> = super::toolbox::audited(folder.path()).into_iter().map(|event| event.title).collect();
    assert_eq!(audited, titles(0..21));
    assert_eq!(said(&SAID, "events: the audit log can't be written: "), 1);
    assert_eq!(said(&SAID, "events: the audit log is written again, after "), 1);
}
