//! PEM: certificates and a private key, plain or encrypted, in any order and among other text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;

use crate::clients::kafka::stores::Store;
use crate::clients::kafka::stores::Wrong;

/// Most iterations of PBKDF2 for one password; openssl takes 2,048 unless told otherwise, current advice is 600,000.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Most memory of scrypt for one password; openssl's takes 16 MiB.
const SCRYPT_BYTES_MAX: u64 = 64 << 20;

/// How often scrypt may do that.
const SCRYPT_PARALLEL_MAX: u16 = 16;

/// Reads every section. Where there is a key, the certificates are its chain, in the order of the text.
pub(super) fn read(text: &str, key_password: Option<&str>) -> Result<Store, Wrong> {
    let mut store = Store::default();
    let mut key = None;
    for (number, section) in (1..).zip(sections(text)?) {
        let der = |what: &str| {
            section.der().ok_or_else(|| {
                Wrong::new(format!("has a {what} whose base64 is damaged (section {number})"), "copy it again, whole")
            })
        };
        let found = match section.label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                let der = der("certificate")?;
                if x509_parser::parse_x509_certificate(&der).is_err() {
                    return Err(Wrong::new(
                        format!("has a certificate that can't be read (section {number})"),
                        "copy it again, whole",
                    ));
                }
                store.certificates.push(CertificateDer::from(der));
                continue;
            }
            _ if section.is_encrypted_in_the_old_way() => {
                return Err(Wrong::new(
                    "has a private key that is encrypted in OpenSSL's old way",
                    "convert it: openssl pkcs8 -topk8 -in FILE -out key.pem",
                ));
            }
            "ENCRYPTED PRIVATE KEY" => decrypt(&der("private key")?, key_password)?,
            "PRIVATE KEY" => PrivateKeyDer::Pkcs8(der("private key")?.into()),
            "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der("private key")?.into()),
            "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der("private key")?.into()),
            _ => continue,
        };
        if key.replace(found).is_some() {
            return Err(Wrong::new("has more than one private key", "keep one"));
        }
    }
    store.key = key.map(|key| (key, std::mem::take(&mut store.certificates)));
    Ok(store)
}

/// Decrypts PKCS#8 (PBES2; older schemes too).
fn decrypt(der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, Wrong> {
    let Some(password) = password else {
        return Err(Wrong::new("has an encrypted private key", "give its password in ssl.key.password"));
    };
    let scheme = || {
        Wrong::new(
            "has a private key in an encryption that is not supported",
            "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out key.pem",
        )
    };
    let sealed = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| scheme())?;
    if !is_affordable(&sealed.encryption_algorithm) {
        return Err(Wrong::new(
            format!(
                "has a private key whose password takes more than {ITERATIONS_MAX} iterations, or more than {} MiB, to try",
                SCRYPT_BYTES_MAX >> 20
            ),
            "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 100000 -in FILE -out key.pem",
        ));
    }
    match sealed.decrypt(password) {
        Ok(key) => Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into())),
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. })) => Err(scheme()),
        Err(_) => Err(Wrong::new(
            "has a private key that does not open: its password is wrong, or it is damaged",
            "the password is ssl.key.password",
        )),
    }
}

/// Whether a password can be tried in some seconds and little memory: the file says how much work that is.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    // The iterations of older schemes are a number of two bytes.
    let EncryptionScheme::Pbes2(parameters) = scheme else { return true };
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= ITERATIONS_MAX,
        Kdf::Scrypt(scrypt) => {
            let bytes = u64::from(scrypt.block_size).saturating_mul(128).saturating_mul(scrypt.cost_parameter);
            bytes <= SCRYPT_BYTES_MAX && scrypt.parallelization <= SCRYPT_PARALLEL_MAX
        }
        _ => false,
    }
}

struct Section<'a> {
    label: &'a str,
    body: &'a str,
}

impl Section<'_> {
    fn der(&self) -> Option<Vec<u8>> {
        let packed: String = self.body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        STANDARD.decode(packed).ok().filter(|der| !der.is_empty())
    }

    fn is_encrypted_in_the_old_way(&self) -> bool {
        self.body.contains("Proc-Type:")
    }
}

/// Cuts a text into sections. White space alone separates: a text on one line, as properties may hold it, is fine.
fn sections(text: &str) -> Result<Vec<Section<'_>>, Wrong> {
    let mut sections = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let cut = || Wrong::new("has a PEM section that is cut off", "copy it again, from -----BEGIN to -----END");
        let (label, after) = after.split_once("-----").ok_or_else(cut)?;
        let (body, after) = after.split_once("-----END ").ok_or_else(cut)?;
        sections.push(Section { label: label.trim(), body });
        rest = after.split_once("-----").ok_or_else(cut)?.1;
    }
    if sections.is_empty() {
        return Err(Wrong::new("has no PEM section", "it should have -----BEGIN CERTIFICATE-----"));
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5::pbes2::Parameters;
    use pkcs8::pkcs5::pbes2::Pbkdf2Params;
    use pkcs8::pkcs5::pbes2::ScryptParams;

    use super::*;

    #[test]
    fn a_password_that_costs_minutes_or_gigabytes_is_not_tried() {
        let scheme = |kdf: Kdf| {
            let mut parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(2_048, &[1; 8], [2; 16]).unwrap();
            parameters.kdf = kdf;
            EncryptionScheme::Pbes2(parameters)
        };
        let pbkdf2 = |iterations| {
            let mut parameters = Pbkdf2Params::hmac_sha256(2_048, &[1; 8]).unwrap();
            parameters.iteration_count = iterations;
            is_affordable(&scheme(Kdf::Pbkdf2(parameters)))
        };
        assert!(pbkdf2(2_048) && pbkdf2(10_000_000));
        assert!(!pbkdf2(10_000_001) && !pbkdf2(u32::MAX));
        let scrypt = |cost_parameter, block_size, parallelization| {
            let salt = Pbkdf2Params::hmac_sha256(1, &[1; 8]).unwrap().salt;
            let parameters = ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None };
            is_affordable(&scheme(Kdf::Scrypt(parameters)))
        };
        assert!(scrypt(16_384, 8, 1) && scrypt(65_536, 8, 16));
        assert!(!scrypt(1 << 20, 8, 1) && !scrypt(2, u16::MAX, 1_000) && !scrypt(u64::MAX, u16::MAX, 1));
    }
}
