//! Rolls of a real ZooKeeper ensemble that serves no Kafka cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::process::Signal;

use crate::live::zookeeper::{Ensemble, Shape};
use crate::rollout::bed::{Hands, LIMIT};
use crate::support::toolbox::Toolbox;

#[test]
fn an_ensemble_that_serves_no_kafka_is_rolled_under_a_lock_of_its_own_its_leader_last() {
    let ensemble = Arc::new(Ensemble::start(&Shape::of(3)).unwrap());
    let all = [1, 2, 3];
    let leader = ensemble.await_leader(&all).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let servers = Arc::clone(&ensemble);
    let hands = Hands::start(folder.path().to_owned(), move |verb, id| {
        let number = u32::try_from(id)?;
        match (verb, servers.pid(number)) {
            ("stop", Some(_)) => servers.stop(number, Signal::TERM),
            ("start", None) => servers.launch(number),
            _ => Ok(()),
        }
    });
    let (toolbox, addresses) = (Toolbox::alone(), ensemble.addresses(&all));
    let line = hands.line(&["--kind", "server", "--ids", "1-3", "--zookeeper", &addresses, "--apart", "500ms"]);
    let line: Vec<_> = line.iter().map(String::as_str).collect();

    let dry = toolbox.run(&[&line[..], &["--dry-run"]].concat()).ends_with(3);
    assert!(dry.out.contains("~ server 1: restart"), "{dry:#?}");
    hands.holds.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| toolbox.run_within(LIMIT, &line));
        hands.await_done(1);
        // While a server is out: the lock is that of the ensemble, however it is addressed.
        let follower = all.into_iter().find(|number| *number != leader && hands.stops() != [id_of(*number)]).unwrap();
        let one = ensemble.addresses(&[leader, follower]);
        let second = hands.line(&["--kind", "server", "--ids", "1-3", "--zookeeper", &one, "--apart", "500ms"]);
        let second = toolbox.run(&second.iter().map(String::as_str).collect::<Vec<_>>()).ends_with(4);
        assert!(second.err.contains("rollout run"), "{second:#?}");
        hands.holds.store(false, Ordering::Relaxed);
        let first = first.join().unwrap().ends_with(0);
        assert!(first.out.contains("3 restarted"), "{first:#?}");
    });
    hands.each_was_restarted_once(3);
    assert_eq!(hands.stops()[2], id_of(leader), "the leader is the last one");
    ensemble.await_leader(&all).unwrap();
}

fn id_of(number: u32) -> i32 {
    i32::try_from(number).unwrap()
}
