//! All servers: those that were named, and every member that one of them knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clients::kafka::settings::Settings;
use crate::cluster::address::Address;
use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::EnsembleConfig;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer, Mode, ServerView};
use crate::commands::ensemble::observe::server::{Said, look, zxid};
use crate::commands::ensemble::plan::Input;
use crate::commands::ensemble::plan::seen::Seen;

/// How long one server may take.
pub const SERVER_LIMIT: Duration = Duration::from_secs(2);

/// How long the whole look may take: within it, members that are known late have less.
const LOOK_LIMIT: Duration = Duration::from_millis(2_100);

/// How long the last questions may take, to servers that were behind.
const AGAIN_LIMIT: Duration = Duration::from_millis(250);

/// Most servers that are asked in one look.
pub const SERVERS_MAX: usize = 64;

/// One look at all servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Look {
    /// What was seen, by id.
    pub seen: Seen,
    /// Where each server takes clients, as it was asked.
    pub addresses: BTreeMap<ServerId, String>,
    /// Servers whose id is not known.
    pub nameless: Vec<Nameless>,
    /// What kept from knowing the membership, one line a server.
    pub notes: Vec<String>,
    /// The record, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Desired>,
    /// When it was looked, where ages matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Look {
    /// What a pass looks at that may send a change.
    pub fn input(&self, now: Timestamp, rest: Duration) -> Input<'_> {
        let now = self.at.unwrap_or(now);
        Input { desired: self.desired.as_ref(), seen: &self.seen, now, rest, is_strict: true }
    }
}

/// A server that was named and did not say who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nameless {
    /// Where it was asked.
    pub address: String,
    /// What it answers.
    pub answer: Answer,
}

/// Looks at the servers at these addresses, and at every member that they know.
pub async fn look_at(settings: &Settings, named: &[Address], limit: Duration) -> Look {
    look_at_known(settings, named, &BTreeMap::new(), limit).await
}

/// The same, where it is known already which servers take clients where: by the record, or by what a session showed.
pub async fn look_at_known(
    settings: &Settings,
    named: &[Address],
    known: &BTreeMap<Address, ServerId>,
    limit: Duration,
) -> Look {
    let start = Instant::now();
    // Where not all can be asked, those that the named servers take for members come first.
    let is_crowd = named.len() + known.len() > SERVERS_MAX;
    let first = named.iter().chain(known.keys().filter(|_| !is_crowd));
    let mut later: Vec<_> = known.keys().filter(|_| is_crowd).cloned().collect();
    let mut round = Round::default();
    let mut running: FuturesUnordered<_> =
        first.filter(|address| round.takes(address)).map(|address| look(settings, address.clone(), limit)).collect();
    let mut said = Vec::new();
    loop {
        let next = match running.next().await {
            Some(one) => {
                let said_so =
                    said.iter().chain([&one]).filter_map(|said: &Said| said.view.own_id).collect::<BTreeSet<_>>();
                let next = members(&one, &said_so);
                said.push(one);
                next
            }
            None if later.is_empty() => break,
            None => std::mem::take(&mut later),
        };
        let left = LOOK_LIMIT.saturating_sub(start.elapsed()).min(limit);
        let next = next.into_iter().filter(|_| !left.is_zero()).filter(|address| round.takes(address));
        running.extend(next.map(|address| look(settings, address, left)));
    }
    drop(running);
    let mut look = assembled(said, known.clone());
    look.seen.asked.left_out = round.left_out.len();
    again(settings, &mut look).await;
    look
}

/// Who is asked in one look.
#[derive(Default)]
struct Round {
    asked: BTreeSet<Address>,
    left_out: BTreeSet<Address>,
}

impl Round {
    /// Whether this one is asked now: it was not yet, and there are not too many.
    fn takes(&mut self, address: &Address) -> bool {
        if self.asked.contains(address) {
            return false;
        }
        if self.asked.len() >= SERVERS_MAX {
            self.left_out.insert(address.clone());
            return false;
        }
        self.asked.insert(address.clone())
    }
}

/// Where the members that a server knows take clients, voters first, without those that have answered under another name.
fn members(said: &Said, known: &BTreeSet<ServerId>) -> Vec<Address> {
    let servers = said.view.config.iter().flat_map(|config| &config.membership.servers);
    let mut servers: Vec<_> = servers.filter(|(id, _)| !known.contains(id)).map(|(_, line)| line).collect();
    servers.sort_by_key(|line| line.role != Role::Participant);
    servers.into_iter().filter_map(ServerLine::client_address).collect()
}

fn assembled(said: Vec<Said>, known: BTreeMap<Address, ServerId>) -> Look {
    let config = agreed(&said);
    let mut of_address = known;
    let shown_by_servers = said
        .iter()
        .filter_map(|said| said.view.config.as_ref())
        .flat_map(|config| &config.membership.servers)
        .filter_map(|(id, line)| Some((line.client_address()?, *id)));
    of_address.extend(shown_by_servers);
    let mut look = Look {
        seen: Seen::default(),
        addresses: BTreeMap::new(),
        nameless: Vec::new(),
        notes: Vec::new(),
        desired: None,
        at: None,
    };
    for Said { address, view, no_config } in said {
        let shown = address.to_string();
        if let Some(why) = no_config.filter(|_| view.answer.mode().is_some()) {
            look.notes.push(why);
        }
        let Some(id) = of_address.get(&address).copied().or(view.own_id) else {
            look.seen.asked.stranger_answers |= view.answer.is_of_zookeeper();
            look.seen.asked.no_answers.extend(trouble(&shown, &view.answer));
            if view.answer.mode() == Some(Mode::Standalone) {
                look.seen.reconfig_off = Some(format!("{shown} runs alone (standalone): it knows of no ensemble"));
            }
            look.nameless.push(Nameless { address: shown, answer: view.answer });
            continue;
        };
        take(&mut look, id, shown, view);
    }
    let leader = look.seen.leader().and_then(|id| look.seen.servers.get(&id));
    look.seen.leader_zxid = leader.and_then(|view| view.answer.zxid());
    look.seen.quorum = leader.and_then(|view| view.config.clone()).or(config);
    look
}

/// Why a server shows no mode, with its address.
fn trouble(shown: &str, answer: &Answer) -> Option<String> {
    let why = answer.trouble()?;
    Some(if why.contains(shown) { why } else { format!("{shown}: {why}") })
}

/// A server that was asked under two names, or another one with the same id: then both are named.
fn take(look: &mut Look, id: ServerId, address: String, view: ServerView) {
    let serves = |view: &ServerView| view.answer.mode().is_some();
    let Some(first) = look.seen.servers.get_mut(&id) else {
        look.seen.servers.insert(id, view);
        look.addresses.insert(id, address);
        return;
    };
    if serves(first) && serves(&view) {
        let is_same = first.config == view.config && first.answer.mode() == view.answer.mode();
        if !is_same {
            let mode = view.answer.mode().map(|mode| mode.to_string()).unwrap_or_default();
            first.rival = Some(format!("the server at {address} ({mode}, with another configuration or role)"));
        }
    } else if serves(&view) {
        *first = view;
        look.addresses.insert(id, address);
    }
}

/// The configuration with the highest version that any server has, for when none leads.
fn agreed(said: &[Said]) -> Option<EnsembleConfig> {
    said.iter().filter_map(|said| said.view.config.clone()).max_by_key(|config| config.version)
}

/// Servers that were asked before the leader may only seem to be behind it.
async fn again(settings: &Settings, look: &mut Look) {
    let Some(leader) = look.seen.leader_zxid else { return };
    let behind =
        look.seen.servers.iter().filter(|(_, view)| view.answer.zxid().is_some_and(|own| !own.has_all_of(leader)));
    let asked: FuturesUnordered<_> = behind
        .filter_map(|(id, _)| Some((*id, parsed(look.addresses.get(id)?)?)))
        .map(|(id, address)| async move { (id, zxid(settings, &address, AGAIN_LIMIT).await) })
        .collect();
    let answers: Vec<_> = asked.collect().await;
    for (id, own) in answers {
        if let (Some(view), Some(own)) = (look.seen.servers.get_mut(&id), own)
            && let Answer::Serving { zxid, .. } = &mut view.answer
        {
            *zxid = own.max(*zxid);
        }
    }
}

/// An address as it was shown; peers may name hosts that no flag could.
pub(super) fn parsed(shown: &str) -> Option<Address> {
    let (host, port) = shown.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(Address::new(host, port.parse().ok()?))
}
