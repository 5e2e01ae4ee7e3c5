//! `--help` of every command, as people read it.
//!
//! A changed text is reviewed with `make snap`.

use clap::Command;
use kafka_toolbox::cli::Cli;
use kafka_toolbox::formats::secret::shown_arguments;

#[test]
fn the_command_line_has_no_contradictions() {
    Cli::definition().debug_assert();
}

#[test]
fn every_command_explains_itself() {
    let mut command = Cli::definition().term_width(110);
    let mut pages = Vec::new();
    collect(&mut command, "toolbox", &mut pages);
    for (name, page) in pages {
        insta::assert_snapshot!(name.replace(' ', "-"), page);
    }
}

/// Most lines of a verb's `-h`: what it needs fits a screen.
const SHORT_LINES_MAX: usize = 60;

#[test]
fn the_short_help_of_a_verb_fits_a_screen_and_the_flags_of_every_command_come_last() {
    let mut command = Cli::definition().term_width(110);
    let apply = command.find_subcommand_mut("topics").and_then(|topics| topics.find_subcommand_mut("apply")).unwrap();
    let short = apply.render_help().to_string();
    assert!(short.lines().count() <= SHORT_LINES_MAX, "{short}");
    assert!(short.contains("--file") && short.contains("--dry-run") && !short.contains("--kube-context"), "{short}");
    let long = apply.render_long_help().to_string();
    let heading = long.find("Flags of every command:").unwrap();
    let own = ["Topics:", "Deleting:", "--delete"].map(|words| long.find(words).unwrap());
    assert!(own.iter().all(|place| *place < heading), "{long}");
    assert!(long.find("--kube-context").is_some_and(|place| place > heading), "{long}");
}

#[test]
fn every_flag_has_a_text() {
    let command = Cli::definition();
    let mut silent = Vec::new();
    collect_silent(&command, "toolbox", &mut silent);
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn every_global_flag_has_an_environment_variable() {
    let command = Cli::definition();
    let missing: Vec<_> = command
        .get_arguments()
        .filter(|argument| argument.is_global_set() && argument.get_env().is_none())
        .map(|argument| argument.get_id().to_string())
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The page of a command without the global flags, which stand on the main page, and those of its subcommands.
fn collect(command: &mut Command, name: &str, pages: &mut Vec<(String, String)>) {
    let shown = if name == "toolbox" { command.clone() } else { without_global_flags(command) };
    pages.push((name.to_owned(), shown.clone().render_long_help().to_string()));
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let inner_name = format!("{name} {}", inner.get_name());
        collect(inner, &inner_name, pages);
    }
}

fn without_global_flags(command: &Command) -> Command {
    command.clone().mut_args(|argument| if argument.is_global_set() { argument.hide(true) } else { argument })
}

fn collect_silent(command: &Command, name: &str, silent: &mut Vec<String>) {
    if command.get_about().is_none() {
        silent.push(name.to_owned());
    }
    let arguments = command.get_arguments().filter(|argument| argument.get_help().is_none());
    silent.extend(arguments.map(|argument| format!("{name} --{}", argument.get_id())));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        collect_silent(inner, &format!("{name} {}", inner.get_name()), silent);
    }
}

/// Flags whose values may hold a password, or any text.
const HIDDEN: [&str; 8] = [
    "--bootstrap-server",
    "--datadog-url",
    "--idle-query",
    "--latency-query",
    "--net-rx-query",
    "--net-tx-query",
    "--prometheus-url",
    "--help",
];

#[test]
fn the_record_of_a_move_or_a_throttle_shows_every_argument_that_is_no_secret() {
    let mut command = Cli::definition();
    command.build();
    for room in ["reassign", "throttle"] {
        for verb in command.find_subcommand(room).unwrap().get_subcommands() {
            for argument in verb.get_arguments() {
                let Some(flag) = argument.get_long().map(|long| format!("--{long}")) else { continue };
                let words = format!("{room} {}", verb.get_name());
                let line = [room, verb.get_name(), &flag, "1MB/s"].map(str::to_owned);
                let shown = shown_arguments(&words, line);
                let is_shown = shown.ends_with(&format!("{flag} 1MB/s"));
                assert_eq!(is_shown, !HIDDEN.contains(&flag.as_str()), "{shown}");
            }
        }
    }
}
