//! JKS, Java's own form: a list of keys and certificates under a SHA-1 digest that is keyed with the password.
//!
//! All numbers are big-endian. A key is hidden by XOR with a stream of SHA-1 digests of password and salt: the form is
//! what it is, and this reader only reads.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use sha1::Digest;
use sha1::Sha1;

use crate::clients::kafka::stores::Passwords;
use crate::clients::kafka::stores::Store;
use crate::clients::kafka::stores::WRONG_PASSWORD;
use crate::clients::kafka::stores::Wrong;

const DIGEST_BYTES: usize = 20;
/// What Sun's engineers put between password and content.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// Object identifier of the key protection, 1.3.6.1.4.1.42.2.17.1.1, in DER.
const PROTECTION: &[u8] = &[0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01];
const KEY_ENTRY: u32 = 1;
const CERTIFICATE_ENTRY: u32 = 2;

/// Reads the store. Without a password, as in Java, certificates can be read but are not checked.
pub(super) fn read(bytes: &[u8], passwords: Passwords<'_>) -> Result<Store, Wrong> {
    let content = bytes.len().checked_sub(DIGEST_BYTES).ok_or_else(damaged)?;
    let (content, digest) = bytes.split_at(content);
    if let Some(password) = passwords.store {
        let mut hash = Sha1::new_with_prefix(utf16(password));
        hash.update(WHITENER);
        hash.update(content);
        if hash.finalize().as_slice() != digest {
            return Err(Wrong::new(WRONG_PASSWORD, ""));
        }
    }
    let mut rest = Bytes(content);
    let (_magic, version, count) = (rest.number()?, rest.number()?, rest.number()?);
    if !(1..=2).contains(&version) {
        return Err(Wrong::new(format!("is a JKS store of the unknown version {version}"), ""));
    }
    let mut store = Store::default();
    for _ in 0..count {
        let kind = rest.number()?;
        let _alias = rest.text()?;
        let _created = rest.take(8)?;
        match kind {
            KEY_ENTRY => {
                let sealed = rest.block()?;
                let chain = (0..rest.number()?).map(|_| rest.certificate(version)).collect::<Result<Vec<_>, _>>()?;
                if store.key.is_none() {
                    store.key = Some((unseal(sealed, passwords)?, chain));
                }
            }
            CERTIFICATE_ENTRY => store.certificates.push(rest.certificate(version)?),
            _ => return Err(damaged()),
        }
    }
    Ok(store)
}

fn damaged() -> Wrong {
    Wrong::new("is a JKS store, but damaged", "copy it again, in binary mode")
}

/// A Java `char[]` as bytes.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, Wrong> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn text(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.take(2)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        self.take(length)
    }

    fn block(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| damaged())?)
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, Wrong> {
        if version == 2 && self.text()? != b"X.509" {
            return Err(Wrong::new("holds a certificate that is not X.509", ""));
        }
        Ok(CertificateDer::from(self.block()?.to_vec()))
    }

    /// The content of a DER element with this tag.
    fn der(&mut self, tag: u8) -> Result<Bytes<'a>, Wrong> {
        let head = self.take(2)?;
        let length = match head {
            [found, length] if *found == tag && *length < 0x80 => usize::from(*length),
            [found, length] if *found == tag && (0x81..=0x84).contains(length) => {
                self.take(usize::from(length - 0x80))?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
            }
            _ => return Err(damaged()),
        };
        self.take(length).map(Bytes)
    }
}

/// Takes the key out of its protection: salt, hidden key, digest of password and key.
fn unseal(sealed: &[u8], passwords: Passwords<'_>) -> Result<PrivateKeyDer<'static>, Wrong> {
    let Some(password) = passwords.key.or(passwords.store) else {
        return Err(Wrong::new("holds a key that needs a password", "give ssl.keystore.password or ssl.key.password"));
    };
    let mut info = Bytes(sealed).der(0x30)?;
    if !info.der(0x30)?.0.starts_with(PROTECTION) {
        return Err(Wrong::new("holds a key in an unknown protection", "convert it to PKCS12 with keytool"));
    }
    let mut protected = info.der(0x04)?;
    let salt = protected.take(DIGEST_BYTES)?;
    let hidden = protected.take(protected.0.len().checked_sub(DIGEST_BYTES).ok_or_else(damaged)?)?;
    let password = utf16(password);
    let mut mask: Vec<u8> = salt.to_vec();
    let mut key = Vec::with_capacity(hidden.len());
    for chunk in hidden.chunks(DIGEST_BYTES) {
        mask = Sha1::new_with_prefix(&password).chain_update(&mask).finalize().to_vec();
        key.extend(chunk.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
    }
    if Sha1::new_with_prefix(&password).chain_update(&key).finalize().as_slice() != protected.0 {
        let what = "holds a key that does not open: its password is wrong";
        return Err(Wrong::new(what, "it is ssl.key.password, or ssl.keystore.password where they are the same"));
    }
    Ok(PrivateKeyDer::Pkcs8(key.into()))
}
