//! One contract for Datadog's intake over HTTP (against the double) and its twin in memory.

use std::time::{SystemTime, UNIX_EPOCH};

use kafka_toolbox::clients::datadog::{AlertType, Datadog, DatadogError, DatadogEvent, Http, Memory, Priority};
use kafka_toolbox::formats::secret::remember;

use super::double::{Double, KEY};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

fn event() -> DatadogEvent {
    DatadogEvent {
        title: "t".repeat(100),
        text: "ä".repeat(4_000),
        tags: vec![format!("k:{}", "v".repeat(198))],
        alert_type: AlertType::UserUpdate,
        priority: Priority::Low,
        aggregation_key: "a".repeat(100),
        date_happened: now() - 17 * 3_600,
    }
}

async fn keeps_the_contract(door: &dyn Datadog) {
    assert_eq!(door.post(&event()).await, Ok(()), "the limits themselves are allowed");
    for (too_much, what) in [
        (DatadogEvent { title: "t".repeat(101), ..event() }, "title"),
        (DatadogEvent { text: "t".repeat(4_001), ..event() }, "text"),
        (DatadogEvent { aggregation_key: "a".repeat(101), ..event() }, "aggregation_key"),
    ] {
        let refused = door.post(&too_much).await;
        assert!(matches!(&refused, Err(DatadogError::TooLarge(why)) if why.contains(what)), "{what}: {refused:?}");
    }
    for (wrong, what) in [
        (DatadogEvent { title: String::new(), ..event() }, "title"),
        (DatadogEvent { date_happened: now() - 19 * 3_600, ..event() }, "18 hours"),
    ] {
        let refused = door.post(&wrong).await;
        assert!(matches!(&refused, Err(DatadogError::Malformed(why)) if why.contains(what)), "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn datadog_over_http_keeps_the_contract() {
    let double = Double::start();
    keeps_the_contract(&Http::new(&double.url, remember(KEY))).await;
    let accepted = double.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0]["alert_type"], "user_update");
    assert_eq!(accepted[0]["priority"], "low");
}

#[tokio::test]
async fn datadog_in_memory_keeps_the_contract() {
    let memory = Memory::new(now);
    keeps_the_contract(&memory).await;
    assert_eq!(memory.taken(), [event()]);
}

#[tokio::test]
async fn trouble_is_told_apart_by_both() {
    let double = Double::start();
    let wrong_key = Http::new(&double.url, remember("another key")).post(&event()).await;
    assert!(matches!(&wrong_key, Err(DatadogError::Refused(why)) if why.contains("403")), "{wrong_key:?}");
    let nobody = Http::new("http://127.0.0.1:1", remember(KEY)).post(&event()).await;
    assert!(matches!(nobody, Err(DatadogError::Unreachable { .. })), "{nobody:?}");
    let no_url = Http::new("u:secret-word@", remember(KEY)).post(&event()).await;
    assert!(matches!(&no_url, Err(DatadogError::Refused(why)) if !why.contains("secret-word")), "{no_url:?}");
    let memory = Memory::new(now);
    memory.set_trouble(nobody.clone().err());
    assert_eq!(memory.post(&event()).await, nobody);
}

#[tokio::test]
async fn https_needs_a_certificate_that_the_world_trusts() {
    // The double speaks no TLS: what counts is that the client is built and says what went wrong.
    let double = Double::start();
    let refused = Http::new(&double.url.replace("http:", "https:"), remember(KEY)).post(&event()).await;
    assert!(matches!(refused, Err(DatadogError::Unreachable { .. })), "{refused:?}");
}
