//! A quorum of KRaft controllers and its record: opened from flags, locked, and passed over.

pub mod steps;

use std::sync::Arc;
use std::time::Duration;

use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::address::show_address;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::ensemble::sightings::noted;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::quorum::QuorumState;
use crate::commands::ensemble::apply::Passed;
use crate::commands::ensemble::apply::kraft::steps::QuorumExecutor;
use crate::commands::ensemble::apply::pass::{decided, show};
use crate::commands::ensemble::apply::record::Record;
use crate::commands::ensemble::observe::Observed;
use crate::commands::ensemble::observe::controllers::observe;
use crate::commands::ensemble::observe::pods::Pods;
use crate::commands::ensemble::observe::quorum::QuorumLook;
use crate::commands::ensemble::plan::kraft::planned::voters;
use crate::commands::ensemble::plan::kraft::{Input, Kraft, not_its_own, with_cluster_id, wrong_quorum};
use crate::commands::ensemble::plan::pass::{Decision, Pass};
use crate::commands::ensemble::plan::seen::Asked;
use crate::commands::ensemble::plan::steps::record_lines;
use crate::context::{Context, ControllerArgs};
use crate::exit::{Exit, Stop};
use crate::state::identity::{Identity, Purpose};

/// A quorum whose record is known.
pub struct Quorum {
    /// What answers for it: the controllers themselves, where they can be reached.
    kafka: Arc<dyn Kafka>,
    /// The cluster's id.
    cluster_id: String,
    /// The servers that were named.
    servers: Vec<String>,
    /// Its record.
    pub record: Record<DesiredQuorum>,
    /// What Kubernetes is asked about the controllers' pods.
    pods: Pods,
    /// How long it rests between two changes.
    rest: Duration,
    /// Whether the last pass waited: the next one that does prints nothing.
    has_waited: bool,
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quorum").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}

impl Quorum {
    /// Opens the record of the quorum: of these controllers, else of the cluster whose brokers the flags name.
    pub async fn open(context: &mut Context, controllers: &ControllerArgs, rest: Duration) -> anyhow::Result<Self> {
        let (kafka, cluster_id) = reach(context, controllers).await?;
        context.is_cluster(&cluster_id)?;
        let record = Record::open(context, &of_controllers(context, &cluster_id)).await?;
        let named = controllers.bootstrap_controller.as_ref().or(context.flags.bootstrap_server.as_ref());
        let servers = named.map(|list| list.split(',').map(|one| one.trim().to_owned()).collect()).unwrap_or_default();
        Ok(Self { kafka, cluster_id, servers, record, pods: Pods::default(), rest, has_waited: false })
    }

    /// Makes sure that nobody else restarts servers of this cluster, or changes who votes.
    pub async fn lock(&self, context: &mut Context) -> anyhow::Result<()> {
        let identity = context.identity(Purpose::Disruption, &self.cluster_id);
        context.lock(&identity).await
    }

    /// Looks at everything, and reads the record again.
    pub async fn look(&mut self, context: &mut Context) -> anyhow::Result<QuorumLook> {
        self.record.reload().await?;
        let mut seen = observe(self.kafka.as_ref(), self.record.desired.as_ref()).await?;
        seen.asked = Asked {
            record: self.record.desired.as_ref().map(|_| self.record.place()),
            servers: self.servers.clone(),
            ..Asked::default()
        };
        seen.cluster_id.get_or_insert_with(|| self.cluster_id.clone());
        let now = context.steady().now();
        let input = Input { desired: self.record.desired.as_ref(), seen: &seen, now, rest: self.rest, is_strict: true };
        // Nothing is written into the record of others.
        let is_own = wrong_quorum(input).is_none();
        if is_own && !context.is_dry_run() && context.lock_check().check().is_ok() {
            self.record.correct_times(now).await;
        }
        let desired = self.record.desired.clone();
        self.pods.look_at_controllers(context, desired.as_ref(), &mut seen, None).await;
        if let Some(desired) = &desired {
            seen.recall(desired, now);
        }
        context.shows_record(record_lines::<Kraft>(desired.as_ref()));
        if desired.as_ref().is_none_or(|desired| desired.op.is_none()) {
            context.shows_membership(voters(&seen.voter_set()));
        }
        Ok(QuorumLook { seen, desired, at: Some(context.steady().now()) })
    }

    /// The same for a pass, which holds the lock: the record keeps who runs, and one of an older version gets the id of its cluster.
    pub async fn look_to_change(&mut self, context: &mut Context) -> anyhow::Result<QuorumLook> {
        let look = self.look(context).await?;
        let now = context.steady().now();
        let Some(desired) = look.desired.as_ref().filter(|_| not_its_own(look.input(now, self.rest)).is_none()) else {
            return Ok(look);
        };
        let of_cluster = with_cluster_id(desired, &look.seen);
        let of_controllers = noted(of_cluster.as_ref().unwrap_or(desired), &look.seen.running(), now);
        let Some(next) = of_controllers.or(of_cluster) else { return Ok(look) };
        if context.is_dry_run() || context.lock_check().check().is_err() {
            return Ok(look);
        }
        if let Err(why) = self.record.save(&next).await {
            // The next pass tries again.
            tracing::warn!(reason = why.reason, "what was seen of the controllers could not be kept");
        }
        Ok(QuorumLook { desired: self.record.desired.clone(), ..look })
    }

    /// Says who votes now, where a change of an earlier pass was open that can show no other effect any more: by that, changes of
    /// runs that died get their outcomes.
    pub fn say_voters(context: &mut Context, look: &QuorumLook, pass: &Pass<Kraft>) {
        if pass.clears_op || matches!(pass.decision, Decision::Confirm(_)) {
            context.shows_membership(voters(&look.seen.voter_set()));
        }
    }

    /// One pass: shown, agreed to, carried out and recorded as any other plan.
    pub async fn pass(&mut self, context: &mut Context) -> anyhow::Result<Passed> {
        let look = self.look_to_change(context).await?;
        let observed = context.observed(async || Ok(Observed::Quorum(Box::new(look)))).await?;
        let Observed::Quorum(look) = observed else { return Err(not_a_quorum()) };
        let decided = decided(look.input(context.steady().now(), self.rest));
        Self::say_voters(context, &look, &decided.pass);
        if decided.waits_still(&mut self.has_waited) {
            return Ok(Passed::Waits);
        }
        let executor = self.executor(context);
        decided.carry_out(context, executor).await
    }

    /// What carries steps out.
    pub fn executor(&mut self, context: &Context) -> QuorumExecutor<'_> {
        let (locks, clock, brake) = (context.lock_check(), context.steady(), context.brake().clone());
        QuorumExecutor { kafka: self.kafka.as_ref(), record: &mut self.record, locks, clock, brake }
    }

    /// How long it rests between two changes.
    pub fn rest(&self) -> Duration {
        self.rest
    }

    /// Shows what a look comes to, and changes nothing.
    pub async fn rehearse(&self, context: &mut Context, look: QuorumLook) -> anyhow::Result<Exit> {
        context.observed(async || Ok(Observed::Quorum(Box::new(look.clone())))).await?;
        let now = context.steady().now();
        show(context, look.input(now, self.rest)).await
    }
}

/// The record of a cluster's controllers, by the cluster's name; one without a name is known by its id.
pub fn of_controllers(context: &Context, cluster_id: &str) -> Identity {
    Identity::of_controllers(&context.cluster_ref(cluster_id).name.unwrap_or_else(|| cluster_id.to_owned()))
}

/// Reaches the controllers: those that were named, else those that the brokers name. Brokers alone serve for quorums that can't
/// be changed anyway.
async fn reach(context: &Context, args: &ControllerArgs) -> anyhow::Result<(Arc<dyn Kafka>, String)> {
    if args.bootstrap_controller.is_some() {
        let kafka = context.quorum(args).await?;
        let id = kafka.controllers().await?.cluster_id;
        return Ok((kafka, id));
    }
    let brokers = context.kafka().await?;
    let quorum = match brokers.quorum().await {
        Err(KafkaError::Unsupported { .. }) => {
            let words = "this cluster keeps its metadata in ZooKeeper: give --zookeeper HOST:PORT";
            return Err(Stop::usage(words).into());
        }
        quorum => quorum?,
    };
    let Some(list) = addresses(&quorum) else {
        let id = brokers.metadata(TopicSelection::None).await?.cluster_id;
        return Ok((brokers, id));
    };
    let kafka = context.quorum(&ControllerArgs { bootstrap_controller: Some(list.clone()) }).await?;
    let described = kafka.controllers().await.map_err(|error| {
        anyhow::anyhow!(
            "the controllers at {list}, which the brokers name, do not answer here ({error}): give --bootstrap-controller, and \
             a --command-config that suits their listener"
        )
    })?;
    Ok((kafka, described.cluster_id))
}

/// The first endpoint of each voter; none where the leader shows none.
fn addresses(quorum: &QuorumState) -> Option<String> {
    let first = quorum.voters.iter().filter_map(|voter| quorum.endpoints.get(&voter.key.id)?.first());
    let all: Vec<_> = first.map(|endpoint| show_address(&endpoint.host, endpoint.port)).collect();
    (!all.is_empty()).then(|| all.join(","))
}

fn not_a_quorum() -> anyhow::Error {
    Stop::usage("what was saved is of a ZooKeeper ensemble, not of a quorum of controllers").into()
}
