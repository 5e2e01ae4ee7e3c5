//! A quorum of KRaft controllers and its record: opened from flags, locked, and passed over.

pub mod steps;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::change::brake::Brake;
use crate::change::carry_out::Ended;
use crate::change::plan::Plan;
use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::quorum::QuorumState;
use crate::commands::ensemble::apply::Passed;
use crate::commands::ensemble::apply::kraft::steps::Hands;
use crate::commands::ensemble::apply::record::Record;
use crate::commands::ensemble::observe::Observed;
use crate::commands::ensemble::observe::controllers::observe;
use crate::commands::ensemble::observe::pods::Pods;
use crate::commands::ensemble::observe::quorum::QuorumLook;
use crate::commands::ensemble::plan::coherence::Finding;
use crate::commands::ensemble::plan::kraft::steps::{QuorumStep, plan, voters};
use crate::commands::ensemble::plan::kraft::{Decision, Input, Pass, decide};
use crate::commands::ensemble::report::is_alert;
use crate::context::{Context, ControllerArgs, LockCheck};
use crate::exit::{Exit, Stop};
use crate::state::clock::SteadyClock;
use crate::state::identity::{Identity, Purpose};

/// A quorum whose record is known.
pub struct Quorum {
    /// What answers for it: the controllers themselves, where they can be reached.
    kafka: Arc<dyn Kafka>,
    /// The cluster's id.
    cluster_id: String,
    /// Its record.
    pub record: Record<DesiredQuorum>,
    /// What Kubernetes is asked about the controllers' pods.
    pods: Pods,
    /// How long it rests between two changes.
    rest: Duration,
    /// Whether the last pass waited: the next one that does says nothing.
    has_waited: bool,
}

/// A pass that was decided.
#[derive(Debug)]
pub struct Decided {
    /// What it comes to.
    pub pass: Pass,
    /// The same as a plan.
    pub plan: Plan<QuorumStep>,
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
        Ok(Self { kafka, cluster_id, record, pods: Pods::default(), rest, has_waited: false })
    }

    /// Makes sure that nobody else restarts servers of this cluster, or changes who votes.
    pub async fn lock(&self, context: &mut Context) -> anyhow::Result<()> {
        let identity = context.identity(Purpose::Disruption, &self.cluster_id);
        context.lock(&identity).await
    }

    /// Looks at everything, and reads the record anew.
    pub async fn look(&mut self, context: &mut Context) -> anyhow::Result<QuorumLook> {
        self.record.reload().await?;
        if !context.is_dry_run() && context.lock_check().check().is_ok() {
            self.record.correct_times(context.steady().now()).await;
        }
        let desired = self.record.desired.clone();
        let mut seen = observe(self.kafka.as_ref(), desired.as_ref()).await?;
        self.pods.look_at_controllers(context, desired.as_ref(), &mut seen, None).await;
        context.shows_membership(voters(&seen.voter_set()));
        Ok(QuorumLook { seen, desired, at: Some(context.steady().now()) })
    }

    /// One pass: shown, agreed to, carried out and recorded as any other plan.
    pub async fn pass(&mut self, context: &mut Context) -> anyhow::Result<Passed> {
        let look = self.look(context).await?;
        let observed = context.observed(async || Ok(Observed::Quorum(Box::new(look)))).await?;
        let Observed::Quorum(look) = observed else { return Err(not_a_quorum()) };
        let Decided { pass, plan } = decided(&look, context, self.rest);
        let waits = matches!(pass.decision, Decision::Wait(_)) && plan.steps.is_empty();
        if waits && std::mem::replace(&mut self.has_waited, true) {
            return Ok(Passed::Waits);
        }
        self.has_waited = waits;
        let has_steps = !plan.steps.is_empty();
        let exit = self.carry_out(context, plan).await?;
        Ok(match exit {
            Exit::Done if has_steps => Passed::Changed,
            exit => came_to(&pass, exit),
        })
    }

    /// Shows a plan and carries it out, as far as that is agreed to.
    pub async fn carry_out(&mut self, context: &mut Context, plan: Plan<QuorumStep>) -> anyhow::Result<Exit> {
        let (locks, clock, brake) = (context.lock_check(), context.steady(), context.brake().clone());
        let mut hands = self.hands(locks, clock, brake);
        Ok(context.settle(plan, async |steps| hands.apply(steps).await).await?.exit)
    }

    /// What carries steps out.
    pub fn hands(&mut self, locks: LockCheck, clock: SteadyClock, brake: Brake) -> Hands<'_> {
        Hands { kafka: self.kafka.as_ref(), record: &mut self.record, locks, clock, brake, is_broken: false }
    }

    /// How long it rests between two changes.
    pub fn rest(&self) -> Duration {
        self.rest
    }

    /// Shows what a look comes to, and changes nothing.
    pub async fn rehearse(&self, context: &mut Context, look: QuorumLook) -> anyhow::Result<Exit> {
        context.observed(async || Ok(Observed::Quorum(Box::new(look.clone())))).await?;
        show(context, &look, self.rest).await
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

/// The first endpoint of each voter; none where the leader tells none.
fn addresses(quorum: &QuorumState) -> Option<String> {
    let first = quorum.voters.iter().filter_map(|voter| quorum.endpoints.get(&voter.key.id)?.first());
    let show = |host: &str, port: u16| {
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    };
    let all: Vec<_> = first.map(|endpoint| show(&endpoint.host, endpoint.port)).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// What a look comes to.
pub fn decided(look: &QuorumLook, context: &Context, rest: Duration) -> Decided {
    let now: Timestamp = look.at.unwrap_or_else(|| context.steady().now());
    let pass = decide(Input { desired: look.desired.as_ref(), seen: &look.seen, now, rest, is_strict: true });
    let plan = plan(&pass, look.desired.as_ref(), &look.seen);
    Decided { pass, plan }
}

/// Decides from what was saved, and shows it.
pub async fn show(context: &mut Context, look: &QuorumLook, rest: Duration) -> anyhow::Result<Exit> {
    let Decided { pass, plan } = decided(look, context, rest);
    let untouched = async |steps: &[QuorumStep]| steps.iter().map(|_| Ended::refused("dry run")).collect();
    let exit = context.settle(plan, untouched).await?.exit;
    Ok(match came_to(&pass, exit) {
        Passed::Waits => Exit::Unhealthy,
        Passed::Ends(exit) => exit,
        Passed::Nothing | Passed::Changed => Exit::Done,
    })
}

fn not_a_quorum() -> anyhow::Error {
    Stop::usage("what was saved is of a ZooKeeper ensemble, not of a quorum of controllers").into()
}

/// What a pass without any step came to.
fn came_to(pass: &Pass, exit: Exit) -> Passed {
    if exit != Exit::Done {
        return Passed::Ends(exit);
    }
    let is_bad = |findings: &[Finding]| findings.iter().any(is_alert);
    match pass.decision {
        Decision::Wait(_) => Passed::Waits,
        _ if is_bad(&pass.findings) => Passed::Ends(Exit::Unhealthy),
        _ => Passed::Nothing,
    }
}
