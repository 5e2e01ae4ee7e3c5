//! The `ssl.*` keys, under the rules of Kafka's own `DefaultSslEngineFactory`.

use std::path::PathBuf;

use crate::clients::kafka::settings::CipherSuites;
use crate::clients::kafka::settings::Identity;
use crate::clients::kafka::settings::Source;
use crate::clients::kafka::settings::StoreKind;
use crate::clients::kafka::settings::TlsSettings;
use crate::clients::kafka::settings::TlsVersions;
use crate::clients::kafka::settings::reader::Reader;

/// Reads all of them.
pub(super) fn read(reader: &mut Reader) -> TlsSettings {
    check_algorithms(reader);
    TlsSettings {
        trust: trust(reader),
        identity: identity(reader),
        checks_host_name: checks_host_name(reader),
        versions: versions(reader),
        cipher_suites: cipher_suites(reader),
    }
}

/// Whom to believe.
pub(super) fn trust(reader: &mut Reader) -> Option<Source> {
    let kind = kind(reader, "ssl.truststore.type");
    if let Some(value) = reader.get("ssl.truststore.certificates") {
        let (place, both) = (value.place(), reader.get("ssl.truststore.location").is_some());
        if both {
            reader.fault(
                place,
                "`ssl.truststore.certificates` and `ssl.truststore.location` are both given",
                "keep one",
            );
            return None;
        }
        if kind != Some(StoreKind::Pem) {
            reader.fault(place, "`ssl.truststore.certificates` works with PEM only", "add ssl.truststore.type=PEM");
            return None;
        }
        refuse_pem_password(reader, "ssl.truststore.password");
        let certificates = reader.secret("ssl.truststore.certificates")?;
        return Some(Source::Inline { certificates, key: None, place });
    }
    let Some(location) = reader.get("ssl.truststore.location") else {
        refuse_lonely(reader, "ssl.truststore.password", "ssl.truststore.location");
        return None;
    };
    let (path, place, kind) = (PathBuf::from(&location.text), location.place(), kind?);
    if kind == StoreKind::Pem {
        refuse_pem_password(reader, "ssl.truststore.password");
    }
    Some(Source::File { kind, path, password: reader.secret("ssl.truststore.password"), place })
}

fn identity(reader: &mut Reader) -> Option<Identity> {
    let kind = kind(reader, "ssl.keystore.type");
    let key_password = reader.secret("ssl.key.password");
    let (has_key, has_chain) =
        (reader.get("ssl.keystore.key").is_some(), reader.get("ssl.keystore.certificate.chain").is_some());
    if has_key || has_chain {
        let source = inline_identity(reader, kind, (has_key, has_chain))?;
        return Some(Identity { source, key_password });
    }
    let Some(location) = reader.get("ssl.keystore.location") else {
        refuse_lonely(reader, "ssl.keystore.password", "ssl.keystore.location");
        refuse_lonely(reader, "ssl.key.password", "ssl.keystore.location");
        return None;
    };
    let (path, place, kind) = (PathBuf::from(&location.text), location.place(), kind?);
    let password = reader.secret("ssl.keystore.password");
    if kind == StoreKind::Pem {
        refuse_pem_password(reader, "ssl.keystore.password");
    } else if password.is_none() {
        reader.fault(place, "`ssl.keystore.location` is given without `ssl.keystore.password`", "add the password");
        return None;
    }
    Some(Identity { source: Source::File { kind, path, password, place }, key_password })
}

fn inline_identity(reader: &mut Reader, kind: Option<StoreKind>, (has_key, has_chain): (bool, bool)) -> Option<Source> {
    let present = if has_key { "ssl.keystore.key" } else { "ssl.keystore.certificate.chain" };
    let place = reader.get(present)?.place();
    if !(has_key && has_chain) {
        let missing = if has_key { "ssl.keystore.certificate.chain" } else { "ssl.keystore.key" };
        reader.fault(place, format!("`{present}` is given without `{missing}`"), "PEM texts need both");
        return None;
    }
    if reader.get("ssl.keystore.location").is_some() {
        reader.fault(place, "`ssl.keystore.key` and `ssl.keystore.location` are both given", "keep one");
        return None;
    }
    if kind != Some(StoreKind::Pem) {
        reader.fault(place, "`ssl.keystore.key` works with PEM only", "add ssl.keystore.type=PEM");
        return None;
    }
    refuse_pem_password(reader, "ssl.keystore.password");
    let certificates = reader.secret("ssl.keystore.certificate.chain")?;
    Some(Source::Inline { certificates, key: reader.secret("ssl.keystore.key"), place })
}

/// The form of a store; Java's default is JKS. None after a fault.
fn kind(reader: &mut Reader, key: &str) -> Option<StoreKind> {
    let Some(value) = reader.get(key) else { return Some(StoreKind::Jks) };
    match value.text.to_uppercase().as_str() {
        "JKS" => Some(StoreKind::Jks),
        "PKCS12" => Some(StoreKind::Pkcs12),
        "PEM" => Some(StoreKind::Pem),
        _ => {
            let place = value.place();
            reader.fault(place, format!("`{key}` is none of the supported ones"), "one of PEM, PKCS12, JKS");
            None
        }
    }
}

fn refuse_pem_password(reader: &mut Reader, key: &str) {
    if let Some(value) = reader.get(key) {
        let place = value.place();
        let hint = "remove it; the password of an encrypted PEM key is ssl.key.password";
        reader.fault(place, format!("`{key}` is given for a PEM store, which has none"), hint);
    }
}

fn refuse_lonely(reader: &mut Reader, key: &str, location: &str) {
    if let Some(value) = reader.get(key) {
        let place = value.place();
        reader.fault(place, format!("`{key}` is given without `{location}`"), "add the store's location, or remove it");
    }
}

fn checks_host_name(reader: &mut Reader) -> bool {
    let key = "ssl.endpoint.identification.algorithm";
    let Some(value) = reader.get_even_empty(key) else { return true };
    let (place, text) = (value.place(), value.text.to_lowercase());
    match text.as_str() {
        "https" => true,
        "" => {
            let what = "host names in certificates are not checked: any host with a certificate of a trusted CA can pose as a broker";
            reader.warn_with(place, what.to_owned(), "remove the empty ssl.endpoint.identification.algorithm");
            false
        }
        _ => {
            reader.fault(
                place,
                format!("`{key}` is neither https nor empty"),
                "https checks host names; leave the key out",
            );
            true
        }
    }
}

/// The versions of `ssl.enabled.protocols`; where it is not given, those that `ssl.protocol` allows.
fn versions(reader: &mut Reader) -> TlsVersions {
    let mut versions = TlsVersions { v1_2: false, v1_3: false };
    let only_1_2 = reader.get("ssl.protocol").is_some_and(|value| value.text == "TLSv1.2");
    let protocol = reader.get("ssl.protocol").map(|value| (value.text.clone(), value.place()));
    if let Some((text, place)) = protocol
        && !["TLS", "TLSv1.2", "TLSv1.3"].contains(&text.as_str())
    {
        reader.fault(place, "`ssl.protocol` is not supported", VERSIONS);
    }
    let Some(enabled) = reader.get("ssl.enabled.protocols") else {
        return TlsVersions { v1_2: true, v1_3: !only_1_2 };
    };
    let (place, names) = (enabled.place(), enabled.text.clone());
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "TLSv1.2" => versions.v1_2 = true,
            "TLSv1.3" => versions.v1_3 = true,
            "TLSv1" | "TLSv1.1" | "SSLv3" => {
                reader.warn_with(place.clone(), format!("{name} is not spoken: it is broken"), VERSIONS);
            }
            _ => reader.fault(place.clone(), "`ssl.enabled.protocols` names an unknown version", VERSIONS),
        }
    }
    if !versions.v1_2 && !versions.v1_3 {
        reader.fault(place, "`ssl.enabled.protocols` leaves no version that can be spoken", VERSIONS);
    }
    versions
}

const VERSIONS: &str = "TLSv1.2 and TLSv1.3 are supported";

fn cipher_suites(reader: &Reader) -> Option<CipherSuites> {
    let value = reader.get("ssl.cipher.suites")?;
    let names = value.text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(CipherSuites { names, place: value.place() })
}

/// Java's factory names: only those that mean what is done anyway.
fn check_algorithms(reader: &mut Reader) {
    for key in ["ssl.trustmanager.algorithm", "ssl.keymanager.algorithm"] {
        let Some(value) = reader.get(key) else { continue };
        let place = value.place();
        if !["PKIX", "SunX509", "NewSunX509", "X509"].contains(&value.text.as_str()) {
            reader.fault(place, format!("`{key}` names a Java class that can't be loaded"), "remove it");
        }
    }
}
