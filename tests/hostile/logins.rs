//! Brokers that answer a login with nonsense, or with no.

use bytes::{BufMut, BytesMut};

use super::lengths::ends_in_a_sentence;
use super::peer::{Asked, METADATA, Peers, Reply, SASL_AUTHENTICATE, SASL_HANDSHAKE, text};
use crate::support::toolbox::Toolbox;

/// The code of a login that is refused.
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// Any mechanism is welcome.
fn handshake() -> Reply {
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(0);
    Reply::Body(body.to_vec())
}

/// A file of client properties.
fn properties(toolbox: &Toolbox, mechanism: &str, module: &str) -> String {
    let login = format!("org.apache.kafka.common.security.{module} required username=\"ada\" password=\"lovelace\";");
    let text = format!("security.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\nsasl.jaas.config={login}\n");
    toolbox.file("client.properties", &text)
}

#[test]
fn a_scram_message_that_is_cut_short_ends_the_command_with_a_sentence() {
    for cut in ["r=NONCEx,,i=4096", "r=NONCEx,s", "v", ""] {
        let peers = Peers::start_apart(1, move |asked| match asked.key {
            SASL_HANDSHAKE => handshake(),
            SASL_AUTHENTICATE => {
                let message = String::from_utf8_lossy(&asked.body[4..]).into_owned();
                let nonce = message.split_once(",r=").map(|(_, nonce)| nonce).unwrap_or_default();
                let mut body = BytesMut::new();
                body.put_i16(0);
                body.put_i16(-1);
                let bytes = cut.replace("NONCE", nonce);
                body.put_i32(i32::try_from(bytes.len()).unwrap());
                body.put_slice(bytes.as_bytes());
                Reply::Body(body.to_vec())
            }
            _ => Reply::Ordinary,
        });
        let toolbox = Toolbox::new(&peers.bootstrap());
        let properties = properties(&toolbox, "SCRAM-SHA-256", "scram.ScramLoginModule");
        let ran = toolbox.run(&["topics", "list", "--timeout", "5s", "--command-config", &properties]);
        ends_in_a_sentence(&ran, "SCRAM-SHA-256 failed: ");
    }
}

#[test]
fn a_password_that_one_broker_refuses_is_sent_once_though_connections_are_made_early() {
    let refuse = |asked: &Asked| match asked.key {
        SASL_HANDSHAKE => handshake(),
        SASL_AUTHENTICATE => {
            let mut body = BytesMut::new();
            body.put_i16(SASL_AUTHENTICATION_FAILED);
            text(&mut body, "wrong");
            body.put_i32(0);
            Reply::Body(body.to_vec())
        }
        _ => Reply::Ordinary,
    };
    let peers = Peers::start_apart(3, refuse);
    let toolbox = Toolbox::new(&peers.bootstrap());
    let properties = properties(&toolbox, "PLAIN", "plain.PlainLoginModule");
    // So many that the connections are made while they are read.
    let topics = (0..5_000).map(|number| format!("- {{name: topic-{number:04}, partitions: 1}}\n"));
    let spec = toolbox.file("topics.yaml", &format!("topics:\n{}", topics.collect::<String>()));
    let words = ["topics", "apply", "--yes", "--timeout", "5s", "--command-config", &properties, "-f", &spec];
    ends_in_a_sentence(&toolbox.run(&words), "wrong");
    let sent = peers.asked(SASL_AUTHENTICATE);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(peers.asked(METADATA).len(), 0);
}
