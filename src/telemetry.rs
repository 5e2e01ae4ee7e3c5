//! Logs: level and form. They go to standard error; results go to standard output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log pipelines.
    Json,
}

/// kube logs each request that fails as an error of its own; the recorder reports the result, once.
const QUIET: &str = "kube_client::client::builder=off";

/// Whoever asks for more than warnings, or for kube by name, sees what it says.
fn with_quiet_libraries(filter: &str) -> String {
    let is_plain = ["error", "warn", "info"].iter().any(|level| level.eq_ignore_ascii_case(filter.trim()));
    if is_plain { format!("{QUIET},{}", filter.trim()) } else { filter.to_owned() }
}

/// Starts logging. `filter` is a level or `tracing`'s directives (`debug`, `kafka_toolbox::clients=trace`).
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(with_quiet_libraries(filter))
        .map_err(|error| format!("--log `{filter}` is not a level (error, warn, info, debug, trace): {error}"))?;
    // Colours are for a person at a terminal; in a pod's log they are noise.
    let is_plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(!is_plain);
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second start in one process (tests) keeps the first one's settings.
    drop(started);
    Ok(())
}
