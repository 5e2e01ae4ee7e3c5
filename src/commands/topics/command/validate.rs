//! `toolbox topics validate`: is this spec right?

use clap::Args;

use crate::commands::topics::command::sources::SourceArgs;
use crate::commands::topics::spec;
use crate::context::Context;
use crate::exit::Exit;
use crate::exit::Stop;
use crate::formats::place::Faults;
use crate::output;

/// Arguments of `toolbox topics validate`.
#[derive(Debug, Clone, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// Print the JSON Schema of a topics file, for editors, and end
    #[arg(long, help_heading = "Topics")]
    schema: bool,
}

/// Reads the spec and says what is wrong with it.
pub(super) async fn run(context: &Context, args: &ValidateArgs) -> anyhow::Result<Exit> {
    if args.schema {
        output::print(&serde_json::to_string_pretty(&spec::schema())?)?;
        return Ok(Exit::Done);
    }
    let sources = args.sources.load(context).await?;
    let spec = spec::parse(&sources, args.sources.format).map_err(|faults| refusal(&faults))?;
    for note in &spec.notes {
        output::say(note);
    }
    output::print(&format!("{} topics are declared, no fault found", spec.topics.len()))?;
    Ok(Exit::Done)
}

/// What a person reads when a spec has faults: how many, then one a line.
pub(super) fn refusal(faults: &Faults) -> Stop {
    let count = match faults.0.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    Stop::usage(format!("the topics have {count}; nothing was changed\n{faults}"))
}
