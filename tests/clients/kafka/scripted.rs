//! What only Kafka 4.4 says, against a peer that says it: for whom a connection is, cordoned log dirs, fenced brokers, and
//! moves that may not change the number of replicas. The bytes stand as Kafka's message schemas have them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::{Cluster as _, Factor, KafkaError, Quorum, Reassignments, Topics, codes};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::log_dirs::is_cordoned;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::quorum::{DirectoryId, NewVoter, NodeId};
use kafka_toolbox::cluster::topic::TopicPartition;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::contract::name;
use super::live::{open, wait};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_LOG_DIRS: i16 = 35;
const ALTER_REASSIGNMENTS: i16 = 45;
const DESCRIBE_QUORUM: i16 = 55;
const DESCRIBE_CLUSTER: i16 = 60;
const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;
const ADD_RAFT_VOTER: i16 = 80;
const UNREGISTER_CONTROLLER: i16 = 94;

/// What each peer speaks: key, lowest and highest version.
const SPOKEN: [(i16, i16, i16); 9] = [
    (METADATA, 5, 5),
    (API_VERSIONS, 0, 5),
    (DESCRIBE_LOG_DIRS, 1, 5),
    (ALTER_REASSIGNMENTS, 0, 1),
    (DESCRIBE_QUORUM, 0, 2),
    (DESCRIBE_CLUSTER, 0, 2),
    (DESCRIBE_TOPIC_PARTITIONS, 0, 0),
    (ADD_RAFT_VOTER, 0, 1),
    (UNREGISTER_CONTROLLER, 0, 0),
];

const CLUSTER: &str = "scripted-cluster-00000";

/// Brokers of one cluster, each on a port of its own; what they were asked.
struct Peers {
    ports: Vec<u16>,
    /// The cluster that they say they are.
    cluster: Mutex<&'static str>,
    asked: Mutex<Vec<(i16, i16, Bytes)>>,
}

impl Peers {
    /// Peers of these ids stand where the brokers 1, 2, … are said to be.
    async fn start(ids: &[i32]) -> Arc<Self> {
        let mut listeners = Vec::new();
        for _ in ids {
            listeners.push(TcpListener::bind(("127.0.0.1", 0)).await.unwrap());
        }
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let peers = Arc::new(Self { ports, cluster: Mutex::new(CLUSTER), asked: Mutex::default() });
        for (listener, id) in listeners.into_iter().zip(ids.to_vec()) {
            let peers = Arc::clone(&peers);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&peers).serve(stream, id));
                }
            });
        }
        peers
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream, id: i32) -> std::io::Result<()> {
        loop {
            let length = stream.read_i32().await?;
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut frame).await?;
            let mut frame = Bytes::from(frame);
            let (key, version, correlation) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
            let client = usize::try_from(frame.get_i16()).unwrap();
            frame.advance(client);
            self.asked.lock().unwrap().push((key, version, frame.clone()));
            let is_flexible = !matches!(key, API_VERSIONS | METADATA);
            let mut answer = BytesMut::new();
            answer.put_i32(correlation);
            if is_flexible {
                answer.put_u8(0);
            }
            self.answer(&mut answer, (key, version, id), &frame);
            stream.write_i32(i32::try_from(answer.len()).unwrap()).await?;
            stream.write_all(&answer).await?;
        }
    }

    fn answer(&self, to: &mut BytesMut, (key, version, id): (i16, i16, i32), asked: &[u8]) {
        match key {
            API_VERSIONS => {
                let names_another = version >= 5 && !asked.ends_with(&[&id.to_be_bytes()[..], &[0]].concat());
                speaks(to, if names_another { 129 } else { 0 });
            }
            METADATA => self.metadata(to),
            DESCRIBE_LOG_DIRS => log_dirs(to),
            ALTER_REASSIGNMENTS => alters(to),
            DESCRIBE_CLUSTER => describes_cluster(to),
            DESCRIBE_TOPIC_PARTITIONS => describes_partitions(to, asked),
            // The code that it answers with is the number of the node.
            ADD_RAFT_VOTER => changed(to, &asked[2 + CLUSTER.len() + 4..]),
            UNREGISTER_CONTROLLER => changed(to, &asked[1..]),
            _ => panic!("nobody asks for {key}"),
        }
    }

    fn metadata(&self, to: &mut BytesMut) {
        to.put_i32(0);
        to.put_i32(i32::try_from(self.ports.len()).unwrap());
        for (id, port) in (1..).zip(&self.ports) {
            to.put_i32(id);
            text(to, "127.0.0.1");
            to.put_i32(i32::from(*port));
            to.put_i16(-1);
        }
        text(to, *self.cluster.lock().unwrap());
        to.put_i32(1);
        to.put_i32(0);
    }

    /// The versions and bodies of what was asked by one key.
    fn asked(&self, key: i16) -> Vec<(i16, Bytes)> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| one.0 == key).map(|(_, version, body)| (*version, body.clone())).collect()
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }
}

/// What it speaks, with an error or without.
fn speaks(to: &mut BytesMut, code: i16) {
    to.put_i16(code);
    to.put_u8(1 + 9);
    for (key, least, most) in SPOKEN {
        to.put_i16(key);
        to.put_i16(least);
        to.put_i16(most);
        to.put_u8(0);
    }
    to.put_i32(0);
    to.put_u8(0);
}

/// A log dir that is cordoned, and one that is offline.
fn log_dirs(to: &mut BytesMut) {
    to.put_i32(0);
    to.put_i16(0);
    to.put_u8(1 + 2);
    for (path, is_offline, is_cordoned) in [("/a", false, true), ("/b", true, false)] {
        to.put_i16(if is_offline { 56 } else { 0 });
        short(to, path);
        to.put_u8(1);
        to.put_i64(1_000);
        to.put_i64(400);
        to.put_u8(u8::from(is_cordoned));
        to.put_u8(0);
    }
    to.put_u8(0);
}

/// Partition 0 of `orders` moves.
fn alters(to: &mut BytesMut) {
    to.put_i32(0);
    to.put_u8(1);
    to.put_i16(0);
    to.put_u8(0);
    to.put_u8(1 + 1);
    short(to, "orders");
    to.put_u8(1 + 1);
    to.put_i32(0);
    to.put_i16(0);
    to.put_slice(&[0; 4]);
}

/// Broker 1 is alive, broker 7 is fenced.
fn describes_cluster(to: &mut BytesMut) {
    to.put_i32(0);
    to.put_i16(0);
    to.put_slice(&[0, 1]);
    short(to, CLUSTER);
    to.put_i32(-1);
    to.put_u8(1 + 2);
    for (id, is_fenced) in [(1, false), (7, true)] {
        to.put_i32(id);
        short(to, "127.0.0.1");
        to.put_i32(9_092);
        to.put_slice(&[0, u8::from(is_fenced), 0]);
    }
    to.put_i32(i32::MIN);
    to.put_u8(0);
}

/// The answer to a change of the quorum.
fn changed(to: &mut BytesMut, mut node: &[u8]) {
    to.put_i32(0);
    to.put_i16(i16::try_from(node.get_i32()).unwrap());
    to.put_slice(&[0, 0]);
}

/// `orders` has two partitions, each on a page of its own; of the first one only an eligible leader is left. The topic
/// `endless` goes on where it began.
fn describes_partitions(to: &mut BytesMut, asked: &[u8]) {
    let is_endless = asked.windows(7).any(|part| part == b"endless");
    let is_first = is_endless || asked.ends_with(&[255, 0]);
    to.put_i32(0);
    to.put_u8(1 + 1);
    to.put_i16(0);
    short(to, "orders");
    to.put_slice(&[0; 17]);
    to.put_u8(1 + 1);
    to.put_i16(if is_first { 5 } else { 0 });
    to.put_i32(i32::from(!is_first));
    to.put_i32(if is_first { -1 } else { 1 });
    to.put_i32(7);
    let lists: [&[i32]; 5] = if is_first { [&[1, 2], &[], &[2], &[1], &[1, 2]] } else { [&[1], &[1], &[], &[], &[]] };
    for list in lists {
        to.put_u8(u8::try_from(list.len() + 1).unwrap());
        for broker in list {
            to.put_i32(*broker);
        }
    }
    to.put_u8(0);
    to.put_i32(i32::MIN);
    to.put_u8(0);
    if is_first {
        to.put_u8(1);
        short(to, if is_endless { "endless" } else { "orders" });
        to.put_i32(1);
        to.put_u8(0);
    } else {
        to.put_i8(-1);
    }
    to.put_u8(0);
}

/// A text of a version that is not flexible.
fn text(to: &mut BytesMut, text: &str) {
    to.put_i16(i16::try_from(text.len()).unwrap());
    to.put_slice(text.as_bytes());
}

/// A text of a flexible version.
fn short(to: &mut BytesMut, text: &str) {
    to.put_u8(u8::try_from(text.len() + 1).unwrap());
    to.put_slice(text.as_bytes());
}

#[test]
fn a_known_broker_of_kafka_4_4_is_told_whom_we_mean_and_another_one_in_its_place_is_not_used() {
    wait(async {
        // Where broker 2 is said to be, broker 3 answers now.
        let peers = Peers::start(&[1, 3]).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(2));
        kafka.metadata(TopicSelection::None).await.unwrap();
        let versions: Vec<_> = peers.asked(API_VERSIONS).iter().map(|(version, _)| *version).collect();
        assert_eq!(versions, [3], "nobody is meant at an address to start from");
        let sizes = kafka.replica_sizes(&[1, 2].map(BrokerId)).await.unwrap();
        assert_eq!(sizes.log_dirs.keys().map(|broker| broker.0).collect::<Vec<_>>(), [1]);
        let words = &sizes.missing[&BrokerId(2)];
        assert!(words.contains(&format!("is not broker 2 of cluster {CLUSTER} any more")), "{words}");
        let (version, body) = peers.asked(API_VERSIONS).pop().unwrap();
        assert_eq!(version, 5);
        assert!(body.windows(CLUSTER.len()).any(|part| part == CLUSTER.as_bytes()), "{body:?}");
        assert_eq!(peers.asked(DESCRIBE_LOG_DIRS).len(), 1, "broker 3 was asked for nothing");

        // Reads begin again where the run began; what is planned from them is not carried out.
        assert_eq!(kafka.metadata(TopicSelection::None).await.unwrap().cluster_id, CLUSTER);
        let error = nothing_is_moved(&kafka, &peers).await;
        assert!(error.contains("is not broker 2 of cluster") && error.contains("changes nothing more"), "{error}");
    });
}

/// The error of a move, which is not sent.
async fn nothing_is_moved(kafka: &Live, peers: &Peers) -> String {
    let target = (TopicPartition { topic: name("orders"), partition: 0 }, Some(vec![BrokerId(1)]));
    let error = kafka.alter_reassignments(&[target], Factor::Kept).await.remove(0).unwrap_err();
    assert!(matches!(error, KafkaError::Misrouted { .. }) && !error.leaves_result_unknown(), "{error}");
    assert_eq!(peers.asked(ALTER_REASSIGNMENTS).len(), 0);
    error.to_string()
}

#[test]
fn addresses_that_belong_to_another_cluster_now_are_an_error_and_nothing_is_changed_there() {
    wait(async {
        let peers = Peers::start(&[1]).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(5));
        kafka.metadata(TopicSelection::None).await.unwrap();
        *peers.cluster.lock().unwrap() = "another-cluster-000000";
        let error = kafka.metadata(TopicSelection::None).await.unwrap_err();
        assert!(matches!(error, KafkaError::Misrouted { .. }), "{error}");
        let error = nothing_is_moved(&kafka, &peers).await;
        assert!(error.contains("belongs to cluster another-cluster-000000"), "{error}");
    });
}

#[test]
fn partitions_come_in_pages_with_their_eligible_leaders_and_pages_that_do_not_end_are_an_error() {
    wait(async {
        let peers = Peers::start(&[1]).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(5));
        let states = kafka.describe_partitions(&[name("orders")]).await.unwrap();
        let shown: Vec<_> = states
            .values()
            .map(|state| (state.partition.leader, state.eligible.clone(), state.last_known.clone(), state.leader_epoch))
            .collect();
        let broker = |id| vec![BrokerId(id)];
        assert_eq!(shown, [(None, broker(2), broker(1), 7), (Some(BrokerId(1)), Vec::new(), Vec::new(), 7)]);
        assert_eq!(peers.asked(DESCRIBE_TOPIC_PARTITIONS).len(), 2);
        let error = kafka.describe_partitions(&[name("endless")]).await.unwrap_err();
        assert!(error.to_string().contains("which is not behind"), "{error}");
    });
}

#[test]
fn a_controller_of_kafka_4_4_is_unregistered_and_a_voter_is_acknowledged_once_committed() {
    wait(async {
        let peers = Peers::start(&[1]).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(5));
        assert_eq!(kafka.unregister_controller(NodeId(0)).await, Ok(()));
        let unknown = i32::from(codes::CONTROLLER_ID_NOT_REGISTERED);
        let error = kafka.unregister_controller(NodeId(unknown)).await.unwrap_err();
        assert_eq!(error.to_string(), "CONTROLLER_ID_NOT_REGISTERED (136)");

        let directory = DirectoryId::of(Uuid::from_u128(1)).unwrap();
        let voter = |id| NewVoter { id: NodeId(id), directory, endpoints: Vec::new() };
        assert_eq!(kafka.add_voter(&voter(0)).await, Ok(()));
        let (version, body) = peers.asked(ADD_RAFT_VOTER).remove(0);
        assert_eq!(version, 1);
        assert!(body.windows(CLUSTER.len()).any(|part| part == CLUSTER.as_bytes()), "another cluster would refuse");
        assert!(body.ends_with(&[1, 1, 0]), "no listener, then: acknowledge when committed");
        for code in [codes::NOT_LEADER_OR_FOLLOWER, codes::REQUEST_TIMED_OUT] {
            let error = kafka.add_voter(&voter(i32::from(code))).await.unwrap_err();
            assert!(error.leaves_result_unknown() && error.code().is_none(), "the leader resigned, or waits: {error}");
        }
        let error = kafka.add_voter(&voter(i32::from(codes::DUPLICATE_VOTER))).await.unwrap_err();
        assert_eq!(error.code(), Some(codes::DUPLICATE_VOTER));
        assert_eq!(peers.asked(ADD_RAFT_VOTER).len(), 4, "nothing was sent twice");
    });
}

#[test]
fn cordons_and_fenced_brokers_are_told_and_the_number_of_replicas_is_kept_unless_it_is_the_aim() {
    wait(async {
        let peers = Peers::start(&[1]).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(5));
        let sizes = kafka.replica_sizes(&[BrokerId(1)]).await.unwrap();
        assert_eq!(peers.asked(DESCRIBE_LOG_DIRS)[0].0, 5);
        let dirs = &sizes.log_dirs[&BrokerId(1)];
        assert!(is_cordoned(dirs), "the one that is online is: {dirs:?}");
        assert_eq!((dirs[0].usable_bytes, dirs[0].partitions), (Some(400), Some(0)));
        assert!(dirs[1].fault.as_ref().unwrap().contains("(56)") && sizes.missing.is_empty(), "{sizes:?}");
        assert_eq!(kafka.fenced_brokers().await.unwrap(), Some([BrokerId(7)].into()));

        let target = (TopicPartition { topic: name("orders"), partition: 0 }, Some(vec![BrokerId(1)]));
        for factor in [Factor::Kept, Factor::MayChange] {
            let results = kafka.alter_reassignments(std::slice::from_ref(&target), factor).await;
            assert_eq!(results, [Ok(())]);
        }
        // The tags of the header, the timeout, then whether the number may change.
        let flags: Vec<_> =
            peers.asked(ALTER_REASSIGNMENTS).iter().map(|(version, body)| (*version, body[5])).collect();
        assert_eq!(flags, [(1, 0), (1, 1)]);
    });
}
