//! Overrides of a run that has the throttles, and rates that somebody else set: every change is an event with a name.

use std::time::Duration;

use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::exit::Exit;

use super::port::ask;
use super::verbs::{everything, finish, moving, moving_bytes, set_on};
use crate::support::desk::{Desk, Said};

const RUN: [&str; 6] = ["throttle", "run", "--until-idle", "--interval", "1s", "--capacity=125MB/s"];

/// What an agent says, and what a person does beside it, a moment after its start; then all moves end.
async fn beside_an_agent<R>(desk: &Desk, line: &[&str], person: impl AsyncFnOnce() -> R) -> (Said, R) {
    let agent = async { desk.run(line).await };
    let person = async {
        for _ in 0..100 {
            if everything(desk).len() > 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let done = person().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        finish(desk);
        done
    };
    tokio::join!(agent, person)
}

fn events(desk: &Desk, kind: &str) -> Vec<Event> {
    let audit = std::fs::read_to_string(desk.folder().join("state/audit.jsonl")).unwrap();
    let events = audit.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
    events.filter(|event| event.kind == kind && event.outcome == Outcome::Done).collect()
}

#[tokio::test]
async fn every_change_of_overrides_is_an_event_with_who_asked() {
    let desk = Desk::new(moving());
    let person = async || {
        let set = ["throttle", "set", "7MB/s", "--brokers", "1,3", "--for", "1h", "--actor", "ann"];
        desk.run(&set).await.ends_with(Exit::Done);
        let dry = desk.run(&["throttle", "clear", "--overrides", "--dry-run"]).await.ends_with(Exit::Changes);
        assert!(dry.out.contains("- override for broker 1: 7.0 MB/s, by ann"), "{dry:?}");
        assert!(dry.out.contains("nothing was changed"), "{dry:?}");
        let clear = ["throttle", "clear", "--overrides", "--actor", "ben"];
        let said = desk.run(&clear).await.ends_with(Exit::Done);
        assert!(said.out.contains("- override for broker 3") && said.out.contains("are removed"), "{said:?}");
        let again = desk.run(&["throttle", "clear", "--overrides", "--dry-run"]).await.ends_with(Exit::Done);
        assert!(again.out.contains("there are no overrides"), "{again:?}");
    };
    Box::pin(beside_an_agent(&desk, &RUN, person)).await.0.ends_with(Exit::Done);
    let set = events(&desk, "throttle.override_set");
    let shown: Vec<_> = set.iter().map(|event| (event.actor.as_str(), event.subject.as_str())).collect();
    assert_eq!(shown, [("ann", "broker:1"), ("ann", "broker:3")]);
    assert!(set[0].title.starts_with("ann sets an override of 7.0 MB/s for broker 1 until "), "{}", set[0].title);
    let removed = events(&desk, "throttle.override_removed");
    let shown: Vec<_> = removed.iter().map(|event| (event.actor.as_str(), event.title.as_str())).collect();
    assert_eq!(shown, [("ben", "ben removes all overrides")]);
}

#[tokio::test]
async fn an_override_whose_time_is_over_is_an_event() {
    let desk = Desk::new(moving());
    let set = ["throttle", "set", "7MB/s", "--for", "1s", "--actor", "ann"];
    let person = async || desk.run(&set).await.ends_with(Exit::Done);
    Box::pin(beside_an_agent(&desk, &RUN, person)).await.0.ends_with(Exit::Done);
    let ended = events(&desk, "throttle.override_ended");
    let titles: Vec<_> = ended.iter().map(|event| event.title.as_str()).collect();
    assert_eq!(titles, ["the override of 7.0 MB/s for all brokers by ann ends: its time is over"]);
}

fn hold_by_hand(desk: &Desk) {
    desk.kafka.edit(|model| {
        let configs = model.broker_configs.entry(kafka_toolbox::cluster::broker::BrokerId(3)).or_default();
        configs.insert("follower.replication.throttled.rate".to_owned(), "2000000".to_owned());
    });
}

#[tokio::test]
async fn a_rate_that_somebody_set_by_hand_is_named_before_it_is_replaced_and_given_back() {
    let desk = Desk::new(moving_bytes(60_000_000).copying(10_000_000));
    hold_by_hand(&desk);
    let said = desk.run(&RUN).await.ends_with(Exit::Done);
    let found = "broker 3 has a follower rate of 2.0 MB/s that somebody else set: it is replaced by ";
    let (found, changed) = (said.err.find(found), said.err.find("+ broker 3: follower rate 2.0 MB/s -> "));
    assert!(found.is_some() && found < changed, "{said:?}");
    assert_eq!(events(&desk, "throttle.external_change").len(), 1);
    assert_eq!(set_on(&desk, "3"), ["follower.replication.throttled.rate=2000000"]);
}

#[tokio::test]
async fn a_rate_that_somebody_set_by_hand_is_kept_where_that_is_asked_for() {
    let desk = Desk::new(moving());
    hold_by_hand(&desk);
    let person = async || set_on(&desk, "3");
    let (said, meanwhile) = beside_an_agent(&desk, &[&RUN[..], &["--external-change", "keep"]].concat(), person).await;
    assert_eq!(meanwhile, ["follower.replication.throttled.rate=2000000"]);
    assert!(said.err.contains("that somebody else set: it is kept, and paces the moves"), "{said:?}");
    assert_eq!(everything(&desk), ["follower.replication.throttled.rate=2000000"]);
}

/// Clients that leave nothing at all: a rate of 0 would end every move for good.
#[tokio::test]
async fn the_policy_protect_never_sets_a_rate_of_0() {
    let desk = Desk::new(moving());
    let line = ["--policy", "protect", "--load", "static", "--static-load", "200MB/s"];
    let person = async || everything(&desk);
    let (said, meanwhile) = beside_an_agent(&desk, &[&RUN[..], &line].concat(), person).await;
    let rates: Vec<_> = meanwhile.iter().filter(|line| line.contains(".rate=")).collect();
    assert!(!rates.is_empty() && rates.iter().all(|line| !line.ends_with("=0")), "{rates:?} {said:?}");
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn overrides_over_http_are_events_of_whoever_asked_and_one_that_is_not_there_is_none() {
    let desk = Desk::new(moving());
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let person = async || {
        assert_eq!(ask(&address, "DELETE /throttle/3?by=eva", "").await.0, 404);
        assert_eq!(ask(&address, "POST /throttle/3?rate=7MB/s&by=eva", "").await.0, 200);
        assert_eq!(set_on(&desk, "3"), ["follower.replication.throttled.rate=7000000"]);
        assert_eq!(ask(&address, "DELETE /throttle/3?by=tom", "").await.0, 200);
        assert_eq!(ask(&address, "DELETE /throttle/3", "").await.0, 404);
    };
    let line = [&RUN[..], &["--api-listen", &address]].concat();
    beside_an_agent(&desk, &line, person).await.0.ends_with(Exit::Done);
    let [set] = &events(&desk, "throttle.override_set")[..] else { panic!("one was set") };
    assert_eq!((set.actor.as_str(), set.subject.as_str()), ("eva", "broker:3"));
    let [removed] = &events(&desk, "throttle.override_removed")[..] else { panic!("one was removed") };
    assert_eq!(removed.title, "tom removes the override for broker 3");
}
