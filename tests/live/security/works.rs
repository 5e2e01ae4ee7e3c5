//! What works: every mechanism with every trust store, every key store, versions, cipher suites, host names.

use crate::live::security::bed::{Bed, KINDS, PASSWORD, SCRAM_PASSWORD, bed, jaas, keys, with_password, with_token};
use crate::live::security::stores::{KEY_PASSWORD, STORE_PASSWORD, inline};

/// Runs a check on a broker of each kind, and tells of all that fail.
fn on_every_kind(check: impl Fn(&Bed) -> Vec<(String, Result<(), String>)>) {
    let mut failures = Vec::new();
    for kind in KINDS {
        let bed = bed(kind);
        let results = check(bed).into_iter().filter_map(|(what, result)| Some((what, result.err()?)));
        failures.extend(results.map(|(what, error)| format!("{}: {what}: {error}", bed.name())));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Properties for each form of trust store.
fn trusts() -> Vec<(&'static str, String)> {
    let stores = &keys().stores;
    let inline = inline("ssl.truststore.certificates", &keys().authority.certificate);
    vec![
        ("PEM", stores.trusting("PEM", "ca.pem")),
        ("PEM in the properties", format!("ssl.truststore.type=PEM\n{inline}")),
        ("PKCS#12 of openssl", stores.trusting("PKCS12", "trust-openssl.p12")),
        ("PKCS#12 of keytool", stores.trusting("PKCS12", "trust-keytool.p12")),
        ("JKS", stores.trusting("JKS", "trust.jks")),
        ("PKCS#12 called JKS, as Java takes it", stores.trusting("JKS", "trust-keytool.p12")),
        ("JKS without a password", format!("ssl.truststore.location={}\n", stores.path("trust.jks").display())),
    ]
}

/// Properties for each form of key store.
fn identities() -> Vec<(&'static str, String)> {
    let stores = &keys().stores;
    let key_password = format!("ssl.key.password={KEY_PASSWORD}\n");
    let chain = inline("ssl.keystore.certificate.chain", &keys().client.certificate);
    let plain = inline("ssl.keystore.key", &keys().client.key);
    let sealed = inline("ssl.keystore.key", &std::fs::read_to_string(stores.path("sealed.key")).unwrap());
    vec![
        ("PEM", stores.showing("PEM", "client.pem")),
        ("PEM, AES", stores.showing("PEM", "sealed.pem") + &key_password),
        ("PEM, 3DES", stores.showing("PEM", "sealed-des.pem") + &key_password),
        ("PEM in the properties", format!("ssl.keystore.type=PEM\n{chain}{plain}")),
        ("PEM in the properties, AES", format!("ssl.keystore.type=PEM\n{chain}{sealed}{key_password}")),
        ("PKCS#12 of openssl", stores.showing("PKCS12", "key-openssl.p12")),
        ("PKCS#12 of openssl, the old way", stores.showing("PKCS12", "key-old.p12")),
        ("PKCS#12 of keytool", stores.showing("PKCS12", "key-keytool.p12")),
        ("JKS", stores.showing("JKS", "key.jks")),
        ("JKS, key apart", stores.showing("JKS", "key-apart.jks") + &key_password),
    ]
}

#[test]
fn every_mechanism_works_with_every_trust_store() {
    let mechanisms = [
        ("PLAIN", with_password("PLAIN", "bob", PASSWORD)),
        ("SCRAM-SHA-256", with_password("SCRAM-SHA-256", "ada", SCRAM_PASSWORD)),
        ("SCRAM-SHA-512", with_password("SCRAM-SHA-512", "ada", SCRAM_PASSWORD)),
        ("OAUTHBEARER", with_token("unsecuredLoginStringClaim_sub=\"eve\" extension_traceId=\"7\"")),
    ];
    on_every_kind(|bed| {
        let cases =
            trusts().into_iter().flat_map(|trust| mechanisms.iter().map(move |mechanism| (trust.clone(), mechanism)));
        cases
            .map(|((form, trust), (mechanism, properties))| {
                (format!("{mechanism}, {form}"), bed.ask("SASL", &format!("{properties}{trust}")))
            })
            .collect()
    });
}

#[test]
fn every_key_store_works_where_client_certificates_are_required() {
    on_every_kind(|bed| {
        let trust = keys().stores.trusting("PEM", "ca.pem");
        identities()
            .into_iter()
            .map(|(form, identity)| {
                (form.to_owned(), bed.ask("MTLS", &format!("security.protocol=SSL\n{trust}{identity}")))
            })
            .collect()
    });
}

#[test]
fn versions_and_cipher_suites_are_those_that_were_asked_for() {
    on_every_kind(|bed| {
        let base = keys().stores.trusting("PEM", "ca.pem") + &with_password("PLAIN", "bob", PASSWORD);
        let ask = |more: &str| (more.to_owned(), bed.ask("SASL", &format!("{base}{more}\n")));
        vec![
            ask("ssl.enabled.protocols=TLSv1.2"),
            ask("ssl.enabled.protocols=TLSv1.3"),
            ask("ssl.enabled.protocols=TLSv1.2,TLSv1.3,TLSv1"),
            ask("ssl.protocol=TLSv1.2"),
            ask("ssl.cipher.suites=TLS_AES_256_GCM_SHA384"),
            ask("ssl.cipher.suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_UNKNOWN"),
        ]
    });
}

#[test]
fn sasl_without_tls_and_no_security_at_all_work_too() {
    on_every_kind(|bed| {
        let scram = jaas("scram.ScramLoginModule", "ada", SCRAM_PASSWORD);
        let open = format!("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n{scram}");
        vec![("SASL_PLAINTEXT".to_owned(), bed.ask("OPEN", &open)), ("PLAINTEXT".to_owned(), bed.ask("PLAINTEXT", ""))]
    });
}

#[test]
fn a_host_is_found_by_each_name_of_its_certificate_and_by_any_where_the_check_is_off() {
    on_every_kind(|bed| {
        let trust = format!("security.protocol=SSL\n{}", keys().stores.trusting("PEM", "ca.pem"));
        let unchecked = format!("{trust}ssl.endpoint.identification.algorithm=\n");
        let sasl = keys().stores.trusting("PEM", "ca.pem") + &with_password("PLAIN", "bob", PASSWORD);
        vec![
            ("by number".to_owned(), bed.ask_as("SASL", "127.0.0.1", &sasl)),
            ("by name".to_owned(), bed.ask_as("SASL", "localhost", &sasl)),
            ("unchecked".to_owned(), bed.ask("ELSEWHERE", &unchecked)),
            ("unchecked, no names".to_owned(), bed.ask("NAMELESS", &unchecked)),
        ]
    });
}

#[test]
fn a_self_signed_certificate_is_believed_where_the_trust_store_holds_it() {
    let path = keys().stores.write("loner.pem", &keys().loner.certificate);
    on_every_kind(|bed| {
        let trust =
            format!("security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={}\n", path.display());
        vec![("self-signed".to_owned(), bed.ask("LONER", &trust))]
    });
}

#[test]
fn secrets_from_files_and_folders_are_used() {
    let stores = &keys().stores;
    let file = stores.write("secrets.properties", &format!("scram={SCRAM_PASSWORD}\nstore={STORE_PASSWORD}\n"));
    let folder = stores.folder().join("mounted");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("password"), format!("{SCRAM_PASSWORD}\n")).unwrap();
    on_every_kind(|bed| {
        let trust = format!(
            "ssl.truststore.location={}\nssl.truststore.password=${{file:{}:store}}\n",
            stores.path("trust.jks").display(),
            file.display()
        );
        [format!("${{file:{}:scram}}", file.display()), format!("${{dir:{}:password}}", folder.display())]
            .map(|password| {
                let properties = with_password("SCRAM-SHA-512", "ada", &password) + &trust;
                (password, bed.ask("SASL", &properties))
            })
            .into()
    });
}
