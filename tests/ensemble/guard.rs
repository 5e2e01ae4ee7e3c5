//! What looks on while a test disturbs an ensemble: a client that writes all the time, and a look at who leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::{Creation, Mode, Refusal, ZooKeeper};

use crate::ensemble::bed::{block, session, try_session};
use crate::live::kafka::{ask, wait};
use crate::live::zookeeper::Ensemble;

/// The longest pause between two writes while members change. The goal is 1 s, on a machine that does nothing else: a test shares
/// it with other servers and with builds, and an election then takes several times as long.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A leader that stood still, or lost its followers, says that it leads until it notices: half a tick, on a machine that does
/// nothing else.
const NOTICES: Duration = Duration::from_secs(3);

/// Answers of one server that are farther apart say nothing about the time in between: it stood still, perhaps.
const GAP: Duration = Duration::from_secs(1);

/// The time between two looks at one server.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Set when a thread is to end, and when its owner is dropped.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a client that writes all the time has seen.
#[derive(Default)]
pub(super) struct Written {
    /// Numbers of the nodes whose creation was acknowledged.
    pub(super) acknowledged: Vec<u64>,
    /// The longest time between two acknowledgements.
    pub(super) longest_pause: Duration,
}

/// A client that creates one node after the other until it is stopped.
pub(super) struct Writer {
    stop: Stop,
    thread: JoinHandle<Written>,
}

impl Writer {
    /// Writes to whichever of these servers takes it.
    pub(super) fn start(addresses: String) -> Self {
        let stop = Stop::default();
        let stopped = Arc::clone(&stop.0);
        let thread = std::thread::spawn(move || block(write(&addresses, &stopped)));
        Self { stop, thread }
    }

    /// Ends it.
    pub(super) fn stop(self) -> Written {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

async fn write(addresses: &str, stop: &AtomicBool) -> Written {
    let creation = Creation::open(Mode::Persistent);
    let (mut written, mut last, mut client) = (Written::default(), Instant::now(), None);
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let Some(session) = client.take() else {
            client = begin(addresses, &creation).await;
            continue;
        };
        // A write whose answer was lost is not tried again: it counts as neither.
        let done = session.create(&format!("/written/{number}"), b"x", &creation).await;
        let is_lost = done.as_ref().is_err_and(|error| error.to_string().contains("session"));
        if done.is_ok() {
            written.acknowledged.push(number);
            written.longest_pause = written.longest_pause.max(last.elapsed());
            last = Instant::now();
        }
        client = (!is_lost).then_some(session);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    written
}

/// A session, and the folder that is written into; none while no server gives one.
async fn begin(addresses: &str, creation: &Creation) -> Option<Live> {
    let session = try_session(addresses, None, Duration::from_secs(5)).await.ok()?;
    match session.create("/written", b"", creation).await {
        Err(error) if error.refusal() != Some(Refusal::NodeExists) => None,
        _ => Some(session),
    }
}

/// Every acknowledged write is there, on each of these servers.
#[track_caller]
pub(super) fn all_there(servers: &Ensemble, numbers: &[u32], written: &Written) {
    for number in numbers {
        let names = block(async {
            let client = session(&servers.addresses(&[*number]), None).await;
            client.sync("/").await.unwrap();
            client.children("/written").await.unwrap()
        });
        let names: BTreeSet<_> = names.into_iter().collect();
        let lost: Vec<_> = written.acknowledged.iter().filter(|number| !names.contains(&number.to_string())).collect();
        assert!(lost.is_empty(), "server {number} lacks {lost:?}");
    }
}

/// One answer of a server.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// When it came, since the first look.
    at: Duration,
    /// Whether the server said that it leads.
    leads: bool,
}

/// Asks servers all the time whether they lead.
pub(super) struct Watcher {
    stop: Stop,
    threads: BTreeMap<u32, JoinHandle<Vec<Look>>>,
}

impl Watcher {
    /// Asks these servers, whether or not they run already.
    pub(super) fn start(servers: &Ensemble, numbers: &[u32]) -> Self {
        let (stop, begun) = (Stop::default(), Instant::now());
        let asks = |number: &u32| {
            let (port, stopped) = (servers.member(*number).client, Arc::clone(&stop.0));
            (*number, std::thread::spawn(move || watch(port, begun, &stopped)))
        };
        let threads = numbers.iter().map(asks).collect();
        Self { stop, threads }
    }

    /// Ends it. There never were two leaders that had a quorum each: one without steps down within a tick or two.
    #[track_caller]
    pub(super) fn ends(self, what: &str) {
        drop(self.stop);
        let looks: BTreeMap<_, _> =
            self.threads.into_iter().map(|(number, thread)| (number, thread.join().unwrap())).collect();
        let led = looks.values().flatten().filter(|look| look.leads).count();
        assert!(led > 0, "{what}: no look found a leader");
        let rivals = rivals(&looks);
        assert!(rivals.is_empty(), "{what}: {rivals:#?}");
    }
}

fn watch(port: u16, begun: Instant, stop: &AtomicBool) -> Vec<Look> {
    let mut looks = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let leads = ask::zookeeper(port).is_ok_and(|answer| answer.contains("Mode: leader"));
        looks.push(Look { at: begun.elapsed(), leads });
        std::thread::sleep(LOOK_EVERY);
    }
    looks
}

/// From when to when a server led, by one answer after the other.
fn reigns(looks: &[Look]) -> Vec<(Duration, Duration)> {
    let mut reigns: Vec<(Duration, Duration)> = Vec::new();
    let mut before: Option<Look> = None;
    for look in looks {
        let goes_on = before.is_some_and(|before| before.leads && look.at.saturating_sub(before.at) <= GAP);
        match reigns.last_mut() {
            Some(last) if look.leads && goes_on => last.1 = look.at,
            _ if look.leads => reigns.push((look.at, look.at)),
            _ => {}
        }
        before = Some(*look);
    }
    reigns
}

/// Servers that led at the same time for longer than a leader needs to notice that it does not lead any more.
fn rivals(looks: &BTreeMap<u32, Vec<Look>>) -> Vec<String> {
    let reigns: Vec<_> =
        looks.iter().flat_map(|(number, looks)| reigns(looks).into_iter().map(|reign| (*number, reign))).collect();
    let mut found = Vec::new();
    for (position, (one, (from, to))) in reigns.iter().enumerate() {
        for (other, (since, until)) in &reigns[position + 1..] {
            let both = to.min(until).saturating_sub(*from.max(since));
            if one != other && both >= NOTICES {
                found.push(format!("servers {one} and {other} both led for {both:?}, {from:?} to {to:?}"));
            }
        }
    }
    found
}

/// Both: what is acknowledged stays, and there are never two leaders.
pub(super) struct Guard {
    writer: Writer,
    watcher: Watcher,
}

impl Guard {
    /// Writes to these servers, and watches them.
    pub(super) fn start(servers: &Ensemble, numbers: &[u32]) -> Self {
        let watcher = Watcher::start(servers, numbers);
        Self { writer: Writer::start(servers.addresses(numbers)), watcher }
    }

    /// Ends it: every acknowledged write is there on those servers that stay, and no two led at once.
    #[track_caller]
    pub(super) fn ends(self, servers: &Ensemble, stay: &[u32], what: &str) -> Written {
        let written = self.writer.stop();
        self.watcher.ends(what);
        let (count, pause) = (written.acknowledged.len(), written.longest_pause.as_millis());
        wait::say(&format!("{what}: {count} writes acknowledged, the longest pause was {pause} ms"));
        assert!(count > 0, "{what}: no write was acknowledged");
        all_there(servers, stay, &written);
        written
    }
}

#[test]
fn two_servers_that_lead_for_longer_than_a_leader_needs_to_notice_are_rivals_and_a_thawed_one_is_none() {
    let looks = |millis: std::ops::Range<u64>, leads: bool| -> Vec<Look> {
        millis.step_by(50).map(|at| Look { at: Duration::from_millis(at), leads }).collect()
    };
    let of = |one: Vec<Look>, other: Vec<Look>| rivals(&BTreeMap::from([(1, one), (2, other)]));
    assert_eq!(of(looks(0..9_000, true), looks(0..9_000, false)).len(), 0);
    assert_eq!(of(looks(0..9_000, true), looks(5_000..9_000, true)).len(), 1);
    // It stood still from 1 s to 8 s, and said for half a second more that it leads.
    let thawed = [looks(0..1_000, true), looks(8_000..8_500, true), looks(8_500..9_000, false)].concat();
    assert_eq!(of(thawed, looks(2_000..9_000, true)), [""; 0]);
    // One leader after the other.
    assert_eq!(of(looks(0..4_000, true), looks(4_000..9_000, true)), [""; 0]);
}
