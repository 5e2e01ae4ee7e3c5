//! Answers that real servers gave, and peers that mean no good.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::answers::{server_config, server_metrics, server_state};
use super::*;
use crate::clients::kafka::settings::Security;
use crate::cluster::four_letter::{Latency, MemberRole, ServerMode};

/// Of ZooKeeper 3.9.5.
const SRVR: &str = "Zookeeper version: 3.9.5-3f2a, built on 2025-10-01 10:00 UTC\nLatency min/avg/max: 0/0.5/12\n\
    Received: 9\nSent: 8\nConnections: 2\nOutstanding: 0\nZxid: 0x500000003\nMode: leader\nNode count: 7\n\
    Proposal sizes last/min/max: 48/48/48\n";

const CONF: &str = "clientPort=2181\nsecureClientPort=-1\ndataDir=/data/version-2\ndataDirSize=457\n\
    dataLogDir=/data/version-2\ndataLogSize=457\ntickTime=2000\nmaxClientCnxns=60\nminSessionTimeout=4000\n\
    maxSessionTimeout=40000\nclientPortListenBacklog=-1\nserverId=3\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\n\
    electionPort=3888\nquorumPort=2888\npeerType=0\nmembership: \n\
    server.1=zk-0:2888:3888:participant;0.0.0.0:2181\nserver.2=zk-1:2888:3888|zk-1b:2889:3889:observer;2181\n\
    server.3=[fd00::3]:2888:3888;0.0.0.0:2181\nversion=100000000\n";

#[test]
fn srvr_tells_role_transaction_count_and_latency() {
    let state = server_state(SRVR).unwrap();
    assert_eq!((state.mode, state.zxid, state.epoch(), state.node_count), (ServerMode::Leader, 0x5_0000_0003, 5, 7));
    assert_eq!(state.latency, Some(Latency { min: 0.0, avg: 0.5, max: 12.0 }));
    assert_eq!((state.connections, state.outstanding), (Some(2), Some(0)));
    assert!(state.version.unwrap().starts_with("3.9.5"));
    let stat = SRVR.replace("Latency", "Clients:\n /127.0.0.1:50000[0](queued=0,recved=1,sent=0)\n\nLatency");
    assert_eq!(server_state(&stat).unwrap().mode, ServerMode::Leader);
    for (mode, expected) in [("read-only", ServerMode::ReadOnly), ("standalone", ServerMode::Standalone)] {
        assert_eq!(server_state(&SRVR.replace("leader", mode)).unwrap().mode, expected);
    }
}

#[test]
fn an_answer_that_lacks_something_says_what() {
    assert_eq!(server_state(&SRVR.replace("leader", "king")).unwrap_err(), "`Mode` is `king`");
    let error = server_state("HTTP/1.1 400 Bad Request\r\n").unwrap_err();
    assert_eq!(error, "it lacks `Mode` and begins with `HTTP/1.1 400 Bad Request`");
    assert!(server_config("imok").is_err() && server_metrics("imok").is_err());
    assert_eq!(server_config(&CONF.replace("2888\npeer", "70000\npeer")).unwrap_err(), "`quorumPort` is `70000`");
}

#[test]
fn conf_tells_the_own_id_the_ports_and_the_membership_with_roles() {
    let config = server_config(CONF).unwrap();
    assert_eq!((config.own_id, config.client_port, config.secure_client_port), (Some(3), Some(2181), None));
    assert_eq!((config.quorum_port, config.election_port, config.version), (Some(2888), Some(3888), Some(1 << 32)));
    let roles: Vec<_> = config.members.iter().map(|member| (member.id, member.role)).collect();
    let (voter, observer) = (MemberRole::Participant, MemberRole::Observer);
    assert_eq!(roles, [(1, voter), (2, observer), (3, voter)]);
    assert_eq!(config.own().unwrap().server, "[fd00::3]:2888:3888;0.0.0.0:2181");
    let alone = server_config("clientPort=2181\nserverId=0\n").unwrap();
    assert!(alone.members.is_empty() && alone.own().is_none());
}

#[test]
fn mntr_is_read_as_names_and_values() {
    let metrics =
        server_metrics("zk_version\t3.9.5\nzk_server_state\tleader\nzk_avg_latency\t0.25\nodd line\n").unwrap();
    assert_eq!(metrics.text("zk_server_state"), Some("leader"));
    assert_eq!(metrics.number("zk_avg_latency"), Some(0.25));
    assert_eq!(metrics.number("zk_server_state"), None);
}

/// How a peer behaves after a connection was made.
#[derive(Clone)]
enum Peer {
    Says(Vec<u8>),
    /// The same, and never closes.
    SaysAndWaits(Vec<u8>),
    ClosesAtOnce,
    NeverEnds,
}

/// A peer on a port of its own; the words that it was asked.
async fn peer(how: Peer) -> (FourLetterWords, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, how.clone()));
        }
    });
    (words(port, Duration::from_millis(300)), task)
}

async fn behave(mut stream: TcpStream, how: Peer) {
    let mut word = [0; 4];
    if matches!(how, Peer::ClosesAtOnce) || stream.read_exact(&mut word).await.is_err() {
        return;
    }
    match how {
        Peer::Says(bytes) => drop(stream.write_all(&bytes).await),
        Peer::SaysAndWaits(bytes) => {
            drop(stream.write_all(&bytes).await);
            std::future::pending::<()>().await;
        }
        Peer::ClosesAtOnce => {}
        Peer::NeverEnds => {
            let bytes = vec![b'x'; 65_536];
            while stream.write_all(&bytes).await.is_ok() {}
        }
    }
}

fn words(port: u16, timeout: Duration) -> FourLetterWords {
    let settings = Settings {
        bootstrap: Vec::new(),
        bootstrap_controllers: Vec::new(),
        client_id: "test".to_owned(),
        timeout,
        response_bytes_max: 1 << 20,
        security: Security::default(),
        notes: Vec::new(),
    };
    FourLetterWords::new(&settings, "127.0.0.1", port).unwrap()
}

#[tokio::test]
async fn a_word_outside_the_whitelist_and_a_server_without_a_quorum_are_states_of_their_own() {
    let (server, _task) =
        peer(Peer::Says(b"conf is not executed because it is not in the whitelist.\n".to_vec())).await;
    let error = server.conf().await.unwrap_err();
    assert!(matches!(error, WordError::NotWhitelisted { word: Word::Conf, .. }), "{error}");
    assert!(error.to_string().contains("is up, but does not execute `conf`"), "{error}");
    let (server, _task) =
        peer(Peer::Says(b"This ZooKeeper instance is not currently serving requests\n".to_vec())).await;
    for error in [server.srvr().await.unwrap_err(), server.mntr().await.unwrap_err()] {
        assert!(matches!(error, WordError::NotServing { .. }), "{error}");
    }
}

#[tokio::test]
async fn each_word_is_asked_and_read() {
    let (server, _task) = peer(Peer::Says(SRVR.into())).await;
    assert_eq!(server.srvr().await.unwrap(), server.stat().await.unwrap());
    assert!(matches!(server.ruok().await, Err(WordError::Nonsense { word: Word::Ruok, .. })));
    let (server, _task) = peer(Peer::Says(b"imok".to_vec())).await;
    assert_eq!(server.ruok().await, Ok(()));
    for (answer, expected) in [("rw", Writes::Taken), ("ro", Writes::ReadOnly), ("null", Writes::NotServing)] {
        let (server, _task) = peer(Peer::Says(answer.into())).await;
        assert_eq!(server.isro().await, Ok(expected));
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_says_garbage_or_never_ends_costs_bounded_time_and_memory() {
    let begun = Instant::now();
    let (server, _task) = peer(Peer::SaysAndWaits(b"Zookeeper version: 3".to_vec())).await;
    let error = server.srvr().await.unwrap_err().to_string();
    assert!(error.contains("gave no answer to `srvr`: nothing whole within 0.3 s"), "{error}");
    let (server, _task) = peer(Peer::ClosesAtOnce).await;
    assert!(matches!(server.srvr().await, Err(WordError::NoAnswer { .. })));
    let (server, _task) = peer(Peer::NeverEnds).await;
    let error = server.srvr().await.unwrap_err();
    assert!(matches!(error, WordError::Nonsense { .. } | WordError::NoAnswer { .. }), "{error}");
    let (server, _task) = peer(Peer::Says(vec![0xFF, 0xFE, 0x1B, b'[', b'2', b'J'])).await;
    assert!(server.srvr().await.unwrap_err().to_string().contains("it is no text"));
    let (server, _task) = peer(Peer::Says(b"\x1b[2Jhello".to_vec())).await;
    let error = server.srvr().await.unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = words(port, Duration::from_secs(1)).srvr().await.unwrap_err();
    assert!(matches!(error, WordError::Unreachable { .. }), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}(\n(server\\.[0-9x]{0,25}|Mode|Zxid|version|clientPort)(=|: )\\PC{0,30}){0,8}") {
        let _ = (server_state(&text), server_config(&text), server_metrics(&text));
    }

    #[test]
    fn a_membership_is_read_whatever_its_ids_and_roles(ids in proptest::collection::btree_map(0_u64..300, any::<bool>(), 0..20)) {
        let mut lines = String::new();
        for (id, votes) in &ids {
            let role = if *votes { "participant" } else { "observer" };
            writeln!(lines, "server.{id}=h{id}:1:2:{role};3").unwrap();
        }
        let config = server_config(&format!("serverId=7\nmembership: \n{lines}version=5")).unwrap();
        let read: Vec<_> = config.members.iter().map(|one| (one.id, one.role == MemberRole::Participant)).collect();
        prop_assert_eq!(read, ids.into_iter().collect::<Vec<_>>());
    }
}

/// The certificate of an authority, and what a server needs that it signed, as PEM and DER.
fn certificates() -> (String, tokio_rustls::TlsAcceptor) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&key).unwrap().pem();
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&server_key, &Issuer::new(authority, key)).unwrap();
    let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![server.der().clone()], key).unwrap();
    (ca, tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)))
}

#[tokio::test]
async fn a_word_is_asked_over_tls_and_an_end_without_a_farewell_is_an_end() {
    let (ca, acceptor) = certificates();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut word = [0; 4];
            if stream.read_exact(&mut word).await.is_ok() {
                stream.write_all(SRVR.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (trust, file) = (folder.path().join("ca.pem"), folder.path().join("client.properties"));
    std::fs::write(&trust, ca).unwrap();
    let properties =
        format!("security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={}\n", trust.display());
    std::fs::write(&file, properties).unwrap();
    let address = format!("127.0.0.1:{port}");
    let timeout = Some(Duration::from_secs(20));
    let given =
        crate::clients::kafka::settings::Given { bootstrap_server: Some(&address), timeout, ..Default::default() };
    let settings = Settings::load(Some(&file), given).unwrap();
    let server = FourLetterWords::new(&settings, "127.0.0.1", port).unwrap();
    assert_eq!(server.srvr().await.unwrap().mode, ServerMode::Leader);
    let plain = words(port, Duration::from_secs(5)).srvr().await.unwrap_err();
    assert!(matches!(plain, WordError::NoAnswer { .. } | WordError::Nonsense { .. }), "{plain}");
}
