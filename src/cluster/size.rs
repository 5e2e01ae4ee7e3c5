//! Amounts of bytes, shown for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes, 0 and up; shown with decimal units, three digits at least: `52.9 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_decimal_units() {
        let shown: Vec<_> = [0, 999, 1_000, 52_940_623, u64::MAX].iter().map(|n| Bytes(*n).to_string()).collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "52.9 MB", "18446.7 PB"]);
    }
}
