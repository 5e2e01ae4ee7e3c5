//! `toolbox probe`: its verbs and their arguments.

mod flags;
mod kafka;
mod serve;
mod zookeeper;

use clap::{Args, Subcommand};

use crate::clients::processes::Processes;
use crate::commands::probe::command::flags::{LiveVerb, Servers};
use crate::commands::probe::observe::port;
use crate::commands::probe::report::Answer;
use crate::commands::probe::verdict::alive::alive;
use crate::context::Context;
use crate::exit::Exit;

/// How a kubelet reads exit codes, and what a probe does not do.
const NOTES: &str = "\
Exit codes: 0 alive or ready; 5 not; 2 wrong usage; 1 it could not be found out.
A kubelet takes all but 0 for a failure. A port that answers something else than
such a server is alive, since it reacts, and not ready (5).

A probe asks the one server at --address, and changes nothing. It uses no API
server and no toolbox.yaml: --cluster and --bootstrap-server do not count. It
ends within --timeout, here 1s unless given: set timeoutSeconds no lower.";

/// Arguments of `toolbox probe`.
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ProbeArgs {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Clone, Subcommand)]
enum Subject {
    /// A ZooKeeper server
    Zookeeper(zookeeper::ZookeeperArgs),
    /// A Kafka broker, or a KRaft controller
    Kafka(kafka::KafkaArgs),
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: ProbeArgs) -> anyhow::Result<Exit> {
    match args.subject {
        Subject::Zookeeper(args) => zookeeper::run(context, args).await,
        Subject::Kafka(args) => kafka::run(context, args).await,
    }
}

/// Whether a server is alive: the same for all kinds.
async fn live(context: &Context, args: &LiveVerb, servers: Servers) -> anyhow::Result<Exit> {
    let server = args.live.port(&args.address.of(servers), servers)?;
    let tries = port::tries(&server, &Processes::default(), flags::deadline(context)).await;
    end(context, &Answer::new(alive(&tries), tries))
}

/// Prints a verdict; the exit code follows from it.
fn end<S: serde::Serialize>(context: &Context, answer: &Answer<S>) -> anyhow::Result<Exit> {
    context.output().result(answer, |_| answer.line())?;
    Ok(answer.state.exit())
}
