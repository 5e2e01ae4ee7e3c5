//! A healthy ensemble to start cases from: voters 1 to N, all as desired, at rest for an hour.

use jiff::{SignedDuration, Timestamp};

use crate::cluster::ensemble::desired::{Desired, DesiredMember, LastConfig, MemberState};
use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer, CatchUp, Mode, NewPlace, Sample, ServerView, Zxid};
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::{Decision, Input, Pass, decide};

pub(super) const ENSEMBLE: &str = "one";

pub(super) fn id(number: i64) -> ServerId {
    ServerId(number)
}

pub(super) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(super) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

pub(super) fn line(number: i64) -> ServerLine {
    ServerLine::parse(&format!("zk-{number}:2888:3888:participant;0.0.0.0:2181")).unwrap()
}

pub(super) fn member(number: i64, state: MemberState) -> DesiredMember {
    DesiredMember::new(line(number), state)
}

pub(super) fn config(voters: impl IntoIterator<Item = i64>) -> EnsembleConfig {
    let servers = voters.into_iter().map(|number| (id(number), line(number))).collect();
    EnsembleConfig { membership: Membership { servers, hierarchy: None }, version: ConfigVersion(0x1_0000_0000) }
}

#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) desired: Desired,
    pub(super) seen: Seen,
}

impl Scene {
    /// Voters 1 to N; N leads.
    pub(super) fn of(voters: i64) -> Self {
        let config = config(1..=voters);
        let desired = Desired {
            size: usize::try_from(voters).unwrap(),
            ensemble_id: Some(ENSEMBLE.to_owned()),
            initialized: true,
            members: (1..=voters).map(|number| (id(number), member(number, MemberState::Voter))).collect(),
            last_config: Some(LastConfig { config: config.clone(), since: ago(3_600) }),
            ..Desired::default()
        };
        let seen =
            Seen { quorum: Some(config), leader_zxid: Some(Zxid(100)), migrates: Some(false), ..Seen::default() };
        let mut scene = Self { desired, seen };
        for number in 1..=voters {
            scene.serves(number, if number == voters { Mode::Leader } else { Mode::Follower });
        }
        scene
    }

    pub(super) fn serves(&mut self, number: i64, mode: Mode) -> &mut Self {
        let mut view = ServerView::of(Answer::Serving { mode, zxid: Zxid(100) });
        view.config = self.seen.quorum.clone();
        view.ensemble_id = Some(ENSEMBLE.to_owned());
        view.own_id = Some(id(number));
        self.seen.servers.insert(id(number), view);
        self
    }

    pub(super) fn down(&mut self, number: i64) -> &mut Self {
        let why = "connection refused".to_owned();
        self.seen.servers.insert(id(number), ServerView::of(Answer::Down { why }));
        self
    }

    /// A non-voting follower that is caught up, and declared.
    pub(super) fn joiner(&mut self, number: i64) -> &mut Self {
        self.desired.members.insert(id(number), member(number, MemberState::Joining));
        self.serves(number, Mode::Follower);
        let sample = Sample { leader: Zxid(90), own: Zxid(95), age_ms: 3_000 };
        let catch_up = CatchUp { samples: vec![sample; 3], counted_by_leader: Some(1), count_unread: None };
        self.view(number).catch_up = Some(catch_up);
        self
    }

    pub(super) fn view(&mut self, number: i64) -> &mut ServerView {
        self.seen.servers.get_mut(&id(number)).unwrap()
    }

    /// It was found at this address, too.
    pub(super) fn answers_at(&mut self, number: i64, address: &str) -> &mut Self {
        let view = self.view(number);
        let (address, answer) = (address.to_owned(), view.answer.clone());
        view.new_place = Some(NewPlace { address, answer, own_id: Some(id(number)) });
        self
    }

    pub(super) fn state(&mut self, number: i64, state: MemberState) -> &mut Self {
        self.desired.members.get_mut(&id(number)).unwrap().state = state;
        self
    }

    pub(super) fn observes(&mut self, number: i64) -> &mut Self {
        let quorum = self.seen.quorum.as_mut().unwrap();
        quorum.membership.servers.insert(id(number), line(number).with_role(Role::Observer));
        self.desired.last_config.as_mut().unwrap().config = quorum.clone();
        for view in self.seen.servers.values_mut().filter(|view| view.config.is_some()) {
            view.config = Some(quorum.clone());
        }
        self.serves(number, Mode::Observer)
    }

    pub(super) fn size(&mut self, size: usize) -> &mut Self {
        self.desired.size = size;
        self
    }

    pub(super) fn pass(&self) -> Pass {
        decide(Input { desired: Some(&self.desired), seen: &self.seen, now: now(), rest: SETTLE, is_strict: true })
    }

    /// The decision in a few words: the change, the refusal's name, `wait: …` or `nothing`.
    pub(super) fn says(&self) -> String {
        words(&self.pass().decision)
    }
}

pub(super) fn words(decision: &Decision) -> String {
    match decision {
        Decision::Nothing => "nothing".to_owned(),
        Decision::Wait(why) => format!("wait: {why}"),
        Decision::Refuse(refusal) => refusal.to_string(),
        Decision::Confirm(op) => format!("confirm {} {}", op.kind.word(), op.target),
        Decision::Change(change) => change.to_string(),
    }
}
