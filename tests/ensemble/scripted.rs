//! `ensemble status` against servers that say what is written here, or nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::ensemble::status;
use crate::support::toolbox::Toolbox;

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// How a scripted server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Play {
    Serves(&'static str, u64),
    /// Like that, and `conf` is not in its whitelist.
    KeepsConf(&'static str, u64),
    HasNoQuorum,
    /// It takes connections and says nothing.
    Frozen,
    /// Its port is closed.
    Dead,
}

/// An ensemble of scripted servers, 1 to N; `members` are those of its configuration.
struct Scripted {
    ports: Vec<u16>,
    /// Ports that nobody accepts on.
    _frozen: Vec<TcpListener>,
}

impl Scripted {
    fn start(plays: &[Play], members: usize) -> Self {
        let listeners: Vec<_> = plays.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let line = |(index, port): (usize, &u16)| {
            let id = index + 1;
            format!("server.{id}=127.0.0.1:{id}0001:{id}0002:participant;127.0.0.1:{port}\n")
        };
        let membership: String = ports.iter().enumerate().take(members).map(line).collect();
        let mut frozen = Vec::new();
        for (index, (listener, play)) in listeners.into_iter().zip(plays).enumerate() {
            match *play {
                Play::Dead => drop(listener),
                Play::Frozen => frozen.push(listener),
                play => serve(listener, play, index + 1, &membership),
            }
        }
        Self { ports, _frozen: frozen }
    }

    fn address(&self, id: usize) -> String {
        format!("127.0.0.1:{}", self.ports[id - 1])
    }
}

fn serve(listener: TcpListener, play: Play, id: usize, membership: &str) {
    let conf = format!("clientPort=1\nserverId={id}\nmembership: \n{membership}version=100000000");
    let srvr = |mode: &str, zxid: u64| {
        format!(
            "Zookeeper version: 3.9.5-x, built on 2025\nLatency min/avg/max: 0/0.0/0\nReceived: 1\nSent: 0\n\
            Connections: 1\nOutstanding: 0\nZxid: {zxid:#x}\nMode: {mode}\nNode count: 5\n"
        )
    };
    let closed = |word: &str| format!("{word} is not executed because it is not in the whitelist.\n");
    let answers = match play {
        Play::Serves(mode, zxid) => [srvr(mode, zxid), conf, "zk_server_state\tx\n".to_owned()],
        Play::KeepsConf(mode, zxid) => [srvr(mode, zxid), closed("conf"), closed("mntr")],
        _ => [NOT_SERVING.to_owned(), NOT_SERVING.to_owned(), NOT_SERVING.to_owned()],
    };
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok() {
                let [srvr, conf, mntr] = &answers;
                let answer = match &word {
                    b"srvr" => srvr,
                    b"conf" => conf,
                    _ => mntr,
                };
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
}

#[test]
fn a_healthy_ensemble_is_shown_whole_though_one_server_was_named() {
    let plays = [
        Play::Serves("follower", 0x1_0000_0005),
        Play::Serves("leader", 0x1_0000_0005),
        Play::Serves("follower", 0x1_0000_0005),
    ];
    let ensemble = Scripted::start(&plays, 3);
    let toolbox = Toolbox::alone();
    let ran = status(&toolbox, &format!("{}/kafka", ensemble.address(1)), &[]).ends_with(0);
    assert!(
        ran.out.starts_with(
            "server 2 leads, configuration 100000000\nNow: 3 of 3 voters are live, 2 are needed: one more may fail\n"
        ),
        "{}",
        ran.out
    );
    for id in 1..=3 {
        assert!(ran.out.contains(&ensemble.address(id)), "{}", ran.out);
    }
    assert!(ran.out.contains("Nothing is wrong."), "{}", ran.out);
    assert_eq!(std::fs::read_dir(toolbox.state()).unwrap().count(), 0, "status records nothing");
}

#[test]
fn five_servers_with_one_dead_and_one_frozen_are_shown_truthfully_within_two_and_a_half_seconds() {
    let serves = |mode| Play::Serves(mode, 0x2_0000_0007);
    let plays = [serves("follower"), Play::Frozen, serves("leader"), Play::Dead, serves("follower")];
    let ensemble = Scripted::start(&plays, 5);
    let all: Vec<_> = (1..=5).map(|id| ensemble.address(id)).collect();
    let ran = status(&Toolbox::alone(), &all.join(","), &["-o", "json"]).ends_with(5);
    assert!(ran.took < Duration::from_millis(2_500) * 2, "{:?}: twice the limit, as the machine may be busy", ran.took);
    let page: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(page["tolerance"], serde_json::json!({ "voters": 5, "live": 3 }));
    assert_eq!(page["leader"], 3);
    assert_eq!(page["healthy"], false);
    let answers: Vec<_> =
        page["servers"].as_array().unwrap().iter().map(|row| row["answer"]["answer"].as_str().unwrap()).collect();
    assert_eq!(answers, ["serving", "silent", "serving", "down", "serving"]);
}

#[test]
fn a_removed_server_and_one_that_lags_do_not_count_as_live_voters() {
    let plays = [
        Play::Serves("leader", 0x1_0000_0009),
        Play::Serves("follower", 0x1_0000_0004),
        Play::Serves("follower", 0x1_0000_0009),
        Play::Serves("follower", 0x1_0000_0009),
    ];
    let ensemble = Scripted::start(&plays, 3);
    let all: Vec<_> = (1..=4).map(|id| ensemble.address(id)).collect();
    let ran = status(&Toolbox::alone(), &all.join(","), &[]).ends_with(5);
    assert!(ran.out.contains("server 4 says `follower` and is no member"), "{}", ran.out);
    assert!(ran.out.contains("2 of 3 voters are live, 2 are needed: the next failure stops writes"), "{}", ran.out);
    let row = ran.out.lines().find(|line| line.starts_with("2 ")).unwrap();
    assert!(row.contains("0x100000004  5 "), "five transactions behind: {row}");
}

#[test]
fn two_leaders_are_a_split_brain_and_no_quorum_says_the_way_out() {
    let plays = [Play::Serves("leader", 9), Play::Serves("leader", 7), Play::Serves("follower", 9)];
    let ensemble = Scripted::start(&plays, 3);
    let ran = status(&Toolbox::alone(), &ensemble.address(1), &[]).ends_with(5);
    assert!(ran.out.contains("Every change would be refused: E_SPLIT_BRAIN: 2 leaders"), "{}", ran.out);
    let ensemble = Scripted::start(&[Play::HasNoQuorum, Play::Dead, Play::Dead], 3);
    let ran = status(&Toolbox::alone(), &ensemble.address(1), &["-o", "json"]).ends_with(5);
    let page: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(page["refusal"]["code"], "E_NO_QUORUM");
    assert_eq!(page["servers"][0]["id"], serde_json::Value::Null);
}

#[test]
fn a_server_that_keeps_its_configuration_to_itself_is_up_and_its_whitelist_is_named() {
    let ensemble = Scripted::start(&[Play::KeepsConf("leader", 9), Play::KeepsConf("follower", 9)], 2);
    let all = format!("{},{}", ensemble.address(1), ensemble.address(2));
    let ran = status(&Toolbox::alone(), &all, &[]).ends_with(5);
    assert!(ran.out.contains("leader") && ran.out.contains("its id is not known"), "{}", ran.out);
    assert!(ran.out.contains("no server shows the membership: `conf` is not in 4lw.commands.whitelist"), "{}", ran.out);
    assert!(!ran.out.contains("E_NO_QUORUM"), "{}", ran.out);
}

#[test]
fn two_ensembles_with_the_same_ids_are_not_taken_for_one() {
    let plays = [Play::Serves("leader", 9), Play::Serves("follower", 9), Play::Serves("follower", 9)];
    let (one, other) = (Scripted::start(&plays, 3), Scripted::start(&plays, 3));
    let ran = status(&Toolbox::alone(), &format!("{},{}", one.address(1), other.address(1)), &[]).ends_with(5);
    assert!(
        ran.out.contains("is claimed by the server at 127.0.0.1:") && ran.out.contains("E_ID_CONFLICT"),
        "{}",
        ran.out
    );
}

#[test]
fn what_was_observed_is_shown_again_without_any_server() {
    let toolbox = Toolbox::alone();
    let saved = toolbox.state().join("observed.json").display().to_string();
    let page = |ran: &str| serde_json::from_str::<serde_json::Value>(ran).unwrap();
    let first = {
        let ensemble = Scripted::start(&[Play::Serves("leader", 9), Play::Dead, Play::Serves("follower", 9)], 3);
        status(&toolbox, &ensemble.address(1), &["-o", "json", "--save-observed", &saved]).ends_with(5).out
    };
    let again = toolbox.run(&["ensemble", "status", "-o", "json", "--observed", &saved]).ends_with(5).out;
    assert_eq!(page(&first), page(&again));
}

#[test]
fn a_wrong_list_of_servers_is_wrong_usage() {
    for wrong in ["a:0", ",", "a:x", "a:1/.."] {
        status(&Toolbox::alone(), wrong, &[]).ends_with(2);
    }
}
