//! Whole files in, settings or faults out.

use proptest::prelude::*;

use super::*;
use crate::formats::secret::ExposeSecret;

const NOTHING: Outside<'static> = Outside {
    environment: &|_| None,
    read: &|path| Err(format!("failed to read {}", path.display())),
    is_closed: false,
};

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    let given = Given { bootstrap_server: Some("localhost:9092"), timeout: None, ..Given::default() };
    Settings::parse("c", text.as_bytes(), given, NOTHING)
        .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

fn settings(text: &str) -> Settings {
    parse(text).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
}

fn notes(text: &str) -> Vec<String> {
    settings(text).notes.iter().map(|note| format!("{}{note}", if note.is_warning { "! " } else { "" })).collect()
}

#[test]
fn no_properties_are_plaintext() {
    let settings = settings("");
    assert_eq!(settings.security.protocol(), "PLAINTEXT");
    assert_eq!(settings.bootstrap, [Address::new("localhost", 9092)]);
    assert_eq!((settings.client_id.as_str(), settings.timeout), ("kafka-toolbox", Duration::from_secs(10)));
}

#[test]
fn a_file_as_people_have_it_is_read_whole() {
    let settings = settings(
        r#"
# made by the platform team
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
  username="admin" \
  password="pa\\\"ss \u00e9";
ssl.truststore.location=/etc/kafka/ca.p12
ssl.truststore.type=PKCS12
ssl.truststore.password=changeit
client.id = probe
request.timeout.ms=2500
"#,
    );
    assert_eq!(settings.security.protocol(), "SASL_SSL");
    let Some(SaslSettings::ScramSha512(credentials)) = &settings.security.sasl else { panic!("{settings:?}") };
    assert_eq!(credentials.username, "admin");
    assert_eq!(credentials.password.expose_secret(), "pa\"ss é");
    let tls = settings.security.tls.as_ref().expect("TLS");
    assert!(matches!(&tls.trust, Some(Source::File { kind: StoreKind::Pkcs12, password: Some(_), .. })));
    assert!(tls.checks_host_name);
    assert_eq!((settings.client_id.as_str(), settings.timeout), ("probe", Duration::from_millis(2500)));
    assert_eq!(settings.notes, []);
    assert!(!format!("{settings:?}").contains("changeit"), "a secret is in the debug form");
}

const SCRAM: &str = "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\n";
const MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required";

#[test]
fn what_is_ignored_is_noted_and_what_weakens_is_warned_of() {
    assert_eq!(
        notes("acks=all\nschema.registry.url=http://x\nssl.client.auth=required"),
        [
            "c:1:1: `acks` is ignored: it does not matter to this program",
            "c:2:1: `schema.registry.url` is ignored: it is no key of Kafka's clients",
            "c:3:1: `ssl.client.auth` is ignored: it is a broker's key, which no client reads",
        ]
    );
    let off = notes("security.protocol=SSL\nssl.endpoint.identification.algorithm=");
    assert!(off[0].starts_with("! c:2:39: host names in certificates are not checked"), "{off:?}");
    let unused = notes("ssl.truststore.location=/x\nsasl.mechanism=PLAIN");
    assert_eq!(unused[0], "! c:1:1: `ssl.truststore.location` is not used: security.protocol is PLAINTEXT");
    assert_eq!(unused[1], "! c:2:1: `sasl.mechanism` is not used: security.protocol is PLAINTEXT");
    let plain = notes(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=u password=p;",
    );
    assert!(plain[0].contains("the password goes over the network unencrypted"), "{plain:?}");
}

#[test]
fn only_an_empty_algorithm_switches_the_host_name_check_off() {
    let checks = |text: &str| settings(text).security.tls.expect("TLS").checks_host_name;
    assert!(checks("security.protocol=SSL"));
    assert!(checks("security.protocol=ssl\nssl.endpoint.identification.algorithm=HTTPS"));
    assert!(!checks("security.protocol=SSL\nssl.endpoint.identification.algorithm="));
    assert!(parse("security.protocol=SSL\nssl.endpoint.identification.algorithm=none").is_err());
}

#[test]
fn a_fault_in_the_login_module_has_its_own_place() {
    let text = format!("{SCRAM}sasl.jaas.config={MODULE} \\\n  username=\"bob\" \\\n  pasword=\"x\";\n");
    let faults = parse(&text).expect_err("is faulty");
    assert_eq!(faults, ["c:5:3: `sasl.jaas.config`: no such option of this login module (did you mean `password`?)"]);
}

#[test]
fn addresses_are_those_of_java() {
    let bootstrap = |flag: &str| {
        let given = Given { bootstrap_server: Some(flag), timeout: None, ..Given::default() };
        Settings::parse("c", b"", given, NOTHING)
            .map(|settings| settings.bootstrap)
            .map_err(|faults| faults.to_string())
    };
    let address = |host: &str, port| Address::new(host, port);
    assert_eq!(bootstrap("a:1, b:2,,a:1"), Ok(vec![address("a", 1), address("b", 2)]));
    assert_eq!(bootstrap("[::1]:9092,PLAINTEXT://k-1.x_y:9"), Ok(vec![address("::1", 9092), address("k-1.x_y", 9)]));
    for (flag, words) in [
        ("a", "--bootstrap-server:1:1: this address has no port"),
        ("a:1,b", "--bootstrap-server:1:5: this address has no port"),
        ("a:1 b:2", "--bootstrap-server:1:1: brokers are separated by commas"),
        ("a:1;b:2", "--bootstrap-server:1:1: brokers are separated by commas"),
        ("a:1\nb:2", "--bootstrap-server:1:1: brokers are separated by commas"),
        ("c:1,[fe80::1%lo]:1", "--bootstrap-server:1:5: an IPv6 address with a zone"),
        ("a:0", "no port from 1 to 65535"),
        ("a:65536", "no port from 1 to 65535"),
        (":9092", "no host"),
        ("::1:9092", "stands in brackets"),
        ("[a]:1", "no IPv6 address"),
        ("http://a:1", "a URL"),
        ("a b:1", "brokers are separated by commas"),
        ("a?:1", "characters that no host name has"),
        ("", "no broker is named"),
    ] {
        let fault = bootstrap(flag).expect_err(flag);
        assert!(fault.contains(words), "{flag}: {fault}");
    }
}

#[test]
fn values_from_the_environment_and_from_files_are_secrets_too() {
    let outside = Outside {
        environment: &|name| (name == "KAFKA_PASSWORD").then(|| "from-the-environment".to_owned()),
        read: &|_| Ok(b"user=from-a-file\n".to_vec()),
        is_closed: false,
    };
    let text = format!(
        "bootstrap.servers=b:1\n{SCRAM}sasl.jaas.config={MODULE} username=\"${{file:/x:user}}\" password=\"${{env:KAFKA_PASSWORD}}\";"
    );
    let settings = Settings::parse("c", text.as_bytes(), Given::default(), outside).expect("settings");
    let Some(SaslSettings::ScramSha256(credentials)) = &settings.security.sasl else { panic!("{settings:?}") };
    assert_eq!(credentials.username, "from-a-file");
    assert_eq!(credentials.password.expose_secret(), "from-the-environment");
    assert_eq!(crate::formats::secret::scrub("x from-the-environment y"), "x (hidden) y");
}

#[test]
fn bearer_tokens_come_from_where_the_settings_say() {
    let token = |options: &str, keys: &str| {
        let text = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n{keys}\nsasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required {options};"
        );
        match settings(&text).security.sasl {
            Some(SaslSettings::OAuthBearer(oauth)) => oauth,
            other => panic!("{other:?}"),
        }
    };
    let url = "sasl.oauthbearer.token.endpoint.url=";
    let unsecured = token(
        "unsecuredLoginStringClaim_sub=\"alice\" unsecuredLoginListClaim_scope=\"|a|b\" extension_traceId=\"7\"",
        "",
    );
    assert_eq!(unsecured.extensions, [("traceId".to_owned(), "7".to_owned())]);
    let TokenSource::Unsecured(claims) = unsecured.token else { panic!("{unsecured:?}") };
    assert_eq!(serde_json::Value::Object(claims.claims), serde_json::json!({"sub": "alice", "scope": ["a", "b"]}));
    assert!(matches!(token("oauth.access.token=\"abc\"", "").token, TokenSource::Static(_)));
    assert!(
        matches!(token("", &format!("{url}file:///run/token")).token, TokenSource::File(path) if path.ends_with("token"))
    );
    let endpoint =
        token("clientId=\"me\" clientSecret=\"topsecret\" scope=\"kafka\"", &format!("{url}https://idp/token"));
    let TokenSource::Endpoint(endpoint) = endpoint.token else { panic!("{endpoint:?}") };
    assert_eq!((endpoint.client_id.as_str(), endpoint.scope.as_deref()), ("me", Some("kafka")));
}

/// Keys whose values are secrets, and a text around each.
fn with_secrets(secret: &str, broken: usize) -> String {
    let jaas = [
        format!("{MODULE} username=\"u\" password=\"{secret}\";"),
        format!("{MODULE} username=\"u\" password=\"{secret};"),
        format!("{MODULE} username=\"u\" password={secret} {secret};"),
        format!("{MODULE} username=\"u\" {secret}=\"{secret}\";"),
        format!("{secret} required;"),
        format!("{MODULE} {secret} \"{secret}\""),
        format!("a {secret};"),
    ];
    let jaas = &jaas[broken % jaas.len()];
    format!(
        "{SCRAM}sasl.jaas.config={jaas}\n{secret}\nssl.keystore.type=PEM\nssl.keystore.location=/nowhere\nssl.keystore.password={secret}\nssl.keystore.key={secret}\nssl.truststore.password={secret}\nssl.key.password={secret}\nsasl.oauthbearer.client.credentials.client.secret={secret}\nsasl.password={secret}\n{secret}={secret}\n"
    )
}

proptest! {
    #[test]
    fn a_planted_secret_is_in_no_fault_note_or_debug_form(secret in "[A-Za-z0-9+/=@#]{8,40}", broken in 0..7_usize) {
        let text = with_secrets(&secret, broken);
        let given = Given { bootstrap_server: Some("b:1"), timeout: None, ..Given::default() };
        let said = match Settings::parse("c", text.as_bytes(), given, NOTHING) {
            Ok(settings) => format!("{settings:?}"),
            Err(faults) => format!("{faults} {faults:?}"),
        };
        prop_assert!(!said.contains(&secret), "{said}");
    }

    #[test]
    fn no_bytes_make_settings_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Settings::parse("c", &bytes, Given::default(), NOTHING);
    }
}

#[test]
fn a_listener_before_an_address_that_is_not_the_protocol_is_refused() {
    let parse = |text: &str| Settings::parse("c", text.as_bytes(), Given::default(), NOTHING).map(|one| one.bootstrap);
    let said = parse("bootstrap.servers=SASL_SSL://b:9093\n").unwrap_err().to_string();
    assert!(said.contains("this address is of a SASL_SSL listener, but security.protocol is PLAINTEXT"), "{said}");
    assert!(said.contains("set security.protocol=SASL_SSL in the client properties"), "{said}");
    let flag = Given { bootstrap_server: Some("a:1,SSL://b:9093"), ..Given::default() };
    let said = Settings::parse("", b"", flag, NOTHING).unwrap_err().to_string();
    assert!(said.contains("SSL listener"), "{said}");
    let same = parse("bootstrap.servers=SSL://b:9093\nsecurity.protocol=ssl\n").unwrap();
    assert_eq!(same, [Address::new("b", 9093)]);
}

#[test]
fn a_client_secret_goes_to_another_machine_by_https_only_unless_a_flag_allows_it() {
    let parse = |url: &str, allow_plain_http| {
        let text = format!(
            "bootstrap.servers=b:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n\
             sasl.oauthbearer.token.endpoint.url={url}\nsasl.jaas.config=\
             org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"i\" clientSecret=\"s\";\n"
        );
        let given = Given { allow_plain_http, ..Given::default() };
        Settings::parse("c", text.as_bytes(), given, NOTHING)
    };
    for url in ["http://idp.example/token", "HTTP://idp.example/token"] {
        let said = parse(url, false).unwrap_err().to_string();
        assert!(said.contains("the client's secret would go to idp.example unencrypted"), "{said}");
        let notes = parse(url, true).unwrap().notes;
        assert!(notes.iter().any(|note| note.is_warning && note.to_string().contains("unencrypted")), "{notes:?}");
    }
    for url in ["https://idp.example/token", "HTTPS://idp.example/token", "http://127.0.0.1:8080/token"] {
        parse(url, false).unwrap();
    }
}
