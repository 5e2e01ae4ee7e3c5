//! How a change ended that an earlier pass sent: it is never sent again before that is known.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::ensemble::desired::{ChangeKind, Desired, Entry, LastConfig, MemberState, Op};
use crate::cluster::ensemble::member::{ServerId, listed};
use crate::cluster::ensemble::membership::EnsembleConfig;
use crate::commands::ensemble::plan::seen::{Seen, age};

/// How long a change that shows no effect may still be applied by a leader that was frozen.
pub const LATE: Duration = Duration::from_mins(1);

/// How an open change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Not applied yet, and it may still be.
    Waits {
        /// For so long already, in seconds.
        seconds: u64,
    },
    /// Not applied, and it will not be: if it is after all, ZooKeeper refuses a new call from the same version.
    NotApplied,
    /// Applied: it has to be confirmed.
    Applied,
    /// Somebody else changed the membership.
    Conflict,
}

/// How an open change ended, by the configuration that the quorum has now.
pub fn settle(op: &Op, config: &EnsembleConfig, now: Timestamp) -> Settlement {
    if config.membership == op.after {
        return Settlement::Applied;
    }
    if config.membership != op.before || config.version != op.from_version {
        return Settlement::Conflict;
    }
    not_yet(op.started_at, now)
}

/// A change that shows no effect yet.
pub fn not_yet(started_at: Timestamp, now: Timestamp) -> Settlement {
    let waited = age(started_at, now);
    if waited < LATE { Settlement::Waits { seconds: waited.as_secs() } } else { Settlement::NotApplied }
}

/// Whether an applied change is confirmed: every member that serves shows the new configuration as its own, and one leads. One whose
/// configuration can't be read does not count as having it.
pub fn is_confirmed(op: &Op, seen: &Seen) -> Result<(), String> {
    if seen.leader().is_none() {
        return Err("no leader yet".to_owned());
    }
    let serving = |id: &ServerId| seen.servers.get(id).filter(|view| view.answer.mode().is_some());
    let configs = op.after.servers.keys().filter_map(|id| Some((*id, serving(id)?.config.as_ref())));
    let (mut behind, mut unread) = (BTreeSet::new(), BTreeSet::new());
    for (id, config) in configs {
        match config {
            None => unread.insert(id),
            Some(config) => config.membership != op.after && behind.insert(id),
        };
    }
    if !behind.is_empty() {
        return Err(format!("still with the old configuration: server {}", listed(behind)));
    }
    if !unread.is_empty() {
        return Err(format!("the configuration of server {} can't be read", listed(unread)));
    }
    Ok(())
}

/// The document after a change was confirmed.
#[must_use]
pub fn recorded(desired: &Desired, op: &Op, config: &EnsembleConfig, now: Timestamp) -> Desired {
    let mut next = desired.clone();
    next.op = None;
    next.last_config = Some(LastConfig { config: config.clone(), since: now });
    let (kind, target, is_leader) = (op.kind, op.target, op.is_leader);
    next.remember(Entry { at: now, kind, target, version: config.version, is_leader });
    for (id, member) in &mut next.members {
        let was = op.before.servers.contains_key(id);
        let is = op.after.servers.contains_key(id);
        member.state = match (was, is, kind) {
            (_, true, ChangeKind::Promote | ChangeKind::Replace | ChangeKind::Observe | ChangeKind::Demote)
                if *id == target =>
            {
                MemberState::Voter
            }
            (true, false, ChangeKind::Unobserve) => MemberState::Joining,
            (true, false, _) => MemberState::Retired,
            _ => member.state,
        };
    }
    next
}
