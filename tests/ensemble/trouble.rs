//! `ensemble apply` and `ensemble watch` of a real ensemble while the API server, which keeps the record and the lock, is in
//! trouble: no change is made twice or lost, and nothing is recorded twice. The whole matrix is for `make acceptance`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ensemble::agents::Agent;
use crate::ensemble::bed::{Bed, is_wanted};
use crate::identity::scripted::{Fault, Server};
use crate::live::zookeeper::{Role, Shape};

const RECORD: &str = "toolbox-ensemble-main";

/// The request before that which a script is about.
const WELL: Fault = Fault::Late(Duration::ZERO);

/// Longer than `--timeout`.
const LATE: Fault = Fault::Late(Duration::from_secs(4));

/// An ensemble whose record and lock are with a scripted API server. Its follower moves between two addresses: a change of the
/// membership that takes a moment.
struct Troubled {
    bed: Bed,
    server: Server,
    follower: u32,
    /// The last number of the follower's address that is desired.
    address: u8,
    /// Changes that were declared.
    changes: usize,
}

impl Troubled {
    fn start() -> Self {
        let (server, bed) = (Server::start(), Bed::start(&Shape::of(3)));
        let kubeconfig = bed.toolbox.file("kubeconfig", &server.kubeconfig());
        let file = bed.toolbox.file("toolbox.yaml", "clusters: {main: {}}\n");
        let bed = bed
            .with("TOOLBOX_KUBECONFIG", &kubeconfig)
            .with("TOOLBOX_FILE", &file)
            .with("TOOLBOX_STATE", "kubernetes")
            .with("TOOLBOX_CLUSTER", "main")
            .with("TOOLBOX_TIMEOUT", "3s")
            .with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "0s");
        bed.run(&["adopt", "--size", "3"]).ends_with(0);
        // It notes who runs: for five minutes, passes write nothing but their changes.
        bed.pass().ends_with(0);
        let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
        let follower = if leader == 3 { 2 } else { 3 };
        Self { bed, server, follower, address: 1, changes: 0 }
    }

    /// From now on the follower should be at its other address, and nothing keeps it from moving.
    fn declares(&mut self) {
        self.address = 3 - self.address;
        self.changes += 1;
        let line = self.bed.servers.member(self.follower).line(Role::Participant);
        let line = line.replacen("=127.0.0.1:", &format!("=127.0.0.{}:", self.address), 1);
        self.bed.run(&["join", &line]).ends_with(0);
        let begun = Instant::now();
        loop {
            let plan = self.bed.run(&["plan"]);
            if plan.code == Some(3) {
                assert!(plan.out.contains(&format!("READDRESS: server {}", self.follower)), "{plan:#?}");
                return;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{plan:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn is_there(&self) -> bool {
        let place = format!("server.{}=127.0.0.{}:", self.follower, self.address);
        self.bed.configuration(&[1, 2, 3]).contains(&place)
    }

    fn record(&self) -> Value {
        self.server.document(RECORD)
    }

    /// Passes until the change is made and recorded. There was one change of the ensemble, and it is recorded once.
    #[track_caller]
    fn settles(&self, what: &str) {
        self.server.script(&[]);
        let begun = Instant::now();
        while !self.is_there() || !self.record()["op"].is_null() {
            let ran = self.bed.pass();
            // What was not applied is waited for before it is tried again.
            assert!(begun.elapsed() < Duration::from_secs(150), "{what}: {ran:#?}");
            std::thread::sleep(Duration::from_millis(300));
        }
        self.is_recorded_once(what);
    }

    #[track_caller]
    fn is_recorded_once(&self, what: &str) {
        let record = self.record();
        assert_eq!(self.bed.versions(1), 1 + self.changes, "{what}: one change of the ensemble for each declaration");
        let history = record["history"].as_array().unwrap();
        assert_eq!(history.len(), self.changes.min(20), "{what}: {record:#}");
        let versions: BTreeSet<_> = history.iter().map(|entry| entry["version"].to_string()).collect();
        assert_eq!(versions.len(), history.len(), "{what}: {record:#}");
        self.bed.each_change_has_one_outcome();
    }

    /// Which requests of a pass that changes something read the record, and which write it.
    fn asks(&mut self) -> Vec<String> {
        self.declares();
        let before = self.server.requests();
        self.bed.pass().ends_with(0);
        let asked = self.server.asked()[before..].to_vec();
        self.settles("without any trouble");
        asked
    }

    /// One pass with trouble at a request, and what comes after it.
    #[track_caller]
    fn survives(&mut self, place: usize, faults: &[Fault]) {
        self.declares();
        let script = [&vec![WELL; place][..], faults].concat();
        self.server.script(&script);
        let ran = self.bed.pass();
        assert!(matches!(ran.code, Some(0 | 1 | 4 | 5)), "{place} {faults:?}: {ran:#?}");
        self.settles(&format!("request {place}, {faults:?}, {ran:#?}"));
    }
}

/// Places of the requests with this method.
fn places(asked: &[String], method: &str) -> Vec<usize> {
    asked.iter().enumerate().filter(|(_, one)| *one == method).map(|(place, _)| place).collect()
}

#[test]
fn trouble_of_the_api_server_while_a_change_is_recorded_makes_no_second_change() {
    let mut troubled = Troubled::start();
    let asked = troubled.asks();
    let writes = places(&asked, "PUT");
    let [intent, outcome] = writes[..] else { panic!("{asked:?}") };
    // The intent: refused with a conflict that is none, and its answer lost. The outcome: another run wrote the record, and the
    // record was deleted.
    troubled.survives(intent, &[Fault::Status(409), Fault::DoneAnd(500)]);
    troubled.survives(outcome, &[Fault::Rewritten, WELL, Fault::DoneAnd(504)]);
    troubled.survives(outcome, &[Fault::Gone]);

    // It is gone before a pass: nobody knows what is desired, and nothing is changed.
    troubled.declares();
    troubled.server.delete(RECORD);
    let refused = troubled.bed.pass().ends_with(4);
    assert!(refused.out.contains("E_NOT_ADOPTED"), "{refused:#?}");
    assert_eq!(troubled.bed.versions(1), troubled.changes, "the last declaration was not carried out");
}

#[test]
fn an_agent_that_can_not_read_its_record_changes_nothing_and_goes_on_when_it_can() {
    let mut troubled = Troubled::start();
    let mut agent = Agent::start(&troubled.bed.toolbox, "agent");
    let until = |is: &dyn Fn() -> bool, what: &str| {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until(&|| troubled.server.is_a_lease_held(), "the agent leads");
    troubled.server.script(&vec![Fault::Status(500); 10_000]);
    // Whoever declares it reaches the API server; the agent does not.
    let (follower, moved) = (troubled.follower, troubled.bed.servers.member(troubled.follower).line(Role::Participant));
    let moved = moved.replacen("=127.0.0.1:", "=127.0.0.2:", 1);
    troubled.server.edit(RECORD, |record| {
        record["members"][follower.to_string()]["line"] = moved.split_once('=').unwrap().1.into();
    });
    (troubled.address, troubled.changes) = (2, 1);
    let before = troubled.server.requests();
    until(&|| troubled.server.requests() > before + 3, "the agent tries again");
    assert_eq!(troubled.bed.versions(1), 1);
    troubled.server.script(&[]);
    until(&|| troubled.is_there() && troubled.record()["op"].is_null(), "the agent goes on");
    assert_eq!(agent.ends(), Some(0));
    troubled.is_recorded_once("after a gap");
}

#[test]
fn trouble_of_the_api_server_at_each_request_of_a_change_is_survived() {
    if !is_wanted() {
        return;
    }
    let mut troubled = Troubled::start();
    let asked = troubled.asks();
    // For so long that every attempt fails.
    let down = [Fault::Status(500); 12];
    for place in 0..asked.len() {
        troubled.survives(place, &down);
    }
    for place in places(&asked, "GET") {
        troubled.survives(place, &[LATE]);
        troubled.survives(place, &[Fault::Status(429), Fault::Status(503)]);
    }
    for place in places(&asked, "PUT") {
        for fault in [Fault::Status(409), Fault::Status(500), Fault::DoneAnd(500), LATE, Fault::Rewritten, Fault::Gone]
        {
            troubled.survives(place, &[fault]);
        }
        // Written, and no answer comes for so long that every attempt fails.
        troubled.survives(place, &[&[Fault::DoneAnd(500)][..], &down].concat());
    }
}

#[test]
fn an_agent_that_loses_its_lease_changes_nothing_until_it_leads_again() {
    if !is_wanted() {
        return;
    }
    let mut troubled = Troubled::start();
    let mut agent = Agent::start(&troubled.bed.toolbox, "agent");
    let begun = Instant::now();
    while !troubled.server.is_a_lease_held() {
        assert!(begun.elapsed() < Duration::from_mins(1), "no agent leads");
        std::thread::sleep(Duration::from_millis(100));
    }
    troubled.server.set_leases_down(true);
    // It may hold it for 20 s without a renewal; from then on another one may.
    std::thread::sleep(Duration::from_secs(30));
    let (follower, moved) = (troubled.follower, troubled.bed.servers.member(troubled.follower).line(Role::Participant));
    let moved = moved.replacen("=127.0.0.1:", "=127.0.0.2:", 1);
    troubled.server.edit(RECORD, |record| {
        record["members"][follower.to_string()]["line"] = moved.split_once('=').unwrap().1.into();
    });
    (troubled.address, troubled.changes) = (2, 1);
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(troubled.bed.versions(1), 1, "without the lock it changes nothing");
    troubled.server.set_leases_down(false);
    let begun = Instant::now();
    while !troubled.is_there() || !troubled.record()["op"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(90), "the agent does not lead again");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(agent.ends(), Some(0));
    troubled.is_recorded_once("after the Lease was lost");
}
