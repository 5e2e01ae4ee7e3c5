//! Recording: builds the outbox from flags and environment, names the actor, and reports at the end how the events
//! ended.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use tokio::time::{Instant, timeout_at};

use crate::change::event::{CommandEnded, Delivery, Event, Outcome, Recorder};
use crate::clients::datadog::{Address, DogStatsD, Http, PORT};
use crate::clients::http;
use crate::clients::kubernetes::Access;
use crate::context::Context;
use crate::context::flags::KubernetesFlags;
use crate::exit::Exit;
use crate::formats::secret::{remember, shown_arguments};
use crate::output;
use crate::recorders::audit::AuditLog;
use crate::recorders::datadog::tag;
use crate::recorders::folder::state_folder;
use crate::recorders::look::open_journals;
use crate::recorders::outbox::{JOURNAL_BYTES, Outbox, Settings};
use crate::recorders::sink::{DatadogSink, KubernetesSink, Named, Sink};
use crate::recorders::spool::Bounds;

pub use crate::recorders::outbox::{Flushed, OpenError};

/// Datadog's first site.
const SITE: &str = "datadoghq.com";

/// Where a pod finds the namespace that it runs in.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Flags of recording.
#[derive(Debug, Clone, Args)]
pub struct RecordingFlags {
    /// Who does this, for the events [default: the pod or ServiceAccount, else the user]
    #[arg(long, env = "TOOLBOX_ACTOR", global = true, help_heading = "Recording", value_name = "NAME")]
    pub actor: Option<String>,

    /// Folder for the audit log, the event spool and what was last applied [default: $XDG_STATE_HOME/kafka-toolbox,
    /// in a pod /var/lib/kafka-toolbox, else ~/.local/state/kafka-toolbox]
    ///
    /// The audit log is audit.jsonl: one JSON object a line, rotated at 16 MiB, 4 old files are kept. The spool keeps
    /// what a sink did not take, for 7 days and up to 64 MiB (16 MiB of a run that goes on); what is dropped beyond that
    /// is said. Files there are 0600, folders 0700; links, pipes and devices there are refused.
    #[arg(long, env = "TOOLBOX_STATE_FOLDER", global = true, help_heading = "Recording", value_name = "FOLDER")]
    pub state_folder: Option<PathBuf>,

    /// Where events go besides the audit log [default: datadog with DD_API_KEY, else dogstatsd with DD_DOGSTATSD_URL or
    /// DD_AGENT_HOST; kubernetes in a pod]
    #[arg(
        long,
        env = "TOOLBOX_EVENTS_TO",
        global = true,
        help_heading = "Recording",
        value_name = "SINK",
        value_delimiter = ','
    )]
    pub events_to: Option<Vec<EventSink>>,

    /// The object that Kubernetes Events are about, as `CronJob/topics` or with its uid [default: the CronJob, Deployment
    /// or Job that made the pod, as far as the Role allows to `get` pods, jobs and replicasets; else the pod]
    #[arg(
        long,
        env = "TOOLBOX_EVENTS_REGARDING",
        global = true,
        help_heading = "Recording",
        value_name = "KIND/NAME[/UID]",
        value_parser = object
    )]
    pub events_regarding: Option<Named>,

    /// Longest wait at the end of a run for events that no sink has yet; the next run sends the rest
    #[arg(
        long,
        env = "TOOLBOX_EVENTS_FLUSH_TIMEOUT",
        global = true,
        help_heading = "Recording",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration_or_none
    )]
    pub events_flush_timeout: Duration,

    /// End with exit code 1 if an event of this run was not taken by every sink, or could not be written to the state
    /// folder; without it, events never change the exit code
    #[arg(long, env = "TOOLBOX_REQUIRE_EVENTS", global = true, help_heading = "Recording")]
    pub require_events: bool,

    /// Datadog's API, or a proxy in front of it [default: https://api.$DD_SITE]
    #[arg(long, env = "TOOLBOX_DATADOG_URL", global = true, help_heading = "Recording", value_name = "URL")]
    pub datadog_url: Option<String>,
}

/// A place where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventSink {
    /// Datadog's HTTP API
    Datadog,
    /// Datadog's agent, by DogStatsD
    Dogstatsd,
    /// Kubernetes Events, for `kubectl describe`
    Kubernetes,
    /// Nowhere else
    None,
}

/// Longest wait for the API server to take events of an init container: a server waits for it.
const INIT_EVENTS_WITHIN: Duration = Duration::from_secs(2);

/// How long an init container waits where it was given a time that no clock can count.
const INIT_WITHIN_MAX: Duration = Duration::from_hours(24 * 365);

/// Longest wait for that where the init container's time is over: a server that answers needs no longer.
const INIT_EVENTS_LAST: Duration = Duration::from_millis(300);

impl Context {
    /// Where events go. Nothing is opened before the first one is recorded; a dry run records nothing.
    pub fn recorder(&mut self) -> &mut dyn Recorder {
        if self.recorder.is_none() {
            let is_dry_run = self.is_dry_run();
            self.recorder = Some(if is_dry_run { Box::new(Silent) } else { Box::new(self.outbox()) });
        }
        &mut **self.recorder.get_or_insert_with(|| Box::new(Silent))
    }

    /// An init container keeps its server waiting, for `within` at most: events are for the audit log and for Kubernetes, and
    /// Datadog is not waited for even where it is asked for. When that time is over, each call of the API server that is still
    /// made has half a second. Answers the end of that time.
    pub fn as_init_container(&mut self, within: Duration) -> Instant {
        let now = Instant::now();
        let until = now.checked_add(within).unwrap_or(now + INIT_WITHIN_MAX);
        self.waits_until = Some(until);
        let recording = &mut self.flags.recording;
        let of_pod = || vec![if Access::is_in_cluster() { EventSink::Kubernetes } else { EventSink::None }];
        let sinks = recording.events_to.get_or_insert_with(of_pod);
        let is_quick = sinks.iter().all(|sink| matches!(sink, EventSink::Kubernetes | EventSink::None));
        let longest = if is_quick { INIT_EVENTS_WITHIN } else { Duration::ZERO };
        recording.events_flush_timeout = recording.events_flush_timeout.min(longest);
        until
    }

    /// An outbox of one's own, for the commands about events themselves.
    pub fn outbox(&self) -> Outbox {
        let flags = &self.flags.recording;
        // The commands about events are no side effects of their own.
        let is_about_events = self.command.starts_with("events");
        let arguments = std::env::args().skip(1);
        Outbox::new(Settings {
            state: self.state_folder(),
            run: self.run(),
            command_line: (!is_about_events).then(|| format!("toolbox {}", shown_arguments(&self.command, arguments))),
            sinks: self.sinks(),
            flush_within: flags.events_flush_timeout,
            bounds: Bounds::default(),
            journal_bytes: journal_bytes(),
            say: output::say,
        })
    }

    /// Where the audit log, the spool and what was last applied are.
    pub fn state_folder(&self) -> PathBuf {
        state_folder(self.flags.recording.state_folder.as_deref(), variable)
    }

    /// Reads the journals of runs that live or died, then the audit log, oldest event first. Nothing is written.
    pub fn audited(&self, take: impl FnMut(Event)) -> std::io::Result<()> {
        let mut take = take;
        // First: what the audit log says of an end counts more than that the run is dead.
        open_journals(&self.state_folder(), self.now(), &mut take);
        AuditLog::new(&self.state_folder()).each(take)
    }

    /// Ends the recording of a run: delivers what waits, within the flush budget, and reports how it ended. The exit
    /// code changes only with `--require-events`.
    pub async fn close(&mut self, ended: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
        let Some(mut recorder) = self.recorder.take() else { return ended };
        let brake = self.brake.clone();
        recorder.command_ended(self.command_ended(&ended));
        // Whoever asked to stop before this does not wait for Datadog if they ask again.
        let asked = async {
            if brake.pulled().is_some() { brake.until_insisted().await } else { drop(brake.until_pulled().await) }
        };
        let until = self.waits_until.map(|until| until.max(Instant::now() + INIT_EVENTS_LAST));
        let hurry = async {
            match until {
                Some(until) => drop(timeout_at(until, asked).await),
                None => asked.await,
            }
        };
        let delivery = tokio::select! {
            biased;
            delivery = recorder.close() => delivery,
            () = hurry => {
                output::say("events: not waited for any longer; the next run sends the rest");
                recorder.hurry();
                recorder.close().await
            }
        };
        if delivery.unkept == 0 {
            self.keep_refusals();
        }
        self.say_delivery(delivery, ended)
    }

    /// How a command ended, for the event about its command line.
    fn command_ended(&self, ended: &anyhow::Result<Exit>) -> CommandEnded {
        let exit = ended.as_ref().copied().unwrap_or_else(output::exit_of);
        let outcome = match exit {
            Exit::Done | Exit::Changes | Exit::Unhealthy => Outcome::Done,
            Exit::Failed => Outcome::Failed,
            Exit::Usage | Exit::Refused => Outcome::Refused,
        };
        let reason = ended.as_ref().err().map(|error| format!("{error:#}"));
        CommandEnded { outcome, exit_code: exit as u8, reason, needs_events: self.flags.recording.require_events }
    }

    /// The last line of a run that recorded something. Without a sink it says only what could not be kept.
    pub fn say_delivery(&self, delivery: Delivery, ended: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
        let Delivery { sent, spooled, dropped, sent_of_earlier, unkept } = delivery;
        let mut parts = Vec::new();
        if sent + spooled + dropped + sent_of_earlier > 0 {
            parts.push(format!("{sent} sent, {spooled} spooled, {dropped} dropped"));
        }
        if sent_of_earlier > 0 {
            parts.push(format!("{sent_of_earlier} of earlier runs sent"));
        }
        if unkept > 0 {
            parts.push(format!(
                "{unkept} could not be kept in {}: the audit log lacks them",
                self.state_folder().display()
            ));
        }
        if !parts.is_empty() {
            output::say(&format!("events: {}", parts.join("; ")));
        }
        if self.flags.recording.require_events && !(delivery.is_complete() && self.lacks_no_sink()) {
            return undelivered(ended);
        }
        ended
    }

    /// Whether every sink that was asked for can be tried.
    fn lacks_no_sink(&self) -> bool {
        let wanted = self.flags.recording.events_to.clone().unwrap_or_else(default_sinks);
        wanted.contains(&EventSink::None) || !wanted.contains(&EventSink::Dogstatsd) || dogstatsd_address().is_ok()
    }

    /// Who does this: `--actor`, else the pod, else the user.
    pub(super) fn actor(&self) -> String {
        if let Some(named) = &self.flags.recording.actor {
            return named.clone();
        }
        if Access::is_in_cluster()
            && let Some(pod) = variable("POD_NAME").or_else(|| variable("HOSTNAME"))
        {
            let namespace = variable("POD_NAMESPACE").or_else(|| {
                let text = std::fs::read_to_string(NAMESPACE_FILE).ok()?;
                Some(text.trim().to_owned())
            });
            return format!("pod:{}/{pod}", namespace.unwrap_or_else(|| "default".to_owned()));
        }
        let user = variable("USER").or_else(|| variable("LOGNAME"));
        let number = || std::fs::metadata("/proc/self").ok().map(|process| format!("uid {}", process.uid()));
        user.or_else(number).unwrap_or_else(|| "unknown".to_owned())
    }

    /// The sinks that flags and environment ask for.
    fn sinks(&self) -> Vec<Arc<dyn Sink>> {
        let wanted = self.flags.recording.events_to.clone().unwrap_or_else(default_sinks);
        let has = |sink| wanted.contains(&sink) && !wanted.contains(&EventSink::None);
        let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
        if has(EventSink::Datadog) {
            sinks.push(Arc::new(DatadogSink::http(Arc::new(self.datadog()), self.process_tags())));
        }
        if has(EventSink::Dogstatsd) {
            match dogstatsd_address() {
                Ok(address) => {
                    let mut tags = self.process_tags();
                    tags.extend(variable("DD_ENTITY_ID").map(|id| tag("dd.internal.entity_id", &id)));
                    sinks.push(Arc::new(DatadogSink::dogstatsd(Arc::new(DogStatsD::new(address)), tags)));
                }
                Err(why) => output::say(&format!("events: nothing goes to DogStatsD: {why}")),
            }
        }
        if has(EventSink::Kubernetes) {
            let KubernetesFlags { state: _, lock: _, kubeconfig, kube_context, namespace } =
                self.flags.kubernetes.clone();
            let access = Access { kubeconfig, context: kube_context, namespace };
            sinks.push(Arc::new(KubernetesSink::new(access, self.flags.recording.events_regarding.clone())));
        }
        sinks
    }

    fn datadog(&self) -> Http {
        let site = variable("DD_SITE").unwrap_or_else(|| SITE.to_owned());
        let base = self.flags.recording.datadog_url.clone().unwrap_or_else(|| format!("https://api.{site}"));
        let may_be_used = http::check(&base, Some("DD_API_KEY"), self.flags.allow_plain_http);
        Http::new(&base, remember(variable("DD_API_KEY").unwrap_or_default())).only_if(may_be_used)
    }

    /// `env:`, `service:`, `version:` and the cluster's tags from toolbox.yaml.
    fn process_tags(&self) -> Vec<String> {
        let mut tags: BTreeMap<_, _> = self.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, name) in [("env", "DD_ENV"), ("service", "DD_SERVICE"), ("version", "DD_VERSION")] {
            tags.extend(variable(name).map(|value| (key.to_owned(), value)));
        }
        tags.iter().map(|(key, value)| tag(key, value)).collect()
    }
}

/// When a journal is written anew; test builds let the environment say so, to see it happen soon.
fn journal_bytes() -> u64 {
    let said = if cfg!(debug_assertions) { variable("TOOLBOX_JOURNAL_BYTES") } else { None };
    said.and_then(|bytes| bytes.parse().ok()).unwrap_or(JOURNAL_BYTES)
}

/// The end of a run whose events had to be delivered and were not.
fn undelivered(ended: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    output::complain("not every event was delivered and kept, and --require-events asks for that");
    ended.map(|exit| if exit == Exit::Done { Exit::Failed } else { exit })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn default_sinks() -> Vec<EventSink> {
    let is_set = |name| variable(name).is_some();
    let mut sinks = Vec::new();
    // Both would show every event twice; HTTP answers, DogStatsD does not.
    if is_set("DD_API_KEY") {
        sinks.push(EventSink::Datadog);
    } else if is_set("DD_DOGSTATSD_URL") || is_set("DD_AGENT_HOST") {
        sinks.push(EventSink::Dogstatsd);
    }
    if Access::is_in_cluster() {
        sinks.push(EventSink::Kubernetes);
    }
    sinks
}

/// Where the agent listens, by Datadog's own variables.
fn dogstatsd_address() -> Result<Address, String> {
    if let Some(url) = variable("DD_DOGSTATSD_URL") {
        return Address::parse(&url).map_err(|why| format!("DD_DOGSTATSD_URL: {why}"));
    }
    let host = variable("DD_AGENT_HOST").unwrap_or_else(|| "localhost".to_owned());
    if host.contains("://") {
        return Address::parse(&host).map_err(|why| format!("DD_AGENT_HOST: {why}"));
    }
    let port = match variable("DD_DOGSTATSD_PORT") {
        Some(port) => port.parse().map_err(|_| format!("DD_DOGSTATSD_PORT: `{port}` is no port"))?,
        None => PORT,
    };
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    Ok(Address::Udp(format!("{host}:{port}")))
}

fn object(text: &str) -> Result<Named, String> {
    let named = |kind: &str, name: &str, uid: Option<&str>| Named {
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    };
    match text.split('/').collect::<Vec<_>>()[..] {
        _ if text.split('/').any(str::is_empty) => Err(()),
        [kind, name] => Ok(named(kind, name, None)),
        [kind, name, uid] => Ok(named(kind, name, Some(uid))),
        _ => Err(()),
    }
    .map_err(|()| "it is not KIND/NAME or KIND/NAME/UID, as CronJob/topics".to_owned())
}

/// A duration; `0s` does not wait at all.
fn duration_or_none(text: &str) -> Result<Duration, String> {
    let is_zero = text.trim_end_matches(['s', 'm', 'h', 'd']).parse() == Ok(0);
    if is_zero { Ok(Duration::ZERO) } else { super::flags::duration(text) }
}

/// Records nothing: what a dry run does is no side effect.
struct Silent;

#[async_trait]
impl Recorder for Silent {
    async fn record(&mut self, _events: &[Event]) {}

    async fn close(&mut self) -> Delivery {
        Delivery::default()
    }
}
