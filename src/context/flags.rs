//! Flags that every command takes. Each has an environment variable.

use std::path::PathBuf;

use clap::Args;
use jiff::tz::TimeZone;

use crate::change::plan::Risk;
use crate::cluster::size::Bytes;
use crate::context::recording::RecordingFlags;
use crate::formats::schedule::KubeSchedule;
use crate::formats::suggest::nearest;
use crate::output::Format;
use crate::telemetry::LogFormat;

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Flags {
    /// Brokers to start from, `HOST:PORT[,HOST:PORT…]`
    #[arg(
        long,
        env = "TOOLBOX_BOOTSTRAP_SERVER",
        global = true,
        help_heading = "Connecting",
        value_name = "HOST:PORT"
    )]
    pub bootstrap_server: Option<String>,

    /// Java client properties with `security.protocol`, `sasl.*`, `ssl.*`, as Kafka's own tools read them
    #[arg(long, env = "TOOLBOX_COMMAND_CONFIG", global = true, help_heading = "Connecting", value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// A cluster by its name in toolbox.yaml
    #[arg(long, env = "TOOLBOX_CLUSTER", global = true, help_heading = "Connecting", value_name = "NAME")]
    pub cluster: Option<String>,

    /// The file that names clusters and maps [default: ./toolbox.yaml, else /etc/toolbox/toolbox.yaml, where there is one]
    ///
    /// One that is only found in the working folder is refused if another user owns it or may write to it, and client
    /// properties that it leads to may not refer to the environment or to other files.
    #[arg(long, env = "TOOLBOX_FILE", global = true, help_heading = "Connecting", value_name = "FILE")]
    pub toolbox_file: Option<PathBuf>,

    /// The cluster id that must be found; any other stops the run before anything is changed
    #[arg(long, env = "TOOLBOX_CLUSTER_ID", global = true, help_heading = "Connecting", value_name = "ID")]
    pub cluster_id: Option<String>,

    /// Longest wait for the cluster's answer, as `10s` or `2m` [default: `default.api.timeout.ms`, else
    /// `request.timeout.ms` of the client properties, else 10s]
    #[arg(long, env = "TOOLBOX_TIMEOUT", global = true, help_heading = "Connecting", value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,

    /// Longest answer of a broker that is read, as `256MiB` [default: 64MiB]
    #[arg(long, env = "TOOLBOX_RESPONSE_BYTES_MAX", global = true, help_heading = "Connecting", value_name = "SIZE", value_parser = response_bytes)]
    pub response_bytes_max: Option<Bytes>,

    /// Send keys, tokens and client secrets to another machine over plain http://, unencrypted
    #[arg(long, env = "TOOLBOX_ALLOW_PLAIN_HTTP", global = true, help_heading = "Connecting")]
    pub allow_plain_http: bool,

    /// Show the plan and change nothing; exit 3 if there is something to do, 4 if something is refused
    #[arg(long, env = "TOOLBOX_DRY_RUN", global = true, help_heading = "Changing")]
    pub dry_run: bool,

    /// Do not ask; for jobs
    #[arg(long, short, env = "TOOLBOX_YES", global = true, help_heading = "Changing")]
    pub yes: bool,

    /// Refuse steps above this risk [default with --yes: reversible; on a terminal the question shows the risk]
    #[arg(long, env = "TOOLBOX_MAX_RISK", global = true, help_heading = "Changing", value_name = "RISK")]
    pub max_risk: Option<Risk>,

    /// Plan from a file that --save-observed wrote, without a cluster; always a dry run
    #[arg(long, env = "TOOLBOX_OBSERVED", global = true, help_heading = "Rehearsing", value_name = "FILE")]
    pub observed: Option<PathBuf>,

    /// Write what was observed to a file, for a rehearsal or a bug report; no secrets are in it
    #[arg(long, env = "TOOLBOX_SAVE_OBSERVED", global = true, help_heading = "Rehearsing", value_name = "FILE")]
    pub save_observed: Option<PathBuf>,

    /// How results are shown
    #[arg(
        long,
        short,
        env = "TOOLBOX_OUTPUT",
        global = true,
        help_heading = "Output",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub output: Format,

    /// Log level: error, warn, info, debug or trace, or `tracing` directives
    #[arg(
        long,
        env = "TOOLBOX_LOG",
        global = true,
        help_heading = "Output",
        value_name = "LEVEL",
        default_value = "warn"
    )]
    pub log: String,

    /// Form of log lines
    #[arg(
        long,
        env = "TOOLBOX_LOG_FORMAT",
        global = true,
        help_heading = "Output",
        value_name = "FORM",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// What is recorded, and where.
    #[command(flatten)]
    pub recording: RecordingFlags,

    /// How Kubernetes is reached.
    #[command(flatten)]
    pub kubernetes: KubernetesFlags,

    /// Whether and when the command is repeated.
    #[command(flatten)]
    pub repeat: RepeatFlags,
}

/// Flags about Kubernetes.
#[derive(Debug, Clone, Default, Args)]
pub struct KubernetesFlags {
    /// Where records of what was done are kept: ConfigMaps, or files; auto is Kubernetes in a pod
    #[arg(
        long,
        env = "TOOLBOX_STATE",
        global = true,
        help_heading = "Kubernetes",
        value_name = "WHERE",
        default_value = "auto"
    )]
    pub state: StateIn,

    /// A kubeconfig [default: KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config]
    #[arg(long, env = "TOOLBOX_KUBECONFIG", global = true, help_heading = "Kubernetes", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// A context of the kubeconfig [default: its current one]
    #[arg(long, env = "TOOLBOX_KUBE_CONTEXT", global = true, help_heading = "Kubernetes", value_name = "NAME")]
    pub kube_context: Option<String>,

    /// The namespace of ConfigMaps and Leases [default: the pod's, else the context's]
    #[arg(long, env = "TOOLBOX_NAMESPACE", global = true, help_heading = "Kubernetes", value_name = "NAME")]
    pub namespace: Option<String>,

    /// What keeps two runs apart: a consumer group of the Kafka cluster (`toolbox-lock-moves`, `toolbox-lock-throttle`), a
    /// Lease in Kubernetes, a locked file of the state folder, or nothing. Runs exclude each other only if they use the
    /// same one. auto is kafka for moves and throttles; for topics it is lease in a pod and file elsewhere
    #[arg(
        long = "lock",
        env = "TOOLBOX_LOCK",
        global = true,
        help_heading = "Changing",
        value_name = "KIND",
        default_value = "auto"
    )]
    pub lock: LockIn,
}

/// What keeps two runs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LockIn {
    /// What fits the command.
    #[default]
    Auto,
    /// A consumer group of the cluster that is changed.
    Kafka,
    /// A Lease in Kubernetes.
    Lease,
    /// A locked file in the state folder.
    File,
    /// Nothing.
    None,
}

/// Where a run keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum StateIn {
    /// Kubernetes when in a pod that has a ServiceAccount, else files.
    #[default]
    Auto,
    /// ConfigMaps.
    Kubernetes,
    /// Files in the state folder.
    File,
}

/// Flags about repeating a command.
#[derive(Debug, Clone, Args)]
pub struct RepeatFlags {
    /// Repeat the command: a CronJob's five fields, `@hourly` and the like, or `@every 10m`
    #[arg(long, env = "TOOLBOX_SCHEDULE", global = true, help_heading = "Repeating", value_name = "FIELDS")]
    pub schedule: Option<KubeSchedule>,

    /// Whose clocks the schedule means, as `Europe/Berlin`
    #[arg(long, env = "TOOLBOX_TIME_ZONE", global = true, help_heading = "Repeating", value_name = "ZONE", default_value = "UTC", value_parser = time_zone)]
    pub time_zone: TimeZone,

    /// Start each run up to this much later, by chance, so that many agents do not start at once
    #[arg(long, env = "TOOLBOX_SCHEDULE_JITTER", global = true, help_heading = "Repeating", value_name = "DURATION", value_parser = duration)]
    pub schedule_jitter: Option<std::time::Duration>,

    /// Longest time for one run of a schedule; then the changes that are under way end, and no others are begun
    #[arg(long, env = "TOOLBOX_RUN_DEADLINE", global = true, help_heading = "Repeating", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub run_deadline: std::time::Duration,
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    // The default of every command: looking it up reads some twenty folders of the machine's time zones.
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    // Kubernetes refuses `Local`, too: it would mean another time on each node.
    match TimeZone::get(name) {
        Ok(zone) if zone.iana_name().is_some() => Ok(zone),
        _ => {
            let known: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let hint = nearest(name, known.iter().map(String::as_str));
            let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Err(format!("`{name}` is no IANA time zone such as UTC or Europe/Berlin{hint}"))
        }
    }
}

/// Reads a duration such as `500ms`, `10s`, `5m`, `2h` or `7d`.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 500ms, 10s, 5m, 2h or 7d");
    let span: jiff::SignedDuration = match text.strip_suffix('d') {
        // jiff has no day of a fixed length: ours has 24 hours.
        Some(days) => {
            let seconds = days.trim().parse::<i64>().ok().and_then(|days| days.checked_mul(24 * 60 * 60));
            jiff::SignedDuration::from_secs(seconds.ok_or_else(wrong)?)
        }
        None => text.parse().map_err(|_| wrong())?,
    };
    match std::time::Duration::try_from(span) {
        Ok(duration) if duration >= std::time::Duration::from_millis(1) => Ok(duration),
        _ => Err("it must be at least 1 ms".to_owned()),
    }
}

/// Reads how long an answer may be: what Kafka's frames can carry, and not less than any answer needs.
fn response_bytes(text: &str) -> Result<Bytes, String> {
    let bytes: Bytes = text.parse()?;
    if (1 << 20..=1 << 28).contains(&bytes.0) { Ok(bytes) } else { Err("it must be from 1MiB to 256MiB".to_owned()) }
}

#[cfg(test)]
impl Flags {
    /// The flags of a command line, without the program's name.
    pub(crate) fn of<'a>(line: impl IntoIterator<Item = &'a str>) -> Self {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            flags: Flags,
        }
        <Line as clap::Parser>::parse_from(std::iter::once("toolbox").chain(line)).flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_that_is_too_short_is_said_to_be_so_and_not_to_be_none() {
        for none in ["0s", "0ms", "0d", "-5s", "10us"] {
            assert_eq!(duration(none).unwrap_err(), "it must be at least 1 ms", "{none}");
        }
        assert!(duration("soon").unwrap_err().contains("is not a duration such as 500ms"));
        assert_eq!(duration("1ms"), Ok(std::time::Duration::from_millis(1)));
    }
}
