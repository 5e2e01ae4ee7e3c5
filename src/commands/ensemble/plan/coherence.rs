//! What is wrong with an ensemble, whether or not anything should change: the two alerts *incoherent configuration* and
//! *unsafe number*, and notices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::member::{ServerId, listed};
use crate::cluster::ensemble::view::Answer;
use crate::commands::ensemble::plan::change::Known;
use crate::commands::ensemble::plan::guards::VOTERS_MIN;
use crate::commands::ensemble::plan::pods;
use crate::commands::ensemble::plan::seen::{Asked, Seen, age, last_change};
use crate::commands::ensemble::plan::stop::is_ending;
use crate::commands::ensemble::plan::table::{Advice, Row, Want};

/// How long servers may disagree about the configuration: a change reaches them one after the other.
pub const VIEWS_SETTLE: Duration = Duration::from_secs(30);

/// How long a file on disk may be older than the live configuration.
pub const PERSIST: Duration = Duration::from_mins(1);

/// How long the number of voters may be even: between two steps of one plan.
pub const EVEN_MAX: Duration = Duration::from_mins(10);

/// With so many zones, no zone need have a majority of the voters.
pub const ZONES_ENOUGH: usize = 3;

/// Which alert a finding belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alert {
    /// The servers, the document and the disks contradict each other.
    IncoherentConfiguration,
    /// The ensemble survives fewer failures than it should.
    UnsafeNumber,
    /// Worth knowing; no alert.
    Notice,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The alert.
    pub alert: Alert,
    /// What was found, with numbers.
    pub text: String,
}

/// What is wrong; without a document as far as the servers show it.
pub fn findings(
    desired: Option<&Desired>,
    seen: &Seen,
    known: &BTreeMap<ServerId, Known>,
    now: Timestamp,
) -> Vec<Finding> {
    let mut list = List(Vec::new());
    leaders_and_ids(&mut list, seen);
    views(&mut list, seen);
    addresses(&mut list, seen);
    own_states(&mut list, seen, known);
    removed(&mut list, seen, known);
    without_a_vote(&mut list, seen, known);
    for text in pods::notices(desired, seen, now) {
        list.notice(text);
    }
    number(&mut list, desired, seen, now);
    if let Some(desired) = desired {
        against_document(&mut list, desired, seen, known);
        last_config(&mut list, desired, seen, now);
    }
    list.0.sort();
    list.0.dedup();
    list.0
}

struct List(Vec<Finding>);

impl List {
    fn incoherent(&mut self, text: String) {
        self.0.push(Finding { alert: Alert::IncoherentConfiguration, text });
    }

    fn unsafe_number(&mut self, text: String) {
        self.0.push(Finding { alert: Alert::UnsafeNumber, text });
    }

    fn notice(&mut self, text: String) {
        self.0.push(Finding { alert: Alert::Notice, text });
    }
}

/// That there is a record which can't be used, and why.
pub fn unusable_record(asked: &Asked) -> Option<String> {
    asked.unreadable.as_ref().map(|why| format!("the record can't be used: {why}"))
}

fn leaders_and_ids(list: &mut List, seen: &Seen) {
    let leaders = seen.leaders();
    if let Some(text) = unusable_record(&seen.asked) {
        list.incoherent(text);
    }
    let left_out = seen.asked.left_out;
    if left_out > 0 {
        list.notice(format!(
            "there are too many servers: {left_out} were not asked; let those leave that are not needed"
        ));
    }
    if !seen.is_answered() {
        list.incoherent("nobody could be asked: no server answers as ZooKeeper does".to_owned());
    } else if leaders.is_empty() && left_out == 0 {
        list.incoherent("no server leads".to_owned());
    }
    if leaders.len() > 1 {
        list.incoherent(format!("{} servers lead: {}", leaders.len(), listed(leaders)));
    }
    let ids = seen.ensemble_ids();
    if ids.len() > 1 {
        let sides: Vec<_> =
            ids.iter().map(|(id, servers)| format!("{id} (server {})", listed(servers.iter().copied()))).collect();
        list.incoherent(format!("servers belong to {} ensembles: {}", ids.len(), sides.join(", ")));
    }
}

fn views(list: &mut List, seen: &Seen) {
    let views = seen.views();
    if views.len() < 2 {
        return;
    }
    let sides: Vec<_> = views
        .iter()
        .map(|view| {
            let members = listed(view.config.membership.servers.keys().copied());
            format!(
                "server {} says version {} with members {members}",
                listed(view.servers.iter().copied()),
                view.config.version
            )
        })
        .collect();
    let text = format!("the servers disagree about the configuration: {}", sides.join("; "));
    match seen.views_differ_for {
        Some(time) if time >= VIEWS_SETTLE => list.incoherent(format!("{text}; for {} s", time.as_secs())),
        _ => list.notice(format!("{text}; this may settle within {} s", VIEWS_SETTLE.as_secs())),
    }
}

fn addresses(list: &mut List, seen: &Seen) {
    let mut named: BTreeMap<(ServerId, String), BTreeSet<ServerId>> = BTreeMap::new();
    let said = seen.servers.iter().filter_map(|(id, view)| Some((*id, view.config.as_ref()?)));
    for (speaker, config) in said {
        for (id, line) in &config.membership.servers {
            for host in line.unspecified_hosts() {
                named.entry((*id, host.to_owned())).or_default().insert(speaker);
            }
        }
    }
    for ((id, host), speakers) in named {
        let who = listed(speakers);
        list.incoherent(format!(
            "server {id} has {host} as quorum address (says server {who}): write its full name, and restart it"
        ));
    }
    for clash in seen.membership().map(crate::cluster::ensemble::membership::Membership::clashes).unwrap_or_default() {
        list.incoherent(format!("{}:{} is named more than once, by {}", clash.host, clash.port, listed(clash.servers)));
    }
}

/// Whether a server is out for good: it should not run, and nobody waits for it.
fn is_out(seen: &Seen, id: ServerId, known: &BTreeMap<ServerId, Known>) -> bool {
    let is_member = seen.membership().is_none_or(|membership| membership.servers.contains_key(&id));
    !is_member && known.get(&id).is_some_and(|known| matches!(known.want, Want::Leaving | Want::Retired))
}

/// Servers that were removed and still run. A follower among them is said by [`without_a_vote`] once it is retired; a pod of one
/// has its own words.
fn removed(list: &mut List, seen: &Seen, known: &BTreeMap<ServerId, Known>) {
    let has_words = |id: &ServerId, known: &Known| {
        let follows = matches!(known.row, Row::NonVoting | Row::NonVotingLagging) && known.want == Want::Retired;
        follows || seen.workload.as_ref().is_some_and(|workload| workload.surplus.contains_key(id))
    };
    let runs = |id: &ServerId| seen.servers.get(id).is_some_and(|view| view.answer.is_running());
    for (id, _) in known.iter().filter(|(id, it)| is_out(seen, **id, known) && runs(id) && !has_words(id, it)) {
        list.notice(format!("server {id} is no member any more, and still runs: stop it"));
    }
}

fn own_states(list: &mut List, seen: &Seen, known: &BTreeMap<ServerId, Known>) {
    for words in seen.not_stored().into_values() {
        list.incoherent(format!("{words}: a restart would start from another configuration"));
    }
    let live = seen.quorum.as_ref().map(|config| config.version);
    for (id, view) in &seen.servers {
        if let (Some(disk), Some(live)) = (view.disk_version, live)
            && disk > live
        {
            list.incoherent(format!(
                "server {id} has version {disk} on its disk, and the older version {live} is live"
            ));
        }
        if let Some(count) = view.digest_mismatches.filter(|count| *count > 0) {
            list.incoherent(format!(
                "server {id} counts {count} digest mismatches: its data differs from the leader's"
            ));
        }
        if let Some(own) = view.own_id.filter(|own| own != id) {
            list.incoherent(format!("the process at the address of server {id} has myid {own}"));
        }
        if let Some(rival) = &view.rival {
            list.incoherent(format!("server {id} is claimed by {rival} too"));
        }
        match &view.answer {
            Answer::Silent { .. } | Answer::Down { .. } if is_out(seen, *id, known) => {}
            Answer::Unreadable { why } => list.notice(format!("server {id} runs, its state can't be read: {why}")),
            Answer::Silent { after_ms } => {
                list.notice(format!(
                    "server {id} takes connections or drops them, and did not answer within \
                    {after_ms} ms: frozen, overloaded or cut off"
                ));
            }
            Answer::Down { why } => list.notice(format!("server {id} does not run: {why}")),
            Answer::Serving { .. } | Answer::NotServing => {}
        }
    }
}

fn number(list: &mut List, desired: Option<&Desired>, seen: &Seen, now: Timestamp) {
    let Some(tolerance) = seen.tolerance() else { return };
    let dev = desired.is_some_and(|desired| desired.dev);
    if tolerance.voters < VOTERS_MIN && !dev {
        list.unsafe_number(format!("{} voters, {VOTERS_MIN} are needed to survive a failure", tolerance.voters));
    }
    if tolerance.spare() < 1 && !dev {
        list.unsafe_number(tolerance.words());
    }
    if tolerance.voters.is_multiple_of(2) {
        let since = desired.and_then(last_change).map(|at| age(at, now));
        if since.is_none_or(|time| time >= EVEN_MAX) {
            list.unsafe_number(format!(
                "{} voters: an even number survives no more than one voter fewer",
                tolerance.voters
            ));
        }
    }
    if let Some(desired) = desired.filter(|desired| desired.size != tolerance.voters) {
        list.unsafe_number(format!("{} voters, {} are desired", tolerance.voters, desired.size));
    }
    zones(list, seen);
}

/// Losing one zone should not lose the quorum where there are three.
fn zones(list: &mut List, seen: &Seen) {
    let all: BTreeSet<_> = seen.zones.values().chain(&seen.cluster_zones).collect();
    for zone in seen.zones_to_lose().into_iter().filter(|_| all.len() >= ZONES_ENOUGH) {
        list.notice(format!("losing zone {zone} would lose the quorum although {} zones exist", all.len()));
    }
}

/// A follower that is no member, and that nobody wants to become one, has no vote.
fn without_a_vote(list: &mut List, seen: &Seen, known: &BTreeMap<ServerId, Known>) {
    let follows = |known: &Known| matches!(known.row, Row::NonVoting | Row::NonVotingLagging);
    let is_unwanted = |known: &Known| matches!(known.want, Want::Retired | Want::Unknown);
    let stays = |id: ServerId| !is_ending(seen, id);
    for (id, _) in known.iter().filter(|(id, known)| follows(known) && is_unwanted(known) && stays(**id)) {
        list.incoherent(format!("server {id} says `follower` and is no member: it has no vote; stop it by hand"));
    }
}

fn against_document(list: &mut List, desired: &Desired, seen: &Seen, known: &BTreeMap<ServerId, Known>) {
    let Some(membership) = seen.membership() else { return };
    for (id, known) in known {
        let is_member = membership.servers.contains_key(id);
        let wanted = desired.members.get(id);
        if is_member && known.want == Want::Unknown {
            list.incoherent(format!(
                "server {id} is a member, and the document does not know it: `toolbox \
                ensemble adopt` or remove it by hand"
            ));
        }
        if is_member && known.want == Want::Retired && matches!(known.row, Row::Follower | Row::Leader) {
            list.incoherent(format!("server {id} was retired, and still votes"));
        }
        if let (Some(line), Some(wanted)) = (membership.servers.get(id), wanted)
            && !line.is_at_same_place(&wanted.line)
        {
            list.incoherent(format!("server {id} is a member as `{line}`, `{}` is desired", wanted.line));
        }
        let is_wanted = !matches!(known.want, Want::Retired | Want::Unknown);
        if let Some(words) = seen.crash_loop(*id).filter(|_| is_wanted && seen.is_silent(*id)) {
            let next = if known.advice == Advice::Rewrite {
                "; where its log says that it is not in the peer list, `toolbox ensemble prestart` rewrites its file"
            } else {
                ""
            };
            list.notice(format!("server {id} exits again and again: {words}{next}"));
        }
    }
}

fn last_config(list: &mut List, desired: &Desired, seen: &Seen, now: Timestamp) {
    let (Some(left), Some(membership)) = (&desired.last_config, seen.membership()) else { return };
    if let Some(op) = &desired.op {
        let kind = op.kind.word();
        list.notice(format!(
            "a change is open since {} s: {kind} of server {}",
            age(op.started_at, now).as_secs(),
            op.target
        ));
        return;
    }
    let difference = left.config.membership.difference(membership);
    if !difference.is_empty() {
        list.incoherent(format!(
            "the membership is not the one that was left at version {}: {difference}",
            left.config.version
        ));
    }
}
