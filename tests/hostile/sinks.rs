//! Datadog, its agent and an API server that misbehave as sinks of events: the run ends in time, as it would have without
//! them, the event is kept for the next run, and no key goes to a stranger.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::toolbox::{Ran, Toolbox};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The budget of a run for its events, and the longest that the whole run may take on a busy machine.
const BUDGET: &str = "2s";
const LONGEST: Duration = Duration::from_secs(20);

/// What the server does with a connection once it has read a request.
type Behaviour = fn(&mut Talk<'_>);

/// A server that misbehaves; it stops when it is dropped.
struct Hostile {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    behaviour: Behaviour,
    /// Where a redirect leads.
    elsewhere: Option<SocketAddr>,
    requests: Mutex<Vec<String>>,
    sent: AtomicUsize,
    is_over: AtomicBool,
}

/// One connection.
struct Talk<'a> {
    stream: TcpStream,
    state: &'a State,
}

impl Talk<'_> {
    /// Sends bytes; whether the other side still takes them.
    fn say(&mut self, bytes: &[u8]) -> bool {
        if self.state.is_over.load(Ordering::Relaxed) || self.stream.write_all(bytes).is_err() {
            return false;
        }
        self.state.sent.fetch_add(bytes.len(), Ordering::Relaxed);
        true
    }

    fn say_for_ever(&mut self, bytes: &[u8]) {
        while self.say(bytes) {}
    }
}

impl Hostile {
    fn start(behaviour: Behaviour) -> Self {
        Self::start_beside(behaviour, None)
    }

    fn start_beside(behaviour: Behaviour, elsewhere: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, sent, is_over) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let state = Arc::new(State { behaviour, elsewhere, requests, sent, is_over });
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if served.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    fn sent(&self) -> usize {
        self.state.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut stream: TcpStream, state: &State) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let (mut request, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) if request.len() < 1 << 20 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    state.requests.lock().unwrap().push(String::from_utf8_lossy(&request).to_lowercase());
    (state.behaviour)(&mut Talk { stream, state });
}

fn endless_body(talk: &mut Talk<'_>) {
    if talk.say(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{\"errors\":[\"") {
        talk.say_for_ever(&[b'x'; 16 * 1024]);
    }
}

fn taken_with_an_endless_body(talk: &mut Talk<'_>) {
    if talk.say(b"HTTP/1.1 202 Accepted\r\n\r\n") {
        talk.say_for_ever(&[b'x'; 16 * 1024]);
    }
}

fn endless_success(talk: &mut Talk<'_>) {
    if talk.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"kind\":\"") {
        talk.say_for_ever(&[b'x'; 16 * 1024]);
    }
}

fn endless_headers(talk: &mut Talk<'_>) {
    if talk.say(b"HTTP/1.1 202 Accepted\r\n") {
        talk.say_for_ever(&[b"X-Filler: ".as_slice(), &[b'x'; 4_000], b"\r\n"].concat());
    }
}

fn endless_interim_answers(talk: &mut Talk<'_>) {
    talk.say_for_ever(b"HTTP/1.1 102 Processing\r\n\r\n");
}

fn drips(talk: &mut Talk<'_>) {
    if talk.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100000\r\n\r\n") {
        while talk.say(b"x") {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn never_answers(talk: &mut Talk<'_>) {
    drop(talk.stream.read(&mut [0]));
}

fn too_long_a_content_length(talk: &mut Talk<'_>) {
    talk.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 999999999999999\r\n\r\n{\"errors\":[]}");
}

fn a_content_length_that_is_no_number(talk: &mut Talk<'_>) {
    talk.say(b"HTTP/1.1 202 Accepted\r\nContent-Length: -1\r\n\r\n");
}

fn two_content_lengths(talk: &mut Talk<'_>) {
    talk.say(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}");
}

fn garbage(talk: &mut Talk<'_>) {
    talk.say(&[0, 255, b'\r', b'\n', 0x1b, b'[', b'2', b'J', b'\r', b'\n', b'\r', b'\n']);
}

fn packed(talk: &mut Talk<'_>) {
    talk.say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

fn redirects(talk: &mut Talk<'_>) {
    let to = talk.state.elsewhere.unwrap();
    // 307 and 308 repeat the body and the headers.
    for status in ["307 Temporary Redirect", "308 Permanent Redirect", "302 Found"] {
        let answer = format!("HTTP/1.1 {status}\r\nLocation: http://{to}/api/v1/events\r\nContent-Length: 0\r\n\r\n");
        if !talk.say(answer.as_bytes()) || !matches!(talk.stream.read(&mut [0; 16 * 1024]), Ok(1..)) {
            return;
        }
    }
}

/// Sends one event to a Datadog that behaves so.
fn to_datadog(behaviour: Behaviour) -> (Ran, Hostile) {
    let server = Hostile::start(behaviour);
    let ran = send_to_datadog(&server);
    (ran, server)
}

fn send_to_datadog(server: &Hostile) -> Ran {
    let toolbox = Toolbox::alone()
        .with("DD_API_KEY", KEY)
        .with("TOOLBOX_DATADOG_URL", &format!("http://{}", server.address))
        .with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", BUDGET);
    let ran = toolbox.run(&["events", "send", "--title", "precious"]);
    assert_eq!(toolbox.audit().len(), 1, "{ran:?}");
    ran
}

/// Sends one event to an API server that behaves so.
fn to_kubernetes(server: &Hostile) -> Ran {
    let toolbox = Toolbox::alone()
        .with("TOOLBOX_EVENTS_TO", "kubernetes")
        .with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", BUDGET)
        .with("POD_NAME", "topics-1");
    let user =
        "users: [{name: u, user: {token: secret-token}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n";
    let cluster = format!("clusters: [{{name: k, cluster: {{server: \"http://{}\"}}}}]\n", server.address);
    let config = format!("apiVersion: v1\nkind: Config\n{cluster}{user}current-context: c\n");
    let kubeconfig = toolbox.file("kubeconfig", &config);
    let ran = toolbox.run(&["events", "send", "--title", "precious", "--kubeconfig", &kubeconfig]);
    assert_eq!(toolbox.audit().len(), 1, "{ran:?}");
    ran
}

/// The run ended as it should, and in time, and the event waits for the next run.
#[track_caller]
fn is_spooled(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("events: 0 sent, 1 spooled, 0 dropped"), "{ran:?}");
    assert!(ran.took < LONGEST, "{ran:?}");
    assert!(!ran.err.contains('\u{1b}') && !ran.err.contains(KEY) && !ran.err.contains("secret-token"), "{ran:?}");
    assert!(ran.err.len() < 10_000, "{} characters", ran.err.len());
}

#[test]
fn a_datadog_whose_answer_has_no_end_is_read_for_some_kilobytes() {
    let (ran, server) = to_datadog(endless_body);
    is_spooled(&ran);
    assert!(server.sent() < 16 << 20, "{} bytes", server.sent());
}

#[test]
fn a_datadog_that_took_the_event_may_say_what_it_likes_after_that() {
    let (ran, server) = to_datadog(taken_with_an_endless_body);
    assert!(ran.code == Some(0) && ran.err.contains("events: 1 sent, 0 spooled, 0 dropped"), "{ran:?}");
    assert_eq!(server.requests().len(), 1, "it is not sent again");
}

#[test]
fn a_datadog_whose_headers_have_no_end_is_given_up() {
    let (ran, server) = to_datadog(endless_headers);
    is_spooled(&ran);
    assert!(server.sent() < 64 << 20, "{} bytes", server.sent());
}

#[test]
fn a_datadog_that_is_always_about_to_answer_is_given_up() {
    is_spooled(&to_datadog(endless_interim_answers).0);
}

#[test]
fn a_datadog_that_answers_byte_by_byte_costs_the_budget_and_nothing_else() {
    is_spooled(&to_datadog(drips).0);
}

#[test]
fn a_datadog_that_never_answers_costs_the_budget_and_nothing_else() {
    is_spooled(&to_datadog(never_answers).0);
}

#[test]
fn a_datadog_that_lies_about_the_length_of_its_answer_has_not_taken_the_event() {
    is_spooled(&to_datadog(too_long_a_content_length).0);
    is_spooled(&to_datadog(a_content_length_that_is_no_number).0);
    is_spooled(&to_datadog(two_content_lengths).0);
}

#[test]
fn a_datadog_that_answers_garbage_has_not_taken_the_event() {
    is_spooled(&to_datadog(garbage).0);
}

#[test]
fn a_packed_answer_is_neither_asked_for_nor_unpacked() {
    let (ran, server) = to_datadog(packed);
    is_spooled(&ran);
    assert!(server.requests().iter().all(|request| !request.contains("accept-encoding")), "{:?}", server.requests());
}

#[test]
fn a_redirect_takes_neither_the_key_nor_the_event_to_a_stranger() {
    let stranger = Hostile::start(never_answers);
    let server = Hostile::start_beside(redirects, Some(stranger.address));
    is_spooled(&send_to_datadog(&server));
    assert!(server.requests().iter().any(|request| request.contains(KEY)));
    assert_eq!(stranger.requests(), Vec::<String>::new());
}

#[test]
fn an_api_server_that_redirects_gets_no_token_to_a_stranger() {
    let stranger = Hostile::start(never_answers);
    let server = Hostile::start_beside(redirects, Some(stranger.address));
    is_spooled(&to_kubernetes(&server));
    assert_eq!(stranger.requests(), Vec::<String>::new());
}

#[test]
fn an_api_server_whose_answer_has_no_end_is_read_up_to_a_limit() {
    let server = Hostile::start(endless_success);
    is_spooled(&to_kubernetes(&server));
    let each = server.sent() / server.requests().len().max(1);
    assert!(each < 96 << 20, "{each} bytes an answer");
}

#[test]
fn an_api_server_that_answers_nonsense_or_nothing_costs_the_budget_and_nothing_else() {
    let all: [Behaviour; 6] = [garbage, never_answers, drips, endless_headers, two_content_lengths, packed];
    for behaviour in all {
        is_spooled(&to_kubernetes(&Hostile::start(behaviour)));
    }
}

#[test]
fn an_agent_whose_socket_nobody_empties_costs_the_budget_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsd.socket");
    let _agent = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.connect(&path).unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send(&[b'x'; 1_000]).is_ok() {}
    let toolbox = Toolbox::alone()
        .with("DD_DOGSTATSD_URL", &format!("unix://{}", path.display()))
        .with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", BUDGET);
    is_spooled(&toolbox.run(&["events", "send", "--title", "precious"]));
}
