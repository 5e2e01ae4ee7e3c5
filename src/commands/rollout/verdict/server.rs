//! Whether a ZooKeeper server may stop: the others must be a majority, and every member must have the live configuration.

use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::rollout::verdict::{ReasonCode, Terms, Verdict, listed};

/// Whether a server of an ensemble may stop, by one look.
pub fn may_stop(id: ServerId, seen: &Seen, terms: &Terms) -> Verdict {
    let mut verdict = Verdict { is_active: seen.leader() == Some(id), ..Verdict::default() };
    let leaders = seen.leaders();
    if leaders.len() > 1 {
        verdict.refuses(ReasonCode::SplitBrain, format!("two ensembles exist: servers {} lead", listed(&leaders)));
        return verdict;
    }
    let Some(config) = &seen.quorum else {
        let text = "no server shows the configuration: the servers that answer have no quorum; start the others";
        verdict.waits(ReasonCode::NotReadable, text);
        return verdict;
    };
    let membership = &config.membership;
    if !membership.servers.contains_key(&id) {
        if seen.servers.contains_key(&id) {
            verdict.notes.push(format!("server {id} is no member of the ensemble"));
        } else {
            let members = listed(membership.servers.keys());
            verdict.refuses(ReasonCode::NotKnown, format!("server {id} is not known: the members are {members}"));
        }
        return verdict;
    }
    if verdict.is_active {
        verdict.notes.push(format!("server {id} leads: stop it last"));
    }
    stored(&mut verdict, seen);
    majority(&mut verdict, id, seen, terms);
    verdict
}

/// A server that has an old configuration on its disk comes back with it.
fn stored(verdict: &mut Verdict, seen: &Seen) {
    let Some(config) = &seen.quorum else { return };
    let is_behind = |id: &ServerId| {
        let view = seen.servers.get(id);
        let shown = view.and_then(|view| view.config.as_ref()).is_some_and(|own| own.version < config.version);
        shown || view.and_then(|view| view.disk_version).is_some_and(|own| own < config.version)
    };
    let behind: Vec<_> = config.membership.servers.keys().filter(|id| is_behind(id)).collect();
    if !behind.is_empty() {
        let text = format!("servers {} do not have configuration {} yet", listed(behind), config.version);
        verdict.waits(ReasonCode::ConfigNotPersisted, text);
    }
}

fn majority(verdict: &mut Verdict, id: ServerId, seen: &Seen, terms: &Terms) {
    let Some(membership) = seen.membership() else { return };
    if membership.hierarchy.is_some() {
        let text = "the quorum is hierarchical (groups or weights): what it survives is not computed here";
        verdict.refuses(ReasonCode::NotReadable, text);
        return;
    }
    let mut live = seen.live();
    let voters = membership.voters();
    live.remove(&id);
    let without: Tolerance = membership.tolerance(&live);
    if !membership.is_voter(id) {
        return;
    }
    if without.spare() >= 0 {
        return;
    }
    let all_others_live = voters.iter().all(|voter| *voter == id || live.contains(voter));
    let text = format!("without server {id}, {}", without.words());
    if all_others_live && voters.len() <= 2 {
        if terms.accepts_unavailable {
            verdict.notes.push(format!("{text}; that was accepted"));
        } else {
            verdict.refuses(ReasonCode::Unavailable, format!("{text}; accept it with --accept-unavailable"));
        }
        return;
    }
    let out: Vec<_> = voters.iter().filter(|voter| **voter != id && !live.contains(voter)).collect();
    verdict.waits(ReasonCode::NoMajority, format!("{text}; out: {}", listed(out)));
}
