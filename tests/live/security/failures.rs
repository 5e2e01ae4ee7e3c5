//! Every way to fail, each with its own words, and no secret in any of them.

use crate::live::security::bed::{KINDS, PASSWORD, SCRAM_PASSWORD, bed, jaas, keys, with_password, with_token};
use crate::live::security::stores::{KEY_PASSWORD, STORE_PASSWORD};

/// What must not be in any message.
const SECRETS: [&str; 6] = [PASSWORD, SCRAM_PASSWORD, STORE_PASSWORD, KEY_PASSWORD, "wr0ng-S3cret", "eyJ"];

/// What is done, with which listener and properties, and which words must come back.
type Case = (&'static str, &'static str, String, &'static [&'static str]);

fn check(cases: &[Case]) {
    let mut failures = Vec::new();
    for kind in KINDS {
        let bed = bed(kind);
        for (what, listener, properties, words) in cases {
            let said = match bed.ask(listener, properties) {
                Ok(()) => "it worked".to_owned(),
                Err(said) => said,
            };
            let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
            if !missing.is_empty() {
                failures.push(format!("{}: {what}: {missing:?} is not in: {said}", bed.name()));
            }
            if let Some(secret) = SECRETS.iter().find(|secret| said.contains(**secret)) {
                failures.push(format!("{}: {what}: {secret} is in: {said}", bed.name()));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn trust() -> String {
    keys().stores.trusting("PEM", "ca.pem")
}

fn ssl() -> String {
    format!("security.protocol=SSL\n{}", trust())
}

#[test]
fn a_wrong_password_user_or_mechanism_says_so() {
    let sasl = |mechanism, user, password| with_password(mechanism, user, password) + &trust();
    let refused: &[&str] = &["the broker refuses user", "wrong user name or password", "client-", ".properties:3:18"];
    check(&[
        ("PLAIN, wrong password", "SASL", sasl("PLAIN", "bob", "wr0ng-S3cret"), refused),
        ("PLAIN, unknown user", "SASL", sasl("PLAIN", "mallory", PASSWORD), &["refuses user mallory with PLAIN"]),
        ("SCRAM-SHA-256, wrong password", "SASL", sasl("SCRAM-SHA-256", "ada", "wr0ng-S3cret"), refused),
        ("SCRAM-SHA-512, wrong password", "SASL", sasl("SCRAM-SHA-512", "ada", "wr0ng-S3cret"), refused),
        ("SCRAM, unknown user", "SASL", sasl("SCRAM-SHA-512", "mallory", SCRAM_PASSWORD), &["refuses user mallory"]),
        (
            "a mechanism that is not offered",
            "OPEN",
            format!(
                "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n{}",
                jaas("plain.PlainLoginModule", "bob", PASSWORD)
            ),
            &["does not offer the SASL mechanism PLAIN", "it offers SCRAM-SHA-256"],
        ),
        (
            "a token that is none",
            "SASL",
            with_token("oauth.access.token=\"eyJhbGciOiJub25lIn0.e30.\"") + &trust(),
            &["bearer token"],
        ),
    ]);
}

#[test]
fn a_certificate_that_is_not_believed_says_why() {
    let stores = &keys().stores;
    stores.write("other-ca.pem", &keys().stranger.certificate);
    let other = format!("security.protocol=SSL\n{}", stores.trusting("PEM", "other-ca.pem"));
    check(&[
        (
            "wrong CA",
            "MTLS",
            other.clone(),
            &["CN=broker, issued by CN=bed-ca", "signed by a CA that is not in the trust store", "other-ca.pem"],
        ),
        (
            "no trust store",
            "MTLS",
            "security.protocol=SSL\n".into(),
            &["is signed by a CA that is not in", "no trust store is given"],
        ),
        ("self-signed", "LONER", ssl(), &["is self-signed (CN=loner)", "ca.pem"]),
        ("expired", "EXPIRED", ssl(), &["the broker's certificate expired on 2024-01-02 00:00:00 UTC"]),
        ("not yet valid", "EARLY", ssl(), &["the broker's certificate is valid only from 2090-01-02 00:00:00 UTC on"]),
        ("wrong host name", "ELSEWHERE", ssl(), &["is not for 127.0.0.1, but for kafka.example.com, 10.1.2.3"]),
        ("no host name", "NAMELESS", ssl(), &["names no host in its subjectAltName"]),
    ]);
}

#[test]
fn a_client_certificate_that_is_refused_says_so() {
    let stores = &keys().stores;
    stores.write("stranger.pem", &keys().stranger.client("mallory", 2100).store());
    stores.write("old.pem", &keys().authority.client("client1", 2024).store());
    let mixed = format!("{}{}", keys().stranger.client("mallory", 2100).key, keys().client.certificate);
    stores.write("mixed.pem", &mixed);
    check(&[
        ("none, TLS 1.3", "MTLS", ssl(), &["wants a client certificate, and none is set", "ssl.keystore.location"]),
        (
            "none, TLS 1.2",
            "MTLS",
            ssl() + "ssl.enabled.protocols=TLSv1.2\n",
            &["wants a client certificate, and none is set"],
        ),
        (
            "a stranger's",
            "MTLS",
            ssl() + &stores.showing("PEM", "stranger.pem"),
            &[
                "refuses the client certificate (CN=mallory, issued by CN=stranger-ca)",
                "its CA must stand in the broker's trust store",
            ],
        ),
        (
            "expired",
            "MTLS",
            ssl() + &stores.showing("PEM", "old.pem"),
            &["client certificate", "expired on 2024-01-02"],
        ),
        (
            "of another key",
            "MTLS",
            ssl() + &stores.showing("PEM", "mixed.pem"),
            &["the private key does not belong to the client certificate (CN=client1"],
        ),
    ]);
}

#[test]
fn the_wrong_protocol_for_a_port_says_which_is_right() {
    let plain = jaas("plain.PlainLoginModule", "bob", PASSWORD);
    let sasl_ssl = with_password("PLAIN", "bob", PASSWORD) + &trust();
    let sasl_plaintext = format!("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n{plain}");
    check(&[
        ("plaintext to TLS", "MTLS", String::new(), &["this port speaks TLS", "security.protocol is PLAINTEXT"]),
        ("SASL_PLAINTEXT to SASL_SSL", "SASL", sasl_plaintext, &["this port speaks TLS", "set it to SASL_SSL"]),
        ("TLS to plaintext", "PLAINTEXT", ssl(), &["this port speaks no TLS", "security.protocol is SSL"]),
        ("SASL_SSL to SASL_PLAINTEXT", "OPEN", sasl_ssl.clone(), &["this port speaks no TLS", "SASL_PLAINTEXT"]),
        (
            "no SASL to SASL_PLAINTEXT",
            "OPEN",
            String::new(),
            &["this port wants SASL (SCRAM-SHA-256)", "SASL_PLAINTEXT"],
        ),
        ("no SASL to SASL_SSL", "SASL", ssl(), &["this port wants SASL", "SCRAM-SHA-512", "SASL_SSL"]),
        (
            "SASL to SSL",
            "ELSEWHERE",
            sasl_ssl + "ssl.endpoint.identification.algorithm=\n",
            &["this port takes no SASL", "set it to SSL"],
        ),
    ]);
}

#[test]
fn a_store_that_does_not_open_says_why() {
    const OPENS: &str = "does not open: its password is wrong";
    let stores = &keys().stores;
    let wrong = |text: String| text.replace(STORE_PASSWORD, "wr0ng-S3cret");
    let with_key = |kind, name| ssl() + &stores.showing(kind, name);
    let trusting = |kind, name| format!("security.protocol=SSL\n{}", stores.trusting(kind, name));
    stores.write("empty.pem", "");
    stores.write("nonsense.p12", "nonsense");
    stores.write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    stores.write(
        "old-way.pem",
        &format!("{}{}", std::fs::read_to_string(stores.path("old-way.key")).unwrap(), keys().client.certificate),
    );
    let sealed = |password: &str| with_key("PEM", "sealed.pem") + password;
    check(&[
        ("JKS", "MTLS", wrong(trusting("JKS", "trust.jks")), &["trust.jks does not open: its password is wrong"]),
        ("PKCS#12 of keytool", "MTLS", wrong(trusting("PKCS12", "trust-keytool.p12")), &[OPENS]),
        ("PKCS#12 of openssl", "MTLS", wrong(trusting("PKCS12", "trust-openssl.p12")), &[OPENS]),
        (
            "PKCS#12 without password",
            "MTLS",
            format!(
                "security.protocol=SSL\nssl.truststore.type=PKCS12\nssl.truststore.location={}\n",
                stores.path("trust-openssl.p12").display()
            ),
            &["needs a password"],
        ),
        ("JKS, key", "MTLS", wrong(with_key("JKS", "key.jks")), &["key.jks does not open"]),
        ("JKS, key apart", "MTLS", with_key("JKS", "key-apart.jks"), &["holds a key that does not open"]),
        ("PEM, no key password", "MTLS", sealed(""), &["has an encrypted private key", "ssl.key.password"]),
        (
            "PEM, wrong key password",
            "MTLS",
            sealed("ssl.key.password=wr0ng-S3cret\n"),
            &["private key that does not open"],
        ),
        ("PEM, OpenSSL's old way", "MTLS", with_key("PEM", "old-way.pem"), &["OpenSSL's old way", "openssl pkcs8"]),
        ("missing", "MTLS", trusting("JKS", "nowhere.jks"), &["nowhere.jks can't be read: No such file"]),
        ("empty", "MTLS", trusting("PEM", "empty.pem"), &["empty.pem is empty"]),
        ("nonsense", "MTLS", trusting("PKCS12", "nonsense.p12"), &["is neither a JKS nor a PKCS#12 store"]),
        ("cut off", "MTLS", trusting("PEM", "cut.pem"), &["PEM section that is cut off"]),
        ("PEM called JKS", "MTLS", trusting("JKS", "ca.pem"), &["is PEM", "set its type to PEM"]),
        ("JKS called PEM", "MTLS", trusting("PEM", "trust.jks"), &["is a JKS store, not PEM"]),
        ("PKCS#12 called PEM", "MTLS", trusting("PEM", "trust-keytool.p12"), &["is a PKCS#12 store, not PEM"]),
        ("DER called PEM", "MTLS", trusting("PEM", "ca.der"), &["one certificate in DER form"]),
        ("no key", "MTLS", with_key("JKS", "trust.jks"), &["trust.jks holds no private key"]),
        ("no key, PEM", "MTLS", with_key("PEM", "ca.pem"), &["ca.pem holds no private key"]),
    ]);
}
