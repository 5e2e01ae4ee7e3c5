//! Texts packed by `gzip`: told by their first bytes, unpacked up to a limit.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

/// Most bytes that an unpacked text may have.
pub const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// The first bytes of every gzip file (RFC 1952, 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a packed text can't be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// It is damaged, or not complete.
    #[error("it is not a complete gzip file: {0}")]
    Damaged(String),
    /// It would become too long.
    #[error("unpacked it is longer than {} MiB, the most that is read", UNPACKED_BYTES_MAX >> 20)]
    TooLong,
}

/// Whether these are the bytes of a gzip file.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The text of a gzip file; other bytes as they are. No more than [`UNPACKED_BYTES_MAX`] are unpacked.
pub fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, GzipError> {
    if !is_packed(&bytes) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    let most = UNPACKED_BYTES_MAX as u64 + 1;
    let read = MultiGzDecoder::new(bytes.as_slice()).take(most).read_to_end(&mut text);
    read.map_err(|error| GzipError::Damaged(error.to_string()))?;
    if text.len() > UNPACKED_BYTES_MAX {
        return Err(GzipError::TooLong);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(parts: &[&[u8]]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        for part in parts {
            packer.write_all(part).unwrap();
        }
        packer.finish().unwrap()
    }

    #[test]
    fn a_packed_text_is_unpacked_and_any_other_stays_as_it_is() {
        let two_members = [packed(&[b"{\"a\":"]), packed(&[b"1}"])].concat();
        assert_eq!(unpacked(two_members).unwrap(), b"{\"a\":1}");
        for text in [&b"{}"[..], b"", b"\x1f", b"\x8b\x1f"] {
            assert_eq!(unpacked(text.to_vec()).unwrap(), text);
        }
    }

    #[test]
    fn a_cut_damaged_or_foreign_file_is_an_error() {
        let whole = packed(&[b"{\"version\": 1}"]);
        for length in 2..whole.len() {
            assert!(matches!(unpacked(whole[..length].to_vec()), Err(GzipError::Damaged(_))), "{length} bytes");
        }
        let mut damaged = whole.clone();
        damaged[14] ^= 0xff;
        assert!(unpacked(damaged).is_err());
        assert!(unpacked([&whole[..], b"more"].concat()).is_err());
    }

    #[test]
    fn a_few_bytes_that_become_gigabytes_are_refused_at_the_limit() {
        let zeros = vec![0; 1 << 20];
        let bomb = packed(&vec![zeros.as_slice(); 65]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(unpacked(bomb), Err(GzipError::TooLong));
    }
}
