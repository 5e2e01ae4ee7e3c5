//! Laws over generated histories: servers die and return, people declare, retire and meddle, the tool is killed at each point of a
//! change, answers are lost and calls are applied late.
//!
//! 1. A pass never loses a quorum that was there, and makes one change at most: one server added, removed or replaced.
//! 2. No live voter is removed that nobody asked to remove.
//! 3. Once everything that is not retired runs, passes end in the desired membership, or say why not.
//! 4. A pass more changes nothing.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::model::Model;
use super::scene::{ENSEMBLE, id, member, now, words};
use crate::cluster::ensemble::desired::{Desired, LastConfig, MemberState, Op};
use crate::cluster::ensemble::member::ServerId;
use crate::commands::ensemble::plan::change::Change;
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::settle::{is_confirmed, recorded};
use crate::commands::ensemble::plan::{Decision, Input, decide};

/// How a pass that sends a change ends.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    KilledBeforeSending,
    KilledAfterSending,
    AppliedLate,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Kill(i64),
    Start(i64),
    Lag(i64, bool),
    Join(i64),
    Leave(i64),
    Retire(i64),
    Size(usize),
    Meddle(i64),
    Adopt,
    Tick(i64),
    Pass(Fate),
}

fn event() -> impl Strategy<Value = Event> {
    let any_id = 1..8_i64;
    let fate = prop_oneof![
        4 => Just(Fate::Fine),
        1 => Just(Fate::KilledBeforeSending),
        1 => Just(Fate::KilledAfterSending),
        1 => Just(Fate::AppliedLate)
    ];
    prop_oneof![
        2 => any_id.clone().prop_map(Event::Kill),
        3 => any_id.clone().prop_map(Event::Start),
        1 => (any_id.clone(), any::<bool>()).prop_map(|(id, lags)| Event::Lag(id, lags)),
        2 => any_id.clone().prop_map(Event::Join),
        2 => any_id.clone().prop_map(Event::Leave),
        2 => any_id.clone().prop_map(Event::Retire),
        1 => prop_oneof![Just(3), Just(5)].prop_map(Event::Size),
        1 => any_id.prop_map(Event::Meddle),
        1 => Just(Event::Adopt),
        4 => (0..400_i64).prop_map(Event::Tick),
        8 => fate.prop_map(Event::Pass)
    ]
}

struct World {
    model: Model,
    desired: Desired,
    now: Timestamp,
}

impl World {
    fn of(voters: i64) -> Self {
        let model = Model::of(voters);
        let desired = Desired {
            size: usize::try_from(voters).unwrap(),
            ensemble_id: Some(ENSEMBLE.to_owned()),
            initialized: true,
            members: (1..=voters).map(|number| (id(number), member(number, MemberState::Voter))).collect(),
            last_config: Some(LastConfig {
                config: model.config.clone(),
                since: now() - SignedDuration::from_hours(1),
            }),
            ..Desired::default()
        };
        Self { model, desired, now: now() }
    }

    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        let state = |world: &mut Self, number: i64, state| {
            world.desired.members.entry(id(number)).and_modify(|member| member.state = state);
        };
        match event {
            Event::Kill(number) => self.model.set_running(id(number), false),
            Event::Start(number) => self.start(id(number)),
            Event::Lag(number, lags) => self.model.servers.entry(id(number)).or_default().lags = lags,
            Event::Join(number) => {
                self.desired.members.entry(id(number)).or_insert_with(|| member(number, MemberState::Joining));
            }
            Event::Leave(number) => state(self, number, MemberState::Leaving),
            Event::Retire(number) => state(self, number, MemberState::Retired),
            Event::Size(size) => self.desired.size = size,
            Event::Meddle(number) => self.meddle(id(number)),
            Event::Adopt => {
                self.desired.last_config = Some(LastConfig { config: self.model.config.clone(), since: self.now });
            }
            Event::Tick(seconds) => {
                self.now += SignedDuration::from_secs(seconds);
                self.model.thaw();
            }
            Event::Pass(fate) => return self.pass(fate).map(|_| ()),
        }
        Ok(())
    }

    /// A retired server's disk is refused by `prestart`.
    fn start(&mut self, id: ServerId) {
        let is_retired = self.desired.members.get(&id).is_some_and(|member| member.state == MemberState::Retired);
        if !is_retired && self.desired.members.contains_key(&id) {
            self.model.set_running(id, true);
        }
    }

    /// Somebody adds or removes a server behind the tool.
    fn meddle(&mut self, id: ServerId) {
        let mut after = self.model.config.membership.clone();
        if after.servers.remove(&id).is_none() {
            after.servers.insert(id, super::scene::line(id.0));
        }
        let _ = self.model.reconfigure(after, self.model.config.version);
    }

    fn pass(&mut self, fate: Fate) -> Result<String, TestCaseError> {
        let (before, had_quorum) = (self.model.config.clone(), self.model.has_quorum());
        let asked = self.desired.clone();
        let seen = self.model.look(&self.desired);
        let pass =
            decide(Input { desired: Some(&self.desired), seen: &seen, now: self.now, rest: SETTLE, is_strict: true });
        if pass.clears_op {
            self.desired.op = None;
        }
        for (id, state) in &pass.marks {
            self.desired.members.get_mut(id).unwrap().state = *state;
        }
        match &pass.decision {
            Decision::Change(change) => self.send(change, fate),
            Decision::Confirm(op) => self.confirm(op),
            _ => {}
        }
        prop_assert!(!had_quorum || self.model.has_quorum(), "a pass lost the quorum by {}", words(&pass.decision));
        let (was, is) = (&before.membership.servers, &self.model.config.membership.servers);
        let removed: Vec<_> = was.keys().filter(|id| !is.contains_key(id)).copied().collect();
        let added = is.keys().filter(|id| !was.contains_key(id)).count();
        prop_assert!(removed.len() <= 1 && added <= 1, "more than one change: {}", words(&pass.decision));
        for id in removed {
            let state = asked.members.get(&id).map(|member| member.state);
            let is_live = self.model.running().contains(&id);
            let allowed = match state {
                Some(MemberState::Leaving) => true,
                Some(MemberState::Retired) => !is_live,
                _ => false,
            };
            prop_assert!(allowed, "server {id} was removed in state {state:?}, live {is_live}");
        }
        Ok(words(&pass.decision))
    }

    fn send(&mut self, change: &Change, fate: Fate) {
        let (before, from_version) = (self.model.config.membership.clone(), self.model.config.version);
        let after = change.after(&before);
        let (kind, target, is_leader) = (change.kind, change.target, change.is_leader);
        let op = Op {
            id: "op".into(),
            kind,
            target,
            from_version,
            before,
            after: after.clone(),
            is_leader,
            started_at: self.now,
        };
        self.desired.op = Some(op.clone());
        match fate {
            Fate::KilledBeforeSending => {}
            Fate::AppliedLate => self.model.hold(after, from_version),
            Fate::KilledAfterSending => {
                let _ = self.model.reconfigure(after, from_version);
            }
            Fate::Fine => {
                if self.model.reconfigure(after, from_version).is_ok() {
                    self.confirm(&op);
                }
            }
        }
    }

    fn confirm(&mut self, op: &Op) {
        let seen = self.model.look(&self.desired);
        if is_confirmed(op, &seen).is_ok() {
            self.desired = recorded(&self.desired, op, &self.model.config, self.now);
        }
    }

    /// Everything that may run runs, nobody meddles, time passes.
    fn heals(&mut self) -> Result<String, TestCaseError> {
        for server in self.model.servers.values_mut() {
            server.lags = false;
        }
        let ids: Vec<_> = self.desired.members.keys().copied().collect();
        let mut said = String::new();
        for _ in 0..40 {
            for id in &ids {
                self.start(*id);
            }
            self.model.thaw();
            self.now += SignedDuration::from_secs(400);
            said = self.pass(Fate::Fine)?;
            // Whoever is out and should be out is stopped, as `apply` asks for.
            let members = &self.model.config.membership.servers;
            let is_out =
                |id: &&ServerId| !members.contains_key(id) && !self.desired.wanted_voters().any(|it| it == **id);
            let out: Vec<_> = ids.iter().filter(is_out).copied().collect();
            for id in out {
                self.model.set_running(id, false);
            }
        }
        Ok(said)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_law(
        voters in prop_oneof![Just(3_i64), Just(5)],
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut world = World::of(voters);
        for event in events {
            world.happens(event)?;
        }
        let said = world.heals()?;
        let version = world.model.config.version;
        if said == "nothing" {
            let wanted: BTreeSet<_> = world.desired.wanted_voters().collect();
            prop_assert_eq!(world.model.config.membership.voters(), wanted);
        }
        prop_assert!(!said.is_empty());
        world.pass(Fate::Fine)?;
        prop_assert_eq!(world.model.config.version, version, "a pass more changed something");
    }

    #[test]
    fn without_meddling_every_legal_declaration_comes_true(
        (from, to) in prop_oneof![Just((3_i64, 5_i64)), Just((5, 3)), Just((3, 3)), Just((5, 5))],
        fates in proptest::collection::vec(0..4_usize, 30),
    ) {
        let mut world = World::of(from);
        world.desired.size = usize::try_from(to).unwrap();
        for number in 1..=from.min(to).min(2) {
            // The first two are replaced by servers with new ids; of what is too many the highest ids leave.
            world.happens(Event::Leave(number))?;
            world.happens(Event::Join(number + 10))?;
        }
        (from + 1..=to).try_for_each(|number| world.happens(Event::Join(number)))?;
        (to + 1..=from).try_for_each(|number| world.happens(Event::Leave(number)))?;
        for fate in fates {
            world.heal_one(fate)?;
        }
        prop_assert_eq!(world.heals()?, "nothing");
        prop_assert_eq!(world.model.config.membership.voters().len(), usize::try_from(to).unwrap());
        prop_assert_eq!(world.model.config.membership.voters(), world.desired.wanted_voters().collect::<BTreeSet<_>>());
    }
}

impl World {
    fn heal_one(&mut self, fate: usize) -> Result<(), TestCaseError> {
        let fates = [Fate::Fine, Fate::KilledBeforeSending, Fate::KilledAfterSending, Fate::AppliedLate];
        let ids: Vec<_> = self.desired.members.keys().copied().collect();
        for id in ids {
            self.start(id);
        }
        self.happens(Event::Tick(100))?;
        self.pass(fates[fate]).map(|_| ())
    }
}
