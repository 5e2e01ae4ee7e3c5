//! Frozen fails, busy does not: a port that accepts and says nothing, and processes that stand still or work behind it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::probe::probe;
use crate::support::toolbox::Toolbox;

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    fn start(program: &str) -> Self {
        let mut command = Command::new("bash");
        command.args(["-c", program]).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_works_and_does_not_answer_is_alive_and_one_that_stands_still_is_not() {
    let toolbox = Toolbox::alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let worker = Process::start("while :; do :; done");
    let live = |subject: &str| probe(&toolbox, &[subject, "live", "--timeout", "3s", "--pid", &worker.pid()], &address);
    for subject in ["kafka", "zookeeper"] {
        let out = live(subject).ends_with(0).out;
        assert!(out.contains("but its process uses CPU time: it is busy"), "{out}");
    }
    worker.signal(Signal::STOP);
    for subject in ["kafka", "zookeeper"] {
        let out = live(subject).ends_with(5).out;
        assert!(out.starts_with("not_alive: ") && out.contains("it is frozen"), "{out}");
    }
    worker.signal(Signal::CONT);
    live("kafka").ends_with(0);
    let out = probe(&toolbox, &["kafka", "live", "--pid", "4194304"], &address).ends_with(0).out;
    assert!(out.contains("whether it is frozen can't be seen"), "{out}");
}

#[test]
fn a_server_that_was_started_just_now_may_have_a_closed_port() {
    let toolbox = Toolbox::alone();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let young = Process::start("sleep 60");
    let window = ["kafka", "live", "--pid", &young.pid(), "--startup-window"];
    let out = probe(&toolbox, &[&window[..], &["10m"]].concat(), &port).ends_with(0).out;
    assert!(out.contains("does not listen yet"), "{out}");
    probe(&toolbox, &[&window[..], &["1ms"]].concat(), &port).ends_with(5);
}
