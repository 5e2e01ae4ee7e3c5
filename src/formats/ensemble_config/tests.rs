//! Texts of real servers, bad texts with their places, and the law that what is written is read again alike.

use proptest::prelude::*;

use super::*;

const ZNODE: &str = "server.1=127.0.0.1:21001:21002:participant;127.0.0.1:21003\n\
    server.2=127.0.0.1:21011:21012:participant;127.0.0.1:21013\nversion=100000000";

const CONF: &str = "clientPort=2181\nsecureClientPort=-1\ndataDir=/data/version-2\ndataDirSize=67108880\ntickTime=2000\n\
    maxClientCnxns=60\nserverId=2\ninitLimit=10\nelectionAlg=3\nelectionPort=3888\nquorumPort=2888\npeerType=0\n\
    membership: \nserver.1=zk-0:2888:3888:participant;0.0.0.0:2181\nserver.2=zk-1:2888:3888:observer;0.0.0.0:2181\nversion=0";

fn faults(text: &str) -> String {
    read("t", text.as_bytes()).map_or_else(|faults| faults.to_string(), |_| "fine".to_owned())
}

#[test]
fn the_znode_is_read_and_written_alike() {
    let found = read("/zookeeper/config", ZNODE.as_bytes()).unwrap();
    assert_eq!(found.config.to_string(), ZNODE);
    assert_eq!(found.config.version, ConfigVersion(0x1_0000_0000));
    assert!(found.has_version && found.own_id.is_none());
}

#[test]
fn the_answer_to_conf_has_the_membership_and_the_own_id() {
    let found = read("conf", CONF.as_bytes()).unwrap();
    assert_eq!(found.own_id, Some(ServerId(2)));
    assert_eq!(found.config.membership.voters(), [ServerId(1)].into());
    assert_eq!(found.config.version, ConfigVersion(0));
}

#[test]
fn a_dynamic_file_may_have_comments_and_no_version() {
    let found = read("f", b"# ours\n\nserver.3 = zk:1:2;9\n! old\n").unwrap();
    assert_eq!(found.config.membership.voters(), [ServerId(3)].into());
    assert!(!found.has_version);
}

#[test]
fn groups_and_weights_are_recognised() {
    let found = read("f", b"server.1=a:1:2;9\nserver.2=b:1:2;9\ngroup.1=1:2\nweight.1=0\n").unwrap();
    let hierarchy = found.config.membership.hierarchy.clone().unwrap();
    assert_eq!(hierarchy.groups[&1], [ServerId(1), ServerId(2)].into());
    assert_eq!(hierarchy.weights[&ServerId(1)], 0);
    assert_eq!(read("f", found.config.to_string().as_bytes()).unwrap().config, found.config);
}

#[test]
fn every_fault_has_its_line_and_column() {
    let text = "server.1=a:1:x;9\nserver.x=a:1:2\nversion=0x1\nserver.2=a:1:2\nserver.02=b:1:2\ngroup.1=a\nweight.1=\n";
    let found = faults(text);
    for expected in [
        "t:1:14: `x` is no election port",
        "t:2:1: a server id is",
        "t:3:9: a version is a hexadecimal",
        "t:5:1: server 2 is named twice",
        "t:6:9: `a` can't be read",
        "t:7:10: `` can't be read",
    ] {
        assert!(found.contains(expected), "{expected} in\n{found}");
    }
}

#[test]
fn an_empty_or_cut_file_forbids_a_start() {
    for text in ["", "\n", "version=100000000", "server.1=a:1:2:observer;9"] {
        assert!(check_members(&read("f", text.as_bytes()).unwrap().config).is_err(), "{text}");
    }
    assert!(check_members(&read("f", ZNODE.as_bytes()).unwrap().config).is_ok());
    assert!(faults("server.1=127.0.0.1:210").contains("t:1:10: `127.0.0.1:210` is no server"));
}

#[test]
fn servers_that_say_the_same_stand_together_the_many_first() {
    let config = |text: &str| read("f", text.as_bytes()).unwrap().config;
    let one = config("server.1=0.0.0.0:1:2;9\nversion=0");
    let two = config("server.1=a:1:2;9\nversion=0");
    let said = [(ServerId(1), one), (ServerId(2), two.clone()), (ServerId(3), two)].into();
    let found: Vec<_> = views(&said).into_iter().map(|view| view.servers).collect();
    assert_eq!(found, [vec![ServerId(2), ServerId(3)], vec![ServerId(1)]]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("f", &bytes);
    }

    #[test]
    fn no_cut_of_a_good_text_makes_it_panic_or_adds_a_server(cut in 0..=ZNODE.len()) {
        if let Ok(found) = read("f", &ZNODE.as_bytes()[..cut]) {
            prop_assert!(found.config.membership.servers.len() <= 2);
        }
    }
}
