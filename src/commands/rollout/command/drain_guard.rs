//! `toolbox rollout drain-guard`: the webhook that judges evictions. It opens its ports, and leaves the rest to the guard.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use regex::Regex;

use crate::agent::port::routes::{Port, routes};
use crate::agent::port::server::{serve, serve_tls};
use crate::agent::runtime::{Agent, Pace};
use crate::agent::status::Status;
use crate::clients::tls_server::Certificates;
use crate::commands::rollout::agent::drain::board::Board;
use crate::commands::rollout::agent::drain::certificate::Certificate;
use crate::commands::rollout::agent::drain::guard::{Guard, Settings};
use crate::commands::rollout::agent::drain::http::{self, Api, Asks};
use crate::commands::rollout::command::flags::RuleArgs;
use crate::commands::rollout::observe::pod::{Kinds, Named};
use crate::context::rights::{Setup, Workload};
use crate::context::{Context, ControllerArgs, ZooKeeperFlags, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// How often it is looked whether an evicted server is back, and whether the certificate is another one.
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest tick: to outwait the lock of a holder that died takes some 40 s.
const TICK_MAX: Duration = Duration::from_mins(1);
const TICK_GRACE: Duration = Duration::from_secs(10);

/// The API server waits for an answer no longer than `timeoutSeconds` of the webhook's configuration, at most 30 s; 10 s is
/// its default.
const ANSWER_MIN: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(25);

/// Arguments of `toolbox rollout drain-guard`.
#[derive(Debug, Clone, Args)]
pub(super) struct DrainGuardArgs {
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    controllers: ControllerArgs,
    #[command(flatten)]
    pods: PodArgs,
    #[command(flatten)]
    webhook: WebhookArgs,

    /// Longest time for which an eviction keeps others waiting, if its server does not come back in sync
    #[arg(long, env = "TOOLBOX_DRAIN_GUARD_RELEASE_AFTER", value_name = "DURATION", default_value = "30m",
          value_parser = duration, help_heading = "Rules")]
    release_after: Duration,
}

/// Which server runs in a pod.
#[derive(Debug, Clone, Args)]
struct PodArgs {
    /// Names of the pods of KRaft controllers, as a regular expression for the whole name
    #[arg(long, env = "TOOLBOX_CONTROLLER_PODS", value_name = "REGEX", default_value = "controller-[0-9]+",
          value_parser = whole, help_heading = "Pods")]
    controller_pods: Regex,

    /// The node id of the controller whose pod has the ordinal 0
    #[arg(long, env = "TOOLBOX_CONTROLLER_FIRST_ID", value_name = "ID", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(0..), help_heading = "Pods")]
    first_controller_id: i32,

    /// Names of the pods of ZooKeeper servers, as a regular expression for the whole name
    #[arg(long, env = "TOOLBOX_ZOOKEEPER_PODS", value_name = "REGEX", default_value = "zookeeper-[0-9]+",
          value_parser = whole, help_heading = "Pods")]
    zookeeper_pods: Regex,

    /// The id (`myid`) of the ZooKeeper server whose pod has the ordinal 0
    #[arg(long, env = "TOOLBOX_ZOOKEEPER_FIRST_ID", value_name = "ID", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(0..=255), help_heading = "Pods")]
    first_zookeeper_id: i32,

    #[command(flatten)]
    zookeeper: ZooKeeperFlags,
}

/// How the API server reaches the webhook.
#[derive(Debug, Clone, Args)]
struct WebhookArgs {
    /// Where evictions are judged, over HTTPS: `POST /evict`
    #[arg(
        long,
        env = "TOOLBOX_DRAIN_GUARD_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8443",
        help_heading = "Webhook"
    )]
    listen: SocketAddr,

    /// Where health and metrics are served: GET /healthz, /livez, /metrics
    #[arg(
        long,
        env = "TOOLBOX_DRAIN_GUARD_HEALTH_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        help_heading = "Webhook"
    )]
    health_listen: SocketAddr,

    /// Longest time until an answer, 2s to 25s: less than `timeoutSeconds` of the ValidatingWebhookConfiguration; what is not
    /// decided by then is denied
    #[arg(long, env = "TOOLBOX_DRAIN_GUARD_ANSWER_WITHIN", value_name = "DURATION", default_value = "8s",
          value_parser = duration, help_heading = "Webhook")]
    answer_within: Duration,

    /// PEM file with the certificate chain of the webhook; read again when it changes. Without it, one is made
    #[arg(
        long,
        env = "TOOLBOX_DRAIN_GUARD_CERTIFICATE",
        value_name = "FILE",
        requires = "key",
        help_heading = "Webhook"
    )]
    certificate: Option<PathBuf>,

    /// PEM file with its key
    #[arg(
        long,
        env = "TOOLBOX_DRAIN_GUARD_KEY",
        value_name = "FILE",
        requires = "certificate",
        help_heading = "Webhook"
    )]
    key: Option<PathBuf>,

    /// The Service of the webhook, for which a certificate is made
    #[arg(
        long,
        env = "TOOLBOX_DRAIN_GUARD_SERVICE",
        value_name = "NAME",
        default_value = "drain-guard",
        help_heading = "Webhook"
    )]
    service: String,

    /// The ValidatingWebhookConfiguration whose caBundle gets the certificate that is made
    #[arg(
        long,
        env = "TOOLBOX_DRAIN_GUARD_CONFIGURATION",
        value_name = "NAME",
        default_value = "kafka-drain-guard",
        help_heading = "Webhook"
    )]
    webhook_configuration: String,
}

/// Judges evictions until it is asked to stop.
pub(super) async fn run(context: &mut Context, args: &DrainGuardArgs) -> anyhow::Result<Exit> {
    let cluster = check(context, args)?;
    // Nothing is sent yet, but a wrong setting shows at once.
    context.kafka().await?;
    let kubernetes = context.kubernetes().await?;
    let namespace = kubernetes.identity().namespace.clone();
    let kinds = kinds(context, &cluster, &args.pods);
    let setup = Setup { maps: kinds.maps.clone(), ..context.rights_setup(&cluster) };
    context.check_rights(Workload::DrainGuard, &setup).await?;
    let settings = Arc::new(Settings {
        namespace: namespace.clone(),
        kinds,
        terms: args.rules.terms(),
        apart: args.rules.apart(),
        limit: args.release_after,
        controllers: args.controllers.clone(),
    });
    let (certificates, configuration) = certificates(context, &args.webhook, &namespace)?;
    let (board, asks) = (Arc::new(Board::default()), Arc::new(Asks::default()));
    let agent = Agent {
        pace: Pace { interval: INTERVAL, watch: None, deadline: TICK_MAX, grace: TICK_GRACE },
        status: Arc::new(Status::new(INTERVAL, TICK_MAX + TICK_GRACE)),
        inbox: Arc::clone(&asks),
    };
    let shown = Arc::clone(&board);
    let health = Port::of_health(&agent.status, move |registry| shown.register(registry));
    let health = serve(args.webhook.health_listen, routes(health)).await?;
    let api = Api { asks, board: Arc::clone(&board), within: args.webhook.answer_within };
    let webhook = serve_tls(args.webhook.listen, http::routes(api), Arc::clone(&certificates)).await?;
    output::say(&format!("judging evictions in namespace {namespace} on https://{}/evict", webhook.address));
    output::say(&format!("serving metrics and health on http://{}", health.address));
    let lead = async |_: &mut Context| {
        let certificate = Certificate::new(Arc::clone(&certificates), configuration.clone());
        Ok::<_, anyhow::Error>(Guard::new(
            Arc::clone(&settings),
            Arc::clone(&kubernetes),
            certificate,
            Arc::clone(&board),
        ))
    };
    let tick = async |context: &mut Context, guard: &mut Guard, why| guard.tick(context, why).await;
    let ended = Box::pin(agent.run(context, lead, tick)).await;
    webhook.close().await;
    health.close().await;
    if ended?.is_some_and(|guard| guard.is_open()) {
        output::say("an evicted server is still out: the lock of disruptions is left to run out, 30 s from now");
        context.leave_locks_to_expire();
    }
    Ok(Exit::Done)
}

/// The cluster's name; refuses what can't be asked of an agent that answers questions.
fn check(context: &Context, args: &DrainGuardArgs) -> Result<String, Stop> {
    let flags = &context.flags;
    if flags.dry_run || flags.observed.is_some() || flags.save_observed.is_some() {
        let message = "`rollout drain-guard` answers what the API server asks: there is nothing to rehearse or to save. \
                       `kubectl drain --dry-run=server` asks it without an effect, and so does `rollout check`";
        return Err(Stop::usage(message));
    }
    if !(ANSWER_MIN..=ANSWER_MAX).contains(&args.webhook.answer_within) {
        return Err(Stop::usage("--answer-within is from 2s to 25s"));
    }
    let words = "which cluster? the registries of broker ids have its name: give --cluster NAME";
    flags.cluster.clone().ok_or_else(|| Stop::usage(words))
}

fn kinds(context: &Context, cluster: &str, args: &PodArgs) -> Kinds {
    let named = |pattern: &Regex, first: i32| Named { pattern: pattern.clone(), first };
    let zookeepers = || (named(&args.zookeeper_pods, args.first_zookeeper_id), args.zookeeper.clone());
    Kinds {
        cluster: cluster.to_owned(),
        maps: context.maps.0.iter().map(|map| map.name.clone()).collect(),
        controllers: Some(named(&args.controller_pods, args.first_controller_id)),
        zookeepers: context.names_zookeeper(&args.zookeeper).then(zookeepers),
    }
}

/// The certificate, and where one that is made here has to be known.
fn certificates(
    context: &Context,
    args: &WebhookArgs,
    namespace: &str,
) -> anyhow::Result<(Arc<Certificates>, Option<String>)> {
    if let (Some(certificate), Some(key)) = (&args.certificate, &args.key) {
        let read = Certificates::from_files(certificate.clone(), key.clone());
        return Ok((Arc::new(read.map_err(|error| Stop::usage(error.to_string()))?), None));
    }
    let service = &args.service;
    let mut names = vec![
        service.clone(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ];
    // An API server may call an address instead of a Service.
    names.extend((!args.listen.ip().is_unspecified()).then(|| args.listen.ip().to_string()));
    let made = Certificates::self_made(names, context.now())?;
    Ok((Arc::new(made), Some(args.webhook_configuration.clone())))
}

/// A regular expression for a whole name.
fn whole(text: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())
}
