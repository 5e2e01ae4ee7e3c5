//! Faults 39 and 40: what real controllers answer to changes of voters that are wrong, or whose answer is lost or says nothing.
//! For `make acceptance`.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Quorum as _, codes};
use kafka_toolbox::cluster::quorum::{DirectoryId, Endpoint, NewVoter, NodeId, ReplicaKey};

use crate::ensemble::bed::is_wanted;
use crate::ensemble::controllers::{Bed, block, shape};
use crate::live::kafka::{Kind, Quorum, QuorumShape, Voters};

/// The kinds whose quorums can be changed.
const KINDS: [Kind; 2] = [Kind::Kafka39Kraft, Kind::Kafka43Kraft];

/// A directory that nobody has.
fn nobodys() -> DirectoryId {
    "AAECAwQFBgcICQoLDA0ODw".parse().unwrap()
}

fn controllers(bed: &Bed) -> Live {
    let servers = bed.quorum.controllers();
    let timeout = Some(Duration::from_secs(20));
    let given = Given { bootstrap_controller: Some(&servers), timeout, ..Given::default() };
    Live::new(Settings::load(None, given).unwrap()).unwrap()
}

#[test]
fn a_wrong_directory_a_lagging_joiner_and_a_second_disk_of_a_voter_are_refused_by_name_before_they_are_sent() {
    if !is_wanted() {
        return;
    }
    for kind in KINDS {
        let bed = Bed::start(kind, shape(Voters::Initial, &[101, 102, 103], &[104, 105], &[]));
        bed.has_voters(&[101, 102, 103]);
        the_controllers_themselves_refuse(&bed);
        bed.run(&["adopt"]).ends_with(0);
        let refuses = |name: &str| {
            let ran = bed.run(&["apply", "--once"]);
            assert!(matches!(ran.code, Some(4 | 5)) && ran.out.contains(name), "{}: {name}: {ran:#?}", kind.name());
            assert_eq!((bed.voters().0, bed.intents()), (vec![101, 102, 103], 0), "{}", kind.name());
        };

        // A second disk for the id of a voter that runs.
        let own = bed.quorum.directory(102).unwrap();
        bed.run(&["join", &format!("102={}", nobodys())]).ends_with(0);
        refuses("E_ID_CONFLICT");
        bed.run(&["join", &format!("102={own}")]).ends_with(0);

        // A joiner that follows with another disk than was declared. The second one does not run.
        let directory = bed.quorum.start_joiner(104).unwrap();
        let wrong = [format!("104={}", nobodys()), format!("105={}", nobodys())];
        bed.run(&["join", &wrong[0], &wrong[1], "--size", "5"]).ends_with(0);
        until(&bed, "E_ID_CONFLICT");
        refuses("E_ID_CONFLICT");

        // The right one, which stands still.
        bed.run(&["join", &format!("104={directory}")]).ends_with(0);
        bed.quorum.freeze(104).unwrap();
        until(&bed, "E_NOT_CAUGHT_UP");
        refuses("E_NOT_CAUGHT_UP");
        bed.quorum.thaw(104).unwrap();
        let added = bed.pass_until_done();
        assert!(added.out.contains("ADD: controller 104"), "{added:#?}");
        bed.has_voters(&[101, 102, 103, 104]);
        assert_eq!((bed.intents(), bed.changes()), (1, 1));
    }
}

/// Waits until a pass would be refused, or wait, by this name.
#[track_caller]
fn until(bed: &Bed, name: &str) {
    let begun = Instant::now();
    loop {
        let plan = bed.run(&["plan"]);
        if plan.out.contains(name) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "no {name}: {plan:#?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// What is sent all the same is refused by codes, whose names the tool's refusals have.
fn the_controllers_themselves_refuse(bed: &Bed) {
    let kafka = controllers(bed);
    let endpoint = |id: i32| {
        let (host, port) =
            bed.quorum.address(id).rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
        Endpoint { listener: "CONTROLLER".to_owned(), host, port: port.parse().unwrap() }
    };
    let voter = |id: i32| NewVoter { id: NodeId(id), directory: nobodys(), endpoints: vec![endpoint(id)] };
    block(async {
        let twice = kafka.add_voter(&voter(102)).await.unwrap_err();
        assert_eq!(twice.code(), Some(codes::DUPLICATE_VOTER), "{twice}");
        let unknown = ReplicaKey { id: NodeId(102), directory: Some(nobodys()) };
        let unknown = kafka.remove_voter(unknown).await.unwrap_err();
        assert_eq!(unknown.code(), Some(codes::VOTER_NOT_FOUND), "{unknown}");
        // Nobody listens there: it never fetched.
        let absent = kafka.add_voter(&voter(105)).await.unwrap_err();
        assert!(absent.leaves_result_unknown(), "{absent}");
    });
    bed.has_voters(&[101, 102, 103]);
}

/// What becomes of the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoilt {
    /// It never arrives: the connection ends.
    Lost,
    /// It says REQUEST_TIMED_OUT, whatever the controller said.
    TimedOut,
}

/// `AddRaftVoter`.
const ADD: u16 = 80;

/// Stands where controllers are said to listen, passes all on, and spoils the next answer to an `AddRaftVoter`.
#[derive(Clone, Default)]
struct Relay(Arc<Mutex<Passed>>);

#[derive(Default)]
struct Passed {
    /// What becomes of the next answer.
    next: Option<Spoilt>,
    /// Answers to be spoilt, by the id of their request.
    expected: BTreeMap<[u8; 4], Spoilt>,
    /// Answers that were spoilt, and what they said: error 0 for a change that was made.
    spoilt: Vec<(Spoilt, i16)>,
    /// `AddRaftVoter` requests that passed.
    requests: usize,
}

impl Relay {
    /// Stands before the controllers at these ports of loopback.
    fn start(ports: &[u16]) -> Self {
        let relay = Self::default();
        for port in ports {
            let listener = TcpListener::bind((HOST, *port)).unwrap();
            let (relay, port) = (relay.clone(), *port);
            std::thread::spawn(move || listener.incoming().flatten().for_each(|client| relay.link(&client, port)));
        }
        relay
    }

    fn spoil_next(&self, spoilt: Spoilt) {
        self.0.lock().unwrap().next = Some(spoilt);
    }

    /// Passes on what a client and a controller say to each other; a controller that is down looks down to the client, too.
    fn link(&self, client: &TcpStream, port: u16) {
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
        for is_request in [true, false] {
            let (client, server, relay) = (client.try_clone().unwrap(), server.try_clone().unwrap(), self.clone());
            std::thread::spawn(move || {
                let (from, to) = if is_request { (&client, &server) } else { (&server, &client) };
                let _ = relay.frames(from, to, is_request);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    fn frames(&self, mut from: &TcpStream, mut to: &TcpStream, is_request: bool) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            from.read_exact(&mut length)?;
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            from.read_exact(&mut frame)?;
            if is_request {
                self.request(&frame);
            } else if self.answer(&mut frame) == Some(Spoilt::Lost) {
                return Ok(());
            }
            to.write_all(&[&length[..], &frame].concat())?;
        }
    }

    /// A request begins with its key, its version, and its id.
    fn request(&self, frame: &[u8]) {
        let [high, low, _, _, a, b, c, d, ..] = *frame else { return };
        if u16::from_be_bytes([high, low]) == ADD {
            let mut passed = self.0.lock().unwrap();
            passed.requests += 1;
            if let Some(spoilt) = passed.next.take() {
                passed.expected.insert([a, b, c, d], spoilt);
            }
        }
    }

    /// An answer begins with the id of its request and no tags; that to `AddRaftVoter` goes on with the time that it was throttled
    /// for, and an error.
    fn answer(&self, frame: &mut [u8]) -> Option<Spoilt> {
        let id = frame.first_chunk::<4>().copied()?;
        let mut passed = self.0.lock().unwrap();
        let spoilt = passed.expected.remove(&id)?;
        let error = frame.get_mut(9..11)?;
        passed.spoilt.push((spoilt, i16::from_be_bytes([error[0], error[1]])));
        error.copy_from_slice(&codes::REQUEST_TIMED_OUT.to_be_bytes());
        Some(spoilt)
    }
}

/// Where controllers are said to listen: the same ports of another address of loopback.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);

#[test]
fn an_answer_that_is_lost_or_says_that_the_time_is_over_though_the_voter_was_added_is_settled_by_describing() {
    if !is_wanted() {
        return;
    }
    for kind in KINDS {
        let advertised = ("advertised.listeners".to_owned(), format!("CONTROLLER://{HOST}:{{port}}"));
        let shape = QuorumShape { properties: vec![advertised], ..shape(Voters::Standalone, &[101], &[102, 103], &[]) };
        let quorum = Quorum::start(kind, shape).unwrap();
        let port = |id: i32| -> u16 { quorum.address(id).rsplit_once(':').unwrap().1.parse().unwrap() };
        let relay = Relay::start(&[101, 102, 103].map(port));
        let bed = Bed::of(quorum);
        bed.run(&["adopt", "--size", "3"]).ends_with(0);
        bed.joins(102, "3");
        bed.joins(103, "3");
        for (round, spoilt) in [Spoilt::TimedOut, Spoilt::Lost].into_iter().enumerate() {
            relay.spoil_next(spoilt);
            let ran = bed.pass_until_done();
            assert!(ran.out.contains("ADD: controller"), "{}: {ran:#?}", kind.name());
            let passed = relay.0.lock().unwrap();
            assert_eq!(passed.spoilt.get(round), Some(&(spoilt, 0)), "the controller had said that it was made");
            assert_eq!(passed.requests, round + 1, "it was not sent again");
        }
        bed.has_voters(&[101, 102, 103]);
        assert_eq!((bed.intents(), bed.changes()), (2, 2), "{}", kind.name());
        assert!(bed.record()["op"].is_null(), "{:#}", bed.record());
    }
}
