//! Probes of a real ZooKeeper ensemble: members are ready, one that was removed follows and is not.

use std::time::{Duration, Instant};

use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::settings::{Given, Login, Scheme, Settings};
use kafka_toolbox::clients::zookeeper::{Reconfiguration, ZooKeeper};
use kafka_toolbox::formats::secret::remember;
use rustix::process::Signal;

use crate::live::zookeeper::{Ensemble, Shape};
use crate::probe::probe;
use crate::support::toolbox::{Ran, Toolbox};

/// A probe of one server; the machine is busy.
fn ask(toolbox: &Toolbox, ensemble: &Ensemble, number: u32, words: &[&str]) -> Ran {
    let line = [&["zookeeper"], words, &["--timeout", "20s"]].concat();
    probe(toolbox, &line, &ensemble.addresses(&[number]))
}

/// Waits until a server is not ready, and says so in these words.
#[track_caller]
fn until(toolbox: &Toolbox, ensemble: &Ensemble, number: u32, words: &str) {
    let begun = Instant::now();
    loop {
        let ran = ask(toolbox, ensemble, number, &["ready"]);
        if ran.code == Some(5) && ran.out.contains(words) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{ran:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Takes a server out of the ensemble.
fn remove(ensemble: &Ensemble, number: u32) {
    let login = Login { scheme: Scheme::Digest, user: "super".to_owned(), password: remember("super-of-tests") };
    let servers = ensemble.addresses(&[1, 2, 3]);
    let timeout = Some(Duration::from_secs(40));
    let given = Given { zookeeper: &servers, timeout, login: Some(login), is_implicit: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Live::connect(Settings::load(None, given).unwrap()).await.unwrap();
        let change = Reconfiguration { leaving: vec![number.into()], ..Reconfiguration::default() };
        client.reconfigure(&change).await.unwrap();
    });
}

#[test]
fn members_of_an_ensemble_are_ready_and_a_server_that_was_removed_is_a_follower_and_is_not() {
    let (toolbox, ensemble) = (Toolbox::alone(), Ensemble::start(&Shape::of(3)).unwrap());
    let leader = ensemble.await_leader(&[1, 2, 3]).unwrap();
    for number in 1..=3 {
        let out = ask(&toolbox, &ensemble, number, &["ready", "--id", &number.to_string()]).ends_with(0).out;
        let mode = if number == leader { "leader" } else { "follower" };
        assert!(out.starts_with(&format!("ready: server {number} is {mode} and one of 3 members")), "{out}");
    }
    let removed = (1..=3).find(|number| *number != leader).unwrap();
    remove(&ensemble, removed);
    assert!(ensemble.srvr(removed).unwrap().contains("Mode: follower"));
    until(&toolbox, &ensemble, removed, &format!("not_ready: server {removed} is follower without a vote"));
    ask(&toolbox, &ensemble, removed, &["live"]).ends_with(0);
    let status = toolbox.run(&["ensemble", "status", "--zookeeper", &ensemble.addresses(&[1, 2, 3])]).ends_with(5);
    let named = format!("server {removed} says `follower` and is no member: it has no vote");
    assert!(status.out.contains(&named), "{status:?}");

    // The leader alone has no quorum: it is alive and not ready.
    let other = (1..=3).find(|number| ![leader, removed].contains(number)).unwrap();
    ensemble.stop(other, Signal::KILL).unwrap();
    until(&toolbox, &ensemble, leader, "is up, but has no quorum");
    ask(&toolbox, &ensemble, leader, &["live"]).ends_with(0);
}

#[test]
fn a_server_is_asked_over_its_tls_port_with_the_trust_of_the_properties() {
    let (toolbox, ensemble) = (Toolbox::alone(), Ensemble::shared());
    let trust = toolbox.file("ca.pem", ensemble.authority());
    let properties = format!("security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={trust}\n");
    let file = toolbox.file("client.properties", &properties);
    let address = ensemble.secure_addresses(&[2]);
    let line = ["zookeeper", "ready", "--id", "2", "--timeout", "20s", "--command-config", &file];
    let out = probe(&toolbox, &line, &address).ends_with(0).out;
    assert!(out.contains("and one of 3 members"), "{out}");
    probe(&toolbox, &["zookeeper", "live", "--tls", "--timeout", "20s"], &address).ends_with(0);
}
