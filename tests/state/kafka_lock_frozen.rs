//! A process that holds the lock and is frozen (SIGSTOP): another one takes the lock, and the first one sends nothing any
//! more after it goes on.
//!
//! The holder is this test binary itself, started anew with one test that only then does something.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::{Kafka, KafkaError, Mode, NewTopic};
use kafka_toolbox::cluster::config::{ConfigChange, ConfigOperation, ConfigResource};
use kafka_toolbox::state::lock::kafka::Freshness;
use rustix::process::{Pid, Signal, kill_process};

use super::kafka_lock::{claim, client, take_as};
use crate::clients::kafka::contract::{create, name, topic};
use crate::clients::kafka::live::wait;
use crate::live::kafka::{Cluster, Kind};

const GROUP: &str = "toolbox-lock-frozen";
const TOPIC: &str = "lock.frozen";

/// Where the holder finds the cluster.
const BOOTSTRAP: &str = "TOOLBOX_TEST_HOLDER_OF_LOCK_AT";

/// How long it is frozen; `make acceptance` freezes it for 90 s.
const FROZEN: &str = "TOOLBOX_TEST_FROZEN_SECONDS";

/// How long otherwise.
pub(super) const FROZEN_USUALLY: Duration = Duration::from_secs(20);

/// Longest life of a holder, and longest wait for words of it.
const LIMIT: Duration = Duration::from_mins(4);

/// How long a holder is frozen in this run of the tests.
pub(super) fn frozen_for() -> Duration {
    std::env::var(FROZEN).ok().map_or(FROZEN_USUALLY, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}

/// One write, with a value that says whose and which it is.
async fn write(kafka: &dyn Kafka, value: u64) -> Result<(), KafkaError> {
    let operations = vec![("retention.ms".to_owned(), ConfigOperation::Set(value.to_string()))];
    let change = ConfigChange { resource: ConfigResource::Topic(name(TOPIC)), operations };
    kafka.alter_configs(&[change], Mode::Apply).await.remove(0)
}

fn say(words: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{words}").and_then(|()| out.flush()).unwrap();
}

/// The process of the next test; by itself it does nothing.
#[test]
fn holder_process() {
    let Ok(bootstrap) = std::env::var(BOOTSTRAP) else { return };
    let kafka = client(&bootstrap);
    wait(async {
        let held = take_as(&kafka, claim(GROUP, "frozen", "here")).await.0.unwrap();
        kafka.write_gate().require(held.group(), held.condition());
        let started = Instant::now();
        for number in 1.. {
            say(&format!("sends {number}"));
            match write(&*kafka, number).await {
                Ok(()) => say(&format!("sent {number}")),
                Err(KafkaError::LockNotHeld { why }) => say(&format!("refused {number}: {why}")),
                Err(error) => say(&format!("failed {number}: {error}")),
            }
            if matches!(held.freshness(), Freshness::Lost { .. }) {
                let words = write(&*kafka, number).await.unwrap_err().to_string();
                say(&format!("lost: {words}"));
                return;
            }
            assert!(started.elapsed() < LIMIT);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

fn start_holder(cluster: &Cluster) -> (Child, Receiver<String>) {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "state::kafka_lock_frozen::holder_process", "--nocapture"])
        .env(BOOTSTRAP, cluster.bootstrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (said, words) = channel();
    let out = BufReader::new(holder.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    (holder, words)
}

fn await_words(words: &Receiver<String>, wanted: &str) -> String {
    loop {
        let said = words.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("it never says `{wanted}`"));
        if said.contains(wanted) {
            return said;
        }
    }
}

#[test]
fn a_holder_that_was_frozen_sends_nothing_after_it_goes_on() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let kafka = client(&cluster.bootstrap());
    wait(create(&*kafka, NewTopic { partitions: Some(1), replication_factor: Some(1), ..topic(TOPIC) }));
    let (mut holder, words) = start_holder(cluster);
    await_words(&words, "sent 3");
    kill_process(Pid::from_child(&holder), Signal::STOP).unwrap();
    let stopped = Instant::now();
    wait(async {
        let refused = take_as(&kafka, claim(GROUP, "next", "elsewhere")).await.0.unwrap_err().to_string();
        assert!(refused.contains("on frozen"), "{refused}");
        // Its record is in the same place: it is waited for until its session ends.
        let next = take_as(&kafka, claim(GROUP, "next", "here")).await.0.unwrap();
        let left = frozen_for().saturating_sub(stopped.elapsed());
        tokio::time::sleep(left).await;
        // What was said before it was frozen: the last write that may have been on its way.
        let before: Vec<_> = words.try_iter().collect();
        let under_way = before.iter().filter_map(|line| line.strip_prefix("sends ")?.parse::<u64>().ok()).max();
        kill_process(Pid::from_child(&holder), Signal::CONT).unwrap();
        let lost = await_lost(&words, under_way.unwrap_or(3));
        assert!(lost.contains("nothing was sent: the lock `toolbox-lock-frozen` is lost"), "{lost}");
        assert_eq!(next.freshness(), Freshness::Fresh);
        next.release().await;
    });
    assert!(holder.wait().unwrap().success());
}

/// The words with which the holder ends. Until then nothing is sent but what was under way.
fn await_lost(words: &Receiver<String>, under_way: u64) -> String {
    loop {
        let said = words.recv_timeout(LIMIT).unwrap();
        if let Some(number) = said.strip_prefix("sent ") {
            assert!(number.parse::<u64>().unwrap() <= under_way, "{said}, though another one holds the lock");
        }
        if said.starts_with("lost: ") {
            return said;
        }
    }
}
