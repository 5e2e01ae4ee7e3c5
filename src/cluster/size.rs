//! Amounts of bytes and rates of them: parsed from `3.4TB`, `50MB/s`, `50MiB/s`, and shown for people.
//!
//! Decimal and binary units are not the same, and a bare number is no rate: people meant MB and set bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
        let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        match text.parse::<bytesize::ByteSize>() {
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
    fn bytes_are_shown_with_decimal_units() {
        let shown: Vec<_> = [0, 999, 1_000, 52_940_623, u64::MAX].iter().map(|n| Bytes(*n).to_string()).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "52.9 MB", "18446.7 PB"]);
    }
}
