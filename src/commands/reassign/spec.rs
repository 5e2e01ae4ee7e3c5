//! What is asked for beside the moves themselves: the hours in which moves may begin, and whom a cancel concerns.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::civil::Time;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;

/// Hours of the day in which moves may begin; the end may lie after midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    from: Time,
    to: Time,
}

impl Window {
    /// Whether moves may begin at this time of the day.
    pub(super) fn is_open(&self, time: Time) -> bool {
        if self.from <= self.to { (self.from..self.to).contains(&time) } else { time >= self.from || time < self.to }
    }
}

impl FromStr for Window {
    type Err = String;

    /// Reads `22:00-06:00`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no window of the day; `22:00-06:00` is");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| wrong());
        let window = Self { from: time(from)?, to: time(to)? };
        if window.from == window.to {
            return Err(format!("the window `{text}` is empty"));
        }
        Ok(window)
    }
}

/// Whom a cancel concerns; nobody named means everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Moves of these topics.
    pub topics: BTreeSet<TopicName>,
    /// Moves that add to or take from these brokers.
    pub brokers: BTreeSet<BrokerId>,
}

impl Selection {
    /// Whether it is everyone.
    pub fn is_all(&self) -> bool {
        self.topics.is_empty() && self.brokers.is_empty()
    }

    /// Whether it concerns this move.
    pub fn has(&self, one: &PartitionMove) -> bool {
        let of_broker = || one.adding().chain(one.removing()).any(|broker| self.brokers.contains(&broker));
        self.is_all() || self.topics.contains(&one.partition.topic) || of_broker()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::topic::TopicPartition;

    #[test]
    fn a_window_may_go_past_midnight() {
        let window: Window = "22:00-06:00".parse().unwrap();
        let open = |text: &str| window.is_open(Time::strptime("%H:%M", text).unwrap());
        assert_eq!(["21:59", "22:00", "00:00", "05:59", "06:00"].map(open), [false, true, true, true, false]);
        let day: Window = "09:30-17:00".parse().unwrap();
        assert!(day.is_open(Time::constant(9, 30, 0, 0)) && !day.is_open(Time::constant(17, 0, 0, 0)));
        for wrong in ["", "22-06", "22:00", "25:00-06:00", "22:00-22:00", "22:00-06:00-07:00"] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_selection_names_topics_or_brokers_whose_copies_come_or_go() {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let topic = TopicName::new("orders").unwrap();
        let one = PartitionMove {
            partition: TopicPartition { topic: topic.clone(), partition: 0 },
            from: ids(&[1, 2]),
            to: ids(&[2, 3]),
            bytes: 0,
        };
        let brokers =
            |ids: &[i32]| Selection { brokers: ids.iter().copied().map(BrokerId).collect(), ..<_>::default() };
        assert!(Selection::default().has(&one) && brokers(&[1]).has(&one) && brokers(&[3, 9]).has(&one));
        assert!(!brokers(&[2]).has(&one), "broker 2 keeps its copy");
        assert!(Selection { topics: BTreeSet::from([topic]), ..<_>::default() }.has(&one));
    }
}
