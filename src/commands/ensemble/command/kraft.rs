//! The verbs of `toolbox ensemble` for a quorum of KRaft controllers.

use crate::change::plan::Plan;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::quorum::{DirectoryId, NodeId};
use crate::commands::ensemble::apply::found::{self, recorded_elsewhere};
use crate::commands::ensemble::apply::kraft::Quorum;
use crate::commands::ensemble::apply::pass::{carry_out, decided};
use crate::commands::ensemble::apply::{Limits, passes};
use crate::commands::ensemble::observe::quorum::QuorumLook;
use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::kraft::declare::{
    Adoption, Retired, adopt as adopted, join as joined, leave as left, resize, retire as retired,
};
use crate::commands::ensemble::plan::kraft::planned::{Declared, QuorumStep};
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::kraft::{Input, not_adopted, not_its_own, wrong_quorum};
use crate::commands::ensemble::plan::steps::refuse;
use crate::commands::ensemble::report::checks;
use crate::context::{Context, ControllerArgs};
use crate::exit::Exit;
use crate::output;

/// What to do about the record of a quorum that was adopted under the same name.
const REBUILT: &str = "Nothing was changed. If the quorum was built anew, delete the record and adopt it again";

/// A controller that is to vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joiner {
    /// Its node.
    pub(super) node: NodeId,
    /// Its directory; none for the one that follows the quorum.
    pub(super) directory: Option<DirectoryId>,
}

/// What is declared of controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Declaration {
    /// These should vote.
    Join(Vec<Joiner>),
    /// These should leave.
    Leave(Vec<NodeId>),
    /// This one is gone for good; why.
    Retire(NodeId, String),
}

/// Shows what a pass would do.
pub(super) async fn plan(context: &mut Context, mut quorum: Quorum) -> anyhow::Result<Exit> {
    let look = quorum.look(context).await?;
    if !context.output().is_structured() {
        output::print(&checks(&decided(look.input(context.steady().now(), quorum.rest())).pass.candidates))?;
    }
    quorum.rehearse(context, look).await
}

/// Passes until nothing is left, one refuses, or the time is over.
pub(super) async fn apply(context: &mut Context, mut quorum: Quorum, limits: Limits) -> anyhow::Result<Exit> {
    if !context.is_dry_run() {
        quorum.lock(context).await?;
    }
    let brake = context.brake().clone();
    passes(limits, &brake, async || quorum.pass(context).await).await
}

/// Takes a running quorum over.
pub(super) async fn adopt(
    context: &mut Context,
    controllers: &ControllerArgs,
    adoption: Adoption,
) -> anyhow::Result<Exit> {
    let mut quorum = Quorum::open(context, controllers, SETTLE).await?;
    let QuorumLook { seen, desired: former, .. } = quorum.look(context).await?;
    let others = match former {
        None => found::of_quorum(context, &seen).await?,
        Some(_) => Vec::new(),
    };
    let mut plan = Plan::default();
    let input =
        Input { desired: former.as_ref(), seen: &seen, now: context.steady().now(), rest: SETTLE, is_strict: true };
    let wrong = wrong_quorum(input).map(|refusal| Refusal { next: REBUILT.to_owned(), ..refusal });
    let next = match recorded_elsewhere(&others, "--cluster").or(wrong) {
        Some(refusal) => Err(refusal),
        None => adopted(&seen, adoption, former.as_ref(), context.steady().now()),
    };
    match next {
        Err(refusal) => refuse(&mut plan, &refusal),
        Ok(next) if former.as_ref().is_some_and(|former| is_same(former, &next)) => {}
        Ok(next) => {
            let words = format!("the record takes over {} voters, size {}", seen.voter_set().len(), next.size);
            plan.steps.push(declared(None, words, former, next));
        }
    }
    let executor = quorum.executor(context);
    carry_out(context, plan, executor).await
}

/// Whether two records say the same, but for when that was confirmed.
fn is_same(former: &DesiredQuorum, next: &DesiredQuorum) -> bool {
    let mut next = next.clone();
    if let (Some(last), Some(former)) = (&mut next.last_voters, &former.last_voters) {
        last.since = former.since;
    }
    next == *former
}

/// Writes down what is declared of controllers, and how many should vote from now on.
pub(super) async fn declare(
    context: &mut Context,
    controllers: &ControllerArgs,
    declaration: Declaration,
    size: Option<usize>,
) -> anyhow::Result<Exit> {
    let mut quorum = Quorum::open(context, controllers, SETTLE).await?;
    let QuorumLook { seen, desired: former, .. } = quorum.look(context).await?;
    let mut plan = Plan::default();
    let next = former.as_ref().ok_or_else(not_adopted).and_then(|former| {
        let now = context.steady().now();
        let input = Input { desired: Some(former), seen: &seen, now, rest: SETTLE, is_strict: true };
        not_its_own(input).map_or(Ok(()), Err)?;
        next_record(former, &seen, &declaration)
    });
    let next = next.and_then(|(next, loss)| Ok((size.map_or(Ok(next.clone()), |size| resize(&next, size))?, loss)));
    match next {
        Err(refusal) => refuse(&mut plan, &refusal),
        Ok((next, _)) if former.as_ref() == Some(&next) => {}
        Ok((next, loss)) => {
            let mut words = declaration.words();
            if let Some(former) = former.as_ref().filter(|former| former.size != next.size) {
                words = format!("{words}; size {} -> {}", former.size, next.size);
            }
            let mut step = declared(declaration.only(), words, former, next);
            if let (Some(loss), QuorumStep::Declare(declared)) = (loss, &mut step) {
                plan.warn(loss);
                declared.gives_up_data = true;
            }
            plan.steps.push(step);
        }
    }
    let executor = quorum.executor(context);
    carry_out(context, plan, executor).await
}

/// The next record, and what is lost by it.
fn next_record(
    former: &DesiredQuorum,
    seen: &SeenQuorum,
    declaration: &Declaration,
) -> Result<(DesiredQuorum, Option<String>), Refusal> {
    let without_loss = |desired| (desired, None);
    match declaration {
        Declaration::Join(joiners) => {
            let join = |next: DesiredQuorum, joiner: &Joiner| joined(&next, seen, joiner.node, joiner.directory);
            joiners.iter().try_fold(former.clone(), join).map(without_loss)
        }
        Declaration::Leave(nodes) => {
            nodes.iter().try_fold(former.clone(), |next, node| left(&next, *node)).map(without_loss)
        }
        Declaration::Retire(node, _) => {
            retired(former, seen, *node).map(|Retired { desired, loss }| (desired, Some(loss)))
        }
    }
}

impl Declaration {
    fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Join(joiners) => joiners.iter().map(|joiner| joiner.node).collect(),
            Self::Leave(nodes) => nodes.clone(),
            Self::Retire(node, _) => vec![*node],
        }
    }

    /// The controller that it is about, where it is about one.
    fn only(&self) -> Option<NodeId> {
        let nodes = self.nodes();
        nodes.first().copied().filter(|_| nodes.len() == 1)
    }

    fn words(&self) -> String {
        let nodes: Vec<_> = self.nodes().iter().map(ToString::to_string).collect();
        let nodes = nodes.join(", ");
        match self {
            Self::Join(_) => format!("controller {nodes} should vote"),
            Self::Leave(_) => format!("controller {nodes} should leave"),
            Self::Retire(_, reason) => format!("controller {nodes} is gone for good: {reason}"),
        }
    }
}

fn declared(node: Option<NodeId>, words: String, before: Option<DesiredQuorum>, after: DesiredQuorum) -> QuorumStep {
    let (before, after) = (before.map(Box::new), Box::new(after));
    QuorumStep::Declare(Box::new(Declared { id: node, words, gives_up_data: false, before, after }))
}
