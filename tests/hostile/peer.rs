//! A broker that answers as a test wants it to: Kafka's frames around bytes of the test's own.

use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clients::kafka::live::wait;

pub(super) const LIST_OFFSETS: i16 = 2;
pub(super) const METADATA: i16 = 3;
pub(super) const DESCRIBE_GROUPS: i16 = 15;
pub(super) const LIST_GROUPS: i16 = 16;
pub(super) const SASL_HANDSHAKE: i16 = 17;
pub(super) const API_VERSIONS: i16 = 18;
pub(super) const CREATE_TOPICS: i16 = 19;
pub(super) const DESCRIBE_CONFIGS: i16 = 32;
pub(super) const DESCRIBE_LOG_DIRS: i16 = 35;
pub(super) const SASL_AUTHENTICATE: i16 = 36;
pub(super) const DESCRIBE_QUORUM: i16 = 55;
pub(super) const DESCRIBE_CLUSTER: i16 = 60;

/// What each peer says that it speaks: key, lowest and highest version. Only ApiVersions, DescribeQuorum and
/// DescribeCluster have tagged fields.
const SPOKEN: [(i16, i16, i16); 12] = [
    (LIST_OFFSETS, 2, 2),
    (METADATA, 5, 5),
    (DESCRIBE_GROUPS, 0, 0),
    (LIST_GROUPS, 1, 1),
    (SASL_HANDSHAKE, 1, 1),
    (API_VERSIONS, 0, 3),
    (CREATE_TOPICS, 4, 4),
    (DESCRIBE_CONFIGS, 1, 1),
    (DESCRIBE_LOG_DIRS, 1, 1),
    (SASL_AUTHENTICATE, 0, 0),
    (DESCRIBE_QUORUM, 0, 0),
    (DESCRIBE_CLUSTER, 0, 0),
];

/// What was asked of a peer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) broker: i32,
    pub(super) key: i16,
    pub(super) body: Bytes,
}

/// What a peer does with a request.
pub(super) enum Reply {
    /// What an ordinary broker without topics would.
    Ordinary,
    /// A frame of these bytes behind the number of the request.
    Body(Vec<u8>),
    /// These bytes, and nothing around them.
    Raw(Vec<u8>),
    /// Nothing, and what comes behind it on the connection waits, too.
    Freeze,
}

type Answers = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Brokers of one cluster, numbered from 1, each on a port of its own.
pub(super) struct Peers {
    ports: Vec<u16>,
    asked: Mutex<Vec<Asked>>,
    answers: Answers,
}

impl Peers {
    pub(super) async fn start(count: usize, answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind(("127.0.0.1", 0)).await.unwrap());
        }
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let peers = Arc::new(Self { ports, asked: Mutex::default(), answers: Box::new(answers) });
        for (listener, broker) in listeners.into_iter().zip(1..) {
            let peers = Arc::clone(&peers);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&peers).serve(stream, broker));
                }
            });
        }
        peers
    }

    /// The same in a thread of its own, for a command in another process; it lives as long as this one.
    pub(super) fn start_apart(count: usize, answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        let (started, peers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            wait(async {
                started.send(Self::start(count, answers).await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        peers.recv().unwrap()
    }

    /// All of them.
    pub(super) fn bootstrap(&self) -> String {
        self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// What was asked by one key.
    pub(super) fn asked(&self, key: i16) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.key == key).cloned().collect()
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream, broker: i32) -> std::io::Result<()> {
        loop {
            let length = stream.read_i32().await?;
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut frame).await?;
            let mut body = Bytes::from(frame);
            let (key, _version, correlation) = (body.get_i16(), body.get_i16(), body.get_i32());
            let client = usize::try_from(body.get_i16()).unwrap();
            body.advance(client);
            let asked = Asked { broker, key, body };
            self.asked.lock().unwrap().push(asked.clone());
            let body = match (self.answers)(&asked) {
                Reply::Ordinary => self.ordinary(key),
                Reply::Body(body) => body,
                Reply::Raw(bytes) => {
                    stream.write_all(&bytes).await?;
                    continue;
                }
                Reply::Freeze => std::future::pending().await,
            };
            stream.write_i32(i32::try_from(4 + body.len()).unwrap()).await?;
            stream.write_i32(correlation).await?;
            stream.write_all(&body).await?;
        }
    }

    fn ordinary(&self, key: i16) -> Vec<u8> {
        let mut to = BytesMut::new();
        match key {
            API_VERSIONS => speaks(&mut to),
            METADATA => self.metadata(&mut to),
            LIST_GROUPS => {
                to.put_i32(0);
                to.put_i16(0);
                to.put_i32(0);
            }
            DESCRIBE_LOG_DIRS => {
                to.put_i32(0);
                to.put_i32(0);
            }
            _ => {}
        }
        to.to_vec()
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
        text(to, "hostile-cluster-0000000");
        to.put_i32(1);
        to.put_i32(0);
    }
}

/// A text of a version without tagged fields.
pub(super) fn text(to: &mut BytesMut, text: &str) {
    to.put_i16(i16::try_from(text.len()).unwrap());
    to.put_slice(text.as_bytes());
}

fn speaks(to: &mut BytesMut) {
    to.put_i16(0);
    to.put_u8(1 + u8::try_from(SPOKEN.len()).unwrap());
    for (key, least, most) in SPOKEN {
        to.put_i16(key);
        to.put_i16(least);
        to.put_i16(most);
        to.put_u8(0);
    }
    to.put_i32(0);
    to.put_u8(0);
}
