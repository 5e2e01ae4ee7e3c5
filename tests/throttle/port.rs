//! The agent's port: statuses, JSON, the token, what is asked of the agent, metrics and health.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::overrides::Overrides;
use kafka_toolbox::cluster::size::ByteRate;
use kafka_toolbox::cluster::throttle::Side;
use kafka_toolbox::commands::throttle::agent::http::{Access, Port, routes};
use kafka_toolbox::commands::throttle::agent::view::Board;
use kafka_toolbox::commands::throttle::plan::law::RateDecision;
use kafka_toolbox::commands::throttle::plan::pace::Reason;
use kafka_toolbox::formats::secret::remember;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NOW: &str = "2026-11-22T08:00:00Z";

/// A port with an agent behind it that only keeps what it is asked for.
async fn port(access: Access) -> (String, Arc<Board>) {
    let (board, mut asked) = Board::new();
    let board = Arc::new(board);
    let shown = Arc::clone(&board);
    tokio::spawn(async move {
        let mut overrides = Overrides::default();
        while let Some(one) = asked.recv().await {
            overrides = one.change.applied(overrides);
            shown.show(|view| view.overrides = overrides.clone());
            one.answer.send(Ok(overrides.clone())).unwrap();
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port =
        Port { board: Arc::clone(&board), access, tick: Duration::from_secs(30), clock: || NOW.parse().unwrap() };
    tokio::spawn(async move { axum::serve(listener, routes(port)).await });
    (address, board)
}

/// The status and the body of an answer.
async fn ask(address: &str, call: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (method, path) = call.split_once(' ').unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn overrides_are_given_shown_and_taken_back_as_json_with_true_statuses() {
    let (address, _) = port(Access::Open).await;
    let (status, body) = ask(&address, "POST /throttle?rate=50MB/s&ttl=1h&by=ann", "").await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""rate":50000000"#) && body.contains(r#""until":"2026-11-22T09:00:00Z""#), "{body}");
    assert_eq!(ask(&address, "POST /throttle/3?rate=1MiB%2Fs&autoremove=true", "").await.0, 200);
    let (_, body) = ask(&address, "GET /throttle/3", "").await;
    assert!(body.contains(r#""rate":1048576"#) && body.contains(r#""autoremove":true"#), "{body}");
    assert_eq!(ask(&address, "GET /throttle/4", "").await.0, 404);
    for wrong in ["rate=50", "rate=0MB/s", "rate=-1MB/s", "ttl=1h", "rate=1MB/s&ttl=soon"] {
        let (status, body) = ask(&address, &format!("POST /throttle?{wrong}"), "").await;
        assert_eq!(status, 400, "{wrong}: {body}");
    }
    assert_eq!(ask(&address, "POST /throttle/x?rate=1MB/s", "").await.0, 400);
    assert_eq!(ask(&address, "PUT /throttle", "").await.0, 405);
    assert_eq!(ask(&address, "POST /throttle/remove/3", "").await.0, 200);
    let (_, body) = ask(&address, "GET /throttle", "").await;
    assert!(body.contains(r#""brokers":{}"#) && body.contains("50000000"), "{body}");
    let (_, body) = ask(&address, "DELETE /throttle", "").await;
    assert_eq!(body, r#"{"overrides":{"brokers":{}}}"#);
}

#[tokio::test]
async fn with_a_token_only_metrics_and_health_are_for_everybody() {
    let (address, _) = port(Access::Token(remember("swordfish-7"))).await;
    for call in ["GET /throttle", "POST /throttle?rate=1MB/s", "DELETE /throttle/3"] {
        for wrong in ["", "swordfish-8", "swordfish-7x"] {
            assert_eq!(ask(&address, call, wrong).await.0, 401, "{call} with {wrong}");
        }
    }
    assert_eq!(ask(&address, "GET /throttle", "swordfish-7").await.0, 200);
    let (closed, _) = port(Access::Closed).await;
    assert_eq!((ask(&closed, "GET /throttle", "x").await.0, ask(&closed, "GET /metrics", "").await.0), (403, 200));
    assert_eq!(ask(&address, "GET /metrics", "").await.0, 200);
    assert_eq!(ask(&address, "GET /healthz", "").await.0, 503);
}

#[tokio::test]
async fn metrics_say_each_rate_and_its_reason_and_health_goes_by_the_last_good_tick() {
    let (address, board) = port(Access::Open).await;
    board.show(|view| {
        view.rates = vec![RateDecision {
            broker: BrokerId(3),
            side: Side::Follower,
            rate: ByteRate(5),
            reason: Reason::Raised,
            floor: ByteRate(2),
            ceiling: Some(ByteRate(9)),
            foreground: None,
            capacity: None,
        }];
        view.at = Some("2026-11-22T07:59:00Z".parse::<Timestamp>().unwrap());
        view.changes.insert(("throttle.set", "done".to_owned()), 4);
    });
    let (_, body) = ask(&address, "GET /metrics", "").await;
    for line in [
        r#"kafka_toolbox_throttle_rate_bytes_per_second{broker="3",side="follower",reason="raised"} 5.0"#,
        r#"kafka_toolbox_throttle_floor_bytes_per_second{broker="3",side="follower"} 2.0"#,
        r#"kafka_toolbox_throttle_changes_total{kind="throttle.set",outcome="done"} 4"#,
    ] {
        assert!(body.contains(line), "{line} is not in\n{body}");
    }
    assert_eq!(ask(&address, "GET /healthz", "").await.0, 200);
    board.show(|view| view.at = Some("2026-11-22T07:50:00Z".parse().unwrap()));
    assert_eq!(ask(&address, "GET /healthz", "").await.0, 503);
}
