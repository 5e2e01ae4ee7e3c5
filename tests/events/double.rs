//! A double of Datadog's event intake on loopback. It keeps Datadog's limits and can be told to be in trouble.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The key that the double knows.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What the double does with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 202, where the limits are kept; else what Datadog says.
    Accept,
    /// 202, and the connection is reset before the body is there.
    AcceptThenReset,
    /// The connection is closed without an answer.
    Reset,
    /// Nothing, for a minute.
    Hang,
    /// Status and body, as they are.
    Answer(u16, &'static str),
    /// 429 with `X-RateLimit-Reset`.
    RateLimited(u64),
    /// 413 where the text is longer than this; else as [`Mood::Accept`].
    TakesTextOf(usize),
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) body: Value,
    pub(crate) status: u16,
}

/// A running double; it stops when it is dropped.
pub(crate) struct Double {
    pub(crate) url: String,
    state: Arc<State>,
    address: std::net::SocketAddr,
}

struct State {
    /// Moods of the next requests; then that of all others.
    moods: Mutex<(VecDeque<Mood>, Mood)>,
    seen: Mutex<Vec<Seen>>,
    is_over: AtomicBool,
}

impl Double {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            moods: Mutex::new((VecDeque::new(), Mood::Accept)),
            seen: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if of_listener.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&of_listener);
                std::thread::spawn(move || serve(&connection.unwrap(), &state));
            }
        });
        Self { url: format!("http://{address}"), state, address }
    }

    /// From now on the double behaves like this.
    pub(crate) fn is(&self, mood: Mood) {
        *self.state.moods.lock().unwrap() = (VecDeque::new(), mood);
    }

    /// The next requests meet these moods; those behind them are accepted.
    pub(crate) fn is_first(&self, moods: impl IntoIterator<Item = Mood>) {
        *self.state.moods.lock().unwrap() = (moods.into_iter().collect(), Mood::Accept);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Bodies that were accepted.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.seen().into_iter().filter(|seen| seen.status == 202).map(|seen| seen.body).collect()
    }

    /// How many accepted bodies have a word in their text.
    pub(crate) fn accepted_with(&self, word: &str) -> usize {
        self.accepted().iter().filter(|body| body["text"].as_str().unwrap().contains(word)).count()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        // Wakes the listener up; if that fails, it is gone already.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(connection: &TcpStream, state: &State) {
    connection.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut reader = BufReader::new(connection);
    while let Some((target, key, body)) = read_request(&mut reader) {
        let mood = {
            let mut moods = state.moods.lock().unwrap();
            moods.0.pop_front().unwrap_or_else(|| moods.1.clone())
        };
        let (status, header, answer) = decide(&mood, &target, &key, &body);
        state.seen.lock().unwrap().push(Seen { target, body, status });
        match mood {
            Mood::Reset => return drop(connection.shutdown(Shutdown::Both)),
            Mood::Hang => return std::thread::sleep(Duration::from_mins(1)),
            _ => {}
        }
        let head = format!("HTTP/1.1 {status} X\r\n{header}Content-Length: {}\r\n\r\n", answer.len());
        let body = if mood == Mood::AcceptThenReset { "" } else { &answer };
        if (&mut &*connection).write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
        if mood == Mood::AcceptThenReset {
            return drop(connection.shutdown(Shutdown::Both));
        }
    }
}

/// Target, API key and body of the next request on a connection.
fn read_request(reader: &mut impl BufRead) -> Option<(String, String, Value)> {
    let (mut first, mut key, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "dd-api-key" => value.trim().clone_into(&mut key),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let target = first.split(' ').nth(1)?.to_owned();
    Some((target, key, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn decide(mood: &Mood, target: &str, key: &str, body: &Value) -> (u16, String, String) {
    let refused = |status: u16, why: &str| (status, String::new(), format!(r#"{{"errors":["{why}"]}}"#));
    match mood {
        Mood::Answer(status, answer) => (*status, String::new(), (*answer).to_owned()),
        Mood::RateLimited(reset) => (429, format!("X-RateLimit-Reset: {reset}\r\n"), "{}".to_owned()),
        Mood::Reset | Mood::Hang => (0, String::new(), String::new()),
        Mood::TakesTextOf(limit) if length(body, "text") > *limit => refused(413, "Payload too large"),
        Mood::Accept | Mood::AcceptThenReset | Mood::TakesTextOf(_) => {
            if target != "/api/v1/events" {
                return refused(404, "Not found");
            }
            if key != KEY {
                return refused(403, "Forbidden");
            }
            match broken_limit(body) {
                Some(why) => refused(400, why),
                None => (202, String::new(), r#"{"status":"ok","event":{"id":1}}"#.to_owned()),
            }
        }
    }
}

fn length(body: &Value, field: &str) -> usize {
    body[field].as_str().map_or(0, |text| text.chars().count())
}

/// The limit of Datadog's v1 events that a body does not keep.
fn broken_limit(body: &Value) -> Option<&'static str> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let happened = body["date_happened"].as_i64().unwrap_or(now);
    let tags = body["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match () {
        () if length(body, "title") == 0 => Some("title is missing"),
        () if length(body, "title") > 100 => Some("title is too long"),
        () if length(body, "text") > 4_000 => Some("text is too long"),
        () if length(body, "aggregation_key") > 100 => Some("aggregation_key is too long"),
        () if now - happened > 18 * 3_600 => Some("date_happened is older than 18 hours"),
        () if tags.into_iter().any(|tag| tag.chars().count() > 200) => Some("a tag is too long"),
        () => None,
    }
}
