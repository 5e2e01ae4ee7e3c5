//! What a person says about rates: capacities, instance types, parts of the network. Pure; bare numbers are refused.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::formats::json;

/// What the brokers' networks can do: `125MB/s` for all, `1001=1.2GB/s` for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenCapacity {
    /// Whose; none for all that are not named.
    pub broker: Option<BrokerId>,
    /// How much, each way.
    pub rate: ByteRate,
}

impl FromStr for GivenCapacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (broker, rate) = match text.split_once('=') {
            Some((broker, rate)) => (Some(broker.trim().parse()?), rate),
            None => (None, text),
        };
        let rate: ByteRate = rate.parse()?;
        if rate.0 == 0 {
            return Err("a network that can do nothing carries no move".to_owned());
        }
        Ok(Self { broker, rate })
    }
}

/// Part of a network, as `80%`.
pub fn percent(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a part of a network: a percentage from 1% to 100% is");
    let number = text.trim().strip_suffix('%').ok_or_else(wrong)?;
    match number.trim().parse::<f64>() {
        Ok(percent) if (1.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(wrong()),
    }
}

/// A rate above 0: with 0 nothing would ever be copied.
pub fn rate_above_zero(text: &str) -> Result<ByteRate, String> {
    match text.parse::<ByteRate>()? {
        ByteRate(0) => {
            Err("with a rate of 0 nothing is ever copied; `reassign pause` or `cancel` stops moves".to_owned())
        }
        rate => Ok(rate),
    }
}

/// What instance types can do, by `--cap-map`; nothing where it is not given.
pub fn types(text: Option<&str>) -> Result<BTreeMap<String, ByteRate>, String> {
    text.map_or_else(|| Ok(BTreeMap::new()), capacity_map).map_err(|why| format!("--cap-map: {why}"))
}

/// What instance types can do, as JSON: `{"i3.4xlarge": "1.2GB/s"}`.
pub fn capacity_map(text: &str) -> Result<BTreeMap<String, ByteRate>, String> {
    let map: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| {
        format!("it is not a JSON object of instance types and rates: {}", json::words(&error, text))
    })?;
    let rate = |(kind, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(rate) => Ok((kind, rate.parse()?)),
        number => Err(format!("`{kind}` has {number}, which has no unit; kafka-kit means MB: write \"{number}MB/s\"")),
    };
    map.into_iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_read_with_their_units() {
        let desired = |text: &str| text.parse::<GivenCapacity>();
        assert_eq!(desired("125MB/s"), Ok(GivenCapacity { broker: None, rate: ByteRate(125_000_000) }));
        assert_eq!(desired("7=1MiB/s"), Ok(GivenCapacity { broker: Some(BrokerId(7)), rate: ByteRate(1 << 20) }));
        for wrong in ["125", "7=125", "x=1MB/s", "0MB/s", ""] {
            assert!(desired(wrong).is_err(), "{wrong}");
        }
        assert!(capacity_map(r#"{"a": 120}"#).unwrap_err().contains(r#"write "120MB/s""#));
        assert_eq!(capacity_map(r#"{"a": "120MB/s"}"#).unwrap()["a"], ByteRate(120_000_000));
    }

    #[test]
    fn parts_are_percentages() {
        assert_eq!(percent("80%"), Ok(0.8));
        for wrong in ["80", "0.8", "0%", "101%", "x%", "NaN%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert!(rate_above_zero("0MB/s").is_err() && rate_above_zero("50").is_err());
    }
}
