//! Whether a ZooKeeper server may stop: the others must be a majority, and every member must have the live configuration.

use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::ensemble::view::ServerView;
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
    let ids = seen.ensemble_ids();
    if ids.len() > 1 {
        let sides: Vec<_> = ids.iter().map(|(id, servers)| format!("{id} (servers {})", listed(servers))).collect();
        verdict.refuses(ReasonCode::SplitBrain, format!("the servers belong to two ensembles: {}", sides.join(", ")));
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
    if leaders.is_empty() {
        let text = "no server leads: whether the others would be a majority is not known; wait for the election, or start the others";
        verdict.waits(ReasonCode::NoMajority, text);
        return verdict;
    }
    let unread = seen.unread_ids();
    if !unread.is_empty() {
        let text = format!("the ensemble's id could not be read from servers {}", listed(unread.keys()));
        verdict.waits(ReasonCode::NotReadable, text);
    }
    stored(&mut verdict, seen);
    majority(&mut verdict, id, seen, terms);
    verdict
}

/// A server that has an old configuration on its disk comes back with it. One that serves and does not show which one it has may have
/// an old one.
fn stored(verdict: &mut Verdict, seen: &Seen) {
    let Some(config) = &seen.quorum else { return };
    let views = || config.membership.servers.keys().filter_map(|id| Some((id, seen.servers.get(id)?)));
    let is_behind = |view: &ServerView| view.config.as_ref().is_some_and(|own| own.version < config.version);
    let behind: Vec<_> = views().filter(|(_, view)| is_behind(view)).map(|(id, _)| id).collect();
    if !behind.is_empty() {
        let text = format!("servers {} do not have configuration {} yet", listed(behind), config.version);
        verdict.waits(ReasonCode::ConfigNotPersisted, text);
    }
    let is_unread = |view: &ServerView| view.answer.mode().is_some() && view.config.is_none();
    let unread: Vec<_> = views().filter(|(_, view)| is_unread(view)).map(|(id, _)| id).collect();
    if !unread.is_empty() {
        let text = format!("which configuration servers {} have can't be read", listed(unread));
        verdict.waits(ReasonCode::ConfigNotPersisted, text);
    }
    for words in seen.not_stored().into_values() {
        verdict.waits(ReasonCode::ConfigNotPersisted, words);
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
