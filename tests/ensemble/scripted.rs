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
    /// It answers this to every word.
    Says(&'static str),
    /// It serves, and its configuration has this line besides.
    Adds(&'static str),
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
        Play::Says(text) => [text.to_owned(), text.to_owned(), text.to_owned()],
        Play::Adds(line) => [srvr("leader", 9), conf.replace("version=", &format!("{line}\nversion=")), String::new()],
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

const NOT_LISTED: &str = "srvr is not executed because it is not in the whitelist.\n";

#[test]
fn where_nobody_could_be_asked_the_reason_of_each_server_is_shown_and_the_result_is_not_known() {
    let plays =
        [Play::Dead, Play::Says("HTTP/1.1 400 Bad Request\r\n\r\n<html>"), Play::Says(NOT_LISTED), Play::Says("")];
    let ensemble = Scripted::start(&plays, 4);
    let all: Vec<_> = (1..=4).map(|id| ensemble.address(id)).collect();
    for wide in [&[][..], &["-o", "wide"]] {
        let ran = status(&Toolbox::alone(), &all.join(","), wide).ends_with(1);
        let row = |id: usize| ran.out.lines().find(|line| line.contains(&ensemble.address(id))).unwrap().to_owned();
        assert!(row(1).contains("refused") && row(2).contains("is not ZooKeeper's"), "{}", ran.out);
        assert!(row(3).contains("does not execute `srvr`") && row(4).contains("gave no answer"), "{}", ran.out);
        assert!(ran.out.contains("E_NOT_ASKED: nobody could be asked: "), "{}", ran.out);
        for wrong in ["E_NO_QUORUM", "no server leads", "disk", "Nothing is wrong"] {
            assert!(!ran.out.contains(wrong), "{wrong}: {}", ran.out);
        }
        assert!(!ran.err.contains("no ZooKeeper server could be used"), "{}", ran.err);
    }
    let page = status(&Toolbox::alone(), &all.join(","), &["-o", "json"]).ends_with(1).out;
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!((&page["healthy"], &page["refusal"]["code"]), (&false.into(), &"E_NOT_ASKED".into()));
}

#[test]
fn a_line_of_a_member_that_can_not_be_read_is_shown_and_no_whitelist_is_blamed() {
    let ensemble = Scripted::start(&[Play::Adds("server.2=bad host:1:2:participant;3")], 1);
    let ran = status(&Toolbox::alone(), &ensemble.address(1), &[]).ends_with(5);
    assert!(ran.out.contains("no server shows the membership: ") && ran.out.contains("conf"), "{}", ran.out);
    assert!(!ran.out.contains("whitelist"), "{}", ran.out);
}

/// A toolbox with this text as the record of the ensemble `main`.
fn recorded(text: &str) -> Toolbox {
    let toolbox = Toolbox::alone();
    let folder = toolbox.state().join("records");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ensemble-main.json"), text).unwrap();
    toolbox
}

#[test]
fn a_damaged_record_is_a_finding_of_status_in_text_and_json() {
    let plays = [Play::Serves("leader", 9), Play::Serves("follower", 9), Play::Serves("follower", 9)];
    let ensemble = Scripted::start(&plays, 3);
    for text in ["", "{\"form\": 2, \"purp"] {
        let toolbox = recorded(text);
        let ran = status(&toolbox, &ensemble.address(1), &["--ensemble", "main"]).ends_with(5);
        let words = "ensemble-main.json can't be understood (";
        assert!(ran.out.contains(words) && ran.out.contains("adopt"), "{}", ran.out);
        assert!(!ran.out.contains("Nothing is wrong") && !ran.out.contains("--owner"), "{}", ran.out);
        let page = status(&toolbox, &ensemble.address(1), &["--ensemble", "main", "-o", "json"]).ends_with(5).out;
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert!(page["findings"][0]["text"].as_str().unwrap().contains(words), "{page:#}");
    }
}

#[test]
fn of_a_record_with_more_servers_than_are_asked_the_voters_are_asked_first() {
    let plays = [Play::Serves("follower", 9), Play::Serves("leader", 9), Play::Serves("follower", 9)];
    let ensemble = Scripted::start(&plays, 3);
    let closed = Scripted::start(&[Play::Dead], 1);
    let port = closed.ports[0];
    let member = |id: usize, port: u16, state: &str| {
        let line = format!("127.0.0.1:{id}0001:{id}0002:participant;127.0.0.1:{port}");
        (id.to_string(), serde_json::json!({ "line": line, "state": state }))
    };
    let voters = (1..=3).map(|id| member(id, ensemble.ports[id - 1], "voter"));
    // Each joiner has an address of its own, which nobody listens on.
    let joiner = |id: usize| {
        let line = format!("127.0.1.{id}:1:2:participant;127.0.1.{id}:{port}");
        (id.to_string(), serde_json::json!({ "line": line, "state": "joining" }))
    };
    let members: serde_json::Map<_, _> = voters.chain((4..=99).map(joiner)).collect();
    let document = serde_json::json!({ "size": 3, "initialized": true, "members": members });
    let record = serde_json::json!({
        "form": 2, "purpose": "ensemble", "cluster_id": "main", "cluster_name": "main", "owner": null,
        "run_id": "01a22b8c-685b-76f5-a570-c30642a7d5d9", "saved_at": "2026-01-01T00:00:00Z", "tool_version": "0.1.0",
        "document": document,
    });
    let toolbox = recorded(&record.to_string());
    let ran = status(&toolbox, &ensemble.address(1), &["--ensemble", "main"]).ends_with(0);
    assert!(ran.out.starts_with("server 2 leads"), "{}", ran.out);
    assert!(ran.out.contains("there are too many servers: 35 were not asked"), "{}", ran.out);
    assert!(!ran.out.contains("no server leads"), "{}", ran.out);
}

#[test]
fn one_id_twice_and_sizes_that_no_ensemble_should_have_are_wrong_usage_in_a_dry_run_too() {
    let toolbox = Toolbox::alone();
    let run = |words: &[&str]| {
        let place = ["--zookeeper", "127.0.0.1:1", "--ensemble", "main", "--dry-run"];
        toolbox.run(&[&["ensemble"][..], words, &place].concat())
    };
    let (four, five) = ("4=a:1:2;3", "4=b:1:2;3");
    assert!(run(&["join", four, five]).ends_with(2).err.contains("id 4 is named twice"));
    assert!(run(&["leave", "1", "1"]).ends_with(2).err.contains("id 1 is named twice"));
    let ran = run(&["join", "4=127.0.0.1"]).ends_with(2);
    assert!(ran.err.contains("ID=HOST:QUORUM_PORT") && !ran.err.contains("directory"), "{ran:#?}");
    for size in ["0", "2", "16", "17", "4294967295"] {
        for verb in [&["adopt"][..], &["join", four], &["leave", "1"], &["retire", "1", "--reason", "x"]] {
            run(&[verb, &["--size", size]].concat()).ends_with(2);
        }
    }
}
