//! Peers that mean no good, and the rare things that a real server says: whatever comes, a call ends in a typed error, in
//! time, and nothing is allocated by a length that a peer sends.

use std::time::Duration;

use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::settings::{Given, Settings};
use kafka_toolbox::clients::zookeeper::{ZooKeeper, ZooKeeperError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

/// How long calls may take here.
const SHORT: Duration = Duration::from_secs(3);

/// A session of four seconds.
fn session() -> Vec<u8> {
    [&0_i32.to_be_bytes()[..], &4000_i32.to_be_bytes(), &7_i64.to_be_bytes(), &16_i32.to_be_bytes(), &[1; 16], &[0]]
        .concat()
}

/// What a server says of a session that it does not know any more.
fn expired() -> Vec<u8> {
    [&0_i32.to_be_bytes()[..], &0_i32.to_be_bytes(), &0_i64.to_be_bytes(), &16_i32.to_be_bytes(), &[0; 16], &[0]]
        .concat()
}

fn frame(record: &[u8]) -> Vec<u8> {
    [&i32::try_from(record.len()).unwrap().to_be_bytes()[..], record].concat()
}

fn answer(xid: i32, code: i32, body: &[u8]) -> Vec<u8> {
    frame(&[&xid.to_be_bytes()[..], &9_i64.to_be_bytes(), &code.to_be_bytes(), body].concat())
}

async fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::try_from(stream.read_i32().await.ok()?).unwrap();
    let mut record = vec![0; length];
    stream.read_exact(&mut record).await.ok()?;
    Some(record)
}

/// A peer that answers each connection with the bytes of its turn, the last one for ever: first to the connect request, then to
/// each request.
async fn peer(turns: Vec<(Vec<u8>, Vec<u8>)>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut turns = turns.into_iter().peekable();
        while let Ok((mut stream, _)) = listener.accept().await {
            let turn = if turns.len() > 1 { turns.next() } else { turns.peek().cloned() };
            let Some((greeting, reply)) = turn else { return };
            tokio::spawn(async move {
                read_frame(&mut stream).await;
                stream.write_all(&greeting).await.ok();
                answer_all(stream, &reply).await;
            });
        }
    });
    address
}

/// Answers each request so; with nothing to say, it hangs up after the first.
async fn answer_all(mut stream: TcpStream, reply: &[u8]) {
    while read_frame(&mut stream).await.is_some() && !reply.is_empty() {
        stream.write_all(reply).await.ok();
    }
}

/// Answers nothing but the connect request, and never hangs up; the codes of what comes.
async fn keep_silent(mut stream: TcpStream, seen: UnboundedSender<i32>) {
    read_frame(&mut stream).await;
    stream.write_all(&frame(&session())).await.ok();
    while let Some(request) = read_frame(&mut stream).await {
        seen.send(i32::from_be_bytes(request[4..8].try_into().unwrap())).ok();
    }
}

async fn connect(address: &str) -> Result<Live, ZooKeeperError> {
    let given = Given { zookeeper: address, timeout: Some(SHORT), ..Given::default() };
    Live::connect(Settings::load(None, given).unwrap()).await
}

#[tokio::test]
async fn answers_that_make_no_sense_are_unknown_results() {
    let stat = [0; 68];
    let cases: [(&str, Vec<u8>); 6] = [
        ("an answer that is too short", answer(1, 0, &[0, 0])),
        ("data that ends early", answer(1, 0, &[&100_i32.to_be_bytes()[..], &stat].concat())),
        ("a negative length", answer(1, 0, &[&(-5_i32).to_be_bytes()[..], &stat].concat())),
        ("the answer to another request", answer(5, 0, &[&0_i32.to_be_bytes()[..], &stat].concat())),
        ("a frame beyond any limit", i32::MAX.to_be_bytes().to_vec()),
        ("a header that is cut off", frame(&[0; 7])),
    ];
    for (name, reply) in cases {
        let session = connect(&peer(vec![(frame(&session()), reply)]).await).await.unwrap();
        let error = tokio::time::timeout(SHORT * 2, session.get("/a")).await.unwrap().unwrap_err();
        assert!(error.is_unknown(), "{name}: {error}");
    }
    let many = answer(1, 0, &i32::MAX.to_be_bytes());
    for request in ["children", "acl", "multi"] {
        let session = connect(&peer(vec![(frame(&session()), many.clone())]).await).await.unwrap();
        let error = match request {
            "children" => session.children("/").await.map(drop),
            "acl" => session.acl("/").await.map(drop),
            _ => {
                let check = kafka_toolbox::clients::zookeeper::Operation::Check { path: "/".to_owned(), version: 0 };
                session.multi(&[check]).await.map(drop)
            }
        };
        let error = error.unwrap_err();
        assert!(matches!(error, ZooKeeperError::Protocol { .. }), "{request}: {error}");
    }
}

#[tokio::test]
async fn greetings_that_make_no_sense_say_who_it_was() {
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("no session", frame(&[&session()[..8], &[0; 8], &session()[16..]].concat()), "not ZooKeeper's"),
        ("no frame", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "jute.maxbuffer"),
        ("an alert of TLS", vec![21, 3, 3, 0, 2, 2, 40], "this port speaks TLS"),
        ("nothing", Vec::new(), "does not answer"),
        ("a record that is cut off", frame(&session()[..10]), "not ZooKeeper's"),
    ];
    for (name, greeting, words) in cases {
        let address = peer(vec![(greeting, vec![0])]).await;
        let error = tokio::time::timeout(SHORT * 2, connect(&address)).await.unwrap().unwrap_err();
        assert!(matches!(error, ZooKeeperError::Unreachable { .. }), "{name}: {error}");
        assert!(error.to_string().contains(words) && error.to_string().contains(&address), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_session_that_has_expired_ends_everything_that_is_asked() {
    let turns = vec![(frame(&session()), Vec::new()), (frame(&expired()), Vec::new())];
    let session = connect(&peer(turns).await).await.unwrap();
    let mut watching_error = session.get("/a").await.unwrap_err();
    assert!(matches!(watching_error, ZooKeeperError::ConnectionLoss { .. }), "{watching_error}");
    watching_error = session.get("/a").await.unwrap_err();
    assert_eq!(watching_error, ZooKeeperError::SessionExpired);
    assert_eq!(session.get("/a").await.unwrap_err(), ZooKeeperError::SessionExpired);
}

#[tokio::test]
async fn a_peer_that_goes_silent_is_noticed_and_nothing_is_sent_twice() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(keep_silent(stream, seen.clone()));
        }
    });
    let session = connect(&address).await.unwrap();
    let error = session.set("/a", b"", None).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    let error = session.set("/b", b"", None).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    drop(session);
    let mut writes = 0;
    while let Ok(Some(code)) = tokio::time::timeout(Duration::from_millis(200), requests.recv()).await {
        writes += i32::from(code == 5);
    }
    assert_eq!(writes, 2, "each was sent once");
}

#[tokio::test]
async fn a_request_that_no_server_takes_is_not_sent() {
    let session = connect(&peer(vec![(frame(&session()), Vec::new())]).await).await.unwrap();
    let error = session.set("/a", &vec![0; 5 << 20], None).await.unwrap_err();
    assert!(matches!(error, ZooKeeperError::TooLarge { .. }), "{error}");
    assert!(!error.is_unknown());
}
