//! What only Kafka 4.4 says, against a peer that says it: for whom a connection is, cordoned log dirs, fenced brokers, and
//! moves that may not change the number of replicas. The bytes stand as Kafka's message schemas have them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_toolbox::clients::kafka::{Cluster as _, Factor, Reassignments};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::log_dirs::is_cordoned;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::topic::TopicPartition;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::contract::name;
use super::live::{open, wait};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const DESCRIBE_LOG_DIRS: i16 = 35;
const ALTER_REASSIGNMENTS: i16 = 45;
const DESCRIBE_QUORUM: i16 = 55;
const DESCRIBE_CLUSTER: i16 = 60;

/// What each peer speaks: key, lowest and highest version.
const SPOKEN: [(i16, i16, i16); 6] = [
    (METADATA, 5, 5),
    (API_VERSIONS, 0, 5),
    (DESCRIBE_LOG_DIRS, 1, 5),
    (ALTER_REASSIGNMENTS, 0, 1),
    (DESCRIBE_QUORUM, 0, 2),
    (DESCRIBE_CLUSTER, 0, 2),
];

const CLUSTER: &str = "scripted-cluster-00000";

/// Brokers of one cluster, each on a port of its own; what they were asked.
struct Peers {
    ports: Vec<u16>,
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
        let peers = Arc::new(Self { ports, asked: Mutex::default() });
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
        text(to, CLUSTER);
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
    to.put_u8(1 + 6);
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
