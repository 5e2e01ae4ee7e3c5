//! Lengths that a broker makes up: they cost no memory.

use std::process::Command;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_toolbox::clients::kafka::{Cluster as _, KafkaError};
use kafka_toolbox::cluster::metadata::TopicSelection;

use super::peer::{API_VERSIONS, Asked, METADATA, Peers, Reply, text};
use crate::clients::kafka::live::{open, wait};
use crate::support::toolbox::{Ran, Toolbox, finish};

/// What a command may have of address space here, in KiB: the binary of a debug build is large, what it reads is not.
const MEMORY_KIB: u64 = 1_500_000;

/// `topics list` under a limit of memory.
fn list(bootstrap: &str, more: &[&str]) -> Ran {
    let toolbox = Toolbox::new(bootstrap);
    let inner = toolbox.command(&[&["topics", "list", "--timeout", "5s"][..], more].concat());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")]);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inner.get_current_dir().unwrap());
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    finish(&mut command)
}

#[track_caller]
pub(super) fn ends_in_a_sentence(ran: &Ran, expected: &str) {
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.err.contains(expected) && !ran.err.contains("panicked"), "{ran:#?}");
}

fn metadata(body: Vec<u8>) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| if asked.key == METADATA { Reply::Body(body.clone()) } else { Reply::Ordinary }
}

#[test]
fn a_list_of_two_thousand_million_elements_is_refused_under_a_limit_of_memory() {
    let mut body = BytesMut::new();
    body.put_i32(0);
    body.put_i32(i32::MAX);
    let peers = Peers::start_apart(1, metadata(body.to_vec()));
    ends_in_a_sentence(&list(&peers.bootstrap(), &[]), "a list of 2147483647 elements in 0 bytes");
}

#[test]
fn a_short_list_of_four_thousand_million_elements_is_refused_under_a_limit_of_memory() {
    let peers = Peers::start_apart(1, |asked| match asked.key {
        API_VERSIONS => Reply::Body([&[0, 0, 255, 255, 255, 255, 15][..], &[0; 64]].concat()),
        _ => Reply::Ordinary,
    });
    ends_in_a_sentence(&list(&peers.bootstrap(), &[]), "a list of 4294967294 elements");
}

#[test]
fn a_frame_that_is_longer_than_allowed_is_refused_and_the_sentence_names_the_flag() {
    let peers = Peers::start_apart(1, |asked| match asked.key {
        METADATA => Reply::Raw((200_i32 << 20).to_be_bytes().to_vec()),
        _ => Reply::Ordinary,
    });
    ends_in_a_sentence(&list(&peers.bootstrap(), &[]), "--response-bytes-max");
}

#[test]
fn a_frame_that_only_promises_its_bytes_takes_no_memory() {
    let peers = Peers::start_apart(1, |asked| match asked.key {
        METADATA => Reply::Raw((250_i32 << 20).to_be_bytes().to_vec()),
        _ => Reply::Ordinary,
    });
    ends_in_a_sentence(&list(&peers.bootstrap(), &["--response-bytes-max", "256MiB"]), "no broker could be reached");
}

#[test]
fn negative_lengths_and_answers_that_end_early_are_errors_at_once() {
    let mut whole = BytesMut::new();
    whole.put_i32(0);
    whole.put_i32(1);
    whole.put_i32(1);
    text(&mut whole, "host");
    whole.put_i32(9_092);
    whole.put_i16(-1);
    text(&mut whole, "cluster");
    whole.put_i32(1);
    whole.put_i32(1);
    whole.put_i16(0);
    text(&mut whole, "orders");
    whole.put_u8(0);
    whole.put_i32(0);
    let mut bodies: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
    for length in [-2, i32::MIN] {
        bodies.push([&0_i32.to_be_bytes()[..], &i32::to_be_bytes(length), &[0; 100]].concat());
    }
    bodies.push([&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xfe][..], &[0; 100]].concat());
    wait(async {
        for body in bodies {
            let peers = Peers::start(1, metadata(body.clone())).await;
            let kafka = open(&peers.bootstrap(), Duration::from_secs(30));
            let start = std::time::Instant::now();
            let error = kafka.metadata(TopicSelection::All).await.unwrap_err();
            assert!(matches!(error, KafkaError::Protocol { .. }), "{body:?}: {error}");
            assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        }
    });
}
