//! Longer faults of starting servers, for `make acceptance`.

use kafka_toolbox::cluster::ensemble::desired::MemberState;

use super::servers::Servers;
use crate::live::zookeeper::{Ensemble, Role, Shape};

/// Whether these run: `make acceptance` sets the variable.
fn runs() -> bool {
    std::env::var_os("TOOLBOX_TEST_KILLS").is_some()
}

#[test]
fn old_members_whose_configuration_was_wiped_do_not_come_back_as_a_rival() {
    if !runs() {
        return;
    }
    let servers = Servers::grown(3, 2);
    let old: String =
        [1, 2, 3].map(|number| format!("{}\n", servers.ensemble.member(number).line(Role::Participant))).concat();
    servers.edit(|desired| desired.size = 5);
    for number in [4, 5] {
        servers.starts(number);
        servers.promote(number);
    }
    for number in [1, 2] {
        servers.remove(4, number);
        servers.stops(&[number]);
    }
    servers.edit(|desired| {
        for id in [1, 2] {
            desired.members.get_mut(&kafka_toolbox::cluster::ensemble::member::ServerId(id)).unwrap().state =
                MemberState::Retired;
        }
    });
    servers.stops(&[3]);
    servers.ensemble.await_leader(&[4, 5]).unwrap();
    for number in [1, 2] {
        servers.refused(number, "E_RETIRED_DISK");
    }

    // Without prestart, they are a second ensemble beside {3, 4, 5}.
    for number in [1, 2] {
        servers.overwrite(number, &old);
        servers.ensemble.launch(number).unwrap();
    }
    servers.ensemble.await_leader(&[1, 2]).unwrap();
    assert_eq!(servers.leaders(&[1, 2, 4, 5]).len(), 2);
    // The one that was down in between joins neither by itself: a rival answers.
    servers.refused(3, "E_SPLIT_BRAIN");
    servers.stops(&[1, 2]);
    servers.starts(3);
    assert_eq!(servers.leaders(&[3, 4, 5]).len(), 1);
}

#[test]
fn a_committed_write_survives_one_wiped_disk_beside_one_server_that_lags() {
    if !runs() {
        return;
    }
    let servers = Servers::grown(3, 0);
    servers.stops(&[3]);
    servers.ensemble.await_leader(&[1, 2]).unwrap();
    servers.write(1, "/committed");
    servers.stops(&[1, 2]);
    servers.ensemble.wipe(2).unwrap();
    // Even if 2 is started without asking: it has no data, and may not vote before it has.
    servers.launch(&[2, 3]);
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert_eq!(servers.leaders(&[2, 3]), [0; 0], "the two of them do not serve without the write");
    servers.launch(&[1]);
    servers.ensemble.await_serving(&[1, 2, 3]).unwrap();
    assert!([1, 2, 3].into_iter().all(|number| servers.has(number, "/committed")));
}

#[test]
fn without_db_autocreate_false_the_same_loses_the_write() {
    if !runs() {
        return;
    }
    let servers = Servers::of(Ensemble::start(&Shape::of(3)).unwrap());
    servers.stops(&[3]);
    servers.ensemble.await_leader(&[1, 2]).unwrap();
    servers.write(1, "/committed");
    servers.stops(&[1, 2]);
    servers.ensemble.wipe(2).unwrap();
    servers.launch(&[2, 3]);
    servers.ensemble.await_serving(&[2, 3]).unwrap();
    assert!(!servers.has(3, "/committed"));
}
