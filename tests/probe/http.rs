//! The HTTP form: answers from memory, with an age.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_toolbox::commands::probe::agent::board::Board;
use kafka_toolbox::commands::probe::agent::looks::Found;
use kafka_toolbox::commands::probe::verdict::{State, Verdict};
use serde_json::{Value, json};

use crate::support::toolbox::Toolbox;

/// A probe that serves; it ends with its owner.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(toolbox: &Toolbox, what: &[&str]) -> Self {
        let line = [&["probe"], what, &["--listen", "127.0.0.1:0", "--period", "1s"]].concat();
        let mut child = toolbox.command(&line).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.trim().rsplit_once("http://").unwrap().1.to_owned();
        Self { child, address }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Asks until the answer has this status.
    #[track_caller]
    fn until(&self, path: &str, status: u16) -> Value {
        let begun = Instant::now();
        loop {
            let (found, body) = self.get(path);
            if found == status {
                return body;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{path}: {found} {body}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_goes_away_is_seen_over_http_and_sigterm_ends_the_probe() {
    let toolbox = Toolbox::alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten().take(3) {
            let mut word = [0; 4];
            let _ = stream.read_exact(&mut word);
            let _ = stream.write_all(b"This ZooKeeper instance is not currently serving requests\n");
        }
    });
    let mut server = Server::start(&toolbox, &["zookeeper", "serve", "--address", &address]);
    let body = server.until("/live", 200);
    assert_eq!(body["state"], "alive");
    let ready = server.until("/ready", 503);
    assert_eq!(ready["state"], "not_ready");
    acceptor.join().unwrap();
    let dead = server.until("/live", 503);
    assert!(dead["reason"].as_str().unwrap().starts_with("nothing listens on"), "{dead}");
    assert!(dead["age_seconds"].is_number(), "{dead}");
    let (status, detail) = server.get("/detail");
    assert_eq!((status, &detail["live"]["state"]), (200, &json!("not_alive")));
    assert_eq!(detail["seen"]["live"]["seen"]["address"], json!(address));
    assert_eq!(server.get("/healthz").0, 200, "the probe itself is well");
    assert_eq!(server.get("/nothing").0, 404);
    rustix::process::kill_process(rustix::process::Pid::from_child(&server.child), rustix::process::Signal::TERM)
        .unwrap();
    assert!(server.child.wait().unwrap().success());
}

fn found(state: State, is_latched: bool) -> Found {
    let verdict = Verdict::new(state, "as it was");
    Found { live: Verdict::new(State::Alive, "answers"), ready: verdict, is_latched, detail: Value::Null }
}

#[tokio::test(start_paused = true)]
async fn an_answer_grows_old_and_is_no_yes_any_more_unless_it_is_latched() {
    let board = Arc::new(Board::new(Duration::from_secs(5)));
    assert_eq!((board.live().0.state, board.ready().0.state), (State::Alive, State::NotReady));
    for (is_latched, expected) in [(false, State::NotReady), (true, State::Ready)] {
        board.keep(found(State::Ready, is_latched));
        assert_eq!(board.ready().0.state, State::Ready);
        tokio::time::advance(Duration::from_secs(16)).await;
        let (verdict, age) = board.ready();
        assert_eq!((verdict.state, age), (expected, Some(Duration::from_secs(16))));
        assert_eq!(board.live().0.state, State::Alive);
    }
}
