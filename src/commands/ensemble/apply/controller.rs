//! Steps of a controller's start: the document by compare-and-set, the properties, and Kafka's own tool for the disk.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::change::carry_out::Ended;
use crate::change::in_order::Executor;
use crate::clients::files::{self, Readers};
use crate::clients::programs;
use crate::cluster::visible;
use crate::commands::ensemble::apply::start::save;
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::kraft::prestart::{Format, Next};
use crate::commands::ensemble::plan::kraft::prestart_steps::{Act, ControllerStep, PropertiesFile};
use crate::state::document::Document;

/// Longest run of Kafka's tool: it starts a JVM and writes three small files.
const FORMAT_WITHIN: Duration = Duration::from_mins(3);

/// How a disk is formatted.
#[derive(Debug, Clone, Copy)]
pub struct FormatCommand<'a> {
    /// The command of the user.
    pub line: &'a str,
    /// The cluster.
    pub cluster_id: &'a str,
    /// The file of the controller's properties.
    pub properties: &'a str,
}

impl FormatCommand<'_> {
    /// The whole line. It lacks `--ignore-formatted`: Kafka's tool itself refuses a disk that is formatted.
    pub fn text(&self, how: Format) -> String {
        let Self { line, cluster_id, properties } = self;
        format!("{line} format --cluster-id {} --config {} {}", quoted(cluster_id), quoted(properties), how.flag())
    }
}

/// As one word for `sh`.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Carries out the steps of a controller's start.
pub struct ControllerExecutor<'a> {
    /// The document, as it was read.
    pub document: &'a mut Document,
    /// What was decided.
    pub next: &'a Next,
    /// The properties.
    pub file: &'a PropertiesFile,
    /// How a disk is formatted.
    pub command: Option<FormatCommand<'a>>,
    /// When to give up.
    pub deadline: Instant,
    /// Whether somebody else changed the document in the meantime: the whole is decided again.
    pub is_outrun: bool,
}

impl Executor for ControllerExecutor<'_> {
    type Step = ControllerStep;

    async fn execute(&mut self, step: &ControllerStep) -> Result<Ended, Ended> {
        match &step.act {
            Act::Record { .. } => self.record().await,
            Act::WriteProperties { .. } => self.write(),
            Act::Format { how, .. } => self.format(*how).await,
        }
    }
}

impl ControllerExecutor<'_> {
    async fn record(&mut self) -> Result<Ended, Ended> {
        match self.next {
            Next::Start(desired) | Next::Format { desired, .. } => {
                save(self.document, desired, self.deadline, &mut self.is_outrun).await
            }
            Next::Wait(_) | Next::Refuse(_) => Ok(Ended::done()),
        }
    }

    fn write(&self) -> Result<Ended, Ended> {
        let path = Path::new(&self.file.path);
        // It may hold passwords; the controller's server runs as the same user.
        let written = files::write_with_folder(path, &self.file.text, Readers::Owner);
        let failed = |error| Ended::failed(format!("{}: failed to write {}: {error}", Code::DiskIo, path.display()));
        written.map(|()| Ended::done()).map_err(failed)
    }

    async fn format(&self, how: Format) -> Result<Ended, Ended> {
        let Some(command) = self.command else { return Err(Ended::refused("no --format-cmd was given")) };
        let ran = programs::run(&command.text(how), &[], FORMAT_WITHIN).await;
        let failed = |why: String| Ended::failed(format!("the command of --format-cmd {}", visible::line(&why)));
        ran.map(|()| Ended::done()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_never_ignores_what_is_formatted_and_quotes_what_is_no_plain_word() {
        let command = FormatCommand { line: "kafka-storage.sh", cluster_id: "a_b-C", properties: "/x/it's" };
        let text = command.text(Format::Standalone);
        assert_eq!(text, r"kafka-storage.sh format --cluster-id a_b-C --config '/x/it'\''s' --standalone");
        assert!(!command.text(Format::Follower).contains("ignore"));
    }
}
