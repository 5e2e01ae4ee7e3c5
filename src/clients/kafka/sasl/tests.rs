//! Authentication against a scripted broker: what a real one never says, and what must never be said back.

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::clients::kafka::settings::Given;
use crate::clients::kafka::settings::Outside;

/// How the broker of a test answers SaslAuthenticate.
type Answer = Box<dyn FnMut(&[u8]) -> SaslAnswer + Send>;

struct Scripted {
    offered: Result<(), Vec<String>>,
    answer: Answer,
}

#[async_trait]
impl SaslExchange for Scripted {
    async fn handshake(&mut self, _: &str) -> Result<Result<(), Vec<String>>, KafkaError> {
        Ok(self.offered.clone())
    }

    async fn authenticate(&mut self, bytes: &[u8]) -> Result<SaslAnswer, KafkaError> {
        Ok((self.answer)(bytes))
    }
}

fn settings(mechanism: &str, password: &str) -> Settings {
    let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
    let text = format!(
        "bootstrap.servers=b:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\nsasl.jaas.config=org.apache.kafka.common.security.{module} required username=\"ada\" password=\"{password}\";"
    );
    let outside = Outside { environment: &|_| None, read: &|_| Err(String::new()), is_closed: false };
    Settings::parse("c", text.as_bytes(), Given::default(), outside).unwrap()
}

fn run(
    settings: &Settings,
    answer: impl FnMut(&[u8]) -> SaslAnswer + Send + 'static,
) -> Result<Option<Duration>, String> {
    let mut exchange = Scripted { offered: Ok(()), answer: Box::new(answer) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(authenticate(settings, &Arc::default(), &mut exchange, "b:1")).map_err(|error| error.to_string())
}

fn bytes(text: &str) -> SaslAnswer {
    SaslAnswer { bytes: text.as_bytes().to_vec(), ..SaslAnswer::default() }
}

/// A SCRAM broker that asks for so many iterations and signs with nothing.
fn impostor(iterations: &'static str) -> impl FnMut(&[u8]) -> SaslAnswer + Send {
    move |message| {
        let text = String::from_utf8_lossy(message);
        match text.strip_prefix("n,,n=ada,r=") {
            Some(nonce) => bytes(&format!("r={nonce}more,s=c2FsdHNhbHQ=,i={iterations}")),
            None => bytes("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        }
    }
}

#[test]
fn a_broker_that_does_not_know_the_password_is_not_believed() {
    let said = run(&settings("SCRAM-SHA-256", "lovelace"), impostor("4096")).unwrap_err();
    assert!(said.starts_with("b:1: the broker's signature in SCRAM-SHA-256 is wrong"), "{said}");
}

#[test]
fn a_number_of_iterations_that_is_too_low_or_too_high_is_refused() {
    for iterations in ["1", "4095", "1000001", "9999999999999"] {
        let said = run(&settings("SCRAM-SHA-512", "lovelace"), impostor(iterations)).unwrap_err();
        assert!(said.contains("iterations of SCRAM-SHA-512; only 4096 to 1000000 are taken"), "{said}");
    }
}

#[test]
fn a_broker_that_talks_nonsense_is_refused() {
    for nonsense in
        ["", "x", "r=,s=,i=", "r=,s=,i=99999999999999999999999", "e=unknown-user", "r=other,s=c2FsdA==,i=4096"]
    {
        let said = run(&settings("SCRAM-SHA-256", "lovelace"), move |_| bytes(nonsense)).unwrap_err();
        assert!(said.contains("SCRAM-SHA-256 failed"), "{nonsense}: {said}");
    }
}

#[test]
fn the_session_lifetime_is_handed_on() {
    let answer = SaslAnswer { session_lifetime: Some(Duration::from_mins(5)), ..SaslAnswer::default() };
    assert_eq!(run(&settings("PLAIN", "lovelace"), move |_| answer.clone()), Ok(Some(Duration::from_mins(5))));
    assert_eq!(run(&settings("PLAIN", "lovelace"), |_| SaslAnswer::default()), Ok(None));
}

#[test]
fn plain_sends_user_and_password_as_they_are() {
    let check = |message: &[u8]| {
        assert_eq!(message, b"\0ada\0love,lace=");
        SaslAnswer::default()
    };
    assert_eq!(run(&settings("PLAIN", "love,lace="), check), Ok(None));
}

proptest! {
    #[test]
    fn a_broker_that_echoes_the_password_does_not_make_us_show_it(password in "[A-Za-z0-9+/=]{8,30}", code in 1..100_i16) {
        let echo = password.clone();
        let answer = move |message: &[u8]| SaslAnswer {
            error_code: code,
            error_message: Some(format!("no {echo}, but {}", String::from_utf8_lossy(message))),
            ..SaslAnswer::default()
        };
        for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
            let said = run(&settings(mechanism, &password), answer.clone()).unwrap_err();
            prop_assert!(!said.contains(&password), "{said}");
        }
    }

    #[test]
    fn no_bytes_of_a_broker_make_it_panic(answers in prop::collection::vec(answer(), 3)) {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mut left = answers.clone().into_iter();
            let mut nonce = String::new();
            let answer = move |message: &[u8]| {
                let text = String::from_utf8_lossy(message);
                nonce.push_str(text.strip_prefix("n,,n=ada,r=").unwrap_or_default());
                SaslAnswer { bytes: with_nonce(left.next().unwrap_or_default(), &nonce), ..SaslAnswer::default() }
            };
            let _ = run(&settings(mechanism, "lovelace"), answer);
        }
    }
}

/// Any bytes, and messages of which each attribute may be cut, empty or missing.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let value =
        prop_oneof![Just(String::new()), Just("NONCE".to_owned()), Just("4096".to_owned()), "[A-Za-z0-9+/=]{0,8}"];
    let attribute = (prop::sample::select(vec!["", "r", "s", "i", "v", "e", "m", "r=", "s=", "i=", "v=", "e="]), value);
    let message = prop::collection::vec(attribute, 0..5).prop_map(|parts| {
        let parts: Vec<_> = parts.into_iter().map(|(name, value)| format!("{name}{value}")).collect();
        parts.join(",").into_bytes()
    });
    let first = ("r=NONCE[a-z]{0,2}", ",?s=?[A-Za-z]{0,8}", ",?i=?[0-9]{0,4}");
    let near = first.prop_map(|(nonce, salt, count)| format!("{nonce}{salt}{count}").into_bytes());
    prop_oneof![message, near, prop::collection::vec(any::<u8>(), 0..60)]
}

/// An answer that repeats the client's nonce, without which SCRAM goes no further.
fn with_nonce(bytes: Vec<u8>, nonce: &str) -> Vec<u8> {
    String::from_utf8(bytes)
        .map_or_else(std::string::FromUtf8Error::into_bytes, |text| text.replace("NONCE", nonce).into_bytes())
}

#[test]
fn a_scram_message_that_is_cut_short_is_an_error_and_no_panic() {
    for cut in ["r=NONCEx,,i=4096", "r=NONCEx,s", "r=NONCEx,s=c2FsdA==,i", "r=NONCEx,s=c2FsdA==", "r"] {
        let said = run(&settings("SCRAM-SHA-256", "lovelace"), move |message| {
            let text = String::from_utf8_lossy(message);
            bytes(&cut.replace("NONCE", text.strip_prefix("n,,n=ada,r=").unwrap_or_default()))
        })
        .unwrap_err();
        assert!(
            said.contains("SCRAM-SHA-256 failed: ") && said.contains("missing from the broker's message"),
            "{said}"
        );
    }
    for cut in ["", "v", ",", "v="] {
        let said = run(&settings("SCRAM-SHA-512", "lovelace"), move |message| {
            let text = String::from_utf8_lossy(message);
            match text.strip_prefix("n,,n=ada,r=") {
                Some(nonce) => bytes(&format!("r={nonce}more,s=c2FsdHNhbHQ=,i=4096")),
                None => bytes(cut),
            }
        })
        .unwrap_err();
        assert!(said.contains("SCRAM-SHA-512 failed: "), "{said}");
    }
}
