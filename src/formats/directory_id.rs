//! Kafka's ids as texts (`Uuid.toString`): 16 bytes in base64url without padding, as `directory.id` of meta.properties.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Reads an id of 22 characters.
pub fn directory_id(text: &str) -> Result<Uuid, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok());
    bytes.ok_or_else(|| "a directory id has 22 characters of A-Z a-z 0-9 - _, as meta.properties has it".to_owned())
}

/// Writes an id as Kafka does, with 22 characters.
pub fn shown(id: &Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_kafka_writes_it() {
        let id = directory_id(" AAECAwQFBgcICQoLDA0ODw\n").unwrap();
        assert_eq!(id.as_bytes(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(shown(&id), "AAECAwQFBgcICQoLDA0ODw");
        for wrong in ["", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0OD+"] {
            assert!(directory_id(wrong).is_err(), "{wrong}");
        }
    }
}
