//! Who measures the load: Prometheus and Datadog over HTTP, their strange answers, and the fall-back.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use jiff::Timestamp;
use kafka_toolbox::clients::kafka::Cluster as _;
use kafka_toolbox::clients::metrics::{DatadogQuery, Memory, Metrics, Prometheus};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::readings::Readings;
use kafka_toolbox::cluster::size::ByteRate;
use kafka_toolbox::cluster::throttle::Sides;
use kafka_toolbox::commands::throttle::observe::moves::look;
use kafka_toolbox::commands::throttle::plan::look::{Known, snapshot};
use kafka_toolbox::context::load::{Bound, Queries, Signal, Source, measure};
use kafka_toolbox::formats::secret::remember;
use tokio::net::TcpListener;

fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

/// A server that says the same to everybody; what it was asked, with the headers that hold keys.
async fn server(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let hear = move |request: Request| {
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let line = format!(
            "{} {} {} {}",
            request.uri(),
            header("authorization"),
            header("dd-api-key"),
            header("dd-application-key")
        );
        heard.lock().unwrap().push(line.trim().to_owned());
        async move { answer }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/api/v1/query", get(hear));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (base, asked)
}

#[tokio::test]
async fn prometheus_is_asked_with_its_token_and_tells_when_it_measured() {
    let answer = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"broker_id":"1"},"value":[990.5,"40000000"]},{"metric":{"broker_id":"2"},"value":[990,"NaN"]}]}}"#;
    let (base, asked) = server(answer).await;
    let prometheus = Prometheus::new(&base, Some(&remember("open-sesame")));
    let samples = prometheus.query("sum by (broker_id) (x)", now()).await.unwrap();
    assert_eq!((samples.len(), samples[1].amount()), (2, None), "NaN is no amount");
    assert_eq!((samples[0].value, samples[0].at.as_millisecond()), (40e6, 990_500));
    let asked = asked.lock().unwrap()[0].clone();
    assert_eq!(asked, "/api/v1/query?query=sum+by+%28broker_id%29+%28x%29&time=1000 Bearer open-sesame");
}

#[tokio::test]
async fn datadog_is_asked_with_both_keys_and_its_newest_point_that_is_not_null_counts() {
    let answer = r#"{"status":"ok","series":[{"scope":"broker_id:7","tag_set":["broker_id:7","instance-type:i3.4xlarge"],
        "pointlist":[[900000.0,1.0],[960000.0,5.5],[990000.0,null]]},{"scope":"broker_id:8","pointlist":[]}]}"#;
    let (base, asked) = server(answer).await;
    let datadog = DatadogQuery::new(&base, remember("api-key-1"), remember("app-key-2"), 120);
    let samples = datadog.query("avg:x by {broker_id}", now()).await.unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].value, samples[0].at.as_second()), (5.5, 960));
    assert_eq!(samples[0].labels["instance-type"], "i3.4xlarge");
    let asked = asked.lock().unwrap()[0].clone();
    assert!(
        asked.starts_with("/api/v1/query?from=880&to=1000&query=") && asked.ends_with("api-key-1 app-key-2"),
        "{asked}"
    );
}

#[tokio::test]
async fn answers_that_make_no_sense_are_errors_and_never_numbers() {
    let prometheus_says = [
        (r#"{"status":"error","error":"parse error at char 3"}"#, "parse error at char 3"),
        (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, "not `matrix`"),
        ("<html>login</html>", "something else than metrics"),
        (r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}"#, "without a value"),
    ];
    for (answer, words) in prometheus_says {
        let (base, _) = server(answer).await;
        let error = Prometheus::new(&base, None).query("x", now()).await.unwrap_err().to_string();
        assert!(error.contains(words), "{answer}: {error}");
    }
    // Datadog answers 200 to queries that failed.
    let (base, _) = server(r#"{"status":"error","error":"Rule parse error","series":[]}"#).await;
    let datadog = DatadogQuery::new(&base, remember("api-key-1"), remember("app-key-2"), 120);
    let error = datadog.query("x", now()).await.unwrap_err().to_string();
    assert!(error.contains("Rule parse error"), "{error}");
    let error = Prometheus::new("http://127.0.0.1:1", None).query("x", now()).await.unwrap_err().to_string();
    assert!(error.starts_with("http://127.0.0.1:1 could not be asked"), "{error}");
}

fn queries(metrics: &Arc<Memory>) -> Source {
    let metrics = Arc::clone(metrics) as Arc<dyn Metrics>;
    let words = |text: &str| text.to_owned();
    Source::Measured(Queries {
        metrics,
        sends: words("tx"),
        receives: words("rx"),
        over: std::time::Duration::ZERO,
        broker_label: words("broker_id"),
        type_label: words("type"),
        signals: vec![
            Signal { query: words("idle"), bound: Bound::Idle(0.3) },
            Signal { query: words("p99"), bound: Bound::Latency(100.0) },
        ],
    })
}

#[tokio::test]
async fn the_next_source_is_asked_where_one_has_no_answer() {
    let metrics = Arc::new(Memory::default());
    let fixed = Source::Static(Sides { leader: ByteRate(1), follower: ByteRate(2) });
    let sources = [queries(&metrics), fixed];
    let kafka = kafka_toolbox::clients::kafka::memory::Memory::kraft(2);
    let metadata = kafka.metadata(TopicSelection::None).await.unwrap();
    let live = metadata.brokers.keys().copied().collect();
    let (readings, wrong) = measure(&sources, (&live, now()), Readings::default).await;
    assert_eq!((readings.source, wrong.len()), ("static", 1));
    assert!(wrong[0].contains("no answer to `tx`"), "{wrong:?}");
    metrics.answers("tx", &[("1", 5.0)]);
    metrics.answers("rx", &[("1", 6.0), ("2", 7.0), ("not-a-broker", 8.0)]);
    let (readings, wrong) = measure(&sources, (&live, now()), Readings::default).await;
    assert_eq!((readings.source, wrong.len()), ("memory", 2));
    assert!(wrong[0].contains("how well brokers are is not told by memory: memory answered 400"), "{wrong:?}");
    assert_eq!(readings.used[&BrokerId(1)].leader, Some((ByteRate(5), now())));
    assert_eq!((readings.used[&BrokerId(2)].leader, readings.used.len()), (None, 2));
}

#[tokio::test]
async fn a_broker_that_is_busy_or_slow_is_not_well_and_the_law_is_told() {
    let metrics = Arc::new(Memory::default());
    metrics.answers("tx", &[("1", 5.0), ("2", 5.0), ("3", 5.0)]);
    metrics.answers("rx", &[("1", 6.0), ("2", 7.0), ("3", 5.0)]);
    metrics.answers("idle", &[("1", 0.29), ("2", 0.9), ("3", 0.3)]);
    metrics.answers("p99", &[("1", 800.0), ("2", 101.0), ("3", 100.0)]);
    let kafka = kafka_toolbox::clients::kafka::memory::Memory::kraft(3).topic("orders", &[&[1, 2]]).moving(
        "orders",
        0,
        &[1, 3],
    );
    let look = look(&kafka, now(), false).await.unwrap();
    let live = look.metadata.brokers.keys().copied().collect();
    let (readings, wrong) = measure(&[queries(&metrics)], (&live, now()), Readings::default).await;
    assert_eq!(wrong, Vec::<String>::new());
    let idle = "its request handlers are idle for 29% of the time, less than 30%";
    let slow = "99 of 100 produce requests to it take up to 101 ms, more than 100 ms";
    assert_eq!(readings.unwell, [(1, idle), (2, slow)].map(|(id, why)| (BrokerId(id), why.to_owned())).into());
    let told = snapshot(None, &look, &readings, &Known::default());
    let unwell = |id: i32| told.brokers[&BrokerId(id)].unwell.clone();
    assert_eq!((unwell(1).as_deref(), unwell(3)), (Some(idle), None));
}

/// Brokers tell it themselves: no metrics system is needed to see that a broker has no strength to spare.
#[tokio::test]
async fn a_broker_whose_partitions_are_under_min_isr_is_not_well() {
    let kafka = kafka_toolbox::clients::kafka::memory::Memory::kraft(3)
        .topic("orders", &[&[1, 2]])
        .topic("other", &[&[1, 2]])
        .moving("orders", 0, &[1, 3]);
    let seen = async || {
        let look = look(&kafka, now(), false).await.unwrap();
        let snapshot = snapshot(None, &look, &Readings::default(), &Known::default());
        snapshot.brokers[&BrokerId(1)].unwell.clone()
    };
    assert_eq!(seen().await, None);
    kafka.edit(|model| {
        let other = model.topics.values_mut().nth(1).unwrap();
        other.config.insert("min.insync.replicas".to_owned(), "2".to_owned());
        other.partitions[0].isr.retain(|replica| *replica == BrokerId(1));
    });
    let words = "1 of the partitions that it leads have fewer replicas in sync than min.insync.replicas";
    assert_eq!(seen().await.as_deref(), Some(words));
}

/// A system without signals of health.
fn system(metrics: impl Metrics + 'static) -> Source {
    let words = |text: &str| text.to_owned();
    Source::Measured(Queries {
        metrics: Arc::new(metrics),
        sends: words("tx"),
        receives: words("rx"),
        over: std::time::Duration::ZERO,
        broker_label: words("broker_id"),
        type_label: words("type"),
        signals: Vec::new(),
    })
}

fn datadog(base: &str) -> DatadogQuery {
    DatadogQuery::new(base, remember("api-key-1"), remember("app-key-2"), 120)
}

/// Series of Prometheus: labels and value.
fn vector(series: &str) -> &'static str {
    let text = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
    Box::leak(text.into_boxed_str())
}

/// Series of Datadog.
fn series(series: &str) -> &'static str {
    Box::leak(format!(r#"{{"status":"ok","series":[{series}]}}"#).into_boxed_str())
}

/// The load by a system that answers this, and where it has no value by what a person said; and what was wrong.
async fn load_by(is_datadog: bool, answer: &'static str) -> (Readings, Vec<String>) {
    let (base, _) = server(answer).await;
    let first = if is_datadog { system(datadog(&base)) } else { system(Prometheus::new(&base, None)) };
    let sources = [first, Source::Static(Sides { leader: ByteRate(7), follower: ByteRate(7) })];
    measure(&sources, (&[BrokerId(1), BrokerId(2)].into(), now()), Readings::default).await
}

#[tokio::test]
async fn what_is_no_amount_of_a_broker_is_no_load_of_0_but_the_next_sources_turn_and_is_said_with_the_query() {
    let one = r#""broker_id":"1""#;
    let value = |value: &str| vector(&format!(r#"{{"metric":{{{one}}},"value":[990,"{value}"]}}"#));
    let point = |tags: &str, value: &str| {
        series(&format!(r#"{{"scope":"{tags}","tag_set":["{tags}"],"pointlist":[[990000.0,{value}]]}}"#))
    };
    let cases = [
        (false, value("NaN"), "NaN, an infinity or a negative number for broker 1"),
        (false, value("+Inf"), "NaN, an infinity or a negative number for broker 1"),
        (false, value("-Inf"), "NaN, an infinity or a negative number for broker 1"),
        (false, value("-5"), "NaN, an infinity or a negative number for broker 1"),
        (false, vector(""), "no value of a broker of this cluster"),
        (false, vector(r#"{"metric":{"pod":"kafka-1"},"value":[990,"5"]}"#), "have no label `broker_id`"),
        (false, vector(r#"{"metric":{"broker_id":"99"},"value":[990,"5"]}"#), "no value of a broker of this cluster"),
        (true, point("broker_id:1", "-5"), "NaN, an infinity or a negative number for broker 1"),
        (true, point("broker_id:1", "null"), "no value of a broker of this cluster"),
        (true, point("broker_id:1", r#""NaN""#), "no value of a broker of this cluster"),
        (true, point("broker_id:1", "1e999"), "something else than metrics"),
        (true, series(""), "no value of a broker of this cluster"),
        (true, point("pod:kafka-1", "5"), "have no label `broker_id`"),
        (true, point("broker_id:99", "5"), "no value of a broker of this cluster"),
    ];
    for (is_datadog, answer, words) in cases {
        let (readings, wrong) = load_by(is_datadog, answer).await;
        assert_eq!(readings.source, "static", "{answer}: {wrong:#?}");
        assert_eq!(readings.used[&BrokerId(1)].leader, Some((ByteRate(7), now())), "{answer}");
        assert!(wrong.iter().any(|line| line.contains(words)), "{answer}: {wrong:#?}");
        let names_query = |line: &String| line.contains("`tx`") || line.contains("something else than metrics");
        assert!(wrong.iter().any(names_query), "{answer}: {wrong:#?}");
        let distinct: std::collections::BTreeSet<_> = wrong.iter().collect();
        assert_eq!(distinct.len(), wrong.len(), "each thing is said once: {wrong:#?}");
    }
}

#[tokio::test]
async fn a_broker_without_an_amount_has_no_load_beside_one_that_has_and_the_words_stay_the_same() {
    let two = |first: &str| {
        vector(&format!(
            r#"{{"metric":{{"broker_id":"1"}},"value":[990,"{first}"]}},{{"metric":{{"broker_id":"2"}},"value":[990,"0"]}}"#
        ))
    };
    let (readings, wrong) = load_by(false, two("NaN")).await;
    assert_eq!((readings.source, readings.used.contains_key(&BrokerId(1))), ("prometheus", false));
    assert_eq!(readings.used[&BrokerId(2)].leader.map(|(rate, _)| rate), Some(ByteRate(0)), "0 is an amount");
    assert_eq!(wrong.len(), 2, "one line for each query: {wrong:#?}");
    let (_, again) = load_by(false, two("-3")).await;
    assert_eq!(again, wrong, "so that it is said once");
}

#[tokio::test]
async fn a_signal_without_an_amount_says_nothing_about_a_broker_and_is_said_with_its_query() {
    let metrics = Arc::new(Memory::default());
    metrics.answers("tx", &[("1", 5.0)]);
    metrics.answers("rx", &[("1", 6.0)]);
    metrics.answers("idle", &[("1", -0.5)]);
    metrics.answers("p99", &[("1", f64::INFINITY)]);
    let (readings, wrong) = measure(&[queries(&metrics)], (&[BrokerId(1)].into(), now()), Readings::default).await;
    assert!(readings.unwell.is_empty(), "{readings:?}");
    for query in ["`idle`", "`p99`"] {
        let words = "NaN, an infinity or a negative number for broker 1: that counts as no value";
        assert!(wrong.iter().any(|line| line.contains(query) && line.contains(words)), "{wrong:#?}");
    }
}
