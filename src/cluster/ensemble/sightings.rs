//! When members were seen alive last, from run to run: passes of a CronJob have no other memory than the record. So a member that
//! answered in the last 15 minutes is not gone for good, whichever run saw it.
//!
//! A pass that holds the lock notes all members that run, every [`NOTED_EVERY`] at most; what it reads in the record is taken for as
//! late as a look without a note may have been. The times are those of the machines where passes run. One that is later than now is
//! wrong, and counts as now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::ensemble::desired::DesiredState;

/// How often the record is written because members run.
pub const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// The record after a look at which these members ran; none where it need not be written. What it has of others stays: a member
/// that does not answer was alive when it says.
pub fn noted<D: DesiredState>(desired: &D, alive: &BTreeSet<D::Id>, now: Timestamp) -> Option<D> {
    let (mut sightings, mut known) = (desired.sightings(), desired.clone());
    let alive: Vec<_> = alive.iter().filter(|id| known.state_mut(**id).is_some()).collect();
    // A clock that was set back takes nothing back.
    let is_due = |id: &D::Id| sightings.get(id).is_none_or(|seen| now.duration_since(*seen) >= NOTED_EVERY);
    if !alive.iter().any(|id| is_due(id)) {
        return None;
    }
    // All at once: one write for all members, not one for each.
    for id in alive {
        let seen = sightings.entry(*id).or_insert(now);
        *seen = now.max(*seen);
    }
    Some(desired.clone().with_sightings(&sightings))
}

/// How long ago each member may have been seen alive last; nothing of those of which the record has no sighting.
pub fn unseen_for<D: DesiredState>(desired: &D, now: Timestamp) -> BTreeMap<D::Id, Duration> {
    let age = |seen: Timestamp| Duration::try_from(now.duration_since(seen) - NOTED_EVERY).unwrap_or_default();
    desired.sightings().into_iter().map(|(id, seen)| (id, age(seen))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::ensemble::desired::{Desired, DesiredMember, MemberState};
    use crate::cluster::ensemble::gone::{Evidence, GONE_AFTER};
    use crate::cluster::ensemble::member::ServerId;
    use crate::cluster::ensemble::server_line::ServerLine;

    fn at(seconds: i64) -> Timestamp {
        "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    /// A record with servers 1 to 3, of none of which anything is known.
    fn record() -> Desired {
        let line = |id: i64| ServerLine::parse(&format!("zk-{id}:2888:3888;2181")).unwrap();
        let member = |id: i64| (ServerId(id), DesiredMember::new(line(id), MemberState::Voter));
        Desired { size: 3, members: (1..=3).map(member).collect(), ..Desired::default() }
    }

    fn ids(ids: &[i64]) -> BTreeSet<ServerId> {
        ids.iter().copied().map(ServerId).collect()
    }

    #[test]
    fn members_that_run_are_noted_together_and_not_at_every_look() {
        let first = noted(&record(), &ids(&[1, 2]), at(0)).unwrap();
        assert_eq!(first.sightings(), [(ServerId(1), at(0)), (ServerId(2), at(0))].into());
        assert_eq!(noted(&first, &ids(&[1, 2]), at(299)), None);
        let second = noted(&first, &ids(&[2, 3]), at(100)).unwrap();
        let expected = [(1, 0), (2, 100), (3, 100)].map(|(id, seconds)| (ServerId(id), at(seconds)));
        assert_eq!(second.sightings(), expected.into(), "3 was never seen; 1 does not run");
        assert_eq!(noted(&second, &ids(&[]), at(3_600)), None, "who does not run is not noted");
        assert_eq!(noted(&second, &ids(&[2, 9]), at(399)), None, "the record does not have 9");
    }

    #[test]
    fn a_time_that_lies_in_the_future_counts_as_now_until_it_is_corrected() {
        let wrong = record().with_sightings(&[(ServerId(1), at(86_400))].into());
        assert_eq!(unseen_for(&wrong, at(0)), [(ServerId(1), Duration::ZERO)].into());
        assert_eq!(noted(&wrong, &ids(&[1]), at(0)), None, "a clock that was set back takes nothing back");
        let corrected = wrong.without_future(at(0)).unwrap();
        assert_eq!(corrected.sightings(), [(ServerId(1), at(0))].into());
        assert_eq!(unseen_for(&record(), at(0)), BTreeMap::new(), "a record of an older version");
    }

    #[test]
    fn a_record_of_an_older_version_is_read_and_a_member_that_was_never_seen_is_written_as_before() {
        let text = serde_json::to_string(&record()).unwrap();
        assert!(!text.contains("lastSeenAlive"), "{text}");
        assert_eq!(serde_json::from_str::<Desired>(&text).unwrap(), record());
        let noted = noted(&record(), &ids(&[1]), at(0)).unwrap();
        let text = serde_json::to_string(&noted).unwrap();
        assert!(text.contains(r#""lastSeenAlive":"2026-01-01T12:00:00Z""#), "{text}");
        assert_eq!(serde_json::from_str::<Desired>(&text).unwrap(), noted);
    }

    proptest! {
        /// Whoever looked, and whenever: a server that any pass saw alive in the last 15 minutes is not gone for good, though every
        /// pass is another process; one that none has seen for 20 minutes is, where somebody retired it.
        #[test]
        fn no_history_of_passes_forgets_that_a_server_was_alive_in_the_last_15_minutes(
            looks in prop::collection::vec((1_i64..1_000, any::<bool>()), 1..40),
            after in 0_i64..2_000,
        ) {
            let (mut desired, mut now, mut last) = (record(), 0, None);
            for (pause, is_alive) in looks {
                now += pause;
                if is_alive {
                    last = Some(now);
                    // What a pass writes is all that the next one knows.
                    desired = noted(&desired, &ids(&[1]), at(now)).unwrap_or(desired);
                }
            }
            now += after;
            let last_alive = unseen_for(&desired, at(now)).get(&ServerId(1)).copied();
            let is_gone = Evidence { last_alive, ..Evidence::default() }.verdict(true, true).is_for_good();
            let age = last.map(|last| Duration::from_secs(u64::try_from(now - last).unwrap()));
            prop_assert!(!is_gone || age.is_none_or(|age| age >= GONE_AFTER), "{age:?}");
            let limit = GONE_AFTER + NOTED_EVERY.unsigned_abs();
            prop_assert!(is_gone || age.is_some_and(|age| age < limit), "{age:?}");
        }
    }
}
