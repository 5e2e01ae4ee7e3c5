//! Flags that several probes have.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::clients::files::{in_time, read_text};
use crate::clients::first_answer::Greeting;
use crate::clients::kafka::settings::Settings;
use crate::clients::processes;
use crate::cluster::address::Address;
use crate::commands::probe::command::serve::ServeArgs;
use crate::commands::probe::observe::port::Port;
use crate::context::{Context, duration};
use crate::exit::Stop;
use crate::formats::properties;

/// The kubelet's own default.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The part of the timeout that is left for starting and ending.
const RESERVE: u32 = 10;

/// Longest `meta.properties` or `myid`.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Which server.
#[derive(Debug, Clone, Args)]
pub(super) struct AddressArgs {
    /// Where the server listens, `HOST:PORT` [default: 127.0.0.1 with 2181 for ZooKeeper, 9092 for a broker]
    ///
    /// An address costs no name look-up; with a name, a DNS server that is away makes the probe fail.
    #[arg(long, env = "TOOLBOX_PROBE_ADDRESS", value_name = "HOST:PORT")]
    pub(super) address: Option<String>,
}

/// Whether a process is alive.
#[derive(Debug, Clone, Args)]
pub(super) struct LiveArgs {
    /// The listener speaks TLS: then the begin of a TLS handshake is the question
    ///
    /// No certificate, trust store or password is used or needed for liveness.
    #[arg(long, env = "TOOLBOX_PROBE_TLS", help_heading = "Liveness")]
    tls: bool,

    /// Ask so often within --timeout before no answer counts; then the process must have used no CPU time, too
    #[arg(long, env = "TOOLBOX_PROBE_TRIES", value_name = "COUNT", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=20), help_heading = "Liveness")]
    tries: u32,

    /// The server's process [default: found in /proc by its main class, and by its port where there are several]
    #[arg(long, env = "TOOLBOX_PROBE_PID", value_name = "PID", help_heading = "Liveness")]
    pub(super) pid: Option<u32>,

    /// Pass while the process is younger than this, though its port is closed; a startupProbe does the same
    #[arg(long, env = "TOOLBOX_PROBE_STARTUP_WINDOW", value_name = "DURATION", value_parser = duration,
          help_heading = "Liveness")]
    startup_window: Option<Duration>,
}

/// `live`.
#[derive(Debug, Clone, Args)]
pub(super) struct LiveVerb {
    #[command(flatten)]
    pub(super) address: AddressArgs,
    #[command(flatten)]
    pub(super) live: LiveArgs,
}

/// `ready`, with what readiness of such a server goes by.
#[derive(Debug, Clone, Args)]
pub(super) struct ReadyVerb<R: Args> {
    #[command(flatten)]
    pub(super) address: AddressArgs,
    #[command(flatten)]
    pub(super) ready: R,
}

/// `serve`, which answers for both.
#[derive(Debug, Clone, Args)]
pub(super) struct ServeVerb<R: Args> {
    #[command(flatten)]
    pub(super) address: AddressArgs,
    #[command(flatten)]
    pub(super) live: LiveArgs,
    #[command(flatten)]
    pub(super) ready: R,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

/// A kind of servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Servers {
    /// Where such a server usually listens.
    address: &'static str,
    /// What its port is asked.
    greeting: Greeting,
    /// Main classes of its process.
    classes: &'static [&'static str],
}

/// Kafka's brokers and controllers.
pub(super) const KAFKA: Servers =
    Servers { address: "127.0.0.1:9092", greeting: Greeting::ApiVersions, classes: processes::KAFKA };

/// ZooKeeper's servers.
pub(super) const ZOOKEEPER: Servers =
    Servers { address: "127.0.0.1:2181", greeting: Greeting::Srvr, classes: processes::ZOOKEEPER };

impl AddressArgs {
    /// The address, or where such a server usually listens.
    pub(super) fn of(&self, servers: Servers) -> String {
        self.address.clone().unwrap_or_else(|| servers.address.to_owned())
    }
}

impl LiveArgs {
    /// The port at this address.
    pub(super) fn port(&self, address: &str, servers: Servers) -> Result<Port, Stop> {
        let Address { host, port } = self::address(address)?;
        let greeting = if self.tls { Greeting::TlsHello } else { servers.greeting };
        let classes = servers.classes;
        let (pid, tries, startup_window) = (self.pid, self.tries, self.startup_window);
        Ok(Port { host, port, greeting, classes, pid, tries, startup_window })
    }
}

/// The server's address.
pub(super) fn address(text: &str) -> Result<Address, Stop> {
    let wrong = || format!("--address `{text}` is not HOST:PORT, as 127.0.0.1:9092 or [::1]:9092");
    Address::parse(text).ok_or_else(|| Stop::usage(wrong()))
}

/// How long a probe may take: `--timeout`, else a kubelet's default.
pub(super) fn timeout(context: &Context) -> Duration {
    context.flags.timeout.unwrap_or(TIMEOUT)
}

/// When a look that begins now must have ended: a little before the timeout is over, so that the reason is still said.
pub(super) fn deadline(context: &Context) -> Instant {
    let timeout = timeout(context);
    Instant::now() + (timeout.saturating_sub(timeout / RESERVE))
}

/// The settings for the server at an address; a question takes no longer than the whole look may.
pub(super) async fn settings(context: &Context, address: &str, deadline: Instant) -> anyhow::Result<Settings> {
    if let Some(path) = &context.flags.command_config {
        // Where the disk hangs, it does so here; what can't be read is for the settings to say. A pipe is read only once.
        let of_thread = path.clone();
        let read = move || {
            if of_thread.is_file() {
                drop(read_text(&of_thread, FILE_BYTES_MAX));
            }
        };
        in_time(&path.display().to_string(), deadline, read).await.map_err(anyhow::Error::msg)?;
    }
    let timeout = timeout(context);
    Ok(context.settings_of(address, timeout.saturating_sub(timeout / RESERVE))?)
}

/// What a server wrote of itself into a folder of its log dirs.
#[derive(Debug, Clone, Default)]
pub(super) struct MetaProperties {
    /// `node.id`, or `broker.id` in ZooKeeper mode.
    pub(super) id: Option<i32>,
    /// `directory.id`.
    pub(super) directory: Option<String>,
}

/// Reads `meta.properties` of a log dir.
pub(super) async fn meta_properties(log_dir: &Path, deadline: Instant) -> anyhow::Result<MetaProperties> {
    let path = log_dir.join("meta.properties");
    let text = text(&path, deadline).await?;
    let pairs = properties::parse(&path.display().to_string(), text.as_bytes())
        .map_err(|faults| Stop::usage(faults.to_string()))?;
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value().trim().to_owned());
    let id = value("node.id").or_else(|| value("broker.id"));
    let id = id.map(|id| id.parse::<i32>().ok().filter(|id| *id >= 0).ok_or(id)).transpose();
    let id = id.map_err(|id| Stop::usage(format!("{}: `{id}` is no id of a node", path.display())))?;
    Ok(MetaProperties { id, directory: value("directory.id") })
}

/// Reads the id of a ZooKeeper server.
pub(super) async fn my_id(data_dir: &Path, deadline: Instant) -> anyhow::Result<u64> {
    let path = data_dir.join("myid");
    let text = text(&path, deadline).await?;
    let wrong = |_| Stop::usage(format!("{} holds no id of a server", path.display()));
    Ok(text.trim().parse().map_err(wrong)?)
}

/// A file that can't be read is wrong usage; a disk that does not answer is a state that is not known.
async fn text(path: &Path, deadline: Instant) -> anyhow::Result<String> {
    let of_thread = path.to_owned();
    let read = move || read_text(&of_thread, FILE_BYTES_MAX);
    let read = in_time(&path.display().to_string(), deadline, read).await.map_err(anyhow::Error::msg)?;
    Ok(read.map_err(|error| Stop::usage(format!("failed to read {}: {error}", path.display())))?)
}
