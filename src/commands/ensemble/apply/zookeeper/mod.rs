//! A ZooKeeper ensemble and its record: opened from flags, locked, and passed over.

mod scale;
pub mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::sightings::noted;
use crate::cluster::ensemble::view::Answer;
use crate::commands::ensemble::apply::Passed;
use crate::commands::ensemble::apply::found;
use crate::commands::ensemble::apply::pass::{decided, show};
use crate::commands::ensemble::apply::record::Record;
use crate::commands::ensemble::apply::zookeeper::steps::EnsembleExecutor;
use crate::commands::ensemble::observe::Observed;
use crate::commands::ensemble::observe::pass::{Memory, identify, is_in_doubt, observe, views};
use crate::commands::ensemble::observe::pods::Pods;
use crate::commands::ensemble::observe::servers::Look;
use crate::commands::ensemble::observe::sessions::{Connections, NotSeen};
use crate::commands::ensemble::observe::stored::{Folders, stored};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::planned::membership;
use crate::commands::ensemble::plan::refuse::{Found, next_step};
use crate::commands::ensemble::plan::seen::Asked;
use crate::commands::ensemble::plan::served;
use crate::commands::ensemble::plan::steps::record_lines;
use crate::commands::ensemble::plan::{Decision, Input, Pass, ZooKeeper, refuse};
use crate::context::{Context, ZooKeeperFlags};
use crate::exit::{Exit, Stop};
use crate::state::identity::{Identity, Purpose};

/// How an ensemble is found.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// How its servers are reached.
    pub flags: &'a ZooKeeperFlags,
    /// Its name (`--ensemble`).
    pub name: Option<&'a str>,
}

/// An ensemble whose record is known.
#[derive(Debug)]
pub struct Ensemble {
    /// Its name, or its id where it has none.
    pub name: String,
    /// How its servers are reached.
    pub connections: Connections,
    /// Its record.
    pub record: Record<Desired>,
    /// Whether somebody is logged in.
    pub has_login: bool,
    /// What looks remember.
    memory: Memory,
    /// What Kubernetes is asked about the servers' pods.
    pods: Pods,
    /// How long it rests between two changes.
    rest: Duration,
    /// The folders of servers that can be seen from here.
    folders: Folders,
    /// Whether the last pass waited: the next one that does prints nothing.
    has_waited: bool,
}

/// The name that stands for the ensemble's id, where there is one: `--ensemble`, else `--cluster`.
pub fn name<'a>(context: &'a Context, wanted: Wanted<'a>) -> Option<&'a str> {
    wanted.name.or(context.flags.cluster.as_deref())
}

/// The name of the ensemble with this id: that of its record; the id, where it has no record. An ensemble with several records is
/// refused.
pub async fn name_of(context: &Context, id: String) -> anyhow::Result<String> {
    let mut found = found::of_ensemble(context, &id).await?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Ok(id),
        (Some(only), true) => Ok(only.name),
        (Some(last), false) => {
            found.push(last);
            let names: Vec<_> = found.iter().map(|it| format!("{} (--ensemble {})", it.place, it.name)).collect();
            Err(Stop::refused(format!("the ensemble has several records: {}. Choose one", names.join(", "))).into())
        }
    }
}

impl Ensemble {
    /// Opens the record of the ensemble that the flags name. One without a name is known by its id; without that, it was
    /// never adopted.
    pub async fn open(context: &mut Context, wanted: Wanted<'_>, rest: Duration) -> anyhow::Result<Self> {
        let settings = context.zookeeper_settings(wanted.flags)?;
        let has_login = settings.login.is_some();
        let connections = Connections::new(settings);
        let name = match name(context, wanted) {
            Some(name) => name.to_owned(),
            None => match connections.ensemble_id(connections.named(), connections.timeout()).await {
                Ok(Some(id)) => name_of(context, id).await?,
                Ok(None) => return Err(Stop::refused(refuse::not_adopted().to_string()).into()),
                Err(why) => return Err(unreachable(&connections, None, &why).await),
            },
        };
        Self::of(context, connections, Known { name, has_login, rest }).await
    }

    /// The ensemble of this name.
    pub async fn of(context: &mut Context, connections: Connections, known: Known) -> anyhow::Result<Self> {
        let Known { name, has_login, rest } = known;
        context.is_ensemble(&name, None);
        let record: Record<Desired> = Record::open(context, &Identity::of_ensemble(&name)).await?;
        context.is_ensemble(&name, record.desired.as_ref().and_then(|desired| desired.ensemble_id.as_deref()));
        Ok(Self {
            name,
            connections,
            record,
            has_login,
            memory: Memory::default(),
            pods: Pods::default(),
            rest,
            folders: Folders::new(),
            has_waited: false,
        })
    }

    /// The same, where these folders of servers are looked at too.
    #[must_use]
    pub fn with_folders(self, folders: Folders) -> Self {
        Self { folders, ..self }
    }

    /// Makes sure that nobody else restarts servers, of the ensemble or of any cluster that it serves, or changes who votes.
    pub async fn lock(&self, context: &mut Context) -> anyhow::Result<()> {
        let clusters = self.kafka_clusters(context).await?;
        let id = match self.connections.lock_id(self.connections.timeout()).await {
            Ok(id) => id,
            Err(why) => return Err(unreachable(&self.connections, self.record.desired.as_ref(), &why).await),
        };
        context.lock(&Identity::of_ensemble_lock(&id, &self.name)).await?;
        let (only, named) = (clusters.len() == 1, context.flags.cluster_id.clone());
        for id in &clusters {
            // The name of --cluster is that of one cluster.
            let is_named = named.as_ref().map_or(only, |named| named == id);
            let identity = if is_named {
                context.identity(Purpose::Disruption, id)
            } else {
                context.identity_beside(Purpose::Disruption, id)
            };
            context.lock(&identity).await?;
        }
        Ok(())
    }

    /// The ids of the Kafka clusters whose brokers must not be restarted meanwhile.
    async fn kafka_clusters(&self, context: &Context) -> anyhow::Result<BTreeSet<String>> {
        let served = match self.connections.kafka_clusters(self.connections.timeout()).await {
            Ok(served) => served,
            Err(NotSeen::NoSession(why)) => {
                return Err(unreachable(&self.connections, self.record.desired.as_ref(), &why).await);
            }
            Err(NotSeen::Unread(why)) => return Err(Stop::refused(served::unknown(&why).to_string()).into()),
        };
        served.notes.iter().for_each(|note| tracing::info!("looking for Kafka clusters: {note}"));
        let ids = served::locked(&served, context.flags.cluster_id.as_deref());
        let ids = ids.map_err(|refusal| Stop::refused(refusal.to_string()))?;
        tracing::debug!(?ids, "Kafka clusters whose restarts are locked, too");
        Ok(ids)
    }

    /// Looks at everything, and reads the record again.
    pub async fn look(&mut self, context: &Context) -> anyhow::Result<Look> {
        self.record.reload().await?;
        let mut look = self.observed().await;
        let now = context.steady().now();
        let input = Input { desired: self.record.desired.as_ref(), ..look.input(now, self.rest) };
        if refuse::wrong_ensemble(input).is_some() {
            // The record of others: nothing is written into it.
            return Ok(Look { desired: self.record.desired.clone(), at: Some(now), ..look });
        }
        // Of two ensembles nobody knows whose servers the record's are.
        let is_split = refuse::at_once(input).is_some_and(|refusal| refusal.code == Code::SplitBrain);
        if !context.is_dry_run() && context.lock_check().check().is_ok() {
            self.record.correct_times(now).await;
        }
        let desired = self.record.desired.as_ref();
        let of_disks = self.pods.look(context, desired, &mut look.seen, None).await;
        let known = of_disks.as_ref().or(desired);
        let of_servers = known.filter(|_| !is_split).and_then(|known| noted(known, &look.seen.running(), now));
        self.remember(context, of_servers.or(of_disks)).await;
        if let Some(desired) = &self.record.desired {
            look.seen.recall(desired, now);
        }
        look.notes.iter().for_each(|note| tracing::info!("{note}"));
        Ok(Look { desired: self.record.desired.clone(), at: Some(context.steady().now()), ..look })
    }

    /// Looks at the servers, and finds out whose they are where the record may be another one's.
    pub async fn observed(&mut self) -> Look {
        let mut look = observe(&self.connections, self.record.desired.as_ref(), &mut self.memory).await;
        stored(&self.folders, &mut look).await;
        let asked = self.asked();
        (look.seen.asked.record, look.seen.asked.servers) = (asked.record, asked.servers);
        if let Some(desired) = self.record.desired.as_ref().filter(|desired| is_in_doubt(desired, &look.seen))
            && let Err(why) = identify(&self.connections, desired, &mut look.seen, self.connections.timeout()).await
        {
            look.notes.push(format!("the ensemble's id can't be read: {why}"));
        }
        look
    }

    /// How the ensemble is addressed, for messages.
    pub fn asked(&self) -> Asked {
        let servers = self.connections.named().iter().map(ToString::to_string).collect();
        let record = self.record.desired.as_ref().map(|_| self.record.place());
        Asked { record, servers, ..Asked::default() }
    }

    /// Makes sure that the record is that of the ensemble whose servers were named, before anything is written into it. Where that
    /// can't be found out, it is refused, too.
    pub async fn check_is_its_own(&self) -> anyhow::Result<()> {
        let Some(desired) = &self.record.desired else { return Ok(()) };
        let asked = self.asked();
        let refusal = match self.connections.identity(self.connections.named(), self.connections.timeout()).await {
            Ok((id, config)) => {
                let found = Found { id: id.as_deref(), lacks_id: id.is_none(), config: config.as_ref() };
                refuse::not_its_own(desired, found, &asked)
            }
            Err(why) => {
                let error = unreachable(&self.connections, Some(desired), &why).await;
                if error.is::<Stop>() {
                    return Err(error);
                }
                let why =
                    format!("whether {} is the record of this ensemble can't be told: {why}", self.record.place());
                Some(Refusal::new(Code::NotAsked, why, next_step(Code::NotAsked)))
            }
        };
        refusal.map_or(Ok(()), |refusal| Err(Stop::refused(refusal.to_string()).into()))
    }

    /// Keeps what the record has to remember of the servers and their disks, where something may be changed.
    async fn remember(&mut self, context: &Context, next: Option<Desired>) {
        let Some(next) = next.filter(|_| !context.is_dry_run() && context.lock_check().check().is_ok()) else { return };
        if let Err(why) = self.record.save(&next).await {
            // The next look notes it again.
            tracing::warn!(reason = why.reason, "what was seen of the servers and their disks could not be kept");
        }
    }

    /// One pass: shown, agreed to, carried out and recorded as any other plan.
    pub async fn pass(&mut self, context: &mut Context) -> anyhow::Result<Passed> {
        let look = self.look(context).await?;
        let observed = context.observed(async || Ok(Observed::Ensemble(Box::new(look)))).await?;
        let Observed::Ensemble(look) = observed else { return Err(not_an_ensemble()) };
        let decided = decided(look.input(context.steady().now(), self.rest));
        self.say_membership(context, &look, &decided.pass);
        if decided.waits_still(&mut self.has_waited) {
            return Ok(Passed::Waits);
        }
        let executor = self.executor(*look, context);
        // What it holds is large: the look is part of it.
        Box::pin(decided.carry_out(context, executor)).await
    }

    /// Says what the record says and what the members are now: by that, changes of runs that died get their outcomes. Of the
    /// members nothing is said while a change of an earlier pass may still show its effect.
    pub fn say_membership(&self, context: &mut Context, look: &Look, pass: &Pass) {
        context.shows_record(record_lines::<ZooKeeper>(look.desired.as_ref()));
        let is_open = look.desired.as_ref().is_some_and(|desired| desired.op.is_some());
        let is_settled = !is_open || pass.clears_op || matches!(pass.decision, Decision::Confirm(_));
        if let Some(config) = look.seen.quorum.as_ref().filter(|_| is_settled) {
            context.shows_membership(membership(&config.membership, None));
        }
    }

    /// Shows what a look comes to, and changes nothing.
    pub async fn rehearse(&self, context: &mut Context, look: Look) -> anyhow::Result<Exit> {
        context.observed(async || Ok(Observed::Ensemble(Box::new(look.clone())))).await?;
        let now = context.steady().now();
        show(context, look.input(now, self.rest)).await
    }

    /// What carries steps out.
    pub fn executor(&mut self, look: Look, context: &Context) -> EnsembleExecutor<'_> {
        let Self { connections, record, has_login, pods, .. } = self;
        let (kubernetes, locks, clock) = (pods.kubernetes(), context.lock_check(), context.steady());
        EnsembleExecutor { connections, record, kubernetes, look, locks, clock, has_login: *has_login }
    }

    /// How long it rests between two changes.
    pub fn rest(&self) -> Duration {
        self.rest
    }
}

/// Why no session is given: by its name where the servers themselves show it, as without a quorum.
pub async fn unreachable(connections: &Connections, desired: Option<&Desired>, why: &str) -> anyhow::Error {
    let look = views(connections, desired).await;
    let now = jiff::Timestamp::UNIX_EPOCH;
    let input = Input { desired: None, seen: &look.seen, now, rest: Duration::ZERO, is_strict: true };
    let known = refuse::at_once(input).filter(|refusal| refusal.code != Code::NotAsked);
    let known = known.filter(|_| !look.seen.servers.is_empty());
    // A server without a quorum does not say which one it is.
    let waits = look.nameless.iter().any(|server| matches!(server.answer, Answer::NotServing));
    match known.or_else(|| waits.then(|| refuse::no_quorum(&look.seen))) {
        Some(refusal) => Stop::refused(refusal.to_string()).into(),
        None => anyhow::anyhow!("the ensemble can't be asked: {why}"),
    }
}

/// What is known of an ensemble before its record is read.
#[derive(Debug)]
pub struct Known {
    /// Its name, or its id where it has none.
    pub name: String,
    /// Whether somebody is logged in.
    pub has_login: bool,
    /// How long it rests between two changes.
    pub rest: Duration,
}

fn not_an_ensemble() -> anyhow::Error {
    Stop::usage("what was saved is of a quorum of controllers, not of a ZooKeeper ensemble").into()
}
