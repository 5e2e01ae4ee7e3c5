//! Whole probes against peers that say what is written here, or nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::probe::probe;
use crate::support::toolbox::Toolbox;

const SRVR: &str = "Zookeeper version: 3.9.5-x, built on 2025\nLatency min/avg/max: 0/0.0/0\nReceived: 1\nSent: 0\n\
    Connections: 1\nOutstanding: 0\nZxid: 0x100000003\nMode: follower\nNode count: 5\n";

/// A ZooKeeper server that answers these words.
fn zookeeper(srvr: String, conf: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok() {
                let answer = if &word == b"srvr" { &srvr } else { &conf };
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    address
}

fn conf(own: u8, members: &[u8]) -> String {
    let line = |id: &u8| format!("server.{id}=h{id}:2888:3888:participant;2181\n");
    let members: String = members.iter().map(line).collect();
    format!("clientPort=2181\nsecureClientPort=-1\nserverId={own}\nmembership: \n{members}version=100000000")
}

#[test]
fn a_zookeeper_server_that_was_removed_is_a_follower_and_not_ready() {
    let toolbox = Toolbox::alone();
    let member = zookeeper(SRVR.into(), conf(3, &[1, 2, 3]));
    let ready = probe(&toolbox, &["zookeeper", "ready", "--id", "3"], &member).ends_with(0);
    assert_eq!(ready.out, "ready: server 3 is follower and one of 3 members (version 100000000)\n");
    let removed = zookeeper(SRVR.into(), conf(3, &[1, 2]));
    let out = probe(&toolbox, &["zookeeper", "ready"], &removed).ends_with(5).out;
    assert!(out.starts_with("not_ready: server 3 is follower without a vote"), "{out}");
    probe(&toolbox, &["zookeeper", "live"], &removed).ends_with(0);
}

#[test]
fn a_server_that_does_not_tell_its_configuration_could_not_be_found_out() {
    let toolbox = Toolbox::alone();
    let server = zookeeper(SRVR.into(), "conf is not executed because it is not in the whitelist.\n".into());
    let out = probe(&toolbox, &["zookeeper", "ready"], &server).ends_with(1).out;
    assert!(out.contains("4lw.commands.whitelist=srvr,conf"), "{out}");
    probe(&toolbox, &["zookeeper", "ready", "--role-only"], &server).ends_with(0);
    let waits = "This ZooKeeper instance is not currently serving requests\n";
    let server = zookeeper(waits.into(), waits.into());
    let out = probe(&toolbox, &["zookeeper", "ready"], &server).ends_with(5).out;
    assert!(out.contains("is up, but has no quorum"), "{out}");
    probe(&toolbox, &["zookeeper", "live"], &server).ends_with(0);
}

#[test]
fn a_closed_port_is_not_alive_and_a_wrong_address_is_wrong_usage() {
    let toolbox = Toolbox::alone();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for subject in ["zookeeper", "kafka"] {
        let out = probe(&toolbox, &[subject, "live"], &port).ends_with(5).out;
        assert!(out.starts_with("not_alive: nothing listens on 127.0.0.1:"), "{out}");
        probe(&toolbox, &[subject, "live"], "9092").ends_with(2);
    }
    let json = probe(&toolbox, &["kafka", "live", "-o", "json"], &port).ends_with(5).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["state"], "not_alive");
    assert_eq!(json["seen"]["reactions"][0]["reaction"], "refused");
    let ran = probe(&toolbox, &["kafka", "ready", "--broker", "1", "--strict"], &port).ends_with(5);
    assert!(ran.out.starts_with("not_ready: "), "{ran:?}");
    probe(&toolbox, &["kafka", "ready", "--broker", "1"], &port).ends_with(2);
}

#[test]
fn a_probe_of_a_silent_port_ends_within_its_timeout_and_leaves_nothing_behind() {
    let toolbox = Toolbox::alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for what in [
        &["kafka", "live"][..],
        &["zookeeper", "ready"],
        &["kafka", "ready", "--broker", "1", "--strict"],
        &["kafka", "controller", "--node", "1"],
    ] {
        let ran = probe(&toolbox, &[what, &["--timeout", "2s"]].concat(), &address);
        assert!(ran.took < Duration::from_secs(4), "{what:?}: {:?}", ran.took);
        assert_ne!(ran.code, Some(2), "{ran:?}");
    }
    assert_eq!(std::fs::read_dir(toolbox.state()).unwrap().count(), 0, "a probe records nothing");
}

/// A web server: it answers everything with a status.
fn web() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut begin = [0; 4];
            if stream.read_exact(&mut begin).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        }
    });
    address
}

#[test]
fn a_port_that_speaks_another_protocol_is_alive_and_not_ready_and_said_to_be_no_such_server() {
    let (toolbox, web) = (Toolbox::alone(), web());
    for (subject, what, ready) in
        [("zookeeper", "a ZooKeeper server", &[][..]), ("kafka", "a Kafka broker", &["--broker", "1", "--strict"])]
    {
        let words = format!("answers, but not as {what}");
        let out = probe(&toolbox, &[subject, "live"], &web).ends_with(0).out;
        assert!(out.starts_with("alive: ") && out.contains(&words), "{out}");
        let out = probe(&toolbox, &[&[subject, "ready"], ready].concat(), &web).ends_with(5).out;
        assert!(out.starts_with("not_ready: ") && out.contains(&words), "{out}");
    }
}

#[test]
fn a_named_pipe_where_an_id_should_be_is_refused_at_once() {
    let toolbox = Toolbox::alone();
    for (subject, file, flag) in [
        ("zookeeper", "myid", "--data-dir"),
        ("kafka", "meta.properties", "--log-dir"),
        ("kafka", "x", "--command-config"),
    ] {
        let path = toolbox.file(file, "");
        std::fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let folder = std::path::Path::new(&path).parent().unwrap().display().to_string();
        let mut line = vec![subject, "ready"];
        if subject == "kafka" {
            line.push("--strict");
        }
        if flag == "--command-config" {
            line.extend(["--broker", "1", flag, &path]);
        } else {
            line.extend([flag, &folder]);
        }
        let ran = probe(&toolbox, &line, "127.0.0.1:1").ends_with(2);
        assert!(ran.err.contains("it is a named pipe, not a regular file"), "{ran:?}");
        assert!(ran.took < Duration::from_secs(20), "{ran:?}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_latch_that_is_named_without_a_folder_is_kept_in_the_working_folder() {
    let toolbox = Toolbox::alone();
    let beside = toolbox.file("beside", "");
    let ran = probe(&toolbox, &["kafka", "ready", "--broker", "1", "--latch", "l3.json"], "127.0.0.1:1").ends_with(5);
    assert!(!ran.err.contains("failed to keep"), "{ran:?}");
    assert!(std::path::Path::new(&beside).with_file_name("l3.json").is_file(), "{ran:?}");
}
