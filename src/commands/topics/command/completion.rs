//! Names of live topics for the shell's completion: within a second, or none.

use std::ffi::OsStr;
use std::time::Duration;

use clap::Parser;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cluster::metadata::TopicSelection;
use crate::context::{Context, Flags};

/// A person waits for the tab key no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// More names help nobody.
const NAMES_MAX: usize = 1_000;

/// Completes topic names from the live cluster.
pub(super) fn topics() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let begun = begun.to_string_lossy();
        let names = names().unwrap_or_default();
        let fitting = names.into_iter().filter(|name| name.starts_with(&*begun));
        fitting.take(NAMES_MAX).map(CompletionCandidate::new).collect()
    })
}

/// The global flags, wherever they stand on the line that is being typed.
#[derive(Debug, Parser)]
#[command(ignore_errors = true, disable_help_flag = true, disable_version_flag = true)]
struct Typed {
    #[command(flatten)]
    flags: Flags,
    #[arg(trailing_var_arg = true, hide = true)]
    _rest: Vec<String>,
}

/// Names from the cluster that the line's flags, or the environment, lead to. Nothing is said when that fails: the
/// person is typing.
fn names() -> Option<Vec<String>> {
    // The shell's words come after `--`; the first of them is the program.
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let known = known_flags(words.map(|word| word.to_string_lossy().into_owned()).collect());
    let mut flags = Typed::try_parse_from(known).ok()?.flags;
    flags.timeout = Some(flags.timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE)));
    let mut context = Context::new(flags);
    context.read_toolbox_file().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asked = async {
        let kafka = context.kafka().await.ok()?;
        kafka.metadata(TopicSelection::All).await.ok()
    };
    let metadata = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await.ok()? })?;
    Some(metadata.topics.into_keys().map(|name| name.to_string()).collect())
}

/// The program's name and those words that say how to connect, each with its value.
fn known_flags(words: Vec<String>) -> Vec<String> {
    const CONNECTING: [&str; 4] = ["--bootstrap-server", "--command-config", "--cluster", "--toolbox-file"];
    let mut known = vec!["toolbox".to_owned()];
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        if CONNECTING.contains(&word.as_str()) {
            known.push(word);
            known.extend(words.next());
        } else if CONNECTING.iter().any(|flag| word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))) {
            known.push(word);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_that_say_how_to_connect_are_read_from_a_line_that_is_being_typed() {
        let words = ["toolbox", "topics", "describe", "--bootstrap-server", "a:1", "--cluster=x", "-o", "wide", "or"];
        let known = known_flags(words.iter().map(ToString::to_string).collect());
        assert_eq!(known, ["toolbox", "--bootstrap-server", "a:1", "--cluster=x"]);
        assert_eq!(Typed::try_parse_from(known).unwrap().flags.bootstrap_server.as_deref(), Some("a:1"));
    }
}
