//! `toolbox mapping show`: who holds what, and what fails if a broker or rack is lost.

use clap::Args;

use crate::commands::mapping::command::flags::{Schema, TopicArgs};
use crate::commands::mapping::command::planning::{age, observe, print_schema};
use crate::commands::mapping::command::sizes::SizeArgs;
use crate::commands::mapping::report::holdings::{self, Holdings};
use crate::context::Context;
use crate::exit::{Exit, Stop};
use crate::output;

/// Arguments of `toolbox mapping show`.
#[derive(Debug, Clone, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    topics: TopicArgs,

    #[command(flatten)]
    sizes: SizeArgs,

    /// Print the JSON schema of what -o json prints, and do nothing else
    #[arg(long, help_heading = "Result")]
    schema: bool,
}

/// Shows.
pub(super) async fn run(context: &mut Context, args: &ShowArgs) -> anyhow::Result<Exit> {
    if args.schema {
        return print_schema(Schema::Output, &holdings::schema());
    }
    let maps = args.topics.maps(context).await?;
    let observed = observe(context, &args.sizes).await?;
    let topics = args.topics.selection(None, true).topics(&observed, &maps).map_err(Stop::usage)?;
    let mut holdings = Holdings::of(&observed, &topics, &maps.capacities());
    holdings.strays = holdings::strays(&observed, &topics, &maps);
    let age = age(context, &observed);
    context.output().result(&holdings, |_| holdings.text(age.as_deref(), output::table))?;
    Ok(Exit::Done)
}
