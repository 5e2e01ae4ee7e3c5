//! `toolbox rollout wait`: until a server is in sync, or may stop.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::{Instant, timeout};

use crate::commands::rollout::agent::roll::UNREAD_MAX;
use crate::commands::rollout::command::flags::{RuleArgs, WhichArgs};
use crate::commands::rollout::observe::fleet::{Fleet, IdsBy, Kind};
use crate::commands::rollout::observe::{Subject, look};
use crate::commands::rollout::plan::standing::Standing;
use crate::commands::rollout::report;
use crate::commands::rollout::verdict::steady::Steady;
use crate::commands::rollout::verdict::{Answer, ReasonCode, Verdict};
use crate::context::{Context, ControllerArgs, ZooKeeperFlags, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// Arguments of `toolbox rollout wait`.
#[derive(Debug, Clone, Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    controllers: ControllerArgs,
    #[command(flatten)]
    rules: RuleArgs,

    /// What is waited for
    #[arg(long = "for", value_enum, value_name = "STATE")]
    wanted: Wanted,

    /// Longest wait; then the command ends with exit code 5 (--timeout is for a single answer)
    #[arg(long, env = "TOOLBOX_ROLLOUT_WITHIN", value_name = "DURATION", default_value = "2h", value_parser = duration)]
    within: Duration,

    /// Time between two looks
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    every: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// It runs, and lacks nothing: each of its replicas is in sync, or it is caught up
    InSync,
    /// It may stop, as `rollout check` says
    Stoppable,
}

/// Waits.
pub(super) async fn run(context: &mut Context, args: &WaitArgs) -> anyhow::Result<Exit> {
    let subject = args.which.subject()?;
    let begun = Instant::now();
    let (mut steady, mut turn, mut read_at, mut said) = (Steady::default(), 0_usize, begun, String::new());
    loop {
        turn = turn.wrapping_add(1);
        let verdict = match once(context, args, &subject, turn).await {
            Ok((verdict, at)) => {
                read_at = Instant::now();
                steady.look(verdict, at, args.rules.apart())
            }
            Err(error) if error.chain().any(<dyn std::error::Error>::is::<Stop>) => return Err(error),
            Err(error) if read_at.elapsed() >= UNREAD_MAX.min(args.within) => return Err(error),
            Err(error) => {
                steady = Steady::default();
                unreadable(&error)
            }
        };
        let is_over = begun.elapsed() >= args.within;
        if verdict.answer != Answer::Wait || is_over {
            return end(context, &subject, &verdict, args.wanted);
        }
        let words = verdict.words();
        if words != said {
            output::say(&format!("{subject}: {words}"));
            said = words;
        }
        let brake = context.brake().clone();
        let pause = args.every.min(args.within.saturating_sub(begun.elapsed()));
        if let Ok(why) = timeout(pause, brake.until_pulled()).await {
            anyhow::bail!("stopped: {why}; {subject} is waited for no longer");
        }
    }
}

fn unreadable(error: &anyhow::Error) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.waits(ReasonCode::NotReadable, format!("the state can't be read: {error:#}"));
    verdict
}

/// One look, as a verdict: of a server that is not in sync one that waits.
async fn once(
    context: &Context,
    args: &WaitArgs,
    subject: &Subject,
    turn: usize,
) -> anyhow::Result<(Verdict, jiff::Timestamp)> {
    if args.wanted == Wanted::Stoppable {
        let observed = look(context, subject, &args.controllers, turn).await?;
        return Ok((observed.judge(subject, &args.rules.terms()), observed.at()));
    }
    let (kind, id, zookeeper) = match subject {
        Subject::Broker(id) => (Kind::Broker, id.0, ZooKeeperFlags::default()),
        Subject::Controller(id) => (Kind::Controller, id.0, ZooKeeperFlags::default()),
        Subject::Server { id, zookeeper } => (
            Kind::Server,
            i32::try_from(id.0).map_err(|_| Stop::usage("--server is too large"))?,
            (**zookeeper).clone(),
        ),
    };
    let fleet = Fleet {
        kind,
        ids: [id].into(),
        sets: Vec::new(),
        ids_by: IdsBy::Ordinal(0),
        controllers: args.controllers.clone(),
        zookeeper,
    };
    let pass = fleet.look(context, None, turn).await?;
    let mut verdict = Verdict::default();
    match pass.units.first().map(|unit| &unit.standing) {
        Some(Standing::Complete) => {}
        Some(Standing::Behind(why) | Standing::Out(why)) => verdict.waits(ReasonCode::Partitions, why.clone()),
        None => verdict.waits(ReasonCode::NotKnown, "it was not looked at"),
    }
    Ok((verdict, pass.observed.at()))
}

fn end(context: &Context, subject: &Subject, verdict: &Verdict, wanted: Wanted) -> anyhow::Result<Exit> {
    let text = |is_wide: bool| match (wanted, verdict.answer) {
        (Wanted::InSync, Answer::MayStop) => format!("{subject} is in sync\n"),
        (Wanted::InSync, _) => {
            format!("{subject} is not in sync: {}\n", crate::cluster::visible::line(&verdict.words()))
        }
        (Wanted::Stoppable, _) => report::check(subject, verdict, is_wide),
    };
    context.output().result(&report::Check::new(subject, verdict), text)?;
    Ok(match verdict.answer {
        Answer::MayStop => Exit::Done,
        Answer::Wait => Exit::Unhealthy,
        Answer::Refused => Exit::Refused,
    })
}
