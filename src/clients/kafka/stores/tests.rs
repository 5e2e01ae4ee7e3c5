//! Stores of bytes that were made here: right ones, damaged ones, nonsense. What keytool and openssl write is tested
//! against real brokers.

use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "st0re-S3cret";
const KEY_PASSWORD: &str = "k3y-S3cret";
const SALT: [u8; 20] = [7; 20];

fn passwords(store: Option<&'static str>, key: Option<&'static str>) -> Passwords<'static> {
    Passwords { store, key }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    use sha1::Digest;
    parts.iter().fold(sha1::Sha1::new(), Digest::chain_update).finalize().to_vec()
}

fn block(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [&head, content].concat()
}

/// A key as Sun's protection hides it.
fn seal(key: &[u8], password: &str) -> Vec<u8> {
    let mut mask = SALT.to_vec();
    let mut hidden = Vec::new();
    for chunk in key.chunks(20) {
        mask = sha1(&[&utf16(password), &mask]);
        hidden.extend(chunk.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
    }
    let algorithm = [&[0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01][..], &[5, 0]].concat();
    let protected = [&SALT[..], &hidden, &sha1(&[&utf16(password), key])].concat();
    der(0x30, &[der(0x30, &algorithm), der(0x04, &protected)].concat())
}

/// A store of version 2 with one key, its chain of one, and one trusted certificate.
fn jks(key_password: &str) -> Vec<u8> {
    let certificate = |content: &[u8]| [text("X.509"), block(content)].concat();
    let content = [
        &[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 2][..],
        &[0, 0, 0, 1],
        &text("me"),
        &[0; 8],
        &block(&seal(b"the key, longer than one digest", key_password)),
        &[0, 0, 0, 1],
        &certificate(b"own"),
        &[0, 0, 0, 2],
        &text("ca"),
        &[0; 8],
        &certificate(b"trusted"),
    ]
    .concat();
    let digest = sha1(&[&utf16(PASSWORD), b"Mighty Aphrodite", &content]);
    [content, digest].concat()
}

fn words(result: Result<Store, Wrong>) -> String {
    match result {
        Ok(_) => "it opens".to_owned(),
        Err(wrong) => format!("{} ({})", wrong.what, wrong.hint),
    }
}

#[test]
fn a_jks_store_gives_its_key_chain_and_certificates() {
    for (key_password, given) in [(PASSWORD, None), (KEY_PASSWORD, Some(KEY_PASSWORD))] {
        let store = jks::read(&jks(key_password), passwords(Some(PASSWORD), given)).unwrap();
        let (key, chain) = store.key.unwrap();
        assert_eq!(key.secret_der(), b"the key, longer than one digest");
        assert_eq!(chain[0].as_ref(), b"own");
        assert_eq!(store.certificates[0].as_ref(), b"trusted");
    }
}

#[test]
fn a_wrong_password_of_store_and_of_key_are_told_apart() {
    let bytes = jks(KEY_PASSWORD);
    assert!(
        words(jks::read(&bytes, passwords(Some("wrong"), None))).starts_with("does not open: its password is wrong")
    );
    assert!(words(jks::read(&bytes, passwords(Some(PASSWORD), None))).starts_with("holds a key that does not open"));
    assert!(words(jks::read(&bytes, passwords(None, None))).starts_with("holds a key that needs a password"));
}

#[test]
fn a_jks_store_that_is_cut_anywhere_is_refused() {
    let bytes = jks(PASSWORD);
    for length in 0..bytes.len() {
        for password in [None, Some(PASSWORD)] {
            assert!(jks::read(&bytes[..length], passwords(password, Some(PASSWORD))).is_err(), "{length}");
        }
    }
}

proptest! {
    #[test]
    fn no_store_makes_it_panic_or_shows_its_password(
        magic in prop::sample::select(vec![
            vec![], vec![0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 1], vec![0x30, 0x80], vec![0x30, 0x82, 1, 0, 2, 1, 3],
            b"-----BEGIN PRIVATE KEY-----\n".to_vec(), b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA-----END ".to_vec(),
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec![StoreKind::Pem, StoreKind::Pkcs12, StoreKind::Jks]),
    ) {
        let bytes = [magic, rest].concat();
        let said = words(read(kind, &bytes, passwords(Some(PASSWORD), Some(KEY_PASSWORD))));
        prop_assert!(!said.contains(PASSWORD) && !said.contains(KEY_PASSWORD), "{said}");
    }

    #[test]
    fn a_changed_byte_of_a_jks_store_is_noticed(position in 0..300_usize, change in 1..255_u8) {
        let mut bytes = jks(PASSWORD);
        let position = position % bytes.len();
        bytes[position] ^= change;
        prop_assert!(jks::read(&bytes, passwords(Some(PASSWORD), None)).is_err());
    }

    #[test]
    fn no_text_makes_the_pem_reader_panic_or_shows_its_content(body in "[A-Za-z0-9+/=\n -]{0,80}") {
        for text in [body.clone(), format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----")] {
            let said = words(pem::read(&text, Some(KEY_PASSWORD)));
            prop_assert!(body.trim().len() < 12 || !said.contains(body.trim()), "{said}");
        }
    }
}
