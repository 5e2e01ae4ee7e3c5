//! Amounts and pairs as people write them in flags.

use std::fmt;
use std::str::FromStr;

use crate::cluster::broker::BrokerId;
use crate::cluster::broker::Rack;
use crate::cluster::topic::{TopicName, TopicPartition};

/// A part of something, 0 to 1 and above: written `5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

/// The part of a log dir that may be filled while both copies of a moving replica exist, unless somebody says otherwise.
pub const DISK_LIMIT: Percent = Percent(0.85);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no percentage: `5%`, `0.5%` or `0.05` is");
        let text = text.trim();
        let fraction = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
            // kafka-kit's way. A bare `5` may mean 5 % or five times as much.
            None if text.contains('.') => text.parse::<f64>().map_err(|_| wrong())?,
            None if text == "0" => 0.0,
            None => return Err(format!("{}; a number alone is not clear: write `{text}%`?", wrong())),
        };
        if fraction.is_finite() && fraction >= 0.0 { Ok(Self(fraction)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded: 0.07 × 100 is not 7 in binary.
        write!(f, "{}%", (self.0 * 1e6).round() / 1e4)
    }
}

/// A percentage that is more than 0 and not more than 100.
pub fn part(text: &str) -> Result<Percent, String> {
    match text.parse::<Percent>()? {
        percent if percent.0 > 0.0 && percent.0 <= 1.0 => Ok(percent),
        _ => Err(format!("`{text}` must be more than 0% and at most 100%")),
    }
}

/// A leaving broker and its successor: `1003=1007`, or `1003` where the planner finds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The leaving broker.
    pub from: BrokerId,
    /// Its successor, where one is named.
    pub to: Option<BrokerId>,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if from.trim().is_empty() || to.trim().is_empty() => {
                Err(format!("`{text}` is no pair: `1003=1007` is, or `1003` alone"))
            }
            Some((from, to)) => Ok(Self { from: from.trim().parse()?, to: Some(to.trim().parse()?) }),
            None => Ok(Self { from: text.trim().parse()?, to: None }),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "{}={to}", self.from),
            None => write!(f, "{}", self.from),
        }
    }
}

/// The rack of a broker: `1003=us-east-1a`.
pub fn rack_of(text: &str) -> Result<(BrokerId, Rack), String> {
    match text.split_once('=') {
        Some((broker, rack)) if !rack.trim().is_empty() => Ok((broker.trim().parse()?, Rack(rack.trim().to_owned()))),
        _ => Err(format!("`{text}` does not say the rack of a broker: `1003=us-east-1a` does")),
    }
}

/// One partition: `orders-3`, the topic's name before the last dash.
pub fn partition(text: &str) -> Result<TopicPartition, String> {
    let wrong = || format!("`{text}` is no partition: `orders-3` is partition 3 of topic orders");
    let (topic, number) = text.rsplit_once('-').ok_or_else(wrong)?;
    let number = number.parse::<i32>().ok().filter(|number| *number >= 0).ok_or_else(wrong)?;
    Ok(TopicPartition { topic: TopicName::new(topic).map_err(|error| error.to_string())?, partition: number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_clear_or_refused() {
        let read = |text: &str| text.parse::<Percent>().map(|percent| percent.to_string());
        assert_eq!(read("5%").as_deref(), Ok("5%"));
        assert_eq!(read("0.07").as_deref(), Ok("7%"));
        assert_eq!(read("0.5 %").as_deref(), Ok("0.5%"));
        assert_eq!(read("0").as_deref(), Ok("0%"));
        assert!(read("5").unwrap_err().contains("write `5%`?"));
        for wrong in ["", "%", "-1%", "NaN%", "inf%", "five", "1.2.3"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(part("0%").is_err() && part("101%").is_err() && part("100%").is_ok());
    }

    #[test]
    fn pairs_and_partitions_are_read() {
        assert_eq!("3=7".parse(), Ok(Pair { from: BrokerId(3), to: Some(BrokerId(7)) }));
        assert_eq!("3".parse(), Ok(Pair { from: BrokerId(3), to: None }));
        assert!("3=".parse::<Pair>().is_err() && "=3".parse::<Pair>().is_err());
        assert_eq!(partition("a-b-12").map(|at| at.to_string()).as_deref(), Ok("a-b-12"));
        for wrong in ["a", "a-", "a-b", "-3", "a--3x"] {
            assert!(partition(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rack_of("3=b").map(|(id, rack)| (id.0, rack.0)), Ok((3, "b".into())));
        assert!(rack_of("3=").is_err() && rack_of("b").is_err());
    }
}
