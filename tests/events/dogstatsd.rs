//! DogStatsD through real sockets.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::toolbox::Toolbox;

const WAIT: Duration = Duration::from_secs(10);

fn send_long(toolbox: &Toolbox) {
    let text = "ä\n".repeat(1_900);
    let ran = toolbox.run(&["events", "send", "--title", "über", "--text", &text]);
    assert!(ran.err.contains("events: 1 sent, 0 spooled, 0 dropped"), "{ran:?}");
}

/// Checks the lengths that a datagram says of itself and returns its title and text.
fn parts(datagram: &[u8]) -> (String, String) {
    let text = std::str::from_utf8(datagram).unwrap();
    let (lengths, rest) = text.strip_prefix("_e{").unwrap().split_once("}:").unwrap();
    let (title, body) = lengths.split_once(',').unwrap();
    let (title, body): (usize, usize) = (title.parse().unwrap(), body.parse().unwrap());
    assert!(rest[title + 1 + body..].starts_with("|d:"), "{text}");
    assert!(rest.contains("|#source:kafka-toolbox,"), "{text}");
    (rest[..title].to_owned(), rest[title + 1..title + 1 + body].to_owned())
}

#[test]
fn a_datagram_over_udp_fits_one_frame_and_says_its_true_lengths() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(WAIT)).unwrap();
    let url = format!("udp://{}", agent.local_addr().unwrap());
    send_long(&Toolbox::alone().with("DD_DOGSTATSD_URL", &url).with("DD_ENTITY_ID", "1234-abcd"));
    let mut buffer = [0; 16_000];
    let length = agent.recv(&mut buffer).unwrap();
    assert!((1_400..=1_432).contains(&length), "{length}");
    let (title, text) = parts(&buffer[..length]);
    assert_eq!(title, "[kafka-toolbox] none: über");
    assert!(text.ends_with('…'), "{text}");
    let sent = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(sent.contains("dd.internal.entity_id:1234-abcd"), "{sent}");
}

#[test]
fn a_datagram_over_a_unix_socket_has_more_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsd.socket");
    let agent = UnixDatagram::bind(&path).unwrap();
    agent.set_read_timeout(Some(WAIT)).unwrap();
    send_long(&Toolbox::alone().with("DD_DOGSTATSD_URL", &format!("unix://{}", path.display())));
    let mut buffer = [0; 16_000];
    let length = agent.recv(&mut buffer).unwrap();
    assert!((4_000..=8_192).contains(&length), "{length}");
    parts(&buffer[..length]);
}

#[test]
fn an_agent_that_is_away_gets_the_event_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsd.socket");
    let toolbox = Toolbox::alone()
        .with("DD_DOGSTATSD_URL", &format!("unix://{}", path.display()))
        .with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "0s");
    let ran = toolbox.send("waiting");
    assert!(ran.err.contains("events: 0 sent, 1 spooled, 0 dropped"), "{ran:?}");
    let agent = UnixDatagram::bind(&path).unwrap();
    agent.set_read_timeout(Some(WAIT)).unwrap();
    assert_eq!(toolbox.run(&["events", "flush"]).out, "1 sent, 0 dropped, 0 left\n");
    let mut buffer = [0; 16_000];
    let length = agent.recv(&mut buffer).unwrap();
    assert!(parts(&buffer[..length]).0.contains("waiting"));
}

#[test]
fn a_wrong_address_is_said_and_changes_no_exit_code() {
    let toolbox = Toolbox::alone().with("DD_DOGSTATSD_URL", "unixstream:///x");
    let ran = toolbox.send("x");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("nothing goes to DogStatsD: DD_DOGSTATSD_URL: `unixstream:///x`"), "{ran:?}");
}
