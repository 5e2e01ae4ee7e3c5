//! The only file that prints. Results go to standard output, everything else to standard error, secrets to neither.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::exit::{Exit, Stop};
use crate::formats::secret::scrub;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A table that fits a terminal.
    #[default]
    Table,
    /// A table with every column.
    Wide,
    /// JSON with a stable schema.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// How results are shown.
    pub format: Format,
}

impl Output {
    /// Prints a result: `value` as JSON or YAML, or the table's text.
    pub fn result<T: Serialize>(&self, value: &T, table: impl FnOnce(bool) -> String) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => table(false),
            Format::Wide => table(true),
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Yaml => serde_saphyr::to_string(value)?,
        };
        print(&text)
    }

    /// Whether results are read by a program.
    pub fn is_structured(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }
}

/// Prints a text to standard output, with a newline at its end. A reader that went away (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = write!(out, "{}{end}", scrub(text)).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says something to the person who runs the command: standard error. If that is gone, nobody is left to tell.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", scrub(text));
}

/// Says why the command did not do its work.
pub fn complain(text: &str) {
    say(&format!("toolbox: {text}"));
}

/// Whether a person can be asked: standard input and standard error are terminals.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks; only `y` and `yes` mean yes.
pub fn ask(question: &str) -> anyhow::Result<bool> {
    {
        let mut err = std::io::stderr().lock();
        write!(err, "{} [y/N] ", scrub(question))?;
        err.flush()?;
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The exit code that an error asks for: that of the [`Stop`] in its chain, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|cause| cause.downcast_ref::<Stop>()).map_or(Exit::Failed, |stop| stop.exit)
}
