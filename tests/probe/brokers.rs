//! `probe kafka ready` against two scripted brokers of a KRaft cluster: what only a sick one does. The bytes stand as Kafka's
//! message schemas have them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::probe::probe;
use crate::support::toolbox::{Ran, Toolbox};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const LIST_REASSIGNMENTS: i16 = 46;
const DESCRIBE_QUORUM: i16 = 55;
const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

/// What the brokers are like.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a broker may do wrong, and a test sets one")]
struct State {
    /// Broker 1 does not answer what only the controller knows.
    hangs: bool,
    /// Broker 2 does not list broker 1.
    is_unlisted: bool,
    /// The offset of broker 1's image; broker 2's is 100.
    image: i64,
    /// Leader and ISR of each partition `t-N`; the replicas are 1 and 2.
    partitions: Vec<(i32, Vec<i32>)>,
    /// A move adds broker 1 to partition `t-0`.
    is_added: bool,
    /// Eligible leaders of each partition `t-N`, as broker 1 tells them; none where it does not know such leaders.
    eligible: Option<Vec<Vec<i32>>>,
    /// Broker 1 knows topic `t` no more.
    is_deleted: bool,
    /// Names of topics that were asked for by name.
    asked: usize,
    /// How often all topics were asked for.
    asked_all: usize,
}

/// Two brokers, each on a port of its own.
struct Brokers {
    ports: [u16; 2],
    state: Arc<Mutex<State>>,
    toolbox: Toolbox,
}

impl Brokers {
    fn start(state: State) -> Self {
        let listeners = [1, 2].map(|id| (id, TcpListener::bind("127.0.0.1:0").unwrap()));
        let ports = [0, 1].map(|at: usize| listeners[at].1.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(state));
        for (id, listener) in listeners {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || serve(stream, id, ports, &state));
                }
            });
        }
        Self { ports, state, toolbox: Toolbox::alone() }
    }

    /// One look at broker 1.
    fn look(&self) -> Ran {
        let latch = self.toolbox.state().join("latch.json").display().to_string();
        let line = ["kafka", "ready", "--broker", "1", "--timeout", "3s", "--pid", "1", "--latch", &latch];
        probe(&self.toolbox, &line, &format!("127.0.0.1:{}", self.ports[0]))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }
}

fn serve(mut stream: TcpStream, id: i32, ports: [u16; 2], state: &Mutex<State>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut frame)?;
        let mut frame = Bytes::from(frame);
        let (key, _, correlation) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
        let client = usize::try_from(frame.get_i16()).unwrap();
        frame.advance(client);
        let mut answer = BytesMut::new();
        answer.put_i32(correlation);
        let mut state = state.lock().unwrap();
        match key {
            API_VERSIONS => speaks(&mut answer, id, &state),
            DESCRIBE_TOPIC_PARTITIONS => describe(&mut answer, &state),
            METADATA => metadata(&mut answer, id, ports, &mut state, frame.get_i32()),
            DESCRIBE_QUORUM => quorum(&mut answer),
            LIST_REASSIGNMENTS if state.hangs && id == 1 => continue,
            LIST_REASSIGNMENTS => moves(&mut answer, state.is_added),
            other => panic!("nobody asks for {other}"),
        }
        drop(state);
        stream.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes())?;
        stream.write_all(&answer)?;
    }
}

/// ApiVersions in version 3, with the offset of the image as its tagged field 1.
fn speaks(to: &mut BytesMut, id: i32, state: &State) {
    let image = if id == 1 { state.image } else { 100 };
    let mut keys = vec![(METADATA, 5, 5), (API_VERSIONS, 0, 3), (LIST_REASSIGNMENTS, 0, 0), (DESCRIBE_QUORUM, 0, 0)];
    keys.extend(state.eligible.iter().map(|_| (DESCRIBE_TOPIC_PARTITIONS, 0, 0)));
    to.put_i16(0);
    to.put_u8(u8::try_from(keys.len() + 1).unwrap());
    for (key, least, most) in keys {
        to.put_i16(key);
        to.put_i16(least);
        to.put_i16(most);
        to.put_u8(0);
    }
    to.put_i32(0);
    to.put_slice(&[1, 1, 8]);
    to.put_i64(image);
}

fn text(to: &mut BytesMut, text: &str) {
    to.put_i16(i16::try_from(text.len()).unwrap());
    to.put_slice(text.as_bytes());
}

fn numbers(to: &mut BytesMut, numbers: &[i32]) {
    to.put_i32(i32::try_from(numbers.len()).unwrap());
    for number in numbers {
        to.put_i32(*number);
    }
}

/// Metadata in version 5; `wanted` is how many topics were named, -1 for all.
fn metadata(to: &mut BytesMut, id: i32, ports: [u16; 2], state: &mut State, wanted: i32) {
    to.put_i32(0);
    let listed: Vec<_> = (1..).zip(ports).filter(|(one, _)| !(state.is_unlisted && id == 2 && *one == 1)).collect();
    to.put_i32(i32::try_from(listed.len()).unwrap());
    for (one, port) in listed {
        to.put_i32(one);
        text(to, "127.0.0.1");
        to.put_i32(i32::from(port));
        to.put_i16(-1);
    }
    text(to, "scripted");
    to.put_i32(1);
    match wanted {
        0 => return to.put_i32(0),
        -1 => state.asked_all += 1,
        count => state.asked += usize::try_from(count).unwrap(),
    }
    to.put_i32(1);
    to.put_i16(0);
    text(to, "t");
    to.put_u8(0);
    to.put_i32(i32::try_from(state.partitions.len()).unwrap());
    for (number, (leader, isr)) in (0..).zip(&state.partitions) {
        to.put_i16(0);
        to.put_i32(number);
        to.put_i32(*leader);
        numbers(to, &[1, 2]);
        numbers(to, isr);
        numbers(to, &[]);
    }
}

/// DescribeQuorum in version 0: controllers 11, which leads, 12 and 13.
fn quorum(to: &mut BytesMut) {
    to.put_u8(0);
    to.put_i16(0);
    to.put_u8(2);
    to.put_u8(u8::try_from("__cluster_metadata".len() + 1).unwrap());
    to.put_slice(b"__cluster_metadata");
    to.put_u8(2);
    to.put_i32(0);
    to.put_i16(0);
    to.put_i32(11);
    to.put_i32(1);
    to.put_i64(100);
    to.put_u8(4);
    for voter in [11, 12, 13] {
        to.put_i32(voter);
        to.put_i64(100);
        to.put_u8(0);
    }
    to.put_slice(&[1, 0, 0, 0]);
}

/// DescribeTopicPartitions in version 0, about `t`.
fn describe(to: &mut BytesMut, state: &State) {
    let compact = |to: &mut BytesMut, numbers: &[i32]| {
        to.put_u8(u8::try_from(numbers.len() + 1).unwrap());
        for number in numbers {
            to.put_i32(*number);
        }
    };
    let described = state.eligible.iter().flatten().zip(&state.partitions);
    let described: Vec<_> = described.filter(|_| !state.is_deleted).collect();
    to.put_u8(0);
    to.put_i32(0);
    to.put_u8(2);
    to.put_i16(if state.is_deleted { 3 } else { 0 });
    to.put_slice(&[2, b't']);
    to.put_slice(&[0; 17]);
    to.put_u8(u8::try_from(described.len() + 1).unwrap());
    for (number, (eligible, (leader, isr))) in (0..).zip(described) {
        to.put_i16(0);
        for field in [number, *leader, 0] {
            to.put_i32(field);
        }
        for numbers in [&[1, 2][..], isr, eligible, &[], &[]] {
            compact(to, numbers);
        }
        to.put_u8(0);
    }
    to.put_i32(0);
    to.put_u8(0);
    // No next page.
    to.put_i8(-1);
    to.put_u8(0);
}

/// ListPartitionReassignments in version 0: none, or one that adds broker 1 to `t-0`.
fn moves(to: &mut BytesMut, is_added: bool) {
    to.put_u8(0);
    to.put_i32(0);
    to.put_i16(0);
    to.put_u8(0);
    if is_added {
        to.put_slice(&[2, 2, b't', 2]);
        to.put_i32(0);
        for replicas in [&[2, 1][..], &[1], &[]] {
            to.put_u8(u8::try_from(replicas.len() + 1).unwrap());
            for replica in replicas {
                to.put_i32(*replica);
            }
        }
        to.put_slice(&[0, 0, 0]);
    } else {
        to.put_slice(&[1, 0]);
    }
}

fn in_sync() -> State {
    State { image: 100, partitions: vec![(2, vec![2, 1]), (1, vec![1, 2])], ..State::default() }
}

#[test]
fn a_broker_whose_channel_to_the_controller_hangs_is_named_before_and_after_it_is_latched() {
    let brokers = Brokers::start(State { hangs: true, ..in_sync() });
    let out = brokers.look().ends_with(5).out;
    assert!(out.starts_with("not_ready: broker 1 answers metadata, but gets no answer from the controller: "), "{out}");
    brokers.change(|state| state.hangs = false);
    assert!(brokers.look().ends_with(5).out.contains("that was look 1 of 2"));
    brokers.look().ends_with(0);
    brokers.change(|state| state.hangs = true);
    let out = brokers.look().ends_with(0).out;
    assert!(out.starts_with("ready: ") && out.contains("but it gets no answer from the controller: "), "{out}");
}

#[test]
fn the_status_of_the_quorum_names_a_broker_whose_channel_to_the_controller_hangs() {
    let brokers = Brokers::start(in_sync());
    let status = || {
        let address = format!("127.0.0.1:{}", brokers.ports[1]);
        brokers.toolbox.run(&["ensemble", "status", "--bootstrap-server", &address])
    };
    let words = "broker 1 answers metadata, but gets no answer from the controller: ";
    let quiet = status();
    assert!(quiet.out.contains("controller 11 leads") && !quiet.out.contains(words), "{quiet:#?}");
    brokers.change(|state| state.hangs = true);
    let named = status();
    assert!(named.out.contains(words) && !named.out.contains("broker 2 answers"), "{named:#?}");
    assert_eq!(named.code, quiet.code, "it is no alert of the quorum");
}

#[test]
fn a_broker_that_another_one_does_not_list_is_not_ready() {
    let brokers = Brokers::start(State { is_unlisted: true, ..in_sync() });
    let out = brokers.look().ends_with(5).out;
    assert!(out.contains("broker 1 answers, but broker 2 does not list it"), "{out}");
}

#[test]
fn only_topics_that_lacked_replicas_are_asked_for_until_they_lack_none() {
    let brokers = Brokers::start(State { partitions: vec![(2, vec![2]), (1, vec![1, 2])], ..in_sync() });
    for _ in 0..3 {
        let out = brokers.look().ends_with(5).out;
        assert!(out.starts_with("not_ready: 1 of 2 replicas are not in sync: t-0 behind leader 2"), "{out}");
    }
    let (named, all) = {
        let state = brokers.state.lock().unwrap();
        (state.asked, state.asked_all)
    };
    assert_eq!((named, all), (2, 1));
    brokers.change(|state| state.partitions = vec![(2, vec![2, 1]), (1, vec![1, 2])]);
    assert!(brokers.look().ends_with(5).out.contains("that was look 1 of 2"));
    brokers.look().ends_with(0);
    assert_eq!(brokers.state.lock().unwrap().asked_all, 3);
}

#[test]
fn a_replica_that_a_move_adds_and_one_that_waits_for_others_are_not_waited_for() {
    let state = State { partitions: vec![(2, vec![2]), (-1, vec![9])], is_added: true, ..in_sync() };
    let brokers = Brokers::start(state);
    brokers.look().ends_with(5);
    let out = brokers.look().ends_with(0).out;
    assert!(out.contains("not waited for: t-0 added by a running move, t-1 without a leader, waits for 9"), "{out}");
}

#[test]
fn an_empty_isr_waits_for_the_eligible_leaders_unless_the_broker_is_one() {
    let partitions = vec![(2, vec![2, 1]), (-1, vec![])];
    let brokers = Brokers::start(State { partitions, eligible: Some(vec![vec![], vec![9]]), ..in_sync() });
    brokers.look().ends_with(5);
    let out = brokers.look().ends_with(0).out;
    assert!(out.contains("1 of 2 replicas; not waited for: t-1 without a leader, waits for 9"), "{out}");
    let partitions = vec![(2, vec![2, 1]), (-1, vec![])];
    let brokers = Brokers::start(State { partitions, eligible: Some(vec![vec![], vec![1, 9]]), ..in_sync() });
    for _ in 0..3 {
        let out = brokers.look().ends_with(5).out;
        assert!(out.starts_with("not_ready: 1 of 2 replicas are not in sync: t-1 not elected yet"), "{out}");
    }
}

#[test]
fn a_topic_that_is_being_deleted_is_not_waited_for_where_the_newer_image_has_lost_it() {
    let partitions = vec![(2, vec![2]), (1, vec![1, 2])];
    let deleted = State { partitions, eligible: Some(Vec::new()), is_deleted: true, ..in_sync() };
    let brokers = Brokers::start(deleted.clone());
    brokers.look().ends_with(5);
    let out = brokers.look().ends_with(0).out;
    assert!(out.contains("not waited for: t-0 of a topic that is being deleted"), "{out}");
    // The broker's own image is the older one: the topic may be new to it.
    let brokers = Brokers::start(State { image: 99, ..deleted });
    for _ in 0..2 {
        let out = brokers.look().ends_with(5).out;
        assert!(out.contains("1 of 2 replicas are not in sync: t-0 behind leader 2"), "{out}");
    }
}
