//! Live names for the shell's completion: topics, brokers and racks of the cluster, or of the observation that the line
//! names, and maps of toolbox.yaml; within a second, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::BufReader;
use std::time::Duration;

use clap::Parser;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::clients::files;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::visible;
use crate::context::{Context, Flags};

/// A person waits for the tab key no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// More names help nobody.
const NAMES_MAX: usize = 1_000;

/// Completes the name of a topic.
pub fn topics() -> ArgValueCompleter {
    completer("", || names().map(|names| names.topics))
}

/// Completes topics with commas between them.
pub fn topic_list() -> ArgValueCompleter {
    completer(",", || names().map(|names| names.topics))
}

/// Completes broker ids with commas, or `=`, between them.
pub fn broker_list() -> ArgValueCompleter {
    completer(",=", || names().map(|names| names.brokers))
}

/// Completes the name of a rack.
pub fn racks() -> ArgValueCompleter {
    completer("", || names().map(|names| names.racks))
}

/// Completes the name of a map of toolbox.yaml.
pub fn maps() -> ArgValueCompleter {
    completer("", || {
        let mut context = Context::new(typed()?);
        context.read_toolbox_file().ok()?;
        Some(context.maps.0.iter().map(|map| map.name.clone()).collect())
    })
}

/// Completes what stands behind the last of these characters.
fn completer(between: &'static str, names: fn() -> Option<BTreeSet<String>>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |begun: &OsStr| {
        let begun = begun.to_string_lossy();
        let (before, last) = begun.split_at(begun.rfind(|c| between.contains(c)).map_or(0, |at| at + 1));
        let names = names().unwrap_or_default();
        let taken: Vec<_> = before.split(|c| between.contains(c)).collect();
        let fitting = names.into_iter().filter(|name| name.starts_with(last) && !taken.contains(&name.as_str()));
        let shown = fitting.filter(|name| !name.chars().any(visible::is_hidden)).take(NAMES_MAX);
        let is_bash = std::env::var_os("COMPLETE").is_some_and(|shell| shell == "bash");
        let word = |name: String| if is_bash { quoted(&name) } else { name };
        shown.map(|name| CompletionCandidate::new(format!("{before}{}", word(name)))).collect()
    })
}

/// A name as bash reads it from the command line: bash inserts what is offered as it stands, and would run `$(…)` in a
/// rack's name. zsh and fish quote by themselves.
fn quoted(name: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '%' | '+' | ',' | '=');
    name.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// What a cluster has.
#[derive(Debug, Default)]
struct Names {
    topics: BTreeSet<String>,
    brokers: BTreeSet<String>,
    racks: BTreeSet<String>,
}

/// A saved observation of `mapping`, as far as names go.
#[derive(Deserialize)]
struct Saved {
    observed: SavedNames,
}

#[derive(Deserialize)]
struct SavedNames {
    #[serde(default)]
    #[expect(clippy::zero_sized_map_values, reason = "partitions are skipped, not read")]
    topics: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    brokers: BTreeMap<String, SavedBroker>,
}

#[derive(Deserialize)]
struct SavedBroker {
    #[serde(default)]
    rack: Option<String>,
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

/// The flags of the line, and of the environment.
fn typed() -> Option<Flags> {
    // The shell's words come after `--`; the first of them is the program.
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let known = known_flags(words.map(|word| word.to_string_lossy().into_owned()).collect());
    Some(Typed::try_parse_from(known).ok()?.flags)
}

/// Names from what the line's flags, or the environment, lead to. Nothing is said when that fails: the person is typing.
fn names() -> Option<Names> {
    let mut flags = typed()?;
    if let Some(path) = &flags.observed {
        let saved: Saved = serde_json::from_reader(BufReader::new(files::open(path).ok()?)).ok()?;
        let SavedNames { topics, brokers } = saved.observed;
        let racks = brokers.values().filter_map(|broker| broker.rack.clone()).collect();
        return Some(Names { topics: topics.into_keys().collect(), brokers: brokers.into_keys().collect(), racks });
    }
    flags.timeout = Some(flags.timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE)));
    let mut context = Context::new(flags);
    context.read_toolbox_file().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asked = async {
        let kafka = context.kafka().await.ok()?;
        kafka.metadata(TopicSelection::All).await.ok()
    };
    let metadata = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await.ok()? })?;
    Some(Names {
        topics: metadata.topics.into_keys().map(|name| name.to_string()).collect(),
        brokers: metadata.brokers.keys().map(ToString::to_string).collect(),
        racks: metadata.brokers.into_values().filter_map(|broker| Some(broker.rack?.0)).collect(),
    })
}

/// The program's name and those words that say how to connect, each with its value.
fn known_flags(words: Vec<String>) -> Vec<String> {
    const CONNECTING: [&str; 5] =
        ["--bootstrap-server", "--command-config", "--cluster", "--toolbox-file", "--observed"];
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
    fn a_name_that_is_offered_to_bash_runs_nothing() {
        assert_eq!(quoted("r$(touch /tmp/x);id"), "r\\$\\(touch\\ /tmp/x\\)\\;id");
        assert_eq!(
            quoted("a'b\"c`d\\e~f*?[g]{h}|&<>!#"),
            "a\\'b\\\"c\\`d\\\\e\\~f\\*\\?\\[g\\]\\{h\\}\\|\\&\\<\\>\\!\\#"
        );
        assert_eq!(quoted("eu-west-1a.orders_v2"), "eu-west-1a.orders_v2");
    }

    #[test]
    fn only_flags_that_say_how_to_connect_are_read_from_a_line_that_is_being_typed() {
        let words = ["toolbox", "topics", "describe", "--bootstrap-server", "a:1", "--cluster=x", "-o", "wide", "or"];
        let known = known_flags(words.iter().map(ToString::to_string).collect());
        assert_eq!(known, ["toolbox", "--bootstrap-server", "a:1", "--cluster=x"]);
        assert_eq!(Typed::try_parse_from(known).unwrap().flags.bootstrap_server.as_deref(), Some("a:1"));
    }
}
