//! Every known member is asked, at its own address and never by the name of a Service: who serves, with which members, and of which
//! ensemble.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use crate::clients::kafka::settings::Settings;
use crate::clients::zookeeper::live::Live as Session;
use crate::clients::zookeeper::settings::Settings as SessionSettings;
use crate::clients::zookeeper::{Refusal, ZooKeeper, ZooKeeperError};
use crate::cluster::address::Address;
use crate::cluster::ensemble::desired::{Desired, ENSEMBLE_ID_PATH};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{EnsembleConfig, Membership};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer, Mode, Zxid};
use crate::commands::ensemble::observe::servers::{Look, SERVER_LIMIT, SERVERS_MAX, look_at, parsed};
use crate::commands::ensemble::plan::prestart::{DiskFile, FoundFiles, Live as Serving, OwnId};
use crate::formats::ensemble_config;

/// Longest text of an ensemble id that is taken.
const ID_BYTES_MAX: usize = 256;

/// Longest wait for a name.
const NAME_WITHIN: Duration = Duration::from_secs(5);

/// What the others say.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Those that serve.
    pub live: BTreeMap<ServerId, Serving>,
    /// Where a process answers that has this id.
    pub rival: Option<String>,
    /// Another server that answers at all.
    pub answers: Option<String>,
}

/// How servers are spoken to.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// Four-letter words.
    pub settings: &'a Settings,
    /// Sessions; their servers are replaced by each that is asked.
    pub session: &'a SessionSettings,
}

/// Asks all members that the document, the disk and the flags know, and those that these know.
pub async fn look_at_live(
    how: How<'_>,
    id: ServerId,
    record: Option<&Desired>,
    found: Option<&FoundFiles>,
    more: Vec<Address>,
) -> Live {
    let mut named: Vec<_> = known(record, found).into_iter().chain(more).collect();
    named.sort();
    named.dedup();
    named.truncate(SERVERS_MAX);
    if named.is_empty() {
        return Live::default();
    }
    let look = look_at(how.settings, &named, SERVER_LIMIT).await;
    let mut live = answering(id, &look);
    live.live = serving(how, &look).await;
    live
}

/// Whether all names of a server's own line resolve here.
pub async fn resolves(line: &ServerLine) -> bool {
    for address in &line.addresses {
        let found = timeout(NAME_WITHIN, tokio::net::lookup_host((address.host.as_str(), address.quorum_port))).await;
        let is_known = found.ok().and_then(Result::ok).is_some_and(|mut addresses| addresses.next().is_some());
        if !is_known {
            return false;
        }
    }
    true
}

/// Where the known members take clients. One that was retired is asked, too: it may be back as a rival.
fn known(record: Option<&Desired>, found: Option<&FoundFiles>) -> BTreeSet<Address> {
    let desired = record.into_iter().flat_map(|record| record.members.values()).map(|member| &member.line);
    let of = |membership: &'_ Membership| membership.servers.values().cloned().collect::<Vec<_>>();
    let last = record.into_iter().flat_map(|record| &record.last_config).flat_map(|last| of(&last.config.membership));
    let op = record.into_iter().flat_map(|record| &record.op).flat_map(|op| [of(&op.before), of(&op.after)].concat());
    let on_disk = match found.map(|found| &found.disk.file) {
        Some(DiskFile::Read(config)) => of(&config.membership),
        _ => Vec::new(),
    };
    desired.cloned().chain(last).chain(op).chain(on_disk).filter_map(|line| line.client_address()).collect()
}

/// Who answers at all: a process that has this id, and any other server.
fn answering(id: ServerId, look: &Look) -> Live {
    let mut live = Live::default();
    for (server, view) in look.seen.servers.iter().filter(|(_, view)| view.answer.is_running()) {
        let place = look.addresses.get(server).map_or("-", String::as_str);
        let words = match view.answer.mode() {
            Some(mode) => format!("at {place} ({mode})"),
            None => format!("at {place}"),
        };
        if *server == id {
            live.rival = Some(words);
        } else if live.answers.is_none() {
            live.answers = Some(format!("server {server} {words}"));
        }
    }
    let nameless = look.nameless.iter().find(|it| it.answer.is_running());
    live.answers = live.answers.or_else(|| nameless.map(|it| format!("a server at {}", it.address)));
    live
}

/// Servers that serve, with the configuration and the ensemble id as each of them has it.
async fn serving(how: How<'_>, look: &Look) -> BTreeMap<ServerId, Serving> {
    let takes_part = |answer: &Answer| matches!(answer.mode(), Some(Mode::Leader | Mode::Follower | Mode::Observer));
    let asked: FuturesUnordered<_> = look
        .seen
        .servers
        .iter()
        .filter(|(_, view)| takes_part(&view.answer))
        .filter_map(|(id, view)| Some((*id, view, look.addresses.get(id)?)))
        .map(|(id, view, address)| async move {
            let serving = of_session(how, address, view.config.clone()).await?;
            Some((id, Serving { epoch: view.answer.zxid().map(Zxid::epoch), ..serving }))
        })
        .collect();
    asked.filter_map(std::future::ready).collect().await
}

/// A session with one server: its ensemble id, and its configuration where `conf` did not show it. What can't be read is said.
async fn of_session(how: How<'_>, address: &str, config: Option<EnsembleConfig>) -> Option<Serving> {
    let unread = |config: Option<EnsembleConfig>, why: String| {
        tracing::warn!("the server at {address} can't be asked for its ensemble: {why}");
        let config = config.ok_or_else(|| why.clone());
        Serving { config, ensemble_id: OwnId::Unread(why), epoch: None }
    };
    let addresses = vec![parsed(address)?];
    let timeout = how.settings.timeout.min(SERVER_LIMIT);
    let settings = SessionSettings { addresses, chroot: String::new(), timeout, ..how.session.clone() };
    let session = match Session::connect(settings).await {
        Ok(session) => session,
        Err(error) => return Some(unread(config, error.to_string())),
    };
    let config = match config {
        None => of_node(address, &session).await,
        Some(config) => Ok(config),
    };
    let ensemble_id = own_id(&session).await;
    drop(session.close().await);
    Some(Serving { config, ensemble_id, epoch: None })
}

/// The configuration that a server has, in its node.
async fn of_node(address: &str, session: &dyn ZooKeeper) -> Result<EnsembleConfig, String> {
    let text = session.configuration().await.map_err(|error| error.to_string())?;
    ensemble_config::read(address, &text.text).map(|read| read.config).map_err(|faults| faults.to_string())
}

/// The ensemble id that a server has. One that is there and no id is another ensemble's; an error is neither.
async fn own_id(session: &dyn ZooKeeper) -> OwnId {
    match session.get(ENSEMBLE_ID_PATH).await {
        Ok(node) => {
            let text = String::from_utf8(node.data).ok().filter(|text| text.len() <= ID_BYTES_MAX);
            let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            OwnId::Is(text.unwrap_or_else(|| "(not readable)".to_owned()))
        }
        Err(ZooKeeperError::Refused(Refusal::NoNode, _)) => OwnId::Absent,
        Err(error) => OwnId::Unread(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::zookeeper::memory::{Fault, Memory};
    use crate::clients::zookeeper::{Creation, Mode as NodeMode};

    #[tokio::test]
    async fn an_ensemble_id_that_can_not_be_read_is_neither_absent_nor_another_one() {
        let memory = Memory::new(&["server.1=a:1:2:participant;3"]);
        let session = memory.session();
        assert_eq!(own_id(&session).await, OwnId::Absent);
        for fault in [Fault::RequestLost, Fault::Refused(Refusal::NoAuth)] {
            memory.add_fault(fault);
            assert!(matches!(own_id(&session).await, OwnId::Unread(_)), "{fault:?}");
        }
        let creation = Creation::open(NodeMode::Persistent);
        session.create("/kafka-toolbox", b"", &creation).await.unwrap();
        session.create(ENSEMBLE_ID_PATH, b"e-1\n", &creation).await.unwrap();
        assert_eq!(own_id(&session).await, OwnId::Is("e-1".to_owned()));
        session.set(ENSEMBLE_ID_PATH, &[0xff, 0xfe], None).await.unwrap();
        assert!(matches!(own_id(&session).await, OwnId::Is(other) if other != "e-1"));
        memory.add_fault(Fault::RequestLost);
        assert!(of_node("a:3", &session).await.is_err());
    }
}
