//! What a member keeps on its disk of a change, and what becomes of it when it restarts.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::servers::{Servers, text};
use crate::live::zookeeper::{Role, Shape};
use crate::support::toolbox::Ran;

impl Servers {
    /// The readiness of a server, by what it serves and what its folder has.
    pub(super) fn ready(&self, number: u32) -> Ran {
        let (address, folder) = (self.ensemble.addresses(&[number]), text(&self.ensemble.home_of(number)));
        let words = ["probe", "zookeeper", "ready", "--timeout", "20s", "--address", &address, "--conf-dir", &folder];
        self.toolbox.run(&words)
    }

    /// Waits until a server is ready.
    #[track_caller]
    pub(super) fn is_ready(&self, number: u32) {
        let begun = Instant::now();
        while self.ready(number).code != Some(0) {
            assert!(begun.elapsed() < Duration::from_mins(1), "{:#?}", self.ready(number));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_change_that_a_member_can_not_keep_makes_it_unready_and_its_next_start_is_refused() {
    let servers = Servers::bare_of(&Shape::of(0).spares(3).obeying_modes());
    for number in [1, 2] {
        servers.starts(number);
    }
    servers.promote(2);
    let folder = servers.ensemble.home_of(2);
    let allow = |mode: u32| set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    servers.is_ready(2);

    allow(0o555);
    servers.starts(3);
    servers.promote(3);
    assert_eq!(servers.voters_seen_by(2), [1, 2, 3], "ZooKeeper answers the change as made, and serves it");
    assert_eq!(servers.written(2), (vec![1, 2], vec![]), "and would restart without it");
    let behind = servers.ready(2).ends_with(5);
    assert!(behind.out.contains("E_CONFIG_NOT_PERSISTED: server 2 serves configuration "), "{behind:#?}");
    servers.is_ready(1);

    servers.stops(&[2]);
    let before = servers.files(2);
    let refused = servers.bound_prestart(2).ends_with(4);
    assert!(refused.out.contains("E_CONFIG_NOT_PERSISTED: the configuration folder can't be written"), "{refused:#?}");
    assert_eq!(servers.files(2), before);

    allow(0o755);
    servers.starts(2);
    assert_eq!(servers.written(2), (vec![1, 2, 3], vec![]));
    servers.is_ready(2);
}

#[test]
fn a_removed_server_that_restarts_ends_with_code_1_and_a_join_brings_it_back() {
    let servers = Servers::grown(3, 0);
    servers.remove(1, 3);
    servers.stops(&[3]);
    let (code, said) = servers.ensemble.run_to_its_end(3).unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not in the peer list"), "{said}");

    let address = servers.ensemble.addresses(&[1, 2]);
    let run = |words: &[&str]| {
        let place = ["--yes", "--cluster", "main", "--zookeeper", &address, "--rest", "1s"];
        let is_pass = words[0] == "apply";
        let place = if is_pass { &place[..] } else { &place[..5] };
        servers.toolbox.run(&[&["ensemble"], words, place].concat())
    };
    run(&["leave", "3"]).ends_with(0);
    let waits = servers.waits(3);
    assert!(waits.err.contains("server 3 is no member any more, and should leave"), "{waits:#?}");
    let line = servers.ensemble.member(3).line(Role::Participant);
    run(&["join", &line, "--size", "3"]).ends_with(0);
    servers.prestart(3, &[]).ends_with(0);
    assert_eq!(servers.written(3), (vec![1, 2], vec![3]), "an observer until it is promoted");
    servers.launch(&[3]);
    servers.ensemble.await_serving(&[3]).unwrap();
    run(&["apply", "--within", "60s"]).ends_with(0);
    assert_eq!(servers.voters_seen_by(1), [1, 2, 3]);
}
