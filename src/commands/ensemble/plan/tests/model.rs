//! A model of ZooKeeper's own rules of reconfiguration, as they were measured on real servers: it accepts dead servers while a
//! majority of the new list is in sync, makes a new version for every call it accepts, and loses answers.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::{ENSEMBLE, line};
use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::gone::{Evidence, GONE_AFTER};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
use crate::cluster::ensemble::view::{Answer, CatchUp, Mode, Sample, ServerView, Zxid};
use crate::commands::ensemble::plan::seen::Seen;

#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub(super) runs: bool,
    pub(super) lags: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) config: EnsembleConfig,
    pub(super) servers: BTreeMap<ServerId, Server>,
    leader: Option<ServerId>,
    zxid: u64,
    /// A call that a frozen leader holds: it is applied at the next tick, if its version still fits.
    late: Option<(Membership, ConfigVersion)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    BadVersion,
    NoQuorum,
    NewConfigNoQuorum,
}

impl Model {
    pub(super) fn of(voters: i64) -> Self {
        let ids = (1..=voters).map(ServerId);
        let membership = Membership { servers: ids.clone().map(|id| (id, line(id.0))).collect(), hierarchy: None };
        let servers = ids.map(|id| (id, Server { runs: true, lags: false })).collect();
        let config = EnsembleConfig { membership, version: ConfigVersion(0x1_0000_0000) };
        let mut model = Self { config, servers, leader: None, zxid: 0x1_0000_0000, late: None };
        model.elect();
        model
    }

    pub(super) fn running(&self) -> BTreeSet<ServerId> {
        self.servers.iter().filter(|(_, server)| server.runs).map(|(id, _)| *id).collect()
    }

    pub(super) fn has_quorum(&self) -> bool {
        self.config.membership.tolerance(&self.running()).spare() >= 0
    }

    fn elect(&mut self) {
        let running = self.running();
        let voters = self.config.membership.voters();
        let is_fit = |id: &ServerId| running.contains(id) && voters.contains(id);
        self.leader = self.leader.filter(is_fit).or_else(|| voters.iter().copied().rfind(|id| is_fit(id)));
        if !self.has_quorum() {
            self.leader = None;
        }
    }

    pub(super) fn set_running(&mut self, id: ServerId, runs: bool) {
        self.servers.entry(id).or_default().runs = runs;
        self.elect();
    }

    /// What ZooKeeper does with a call.
    pub(super) fn reconfigure(&mut self, after: Membership, from: ConfigVersion) -> Result<(), Denied> {
        if !self.has_quorum() {
            return Err(Denied::NoQuorum);
        }
        if from != self.config.version {
            return Err(Denied::BadVersion);
        }
        let in_sync = self.running().into_iter().filter(|id| !self.servers[id].lags).collect();
        if after.tolerance(&in_sync).spare() < 0 {
            return Err(Denied::NewConfigNoQuorum);
        }
        self.zxid += 1;
        self.config = EnsembleConfig { membership: after, version: ConfigVersion(self.zxid) };
        self.elect();
        Ok(())
    }

    /// The leader freezes with the call in its hands.
    pub(super) fn hold(&mut self, after: Membership, from: ConfigVersion) {
        self.late = Some((after, from));
    }

    pub(super) fn thaw(&mut self) -> bool {
        self.late.take().is_some_and(|(after, from)| self.reconfigure(after, from).is_ok())
    }

    /// What a look shows. Servers that do not run have been silent for an hour.
    pub(super) fn look(&self, desired: &Desired) -> Seen {
        let members = self.config.membership.servers.keys();
        let ids: BTreeSet<_> = members.chain(desired.members.keys()).chain(self.servers.keys()).copied().collect();
        let mut seen = Seen { leader_zxid: Some(Zxid(self.zxid)), migrates: Some(false), ..Seen::default() };
        seen.quorum = self.leader.map(|_| self.config.clone());
        for id in ids {
            if !self.servers.get(&id).is_some_and(|server| server.runs) {
                let age = Evidence { last_alive: Some(GONE_AFTER * 4), ..Evidence::default() };
                seen.evidence.insert(id, age);
            }
            seen.servers.insert(id, self.view(id));
        }
        seen
    }

    fn view(&self, id: ServerId) -> ServerView {
        let server = self.servers.get(&id).cloned().unwrap_or_default();
        if !server.runs {
            return ServerView::of(Answer::Down { why: "connection refused".to_owned() });
        }
        if self.leader.is_none() {
            return ServerView::of(Answer::NotServing);
        }
        let mode = if self.leader == Some(id) { Mode::Leader } else { Mode::Follower };
        let own = Zxid(if server.lags { self.zxid - 1 } else { self.zxid });
        let mut view = ServerView::of(Answer::Serving { mode, zxid: own });
        view.config = Some(self.config.clone());
        view.ensemble_id = Some(ENSEMBLE.to_owned());
        view.own_id = Some(id);
        let sample = Sample { leader: Zxid(self.zxid), own, age_ms: 3_000 };
        view.catch_up = Some(CatchUp { samples: vec![sample; 3], counted_by_leader: Some(1), count_unread: None });
        view
    }
}
