//! Sizes from Prometheus and Datadog: what is asked, what is taken, and what is refused by name.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::metrics::DatadogQuery;
use kafka_toolbox::commands::mapping::observe::measured::{Queries, overlay};
use kafka_toolbox::commands::mapping::observe::{Observed, live};
use kafka_toolbox::exit::{Exit, Stop};
use kafka_toolbox::formats::secret::remember;

use super::measuring::{API_KEY, APP_KEY, Measuring, TOKEN, series, vector};
use crate::support::desk::{Desk, Said};

/// Broker 4 of rack a is empty; the brokers say that all is small.
fn cluster() -> Memory {
    let memory = Memory::kraft(4).rack(4, Some("a")).topic("orders", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[1, 3, 2]]);
    (0..4).fold(memory, |memory, partition| memory.bytes("orders", partition, 1_000))
}

fn of(partition: i32) -> String {
    format!(r#""topic":"orders","partition":"{partition}""#)
}

/// 5 GB for each of so many partitions; 50 GB free on each of four brokers; topics and brokers of another cluster.
fn knows(partitions: i32) -> impl Fn(&str, i64) -> String {
    move |query, at| {
        let mut answer: Vec<_> = if query == "disk" {
            (1..=5).map(|broker| (format!(r#""broker_id":"{broker}""#), 50e9)).collect()
        } else {
            (0..partitions).map(|partition| (of(partition), 5e9)).collect()
        };
        answer.push((r#""topic":"another","partition":"0""#.to_owned(), 1.0));
        vector(&answer, at)
    }
}

/// Runs a verb with the sizes of a Prometheus.
async fn run(desk: &Desk, base: &str, arguments: &[&str]) -> Said {
    let token = desk.folder().join("token");
    if !token.exists() {
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
    }
    let token = token.to_str().unwrap();
    let sizes = ["--sizes", "prometheus", "--prometheus-url", base, "--prometheus-token-file", token];
    desk.run(&[&["mapping"], arguments, &sizes].concat()).await
}

#[tokio::test]
async fn a_plan_is_made_of_the_sizes_that_prometheus_has_and_says_so() {
    let prometheus = Measuring::prometheus(knows(4));
    let base = prometheus.start();
    let desk = Desk::new(cluster());
    let planned = run(&desk, &base, &["scale", "--broker-storage-query", "disk"]).await.ends_with(Exit::Changes);
    let source = format!("sizes from prometheus at {base} (0 s old when it was read)");
    assert!(planned.out.contains(&source), "{planned:#?}");
    assert!(planned.out.contains("2 replicas to copy, 10.0 GB"), "{planned:#?}");
    assert!(planned.out.contains("20.0 GB -> 10.0 GB  28.6% -> 14.3%"), "free and held make the disk: {planned:#?}");
    assert_eq!(prometheus.asked(), ["max by (topic, partition) (kafka_log_log_size)", "disk"]);
    assert!(!planned.out.contains(TOKEN) && !planned.err.contains(TOKEN));
    let own = ["show", "--partition-size-query", "max by (topic, partition) (log_size{cluster=\"a\"})"];
    let shown = run(&desk, &base, &own).await.ends_with(Exit::Done);
    assert!(shown.out.contains("60.0 GB in all replicas"), "{shown:#?}");
    assert_eq!(prometheus.asked()[2], own[2]);
}

#[tokio::test]
async fn a_selected_partition_without_a_size_blocks_and_is_named() {
    let base = Measuring::prometheus(knows(2)).start();
    let desk = Desk::new(cluster());
    let refused = run(&desk, &base, &["scale"]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("which has no size of orders-2, orders-3"), "{refused:#?}");
    assert!(
        refused.out.contains("x unknown-size, topic:orders: partitions 2, 3: its size is not known"),
        "{refused:#?}"
    );
    assert!(refused.err.contains("--allow unknown-size lets it through"), "{refused:#?}");
    run(&desk, &base, &["scale", "--allow", "unknown-size"]).await.ends_with(Exit::Changes);
}

#[tokio::test]
async fn replicas_may_differ_where_the_answer_names_their_brokers() {
    let sizes = |_: &str, at| {
        let of = |broker: i32| format!(r#"{},"broker_id":"{broker}""#, of(0));
        vector(&[(of(1), 3e9), (of(2), 2e9), (of(3), 1e9)], at)
    };
    let base = Measuring::prometheus(sizes).start();
    let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2, 3]]));
    let shown = run(&desk, &base, &["show", "-o", "json"]).await.ends_with(Exit::Done);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let bytes: Vec<_> = (0..3).map(|at| shown["brokers"][at]["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [3_000_000_000, 2_000_000_000, 1_000_000_000], "{shown}");
}

#[tokio::test]
async fn a_rehearsal_takes_the_sizes_that_were_saved_and_asks_nobody() {
    let prometheus = Measuring::prometheus(knows(2));
    let base = prometheus.start();
    let desk = Desk::new(cluster());
    let saved = desk.folder().join("saved.json").to_str().unwrap().to_owned();
    let first = run(&desk, &base, &["scale", "--save-observed", &saved]).await.ends_with(Exit::Refused);
    let again = run(&desk, &base, &["scale", "--observed", &saved]).await.ends_with(Exit::Refused);
    assert_eq!(prometheus.asked().len(), 1);
    assert_eq!(again.err, first.err, "a partition that was forgotten blocks in the rehearsal, too");
    assert!(!fs::read_to_string(&saved).unwrap().contains(TOKEN));
}

#[tokio::test]
async fn leaders_are_evened_out_by_what_prometheus_says_is_written() {
    let memory = Memory::kraft(2).topic("orders", &[&[1, 2], &[1, 2], &[2, 1], &[2, 1]]).topic("quiet", &[&[2, 1]]);
    let desk = Desk::new(memory);
    desk.run(&["mapping", "rebalance"]).await.ends_with(Exit::Done);
    let rates = |_: &str, at| {
        let mut answer: Vec<_> = (0..2).map(|number| (of(number), 45e6)).collect();
        // Each broker counts what it takes: two series of one partition add up.
        answer.extend((0..2).map(|number| (of(number), 45e6)));
        answer.extend((2..4).map(|number| (of(number), 1e6)));
        answer.push((r#""topic":"quiet""#.to_owned(), 3e6));
        vector(&answer, at)
    };
    let prometheus = Measuring::prometheus(rates);
    let base = prometheus.start();
    let saved = desk.folder().join("saved.json").to_str().unwrap().to_owned();
    fs::write(desk.folder().join("token"), TOKEN).unwrap();
    let token = desk.folder().join("token").to_str().unwrap().to_owned();
    let asked = ["--bytes-in-query", "written", "--prometheus-url", &base, "--prometheus-token-file", &token];
    let arguments = [&["mapping", "rebalance", "--save-observed", &saved], &asked[..]].concat();
    let planned = desk.run(&arguments).await.ends_with(Exit::Changes);
    assert_eq!(prometheus.asked(), ["written"]);
    let words = format!("; what is written from prometheus at {base} (0 s old when it was read)");
    assert!(planned.out.contains(&words), "{planned:#?}");
    assert!(planned.out.contains("2 partitions to get another preferred leader, nothing is copied"), "{planned:#?}");
    assert!(planned.out.contains("180.0 MB/s -> 93.0 MB/s"), "{planned:#?}");
    let saved: serde_json::Value = serde_json::from_str(&fs::read_to_string(&saved).unwrap()).unwrap();
    let observed: Observed = serde_json::from_value(saved["observed"].clone()).unwrap();
    let written = |name: &str| {
        let partitions = &observed.topics[&name.parse().unwrap()].partitions;
        partitions.iter().map(|partition| partition.bytes_in).collect::<Vec<_>>()
    };
    assert_eq!(written("orders"), [90_000_000, 90_000_000, 1_000_000, 1_000_000].map(Some));
    assert_eq!(written("quiet"), [Some(3_000_000)]);
    let nobody = desk.run(&["mapping", "show", "--bytes-in-query", "written"]).await.ends_with(Exit::Usage);
    assert!(nobody.err.contains("datadog needs DD_A"), "{nobody:#?}");
}

#[tokio::test]
async fn a_passing_trouble_is_waited_out_and_a_lasting_one_is_told() {
    let desk = Desk::new(cluster());
    let busy = Measuring::prometheus(knows(4)).first(&[(429, "slow down"), (503, "{}")]);
    run(&desk, &busy.start(), &["show"]).await.ends_with(Exit::Done);
    assert_eq!(busy.asked().len(), 3);
    let broken = Measuring::prometheus(knows(4)).first(&[(500, r#"{"error":"query timed out"}"#); 3]);
    let base = broken.start();
    let failed = run(&desk, &base, &["show"]).await.ends_with(Exit::Failed);
    let words = format!("failed to read the sizes: {base} answered 500: query timed out");
    assert!(failed.err.contains(&words) && broken.asked().len() == 3, "{failed:#?}");
}

#[tokio::test]
async fn what_is_no_answer_is_told_at_once_and_no_secret_with_it() {
    let many = |_: &str, at| vector(&vec![(String::new(), 1.0); 100_001], at);
    let negative = |_: &str, at| vector(&[(of(0), -1.0)], at);
    let cases: [(Measuring, Exit, &str); 5] = [
        (Measuring::prometheus(|_, _| "<html>log in".into()), Exit::Failed, "answered something else than metrics"),
        (Measuring::prometheus(many), Exit::Failed, "100001 series, and at most 100000 are read: narrow the query"),
        (Measuring::prometheus(negative), Exit::Refused, "are NaN, infinite or negative and count as none"),
        (Measuring::prometheus(|_, at| vector(&[], at)), Exit::Refused, "names no partition of this cluster in its 0"),
        (Measuring::prometheus(knows(4)).first(&[(400, r#"{"error":"bad"}"#)]), Exit::Failed, "answered 400: bad"),
    ];
    let desk = Desk::new(cluster());
    for (measuring, exit, words) in cases {
        let said = run(&desk, &measuring.start(), &["show"]).await.ends_with(exit);
        assert!(said.err.contains(words) && measuring.asked().len() == 1, "{words}: {said:#?}");
    }
    fs::write(desk.folder().join("token"), "wrong-token-123").unwrap();
    let denied = run(&desk, &Measuring::prometheus(knows(4)).start(), &["show"]).await.ends_with(Exit::Failed);
    assert!(denied.err.contains("answered 401: Unauthorized") && !denied.err.contains("wrong-token"), "{denied:#?}");
    let two = |query: &str, at| {
        if query == "disk" { knows(4)(query, at).replace("\"2\"", "\"1\"") } else { knows(4)(query, at) }
    };
    fs::remove_file(desk.folder().join("token")).unwrap();
    let base = Measuring::prometheus(two).start();
    let two = run(&desk, &base, &["show", "--broker-storage-query", "disk"]).await.ends_with(Exit::Refused);
    assert!(two.err.contains("several values for the free storage of broker 1"), "{two:#?}");
}

#[tokio::test]
async fn flags_that_do_not_belong_together_are_bad_usage_and_nobody_is_asked() {
    let desk = Desk::new(cluster());
    let cases: [(&[&str], &str); 5] = [
        (&["--partition-size-query", "x"], "say --sizes prometheus, or --sizes datadog"),
        (&["--sizes", "prometheus", "--partitionmeta", "f", "--prometheus-url", "http://a"], "from one source"),
        (&["--sizes", "prometheus"], "prometheus needs --prometheus-url"),
        (&["--sizes", "prometheus", "--prometheus-url", "prometheus:9090"], "starts with http:// or https://"),
        (&["--sizes", "datadog"], "datadog needs DD_A"),
    ];
    for (arguments, words) in cases {
        let said = desk.run(&[&["mapping", "show"], arguments].concat()).await.ends_with(Exit::Usage);
        assert!(said.err.contains(words), "{words}: {said:#?}");
    }
    assert_eq!(desk.kafka.calls(), Vec::<Call>::new());
}

fn now() -> Timestamp {
    Timestamp::now()
}

/// What Datadog's sizes make of a cluster.
async fn by_datadog(memory: &Memory, datadog: &Measuring, age_max: Duration) -> anyhow::Result<Observed> {
    let door = DatadogQuery::new(&datadog.start(), remember(API_KEY), remember(APP_KEY), 7_200);
    let text = |text: &str| text.to_owned();
    let queries = Queries {
        sizes: Some(text("max:kafka.log.partition.size{service:kafka} by {topic,partition}.rollup(max, 300)")),
        storage: Some(text("min:system.disk.free{device:/data} by {broker_id}")),
        bytes_in: None,
        topic_label: text("topic"),
        partition_label: text("partition"),
        broker_label: text("broker_id"),
    };
    let mut observed = live::observe(memory, now()).await?;
    overlay(&mut observed, &door, &queries, (now(), age_max)).await?;
    Ok(observed)
}

/// Datadog's view of a topic with capital letters and of Kafka's own, measured some seconds before.
fn seen_by_datadog(seconds_before: i64) -> Measuring {
    Measuring::datadog(move |query, at| {
        let answer = if query.starts_with("min:system.disk") {
            vec![("broker_id:1".to_owned(), 7e9), ("broker_id:not-a-broker".to_owned(), 1.0)]
        } else {
            vec![
                ("topic:orders.paid,partition:0,env:prod".to_owned(), 5e9),
                ("topic:_consumer_offsets,partition:0,env:prod".to_owned(), 3e6),
            ]
        };
        series(&answer, at - seconds_before)
    })
}

#[tokio::test]
async fn datadogs_way_of_writing_names_is_understood_and_its_age_is_told() {
    let memory = || Memory::kraft(2).topic("Orders.Paid", &[&[1, 2]]).internal_topic("__consumer_offsets", &[&[1]]);
    let datadog = seen_by_datadog(600);
    let observed = by_datadog(&memory(), &datadog, Duration::from_hours(1)).await.unwrap();
    let size = |name: &str| observed.topics[&name.parse().unwrap()].partitions[0].size();
    assert_eq!((size("Orders.Paid"), size("__consumer_offsets")), (5_000_000_000, 3_000_000));
    assert!(observed.sizes_from.starts_with("datadog at http://127.0.0.1"), "{}", observed.sizes_from);
    assert!(observed.sizes_from.contains("(10 min old when it was read)"), "{}", observed.sizes_from);
    let broker = |id: i32| &observed.brokers[&kafka_toolbox::cluster::broker::BrokerId(id)];
    assert_eq!(broker(1).log_dirs[0].usable_bytes, Some(7_000_000_000));
    assert!(broker(2).missing.as_ref().unwrap().contains("does not name it"));

    let refused = by_datadog(&memory(), &seen_by_datadog(5_000), Duration::from_hours(1)).await.unwrap_err();
    assert_eq!(refused.downcast_ref::<Stop>().unwrap().exit, Exit::Refused);
    let words = refused.to_string();
    assert!(
        words.contains("the newest value for partition Orders.Paid-0") && words.contains("is 83 min old"),
        "{words}"
    );

    let alike = memory().topic("orders.paid", &[&[1]]);
    let refused = by_datadog(&alike, &datadog, Duration::from_hours(1)).await.unwrap_err().to_string();
    assert!(refused.contains("writes the topics Orders.Paid and orders.paid alike"), "{refused}");
}
