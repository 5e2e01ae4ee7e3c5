//! Logs: level and form. They go to standard error; results go to standard output.
//!
//! An event is one line, whatever is in its texts: ends of line, control characters and direction marks are escaped
//! ([`visible`]) where the line is written.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::cluster::visible;

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
    let is_plain = !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let colours = !is_plain && format == LogFormat::Text;
    let lines = move || Lines { format, colours, out: io::stderr() };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).with_ansi(false);
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second start in one process (tests) keeps the first one's settings.
    drop(started);
    Ok(())
}

/// Writes events, each of which comes in one call, as lines.
struct Lines<W> {
    format: LogFormat,
    colours: bool,
    out: W,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.format {
            LogFormat::Json => visible::json(line),
            LogFormat::Text => visible::line(line),
        };
        let line = if self.colours { with_colour(&line) } else { line.into_owned() };
        // In one piece: other threads write too.
        self.out.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// `TIME LEVEL WORDS` with the level in its colour.
fn with_colour(line: &str) -> String {
    for (level, colour) in [("ERROR", 31), ("WARN", 33), ("INFO", 32), ("DEBUG", 34), ("TRACE", 35)] {
        let begins = |found: &&str| found.trim_start().starts_with(level);
        if let Some((time, rest)) = line.split_once(' ').filter(|(_, rest)| begins(rest)) {
            let words = &rest.trim_start()[level.len()..];
            return format!("\u{1b}[2m{time}\u{1b}[0m \u{1b}[{colour}m{level:>5}\u{1b}[0m{words}");
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LogFormat, event: &str) -> String {
        let mut lines = Lines { format, colours: false, out: Vec::new() };
        lines.write_all(event.as_bytes()).unwrap();
        String::from_utf8(lines.out).unwrap()
    }

    #[test]
    fn an_event_is_one_line_and_moves_no_cursor() {
        let event = "2026-01-01T00:00:00Z  WARN a\u{1b}[2J\u{202e}\n2026-01-01T00:00:00Z ERROR forged\n";
        let expected = "2026-01-01T00:00:00Z  WARN a\\u{1b}[2J\\u{202e}\\n2026-01-01T00:00:00Z ERROR forged\n";
        assert_eq!(written(LogFormat::Text, event), expected);
        assert_eq!(written(LogFormat::Json, "{\"a\":\"\u{9b}\u{202e}\"}\n"), "{\"a\":\"\\u009b\\u202e\"}\n");
    }

    #[test]
    fn a_level_has_its_colour_on_a_terminal() {
        assert_eq!(with_colour("12:00  WARN words"), "\u{1b}[2m12:00\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m words");
        assert_eq!(with_colour("nothing known"), "nothing known");
    }
}
