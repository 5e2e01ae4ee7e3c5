//! The time that is told beside steady producers, on a real cluster.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::acceptance::bytes_or;
use super::live::create;
use crate::live::kafka::records::{Writer, fill};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::bench::{Row, plan};
use crate::support::toolbox::Toolbox;

/// Partitions that move, one after the other.
const PARTITIONS: i32 = 8;

/// Bytes of a record.
const RECORD: u64 = 4_000;

/// The time that a metrics file tells, if it tells one.
fn told(file: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with("kafka_toolbox_reassign_left_seconds"))?;
    let seconds: f64 = line.rsplit(' ').next()?.parse().ok()?;
    (seconds.is_finite() && seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
}

/// At a third and at two thirds of a move of a gigabyte, the time told is within a quarter of what it really takes.
#[test]
fn the_time_told_beside_producers_is_within_a_quarter_of_the_real_one() {
    let usual = 24_000_000;
    let bytes = bytes_or(usual);
    // A gigabyte takes about a minute. A short move has bursts that a long one has not: it is told less exactly.
    let (seconds, parts) = if bytes == usual { (20, 2) } else { (45, 4) };
    let rate = bytes / seconds;
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    create(&cluster, "orders", &vec!["1:2"; usize::try_from(PARTITIONS).unwrap()].join(","));
    fill(&cluster, "orders", bytes / RECORD, RECORD).unwrap();
    // A fifth of the rate.
    let per_second = u32::try_from((rate / 5 / RECORD).clamp(10, 2_000)).unwrap();
    let writer = Writer::start(&cluster, "orders", per_second, usize::try_from(RECORD).unwrap()).unwrap();
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let rows: Vec<Row<'_>> = (0..PARTITIONS).map(|number| ("orders", number, &[1, 2][..], &[3, 2][..], 0)).collect();
    let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
    let throttle = format!("{rate}B/s");
    let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", &throttle];
    let metrics = toolbox.state().with_file_name("metrics.prom");
    let more = ["--partitions-per-broker", "2", "--tick", "1s", "--metrics-file", metrics.to_str().unwrap()];
    let mut executing = toolbox.command(&[&line[..], &more].concat()).stdout(Stdio::null()).spawn().unwrap();
    let mut tells = Vec::new();
    while executing.try_wait().unwrap().is_none() {
        tells.extend(told(&metrics).map(|told| (Instant::now(), told)));
        assert!(tells.len() < 10_000, "it does not end");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(executing.wait().unwrap().code(), Some(0), "{tells:#?}");
    let (began, end) = (tells[0].0, Instant::now());
    writer.finish().unwrap();
    let whole = end - began;
    for part in [1, 2] {
        let moment = began + whole * part / 3;
        let near = |(at, _): &&(Instant, Duration)| at.max(&moment).duration_since(*at.min(&moment));
        let (at, told) = tells.iter().min_by_key(near).unwrap();
        let real = end - *at;
        let off: Duration = told.abs_diff(real);
        assert!(off * parts <= real, "at {part}/3 of {whole:?}: {told:?} told, {real:?} real: {tells:#?}");
    }
}
