//! Amounts of bytes and rates of them: parsed from `3.4TB`, `50MB/s`, `50MiB/s`, and shown for people.
//!
//! Decimal and binary units are not the same, and a bare number is no rate: people meant MB and set bytes. Units of bits
//! (`Mb`, `Mbit`, `Gbps`) are refused with as many bytes as a hint: networks are sold in bits, and Kafka counts bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The highest number that Kafka's configs and sizes take: they are signed.
const KAFKA_MAX: u64 = i64::MAX as u64;

/// The same, for messages.
const BYTES_MAX: &str = "9223.3 PB";

/// A number of bytes, 0 and up; shown with decimal units, three digits at least: `52.9 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The amount for calculations.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 bytes nobody counts single ones")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
        let mut unit = 0;
        let mut scale = 1_u64;
        while unit + 1 < UNITS.len() && self.0 / scale >= 1000 {
            scale *= 1000;
            unit += 1;
        }
        if unit == 0 {
            return f.pad(&format!("{} B", self.0));
        }
        let tenths = u128::from(self.0) * 10 / u128::from(scale);
        f.pad(&format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]))
    }
}

impl FromStr for Bytes {
    type Err = String;

    /// Reads `512MiB`, `3.4TB`, `100 B`. A unit is needed, except for 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(Bits { of, as_bytes, if_bytes }) = bits(text) {
            return Err(format!(
                "`{of}` is bits: write `{as_bytes}` for as many bytes, or `{if_bytes}` if bytes are meant"
            ));
        }
        let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) if size.as_u64() > KAFKA_MAX => {
                Err(format!("`{text}` is more than Kafka can count ({BYTES_MAX})"))
            }
            Ok(size) if has_unit || size.as_u64() == 0 => Ok(Self(size.as_u64())),
            Ok(_) => Err(format!("`{text}` has no unit: write `{text}GB`, `{text}GiB`, `{text}B`, …")),
            Err(_) => Err(format!("`{text}` is not an amount of bytes: `500MB`, `512MiB`, `3.4TB` are")),
        }
    }
}

/// A number of bytes a second, 0 and up; shown with decimal units: `50.0 MB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteRate(pub u64);

impl ByteRate {
    /// The rate for calculations.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 bytes a second nobody counts single bytes")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64
    }

    /// The rate that a calculation came to, rounded up to whole bytes; what is no rate is 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates, and not a number is 0"
    )]
    pub fn of_f64(bytes_per_second: f64) -> Self {
        Self(bytes_per_second.ceil() as u64)
    }
}

impl ByteRate {
    /// Whether Kafka takes it as a throttle: more than 0, with which nothing is ever copied, and not more than it can count.
    pub fn is_settable(self) -> bool {
        (1..=KAFKA_MAX).contains(&self.0)
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Bytes(self.0)))
    }
}

impl FromStr for ByteRate {
    type Err = String;

    /// Reads `50MB/s`, `50MiB/s`. Bare numbers and amounts without `/s` are refused.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare = text.strip_suffix("/s").or_else(|| text.strip_suffix("ps")).unwrap_or(text);
        if let Some(Bits { as_bytes, if_bytes, .. }) = bits(bare) {
            return Err(format!(
                "`{text}` is bits: write `{as_bytes}/s` for as many bytes, or `{if_bytes}/s` if bytes are meant"
            ));
        }
        let Some(amount) = text.strip_suffix("/s") else {
            return Err(format!("`{text}` is not a rate: `50MB/s` (50,000,000 bytes a second) or `50MiB/s` is"));
        };
        amount.parse::<Bytes>().map(|bytes| Self(bytes.0)).map_err(|error| format!("in the rate `{text}`, {error}"))
    }
}

/// A part of an amount, rounded down. Fractions have a resolution of a millionth; those above a million count as that.
pub fn part_of(amount: u64, fraction: f64) -> u64 {
    let part = u128::from(amount) * u128::from(millionths(fraction)) / 1_000_000;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// A fraction in millionths; not-a-number and negative ones are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a u64 holds")]
pub fn millionths(fraction: f64) -> u64 {
    if fraction.is_nan() { 0 } else { (fraction.clamp(0.0, 1e6) * 1e6).round() as u64 }
}

/// An amount in bits, and what may have been meant.
struct Bits {
    /// As it was given.
    of: String,
    /// As many bytes.
    as_bytes: String,
    /// The same number in bytes.
    if_bytes: String,
}

/// Reads an amount whose unit is one of bits: `400Mb`, `1.5 Gbit`, `100kbits`, `8Mib`. None for any other text.
fn bits(text: &str) -> Option<Bits> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = (text.get(..split)?.trim(), text.get(split..)?);
    let lower = unit.to_ascii_lowercase();
    let is_spelt_out = ["bit", "bits"].iter().any(|word| lower.ends_with(word));
    let prefix = if is_spelt_out { lower.split("bit").next()? } else { lower.strip_suffix('b')? };
    if !is_spelt_out && !unit.ends_with('b') {
        return None;
    }
    let (prefix, binary) = prefix.strip_suffix('i').map_or((prefix, ""), |prefix| (prefix, "i"));
    let base = if binary.is_empty() { 1000.0_f64 } else { 1024.0 };
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == prefix)?;
    let mut amount = number.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount >= 0.0)? / 8.0;
    let mut unit = power;
    while amount > 0.0 && amount < 1.0 && unit > 0 {
        (amount, unit) = (amount * base, unit - 1);
    }
    let in_bytes = |unit: usize| match (unit, binary) {
        (0, _) => "B".to_owned(),
        (1, "") => "kB".to_owned(),
        (unit, _) => format!("{}{binary}B", ["", "K", "M", "G", "T", "P"][unit]),
    };
    let shown = format!("{amount:.3}");
    let shown = shown.trim_end_matches('0').trim_end_matches('.');
    Some(Bits {
        of: text.to_owned(),
        as_bytes: format!("{shown}{}", in_bytes(unit)),
        if_bytes: format!("{number}{}", in_bytes(power)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_amounts_need_their_units() {
        assert_eq!("50MB/s".parse(), Ok(ByteRate(50_000_000)));
        assert_eq!("50MiB/s".parse(), Ok(ByteRate(50 << 20)));
        assert_eq!("3.4TB".parse(), Ok(Bytes(3_400_000_000_000)));
        assert_eq!("0".parse(), Ok(Bytes(0)));
        for wrong in ["50", "50MB", "50/s", "MB/s", "-1MB/s", "50 bananas/s", ""] {
            assert!(wrong.parse::<ByteRate>().is_err(), "{wrong}");
        }
        assert!("50".parse::<Bytes>().unwrap_err().contains("no unit"));
        assert_eq!(ByteRate(50_000_000).to_string(), "50.0 MB/s");
    }

    #[test]
    fn bits_are_refused_with_as_many_bytes_as_a_hint() {
        for (wrong, bytes, if_bytes) in [
            ("400Mb/s", "50MB/s", "400MB/s"),
            ("400Mbit/s", "50MB/s", "400MB/s"),
            ("400 Mbps", "50MB/s", "400MB/s"),
            ("1Gb/s", "125MB/s", "1GB/s"),
            ("10Gbit/s", "1.25GB/s", "10GB/s"),
            ("8Kb/s", "1kB/s", "8kB/s"),
            ("8Mib/s", "1MiB/s", "8MiB/s"),
            ("100mb/s", "12.5MB/s", "100MB/s"),
            ("800bits/s", "100B/s", "800B/s"),
        ] {
            let error = wrong.parse::<ByteRate>().unwrap_err();
            let expected =
                format!("`{wrong}` is bits: write `{bytes}` for as many bytes, or `{if_bytes}` if bytes are meant");
            assert_eq!(error, expected);
        }
        for (wrong, bytes) in [("1Gb", "`125MB`"), ("4 Tbit", "`500GB`"), ("512kb", "`64kB`"), ("16Kib", "`2KiB`")] {
            let error = wrong.parse::<Bytes>().unwrap_err();
            assert!(error.contains("is bits") && error.contains(bytes), "{error}");
        }
        assert_eq!("400MB/s".parse(), Ok(ByteRate(400_000_000)));
        assert_eq!("0B/s".parse(), Ok(ByteRate(0)));
    }

    #[test]
    fn what_kafka_cannot_count_is_refused() {
        for wrong in ["99999999999999MB/s", "9223372036854775808B/s", "1e30GB/s", "100000PB/s"] {
            assert!(wrong.parse::<ByteRate>().is_err(), "{wrong}");
        }
        assert!("99999999999999MB".parse::<Bytes>().unwrap_err().contains("more than Kafka can count"));
        assert!("9000PB/s".parse::<ByteRate>().unwrap().is_settable() && !ByteRate(0).is_settable());
        assert!(!ByteRate(u64::MAX).is_settable());
    }

    #[test]
    fn bytes_are_shown_with_decimal_units() {
        let shown: Vec<_> = [0, 999, 1_000, 52_940_623, u64::MAX].iter().map(|n| Bytes(*n).to_string()).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "52.9 MB", "18446.7 PB"]);
    }
}
