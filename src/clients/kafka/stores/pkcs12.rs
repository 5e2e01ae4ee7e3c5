//! PKCS#12, as keytool and openssl write it.

use p12_keystore::CertificateBag;
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;

use crate::clients::kafka::stores::Store;
use crate::clients::kafka::stores::WRONG_PASSWORD;
use crate::clients::kafka::stores::Wrong;

/// Longest chain that is followed.
const CHAIN_MAX: usize = 16;

/// Reads the store. Without a password the empty one is tried.
pub(super) fn read(bytes: &[u8], password: Option<&str>) -> Result<Store, Wrong> {
    let archive =
        Pkcs12Archive::from_pkcs12(bytes, password.unwrap_or_default()).map_err(|error| wrong(&error, password))?;
    let certificate = |bag: &CertificateBag| CertificateDer::from(bag.cert.as_der().to_vec());
    let Some(key) = archive.keys.first() else {
        return Ok(Store { certificates: archive.certs.iter().map(certificate).collect(), key: None });
    };
    let id = key.local_key_id.as_ref().map(AsRef::as_ref);
    let own = archive.certs.iter().find(|bag| id.is_some() && bag.local_key_id.as_deref() == id);
    let own = own.or_else(|| archive.certs.iter().find(|bag| !bag.trusted));
    let mut chain: Vec<&CertificateBag> = own.into_iter().collect();
    while let Some(last) = chain.last()
        && last.cert.issuer() != last.cert.subject()
        && chain.len() < CHAIN_MAX
        && let Some(issuer) = archive.certs.iter().find(|bag| bag.cert.subject() == last.cert.issuer())
        && !chain.contains(&issuer)
    {
        chain.push(issuer);
    }
    let key = PrivateKeyDer::Pkcs8(key.key.as_der().to_vec().into());
    let trusted = archive.certs.iter().filter(|bag| bag.trusted).map(certificate).collect();
    Ok(Store { certificates: trusted, key: Some((key, chain.into_iter().map(certificate).collect())) })
}

fn wrong(error: &Error, password: Option<&str>) -> Wrong {
    match error {
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError if password.is_none() => {
            Wrong::new("needs a password", "give ssl.truststore.password or ssl.keystore.password")
        }
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError => Wrong::new(WRONG_PASSWORD, ""),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => Wrong::new(
            "is encrypted in a way that is not supported",
            "write it anew: keytool -importkeystore -deststoretype PKCS12 …",
        ),
        _ => Wrong::new("is not a PKCS#12 store, or it is damaged", "is it the right file?"),
    }
}
