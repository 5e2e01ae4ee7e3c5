//! The HTTP form of both probes: a port, and looks on a timer. There is no lock: each server has a probe of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::agent::inbox::Inbox;
use crate::agent::port::access::Access;
use crate::agent::port::origin::Hosts;
use crate::agent::port::routes::{Port, routes};
use crate::agent::port::server::serve as listen;
use crate::agent::runtime::{Agent, Pace, Ticked, Why};
use crate::agent::status::Status;
use crate::commands::probe::agent::board::Board;
use crate::commands::probe::agent::http;
use crate::commands::probe::agent::looks::Looks;
use crate::commands::probe::command::flags;
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// Longest time between two looks: a kubelet would learn too late.
const PERIOD_MAX: Duration = Duration::from_mins(5);

#[derive(Debug, Clone, Args)]
pub(super) struct ServeArgs {
    /// Where HTTP is answered, as `0.0.0.0:8079`: GET /live, /ready, /detail, /healthz, /livez, /metrics
    ///
    /// /live and /ready answer 200 or 503 with `state`, `reason` and `age_seconds` as JSON, from memory. Where no look has
    /// ended for three periods, /ready says no unless it is latched, and /live stays as it was: a probe that hangs must not
    /// restart the server. /healthz and /livez are about this process itself. Nothing here is secret or changes anything.
    #[arg(
        long,
        env = "TOOLBOX_PROBE_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8079",
        help_heading = "HTTP"
    )]
    listen: SocketAddr,

    /// The time between two looks, from 1s to 5m
    #[arg(long, env = "TOOLBOX_PROBE_PERIOD", value_name = "DURATION", default_value = "5s", value_parser = duration, help_heading = "HTTP")]
    period: Duration,

    /// Names, besides addresses and localhost, under which the port may be addressed
    #[arg(long, env = "TOOLBOX_PROBE_HOST", value_name = "NAME", value_delimiter = ',', help_heading = "HTTP")]
    host: Vec<String>,
}

/// Serves until it is asked to stop.
pub(super) async fn serve(context: &mut Context, args: &ServeArgs, mut looks: Looks) -> anyhow::Result<Exit> {
    let period = args.period;
    if !(Duration::from_secs(1)..=PERIOD_MAX).contains(&period) {
        return Err(Stop::usage("--period is from 1s to 5m").into());
    }
    // A look ends by itself within the timeout.
    let deadline = flags::timeout(context) + Duration::from_secs(1);
    let (status, board) = (Arc::new(Status::new(period, deadline)), Arc::new(Board::new(period)));
    let agent: Agent<(), ()> = Agent {
        pace: Pace { interval: period, watch: None, deadline, grace: Duration::from_secs(1) },
        status: Arc::clone(&status),
        inbox: Arc::new(Inbox::default()),
    };
    let shown = Arc::clone(&board);
    let port = Port {
        status,
        access: Access::Open,
        hosts: Hosts::new(args.host.clone(), "--host"),
        api: http::routes(Arc::clone(&board)),
        table: http::TABLE.to_vec(),
        metrics: Arc::new(move |registry| http::register(&shown, registry)),
    };
    let served = listen(args.listen, routes(port)).await?;
    output::say(&format!("answering for {} on http://{}", looks.port.address(), served.address));
    let lead = async |_: &mut Context| Ok::<_, anyhow::Error>(());
    let tick = async |context: &mut Context, (): &mut (), _: Why<(), ()>| {
        board.keep(looks.look(context.steady().now(), flags::deadline(context)).await);
        Ok::<_, anyhow::Error>(Ticked::Done)
    };
    let ended = Box::pin(agent.run(context, lead, tick)).await;
    served.close().await;
    ended.map(|_| Exit::Done)
}
