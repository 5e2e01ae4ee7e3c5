//! The whole look of a pass: four-letter words, each server's own view through its own port, what the quorum has after `sync`,
//! how joiners keep up, and whether the leader was the same all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout};

use crate::change::fail_point::fail_point;
use crate::clients::four_letter_words::{FourLetterWords, WordError};
use crate::cluster::address::Address;
use crate::cluster::ensemble::desired::{Desired, DesiredMember, MemberState};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::view::{CatchUp, NewPlace, Sample, ServerView, Zxid};
use crate::commands::ensemble::observe::server::{Said, look as ask, zxid};
use crate::commands::ensemble::observe::servers::{Look, SERVER_LIMIT, SERVERS_MAX, look_at_known, parsed};
use crate::commands::ensemble::observe::sessions::Connections;
use crate::commands::ensemble::plan::change::known;
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::table::{Advice, SAMPLES_MIN};

/// A joiner is asked so long after the leader: it must have by then what the leader had.
const SAMPLE_AGE: Duration = Duration::from_secs(3);

/// The time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long one question of a sample may take.
const SAMPLE_LIMIT: Duration = Duration::from_secs(1);

/// What looks of one process remember: nothing that a pass could not do without.
#[derive(Debug, Default)]
pub struct Memory {
    /// Since when servers have been seen to disagree.
    differ_since: Option<Instant>,
}

/// Looks at everything that a pass goes by.
pub async fn observe(connections: &Connections, desired: Option<&Desired>, memory: &mut Memory) -> Look {
    let mut look = views(connections, desired).await;
    let leader = look.seen.leader();
    quorum(connections, &mut look).await;
    if let Some(desired) = desired {
        resolve(desired, &mut look).await;
        new_places(connections, desired, &mut look).await;
        catch_up(connections, desired, &mut look).await;
        fail_point("ensemble.sampled");
    }
    look.seen.leader_changed = leader != leads(connections, &look, leader).await;
    remember(memory, &mut look);
    look
}

/// What each server says: by four-letter words, and to a session on its own port.
pub async fn views(connections: &Connections, desired: Option<&Desired>) -> Look {
    let mut places = desired.map(places).unwrap_or_default();
    // `conf` may not be in the whitelist: then only a session says who the members are.
    let config = connections.unsynced(connections.named(), SERVER_LIMIT).await;
    for (id, line) in config.iter().flat_map(|config| &config.membership.servers) {
        places.extend(line.client_address().map(|address| (address, *id)));
    }
    let mut look = look_at_known(&connections.words(SERVER_LIMIT), connections.named(), &places, SERVER_LIMIT).await;
    let serves = |id: &ServerId| look.seen.servers.get(id).is_some_and(|view| view.answer.mode().is_some());
    let asked: Vec<_> = look.addresses.iter().filter(|(id, _)| serves(id)).collect();
    let asked = asked.into_iter().filter_map(|(id, shown)| Some((*id, parsed(shown)?))).collect();
    for (id, own) in connections.own(&asked, SERVER_LIMIT).await {
        if let Some(view) = look.seen.servers.get_mut(&id) {
            view.config = own.config.or(view.config.take());
            (view.ensemble_id, view.id_unread) = (own.ensemble_id, own.id_unread);
        }
    }
    look
}

/// Where the servers of a record take clients; those that were retired only while there are few.
pub fn places(desired: &Desired) -> BTreeMap<Address, ServerId> {
    let is_in = |member: &DesiredMember| member.state != MemberState::Retired;
    let (inside, outside): (Vec<_>, Vec<_>) = desired.members.iter().partition(|(_, member)| is_in(member));
    let room = SERVERS_MAX.saturating_sub(inside.len());
    // The newest ids are the last: of those a process may still run.
    let all = inside.into_iter().chain(outside.into_iter().rev().take(room));
    all.filter_map(|(id, member)| Some((member.line.client_address()?, *id))).collect()
}

/// Finds out which ensemble the named servers are of, for a look of which the record has an id: by a session with one of them, and
/// where that shows another ensemble beside the record's own, by the servers at the record's addresses.
pub async fn identify(
    connections: &Connections,
    desired: &Desired,
    seen: &mut Seen,
    limit: Duration,
) -> Result<(), String> {
    let Some(expected) = &desired.ensemble_id else { return Ok(()) };
    let found = connections.ensemble_id(connections.named(), limit).await?;
    seen.asked.ensemble_id.clone_from(&found);
    seen.asked.lacks_id = found.is_none();
    let is_split = seen.leaders().len() > 1 || seen.ensemble_ids().len() > 1;
    if is_split && found.as_ref().is_some_and(|id| id != expected) {
        let by_id = places(desired).into_iter().map(|(address, id)| (id, address)).collect();
        let own = connections.own(&by_id, limit).await;
        seen.asked.is_apart = !own.iter().any(|(_, own)| own.ensemble_id == found);
    }
    Ok(())
}

/// Whether the look leaves open which ensemble the named servers are of.
pub fn is_in_doubt(desired: &Desired, seen: &Seen) -> bool {
    let ids = seen.ensemble_ids();
    let is_other = ids.keys().any(|id| desired.ensemble_id.as_deref() != Some(*id));
    let has_rival = seen.servers.values().any(|view| view.rival.is_some());
    let shows_none = ids.is_empty() && seen.quorum.is_some();
    desired.ensemble_id.is_some() && (is_other || shows_none || has_rival || seen.leaders().len() > 1)
}

/// What the quorum has, by way of members: one that was removed may still serve, and knows less. Without that, what servers showed
/// themselves does not count as the quorum's.
async fn quorum(connections: &Connections, look: &mut Look) {
    // Without a leader, no change is made by what is shown.
    let Some(leader) = look.seen.leader() else { return };
    let addresses = quorum_addresses(look, leader);
    let (config, migrates) = tokio::join!(
        connections.quorum(&addresses, connections.timeout()),
        connections.migrates(&addresses, connections.timeout())
    );
    look.seen.quorum = known_or_noted(look, config, "what the quorum has can't be read");
    look.seen.migrates = known_or_noted(look, migrates, "whether a migration to KRaft runs can't be read");
}

/// Where what the quorum has is read: at members, by the leader's configuration; where that is not known, at the leader alone.
fn quorum_addresses(look: &Look, leader: ServerId) -> Vec<Address> {
    let config = look.seen.servers.get(&leader).and_then(|view| view.config.as_ref());
    let members: BTreeSet<_> = config.iter().flat_map(|config| config.membership.servers.keys().copied()).collect();
    serving(look, &if members.is_empty() { [leader].into() } else { members }, Some(leader))
}

fn known_or_noted<T>(look: &mut Look, read: Result<T, String>, what: &str) -> Option<T> {
    match read {
        Ok(known) => Some(known),
        Err(why) => {
            look.notes.push(format!("{what}: {why}"));
            None
        }
    }
}

/// Where these servers take clients, of those that serve: the leader first.
pub fn serving(look: &Look, ids: &BTreeSet<ServerId>, leader: Option<ServerId>) -> Vec<Address> {
    let serves = |id: &&ServerId| look.seen.servers.get(id).is_some_and(|view| view.answer.mode().is_some());
    let mut ids: Vec<_> = ids.iter().filter(serves).copied().collect();
    ids.sort_by_key(|id| Some(*id) != leader);
    ids.into_iter().filter_map(|id| parsed(look.addresses.get(&id)?)).collect()
}

/// Whether the hosts of servers that should join, or move, are known here.
async fn resolve(desired: &Desired, look: &mut Look) {
    let wanted: Vec<_> = known(desired, &look.seen)
        .into_iter()
        .filter(|(_, known)| matches!(known.advice, Advice::Promote | Advice::Observe | Advice::Readdress))
        .filter_map(|(id, _)| Some((id, desired.members.get(&id)?.line.clone())))
        .collect();
    for (id, line) in wanted {
        let mut resolves = true;
        for address in &line.addresses {
            let found = timeout(SERVER_LIMIT, tokio::net::lookup_host((address.host.as_str(), address.quorum_port)));
            resolves &= found.await.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
        }
        if let Some(view) = look.seen.servers.get_mut(&id) {
            view.resolves = Some(resolves);
        }
    }
}

/// Asks members that should move at the client addresses of their new lines: there the same server has to answer first.
async fn new_places(connections: &Connections, desired: &Desired, look: &mut Look) {
    let moving = known(desired, &look.seen).into_iter().filter(|(_, known)| known.advice == Advice::Readdress);
    let moving: Vec<_> =
        moving.filter_map(|(id, _)| Some((id, desired.members.get(&id)?.line.client_address()?))).collect();
    let words = connections.words(SERVER_LIMIT);
    let asked = moving.into_iter().map(async |(id, address)| (id, ask(&words, address, SERVER_LIMIT).await));
    for (id, said) in join_all(asked).await {
        let Said { address, view: ServerView { answer, own_id, config, .. }, .. } = said;
        // A server of another ensemble may have the same id.
        let is_of_ensemble = config.is_some_and(|config| look.seen.membership() == Some(&config.membership));
        let own_id = own_id.filter(|own| is_of_ensemble || *own != id);
        if let Some(view) = look.seen.servers.get_mut(&id) {
            view.new_place = Some(NewPlace { address: address.to_string(), answer, own_id });
        }
    }
}

/// Takes samples of servers that may be added: each must have what the leader had 3 s before.
async fn catch_up(connections: &Connections, desired: &Desired, look: &mut Look) {
    let is_joiner = |advice: Advice| matches!(advice, Advice::Promote | Advice::Observe);
    let joiners: BTreeMap<_, _> = known(desired, &look.seen)
        .into_iter()
        .filter(|(_, known)| is_joiner(known.advice))
        .filter_map(|(id, _)| Some((id, parsed(look.addresses.get(&id)?)?)))
        .collect();
    let leader = look.seen.leader().and_then(|id| parsed(look.addresses.get(&id)?));
    let (Some(leader), false) = (leader, joiners.is_empty()) else { return };
    let samples: FuturesUnordered<_> =
        (0..SAMPLES_MIN).map(|number| sample(connections, &leader, &joiners, number)).collect();
    let mut samples: Vec<_> = samples.collect().await;
    samples.sort_by_key(|(number, _)| *number);
    let (counted, uncounted) = match counted(connections, &leader).await {
        Ok(count) => (count, None),
        Err(why) => (None, Some(why)),
    };
    for id in joiners.keys() {
        let Some(view) = look.seen.servers.get_mut(id) else { continue };
        let of_server = samples.iter().filter_map(|(_, taken)| taken.get(id).copied()).collect();
        let (counted_by_leader, count_unread) = (counted, uncounted.clone());
        view.catch_up = Some(CatchUp { samples: of_server, counted_by_leader, count_unread });
    }
}

/// One sample of each joiner. What could not be asked counts as lagging: it is missing.
async fn sample(
    connections: &Connections,
    leader: &Address,
    joiners: &BTreeMap<ServerId, Address>,
    number: usize,
) -> (usize, BTreeMap<ServerId, Sample>) {
    let words = connections.words(SAMPLE_LIMIT);
    sleep_until(Instant::now() + SAMPLE_EVERY * u32::try_from(number).unwrap_or(u32::MAX)).await;
    let Some(of_leader) = zxid(&words, leader, SAMPLE_LIMIT).await else { return (number, BTreeMap::new()) };
    let noted = Instant::now();
    fail_point("ensemble.sampling");
    sleep_until(noted + SAMPLE_AGE).await;
    let age_ms = u64::try_from(noted.elapsed().as_millis()).unwrap_or(u64::MAX);
    let own = async |id: ServerId, address: &Address| (id, zxid(&words, address, SAMPLE_LIMIT).await);
    let asked: FuturesUnordered<_> = joiners.iter().map(|(id, address)| own(*id, address)).collect();
    let asked: Vec<(ServerId, Option<Zxid>)> = asked.collect().await;
    let taken = asked.into_iter().filter_map(|(id, own)| Some((id, Sample { leader: of_leader, own: own?, age_ms })));
    (number, taken.collect())
}

/// How many non-voting followers the leader counts as synced; none where it does not show that, as `mntr` is not in its whitelist.
async fn counted(connections: &Connections, leader: &Address) -> Result<Option<u64>, String> {
    let words = FourLetterWords::new(&connections.words(SAMPLE_LIMIT), &leader.host, leader.port);
    let metrics = match words.map_err(|error| error.to_string())?.mntr().await {
        Ok(metrics) => metrics,
        Err(WordError::NotWhitelisted { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let Some(text) = metrics.text("zk_synced_non_voting_followers") else { return Ok(None) };
    let count = text.parse::<f64>().map_err(|_| "the leader's count is no number".to_owned())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of servers, cut at a thousand"
    )]
    let count = count.clamp(0.0, 1e3) as u64;
    Ok(Some(count))
}

/// Who leads now: the same one, or nobody that is known.
async fn leads(connections: &Connections, look: &Look, leader: Option<ServerId>) -> Option<ServerId> {
    let id = leader?;
    let Address { host, port } = parsed(look.addresses.get(&id)?)?;
    let words = FourLetterWords::new(&connections.words(SERVER_LIMIT), &host, port).ok()?;
    let state = words.srvr().await.ok()?;
    (state.mode == crate::cluster::four_letter::ServerMode::Leader).then_some(id)
}

fn remember(memory: &mut Memory, look: &mut Look) {
    let now = Instant::now();
    let differ = look.seen.views().len() > 1;
    memory.differ_since = differ.then(|| memory.differ_since.unwrap_or(now));
    look.seen.views_differ_for = memory.differ_since.map(|since| now - since);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
    use crate::cluster::ensemble::server_line::ServerLine;
    use crate::cluster::ensemble::view::{Answer, Mode};

    /// Servers 1 to 3, of which 3 leads and the first shows a configuration.
    fn look() -> Look {
        let line = |id: i64| ServerLine::parse(&format!("zk-{id}:2888:3888;2181")).unwrap();
        let servers = (1..=3).map(|id| (ServerId(id), line(id))).collect();
        let config = EnsembleConfig { membership: Membership { servers, hierarchy: None }, version: ConfigVersion(7) };
        let mut look = Look::default();
        for id in 1..=3 {
            let mode = if id == 3 { Mode::Leader } else { Mode::Follower };
            let mut view = ServerView::of(Answer::Serving { mode, zxid: Zxid(9) });
            view.config = (id == 1).then(|| config.clone());
            look.seen.servers.insert(ServerId(id), view);
            look.addresses.insert(ServerId(id), format!("zk-{id}:2181"));
        }
        look.seen.quorum = Some(config);
        look
    }

    #[test]
    fn what_the_quorum_has_is_read_at_the_leader_where_nobody_knows_the_members_by_it() {
        let mut look = look();
        let asked =
            |look: &Look| quorum_addresses(look, ServerId(3)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(asked(&look), ["zk-3:2181"], "what another server shows is not the quorum's");
        let config = look.seen.servers[&ServerId(1)].config.clone();
        look.seen.servers.get_mut(&ServerId(3)).unwrap().config = config;
        assert_eq!(asked(&look), ["zk-3:2181", "zk-1:2181", "zk-2:2181"]);
    }

    #[test]
    fn a_configuration_that_could_not_be_read_from_the_quorum_is_none_though_a_server_shows_one() {
        let mut look = look();
        let read = known_or_noted(&mut look, Err::<EnsembleConfig, _>("no session".to_owned()), "it can't be read");
        look.seen.quorum = read;
        assert_eq!((look.seen.quorum, &look.notes[..]), (None, &["it can't be read: no session".to_owned()][..]));
    }
}
