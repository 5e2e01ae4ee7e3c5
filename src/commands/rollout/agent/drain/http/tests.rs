//! The webhook over HTTP, with an agent behind it that says what the test wants.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

fn review() -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u-1", "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "eviction",
            "name": "kafka-0", "namespace": "kafka", "operation": "CREATE", "dryRun": false
        }
    })
}

struct World {
    asks: Arc<Asks>,
    board: Arc<Board>,
    routes: Router,
}

fn world() -> World {
    let (asks, board) = (Arc::new(Asks::default()), Arc::new(Board::default()));
    let api = Api { asks: Arc::clone(&asks), board: Arc::clone(&board), within: Duration::from_secs(8) };
    World { asks, board, routes: routes(api) }
}

impl World {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn post(&self, body: impl Into<Body>) -> (StatusCode, Value) {
        self.send(Request::post("/evict").body(body.into()).unwrap()).await
    }

    fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.board.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_with_its_uid_and_counted() {
    let world = world();
    let mut queue = world.asks.open();
    let answered = async {
        for asked in queue.next().await {
            assert_eq!(asked.question.eviction.pod.to_string(), "kafka/kafka-0");
            asked.answer.send(Answer::NotNow("E_LOCKED: wait".into()));
        }
    };
    let ((status, body), ()) = tokio::join!(world.post(review().to_string()), answered);
    assert_eq!((status, &body["response"]["uid"]), (StatusCode::OK, &json!("u-1")));
    assert_eq!((&body["response"]["allowed"], &body["response"]["status"]["code"]), (&json!(false), &json!(429)));
    let metrics = world.metrics();
    assert!(metrics.contains(r#"toolbox_drain_guard_answers_total{answer="not_now",dry_run="false"} 1"#), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_decided_in_time_is_denied_before_the_api_server_gives_up() {
    let world = world();
    let (begun, _queue) = (Instant::now(), world.asks.open());
    let (status, body) = world.post(review().to_string()).await;
    assert!(begun.elapsed() <= Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!((status, &body["response"]["allowed"]), (StatusCode::OK, &json!(false)));
    // One that was begun and never ends, too.
    let mut queue = world.asks.open();
    let begun = Instant::now();
    let stuck = async {
        let asked = queue.next().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(asked);
    };
    let (_, body) = tokio::select! {
        answer = world.post(review().to_string()) => answer,
        () = stuck => panic!("the answer waits for the agent"),
    };
    assert!(begun.elapsed() <= Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(body["response"]["status"]["code"], 429);
}

#[tokio::test]
async fn an_agent_that_does_not_work_yet_denies() {
    let (status, body) = world().post(review().to_string()).await;
    assert_eq!((status, &body["response"]["allowed"]), (StatusCode::OK, &json!(false)));
    assert!(body["response"]["status"]["message"].as_str().unwrap().starts_with("E_NO_ANSWER"), "{body}");
}

#[tokio::test]
async fn what_is_no_review_of_an_eviction_reaches_no_agent() {
    let world = world();
    let _queue = world.asks.open();
    assert_eq!(world.post("{}").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.post(vec![b'x'; BODY_BYTES_MAX + 1]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut other = review();
    other["request"]["operation"] = json!("DELETE");
    let (status, body) = world.post(other.to_string()).await;
    assert_eq!((status, &body["response"]["status"]["code"]), (StatusCode::OK, &json!(400)));
    assert_eq!(world.send(Request::get("/evict").body(Body::empty()).unwrap()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(world.send(Request::post("/").body(Body::empty()).unwrap()).await.0, StatusCode::NOT_FOUND);
}
