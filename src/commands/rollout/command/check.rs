//! `toolbox rollout check`: may it stop now?

use clap::Args;

use crate::commands::rollout::command::flags::{RuleArgs, WhichArgs};
use crate::commands::rollout::observe::{Observed, look};
use crate::commands::rollout::report;
use crate::commands::rollout::verdict::steady::Steady;
use crate::commands::rollout::verdict::{Answer, Verdict};
use crate::context::{Context, ControllerArgs};
use crate::exit::Exit;

/// Arguments of `toolbox rollout check`.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    controllers: ControllerArgs,
    #[command(flatten)]
    rules: RuleArgs,

    /// The server's process is known not to run, so that to stop it takes nothing away
    #[arg(long, help_heading = "Rules")]
    process_gone: bool,
}

/// Looks twice, unless the first look is against it.
pub(super) async fn run(context: &mut Context, args: &CheckArgs) -> anyhow::Result<Exit> {
    let subject = args.which.subject()?;
    let mut terms = args.rules.terms();
    terms.is_process_gone = args.process_gone;
    let apart = args.rules.apart();
    let looks = context
        .observed(async || {
            let first = look(context, &subject, &args.controllers, 0).await?;
            if !first.judge(&subject, &terms).may_stop() {
                return Ok(vec![first]);
            }
            tokio::time::sleep(apart).await;
            Ok(vec![first, look(context, &subject, &args.controllers, 1).await?])
        })
        .await?;
    let verdict = over(&looks, |look| look.judge(&subject, &terms), apart)?;
    context
        .output()
        .result(&report::Check::new(&subject, &verdict), |is_wide| report::check(&subject, &verdict, is_wide))?;
    Ok(match verdict.answer {
        Answer::MayStop => Exit::Done,
        Answer::Wait => Exit::Unhealthy,
        Answer::Refused => Exit::Refused,
    })
}

fn over(
    looks: &[Observed],
    judge: impl Fn(&Observed) -> Verdict,
    apart: std::time::Duration,
) -> anyhow::Result<Verdict> {
    let (mut steady, mut last) = (Steady::default(), None);
    for look in looks {
        last = Some(steady.look(judge(look), look.at(), apart));
    }
    last.ok_or_else(|| anyhow::anyhow!("there is no look to judge by"))
}
