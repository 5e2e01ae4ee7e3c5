//! The wall clock jumps by an hour while the tool runs: it looks, rests, waits and holds its lock as long as before, and decides the
//! same. For `make acceptance`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kafka_toolbox::change::event::Outcome;
use serde_json::Value;

use crate::ensemble::agents::{Agent, INTERVAL};
use crate::ensemble::bed::{Bed, is_wanted};
use crate::identity::scripted::Server;
use crate::live::kafka::wait::say;
use crate::live::zookeeper::{Role, Shape};
use crate::support::toolbox::finish;
use crate::support::wall_clock::{WallClock, seconds_ahead};

const HOUR: i64 = 3_600;

/// Forward, and back.
const JUMPS: [i64; 2] = [HOUR, -HOUR];

/// How long the ensemble rests between two changes.
const REST: Duration = Duration::from_secs(10);

/// Whatever is due happens within this time, also on a machine that does much else.
const LATE: Duration = Duration::from_secs(45);

/// What a look at the servers' files may come too late.
const LOOK: Duration = Duration::from_millis(500);

/// A server that is a voter, and two that should join, and do not run yet.
fn growing() -> Bed {
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3).with("TOOLBOX_ENSEMBLE_REST", "10s");
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed
}

/// Waits until the ensemble has had so many configurations, and says when.
#[track_caller]
fn configured(bed: &Bed, count: usize) -> Instant {
    let begun = Instant::now();
    while bed.versions(1) < count {
        assert!(begun.elapsed() < REST + LATE, "configuration {count} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    Instant::now()
}

/// Two changes are made, and the wall clock jumps right after the first one. There was the whole rest between them, and no more.
#[track_caller]
fn rests_as_long(bed: &Bed, clock: &WallClock, jump: i64) {
    let first = configured(bed, 2);
    clock.is_ahead_by(jump);
    let rested = configured(bed, 3).duration_since(first);
    say(&format!("a clock that jumps by {jump} s: {} ms between two changes", rested.as_millis()));
    assert!(rested + LOOK >= REST && rested < REST + LATE, "{jump}: {rested:?}");
}

/// What was made is recorded: two changes once each, by the clock that does not jump. That the jump was seen at all is shown by the
/// times that people read.
#[track_caller]
fn recorded(bed: &Bed, jump: i64) {
    assert_eq!((bed.members(&[1]), bed.versions(1), bed.intents()), ([1, 2, 3].into(), 3, 2));
    bed.each_change_has_one_outcome();
    let record = bed.record();
    assert!(record["op"].is_null() && record["history"].as_array().unwrap().len() == 2, "{record:#}");
    let since = record["lastConfig"]["since"].as_str().unwrap();
    assert!(seconds_ahead(since.parse().unwrap()).abs() < 300, "{jump}: {record:#}");
    let events = bed.toolbox.audit();
    let last = events.iter().rfind(|it| it.kind == "ensemble.reconfigured" && it.outcome == Outcome::Done).unwrap();
    assert!((seconds_ahead(last.time) - jump).abs() < 300, "{jump}: {last:#?}");
}

/// Good ticks of an agent so far.
fn ticks(agent: &Agent) -> f64 {
    agent.shows("toolbox_agent_ticks_total{result=\"done\"}").unwrap_or_default()
}

/// Three more ticks come: neither all at once, nor late.
#[track_caller]
fn goes_on_ticking(agent: &Agent, jump: i64) {
    let (begun, before) = (Instant::now(), ticks(agent));
    while ticks(agent) < before + 3.0 {
        assert!(begun.elapsed() < LATE, "{jump}: {}", agent.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() + LOOK >= INTERVAL * 2, "{jump}: {:?}", begun.elapsed());
    let (status, text) = agent.get("/healthz");
    assert_eq!(status, 200, "{jump}: {text}");
    let at = agent.shows("toolbox_agent_last_tick_timestamp_seconds").unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let ahead = seconds_ahead(Timestamp::from_second(at as i64).unwrap());
    assert!((ahead - jump).abs() < 60, "the agent has not seen the clock jump: {ahead}");
}

#[test]
fn an_agent_whose_wall_clock_jumps_goes_on_ticking_and_rests_between_two_changes_as_long_as_before() {
    if !is_wanted() {
        return;
    }
    for jump in JUMPS {
        let (bed, clock) = (growing(), WallClock::right());
        bed.launch(&[2, 3]);
        let mut agent = Agent::start_by(&clock, &bed.toolbox, "watch");
        rests_as_long(&bed, &clock, jump);
        agent.until_says("done: + PROMOTE: server 3");
        recorded(&bed, jump);
        // There and back, while nothing is left to be done.
        for jump in [jump, 0, -jump, 0] {
            clock.is_ahead_by(jump);
            goes_on_ticking(&agent, jump);
        }
        assert_eq!((bed.versions(1), bed.intents()), (3, 2), "{}", agent.said());
        assert_eq!(agent.ends(), Some(0), "{}", agent.said());
    }
}

#[test]
fn a_run_whose_wall_clock_jumps_rests_as_long_as_before_and_ends_when_it_should() {
    if !is_wanted() {
        return;
    }
    for jump in JUMPS {
        let (bed, clock) = (growing(), WallClock::right());
        let within = |within: &str| bed.toolbox.command(&Bed::line(&["apply", "--within", within]));
        // For servers that do not run it waits in vain as long as it may.
        let waited = clock.run_and_jump(&mut within("8s"), (Duration::from_secs(3), jump)).ends_with(5);
        assert!(waited.took >= Duration::from_secs(8) && waited.took < LATE, "{jump}: {waited:#?}");
        assert_eq!((bed.versions(1), bed.intents()), (1, 0), "{jump}: {waited:#?}");

        bed.launch(&[2, 3]);
        clock.is_ahead_by(0);
        let mut command = within("90s");
        clock.rules(&mut command);
        let ran = std::thread::scope(|scope| {
            let run = scope.spawn(|| finish(&mut command));
            rests_as_long(&bed, &clock, jump);
            run.join().unwrap()
        });
        ran.ends_with(0);
        recorded(&bed, jump);
    }
}

/// How long a Lease is left alone after its last renewal, and how often it is renewed.
const LEASE: Duration = Duration::from_secs(30);
const RENEWED_EVERY: Duration = Duration::from_secs(5);

/// Who holds which Lease, and how often each changed hands.
fn held(server: &Server) -> Vec<[Value; 2]> {
    let of = |lease: Value| ["holderIdentity", "leaseTransitions"].map(|name| lease[name].clone());
    server.held_leases().into_iter().map(of).collect()
}

fn leads(agent: &Agent) -> bool {
    agent.shows("toolbox_agent_leader") == Some(1.0)
}

/// How long it takes until an agent leads.
#[track_caller]
fn until_leads(agent: &Agent, limit: Duration) -> Duration {
    let begun = Instant::now();
    while !leads(agent) {
        assert!(begun.elapsed() < limit, "{}", agent.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// An ensemble of one server whose record and lock are with this API server.
fn in_kubernetes(server: &Server) -> Bed {
    let bed = Bed::start(&Shape::of(1));
    let kubeconfig = bed.toolbox.file("kubeconfig", &server.kubeconfig());
    let file = bed.toolbox.file("toolbox.yaml", "clusters: {main: {}}\n");
    let bed = bed
        .with("TOOLBOX_KUBECONFIG", &kubeconfig)
        .with("TOOLBOX_FILE", &file)
        .with("TOOLBOX_STATE", "kubernetes")
        .with("TOOLBOX_CLUSTER", "main");
    bed.run(&["adopt", "--dev", "--size", "1"]).ends_with(0);
    bed
}

#[test]
fn a_lease_whose_holder_and_standby_see_the_clock_jump_apart_stays_and_passes_on_only_when_its_holder_is_dead() {
    if !is_wanted() {
        return;
    }
    let server = Server::start();
    let bed = in_kubernetes(&server);
    let clocks = [WallClock::right(), WallClock::right()];
    let mut holder = Agent::start_by(&clocks[0], &bed.toolbox, "holder");
    until_leads(&holder, LATE);
    let mut standby = Agent::start_by(&clocks[1], &bed.toolbox, "standby");
    standby.until_says("standing by: the leader is ");
    let before = held(&server);
    assert!(!before.is_empty());

    // By the clock of either, the Lease was not renewed for hours, or will be renewed in hours.
    for jump in JUMPS {
        clocks[0].is_ahead_by(-jump);
        clocks[1].is_ahead_by(jump);
        let begun = Instant::now();
        while begun.elapsed() < LEASE + Duration::from_secs(10) {
            assert!(leads(&holder) && !leads(&standby), "{}\n{}", holder.said(), standby.said());
            std::thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(held(&server), before, "nobody took it over");
        for lease in server.held_leases() {
            let renewed = seconds_ahead(lease["renewTime"].as_str().unwrap().parse().unwrap());
            assert!((renewed + jump).abs() < 60, "the holder has not seen the clock jump: {lease:#}");
        }
        assert_eq!((holder.get("/healthz").0, standby.get("/healthz").0), (200, 200));
    }
    holder.is_killed();
    let took = until_leads(&standby, LEASE + LATE);
    say(&format!("the standby leads {} ms after the holder was killed", took.as_millis()));
    assert!(took + RENEWED_EVERY * 2 >= LEASE, "{took:?}");
    assert_eq!(standby.ends(), Some(0), "{}", standby.said());
}
