//! What is said when no broker can be reached: every address and its reason, in time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::{Cluster as _, KafkaError};
use kafka_toolbox::cluster::metadata::TopicSelection;

use super::live::{open, wait};

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn every_address_is_named_with_its_reason_within_the_timeout() {
    // The kernel connects for a process that never accepts: this is what a frozen broker looks like.
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let frozen = frozen.local_addr().unwrap();
    let closed = format!("127.0.0.1:{}", closed_port());
    let kafka = open(&format!("{closed},{frozen},nowhere.invalid:9092"), Duration::from_secs(2));
    let start = Instant::now();
    let error = wait(kafka.metadata(TopicSelection::None)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let KafkaError::Unreachable { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 3, "{error}");
    let reason = |address: &str| tried.iter().find(|(one, _)| one == address).unwrap().1.to_lowercase();
    assert!(reason(&closed).contains("refused"), "{error}");
    assert!(reason(&frozen.to_string()).contains("answer"), "{error}");
    assert!(!reason("nowhere.invalid:9092").is_empty(), "{error}");
}

#[test]
fn where_all_refuse_the_answer_comes_before_the_timeout() {
    let closed = [closed_port(), closed_port()].map(|port| format!("127.0.0.1:{port}")).join(",");
    let kafka = open(&closed, Duration::from_secs(30));
    let start = Instant::now();
    let error = wait(kafka.metadata(TopicSelection::None)).unwrap_err();
    assert!(matches!(&error, KafkaError::Unreachable { tried, .. } if tried.len() == 2), "{error}");
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
}

#[test]
fn a_port_that_speaks_something_else_is_called_that() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        // As often as it is asked; the thread ends with the process.
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let kafka = open(&address.to_string(), Duration::from_secs(5));
    let error = wait(kafka.metadata(TopicSelection::None)).unwrap_err();
    assert!(matches!(&error, KafkaError::Protocol { address: one, .. } if *one == address.to_string()), "{error}");
}
