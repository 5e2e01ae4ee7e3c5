//! One change of a membership: exactly one server is added, removed, replaced or changed. And which changes could be next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{ChangeKind, Desired};
use crate::cluster::ensemble::gone::Gone;
use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::{ConfigVersion, Membership};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::table::{Advice, Row, Want, want};

/// One change, not yet sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it does.
    pub kind: ChangeKind,
    /// Whom it adds, removes or changes; the joiner of a replacement.
    pub target: ServerId,
    /// Who is removed for the joiner of a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<ServerId>,
    /// The line that is added or changed; none where a server is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<ServerLine>,
    /// Whether the leader is removed, demoted or moved.
    pub is_leader: bool,
}

impl Change {
    fn adding(kind: ChangeKind, target: ServerId, line: ServerLine) -> Self {
        Self { kind, target, instead_of: None, line: Some(line), is_leader: false }
    }

    fn removing(kind: ChangeKind, target: ServerId) -> Self {
        Self { kind, target, instead_of: None, line: None, is_leader: kind == ChangeKind::ShrinkLeader }
    }

    /// Who is removed.
    pub fn leaving(&self) -> Option<ServerId> {
        if self.line.is_some() { self.instead_of } else { Some(self.target) }
    }

    /// The membership after it.
    pub fn after(&self, before: &Membership) -> Membership {
        let mut after = before.clone();
        if let Some(leaving) = self.leaving() {
            after.servers.remove(&leaving);
        }
        if let Some(line) = &self.line {
            after.servers.insert(self.target, line.clone());
        }
        after
    }

    /// The arguments of ZooKeeper's `reconfig`, as `zkCli.sh` takes them.
    pub fn arguments(&self, from: ConfigVersion) -> String {
        let remove = self.leaving().map(|id| format!(" -remove {id}")).unwrap_or_default();
        let add = self.line.as_ref().map(|line| format!(" -add {}={line}", self.target)).unwrap_or_default();
        format!("reconfig{remove}{add} -v {from}")
    }

    /// What clients notice of it.
    pub fn impact(&self) -> &'static str {
        if self.is_leader {
            "the leader changes: expect up to 1 s without writes, and a lost answer that is settled by reading back"
        } else {
            "writes wait for up to 100 ms; the leader stays"
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = (self.kind.word(), self.target);
        match (self.kind, self.instead_of, &self.line) {
            (_, Some(gone), _) => write!(f, "{kind}: server {id} takes the place of server {gone}, in one call"),
            (ChangeKind::Promote, ..) => write!(f, "{kind}: server {id} becomes a voter"),
            (ChangeKind::Observe | ChangeKind::Demote, ..) => write!(f, "{kind}: server {id} becomes an observer"),
            (ChangeKind::Unobserve, ..) => {
                write!(f, "{kind}: server {id} is removed as observer, to become a voter next")
            }
            (ChangeKind::Readdress, _, Some(line)) => write!(f, "{kind}: server {id} moves to {line}"),
            (ChangeKind::ShrinkLeader, ..) => write!(f, "{kind}: server {id}, the leader, is removed"),
            _ => write!(f, "{kind}: server {id} is removed"),
        }
    }
}

/// What is known of each server, before candidates are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What is seen of it.
    pub row: Row,
    /// What is desired of it.
    pub want: Want,
    /// What follows.
    pub advice: Advice,
    /// Whether it is gone for good, where it does not answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gone: Option<Gone>,
}

/// Every server that is a member, is desired, or was seen.
pub fn known(desired: &Desired, seen: &Seen) -> BTreeMap<ServerId, Known> {
    let members = seen.membership().into_iter().flat_map(|membership| membership.servers.keys());
    let ids: BTreeSet<_> = members.chain(desired.members.keys()).chain(seen.servers.keys()).copied().collect();
    ids.into_iter()
        .map(|id| {
            let row = crate::commands::ensemble::plan::table::row(seen, desired, id);
            let want = want(desired, id);
            let is_retired = want == Want::Retired;
            let verdict = |silent| seen.evidence.get(&id).cloned().unwrap_or_default().verdict(is_retired, silent);
            let gone = seen.is_silent(id).then(|| verdict(true));
            (id, Known { row, want, advice: crate::commands::ensemble::plan::table::advice(row, want), gone })
        })
        .collect()
}

/// Every change that could be next, in the order in which they are tried.
pub fn candidates(desired: &Desired, seen: &Seen, known: &BTreeMap<ServerId, Known>) -> Vec<Change> {
    let Some(membership) = seen.membership() else { return Vec::new() };
    let with = |advice: Advice| known.iter().filter(move |(_, it)| it.advice == advice).map(|(id, _)| *id);
    let line = |id: ServerId, role: Role| desired.members.get(&id).map(|member| member.line.with_role(role));
    let adding = |kind, id, role| line(id, role).map(|line| Change::adding(kind, id, line));
    let joiners: Vec<_> = with(Advice::Promote).collect();
    let droppable: Vec<_> = with(Advice::DropIfGone).filter(|id| may_drop(&known[id])).collect();
    let mut found = Vec::new();
    for gone in droppable.iter().filter(|id| membership.is_voter(**id)) {
        let replace = |joiner: &ServerId| {
            let promoted = adding(ChangeKind::Replace, *joiner, Role::Participant)?;
            Some(Change { instead_of: Some(*gone), ..promoted })
        };
        found.extend(joiners.iter().filter_map(replace));
    }
    found.extend(joiners.iter().filter_map(|id| adding(ChangeKind::Promote, *id, Role::Participant)));
    found.extend(with(Advice::Observe).filter_map(|id| adding(ChangeKind::Observe, id, Role::Observer)));
    let is_surplus = |id: &ServerId| !membership.is_voter(*id) || membership.voters().len() > desired.size;
    found.extend(droppable.iter().filter(|id| is_surplus(id)).map(|id| Change::removing(ChangeKind::Drop, *id)));
    found.extend(with(Advice::Unobserve).map(|id| Change::removing(ChangeKind::Unobserve, id)));
    found.extend(with(Advice::Remove).map(|id| Change::removing(ChangeKind::Shrink, id)));
    found.extend(with(Advice::Demote).filter_map(|id| adding(ChangeKind::Demote, id, Role::Observer)));
    found.extend(with(Advice::RemoveLeader).map(|id| Change::removing(ChangeKind::ShrinkLeader, id)));
    let leader = |change: Change| Change { is_leader: true, ..change };
    found
        .extend(with(Advice::DemoteLeader).filter_map(|id| adding(ChangeKind::Demote, id, Role::Observer)).map(leader));
    let moved = |id: ServerId| {
        let role = membership.servers.get(&id).map(|line| line.role)?;
        let change = adding(ChangeKind::Readdress, id, role)?;
        Some(Change { is_leader: seen.leader() == Some(id), ..change })
    };
    let mut moved: Vec<_> = with(Advice::Readdress).filter_map(moved).collect();
    moved.sort_by_key(|change| change.is_leader);
    found.extend(moved);
    found
}

/// Whether a server that does not run is worth trying to remove: it is gone for good, or somebody asked for it.
fn may_drop(known: &Known) -> bool {
    known.gone.as_ref().is_some_and(Gone::is_for_good) || known.want == Want::Retired
}
