//! Leadership that goes back, without I/O: which partitions a restarted broker is to lead again, when they are elected, and when
//! that has taken too long.
//!
//! A preferred leader that can't lead is not waited for: one that is not in the ISR, is not live, or whose copy is offline, and the
//! one of a partition that is being moved.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicPartition;
use crate::commands::rollout::verdict::seen::Sample;

/// Time between two elections of the same partitions.
pub const ELECTED_EVERY: Duration = Duration::from_secs(10);

/// Partitions that are named.
const SHOWN_MAX: usize = 3;

/// A partition that its preferred leader could lead, and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// The partition.
    pub partition: TopicPartition,
    /// Its preferred leader.
    pub preferred: BrokerId,
}

/// The partitions that their preferred leaders could lead and do not; `of` limits them to these preferred leaders.
pub fn away(sample: &Sample, of: Option<&BTreeSet<BrokerId>>) -> Vec<Away> {
    let live = sample.live();
    let moving: BTreeSet<_> = sample.moves.iter().map(|(partition, _)| partition).collect();
    let mut away = Vec::new();
    for topic in sample.view.topics.values() {
        for partition in &topic.partitions {
            let Some(preferred) = partition.replicas.first().copied() else { continue };
            let is_meant = of.is_none_or(|brokers| brokers.contains(&preferred));
            let may_lead = live.contains(&preferred)
                && partition.isr.contains(&preferred)
                && !partition.offline.contains(&preferred);
            if !is_meant || !may_lead || partition.leader == Some(preferred) {
                continue;
            }
            let partition = TopicPartition { topic: topic.name.clone(), partition: partition.partition };
            if !moving.contains(&partition) {
                away.push(Away { partition, preferred });
            }
        }
    }
    away
}

/// The same in words, the first ones by name.
pub fn words(away: &[Away]) -> String {
    let named: Vec<_> =
        away.iter().take(SHOWN_MAX).map(|it| format!("{} (broker {})", it.partition, it.preferred)).collect();
    let more = match away.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let count = match away.len() {
        1 => "1 partition is not led by its preferred leader".to_owned(),
        count => format!("{count} partitions are not led by their preferred leaders"),
    };
    format!("{count}, which could lead: {}{more}", named.join(", "))
}

/// What a person does where leadership does not come back.
pub fn advice(away: &[Away]) -> String {
    let brokers: BTreeSet<_> = away.iter().map(|it| it.preferred).collect();
    let brokers: Vec<_> = brokers.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    format!(
        "`toolbox reassign elect --brokers {}` shows why an election fails; with --no-elect the roll does not wait for leadership",
        brokers.join(",")
    )
}

/// What is done about partitions that are led elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// None is: the roll goes on.
    Back,
    /// Preferred leaders are elected.
    Elect,
    /// They were elected, and are waited for.
    Wait,
    /// The limit has passed: the roll is paused.
    TooLong,
}

/// What is kept from look to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    since: Option<Timestamp>,
    elected_at: Option<Timestamp>,
}

impl Leadership {
    /// What is due by this look, made at a time by a clock that does not jump. There is one election at least, and one each
    /// [`ELECTED_EVERY`] until `limit` has passed since partitions were first found to be led elsewhere.
    pub fn look(&mut self, is_away: bool, at: Timestamp, limit: Duration) -> Due {
        if !is_away {
            *self = Self::default();
            return Due::Back;
        }
        let passed = |since: Timestamp| Duration::try_from(at.duration_since(since)).unwrap_or_default();
        let since = *self.since.get_or_insert(at);
        match self.elected_at {
            Some(_) if passed(since) >= limit => Due::TooLong,
            Some(last) if passed(last) < ELECTED_EVERY => Due::Wait,
            _ => {
                self.elected_at = Some(at);
                Due::Elect
            }
        }
    }
}
