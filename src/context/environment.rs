//! Environment variables that stand for flags: one that is empty or that its flag does not take is named as the variable,
//! as nobody has typed the flag. Values are not repeated: some are secrets.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::cluster::visible;
use crate::exit::Stop;

/// The variable that an error of the command line is about, in words; none where the line itself is at fault.
pub fn wrong_variable<'a>(
    error: &clap::Error,
    definition: &Command,
    line: impl IntoIterator<Item = &'a OsStr>,
) -> Option<Stop> {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8) {
        return None;
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = shown.split([' ', '=']).next()?;
    let line: Vec<_> = line.into_iter().collect();
    let argument = argument(&meant(definition, &line), flag.strip_prefix("--")?)?;
    let variable = argument.get_env()?.to_string_lossy();
    let is_typed = |word: &OsStr| {
        let word = word.to_string_lossy();
        let short = argument.get_short().is_some_and(|short| {
            word.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains(short))
        });
        short || word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if line.into_iter().any(is_typed) || std::env::var_os(&*variable).is_none() {
        return None;
    }
    if std::env::var_os(&*variable).is_some_and(|value| value.is_empty()) {
        return Some(empty(&variable, flag));
    }
    let why = match (error.get(ContextKind::ValidValue), std::error::Error::source(error)) {
        (Some(ContextValue::Strings(known)), _) if !known.is_empty() => format!("it takes {}", known.join(", ")),
        (_, Some(why)) => why.to_string(),
        _ => format!("{flag} does not take it"),
    };
    Some(Stop::usage(format!("the environment variable {variable} (for {flag}) has a wrong value: {why}")))
}

/// The first variable that is set but empty, where its flag needs a value.
pub fn empty_variable(matches: &ArgMatches, definition: &Command) -> Option<Stop> {
    let is_empty = |argument: &&Arg| {
        let id = argument.get_id().as_str();
        argument.get_action().takes_values()
            && argument.get_env().is_some()
            && matches.try_contains_id(id).is_ok()
            && matches.value_source(id) == Some(ValueSource::EnvVariable)
            && matches.get_raw(id).is_some_and(|mut values| values.any(OsStr::is_empty))
    };
    if let Some(argument) = definition.get_arguments().find(is_empty) {
        let variable = argument.get_env().unwrap_or_default().to_string_lossy();
        return Some(empty(&variable, &format!("--{}", argument.get_long().unwrap_or_default())));
    }
    let (name, inner) = matches.subcommand()?;
    empty_variable(inner, definition.find_subcommand(name)?)
}

/// The error in our own words where an argument has characters that a terminal obeys or does not show: clap prints arguments
/// as they are.
pub fn unfit_argument<'a>(error: &clap::Error, line: impl IntoIterator<Item = &'a OsStr>) -> Option<Stop> {
    let is_unfit = error.use_stderr() && line.into_iter().any(|word| visible::has_hidden(&word.to_string_lossy()));
    let shown = error.render().to_string();
    let first = shown.lines().next().unwrap_or_default();
    is_unfit.then(|| Stop::usage(first.strip_prefix("error: ").unwrap_or(first)))
}

fn empty(variable: &str, flag: &str) -> Stop {
    Stop::usage(format!(
        "the environment variable {variable} (for {flag}) is set but empty: give it a value, or unset it"
    ))
}

/// The command and those of its own that the line names, the innermost first.
fn meant<'a>(definition: &'a Command, line: &[&OsStr]) -> Vec<&'a Command> {
    let mut commands = vec![definition];
    for word in line {
        commands.extend(commands.last().and_then(|last| last.find_subcommand(word)));
    }
    commands.reverse();
    commands
}

/// The argument of that long name: several commands may have one of the same name.
fn argument<'a>(commands: &[&'a Command], long: &str) -> Option<&'a Arg> {
    commands.iter().find_map(|command| command.get_arguments().find(|argument| argument.get_long() == Some(long)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable of every process, which is not empty.
    fn definition(value: clap::builder::ValueParser) -> Command {
        Command::new("x").arg(Arg::new("way").long("way").short('w').env("PATH").value_parser(value))
    }

    #[test]
    fn a_wrong_value_of_a_variable_names_the_variable_and_one_that_was_typed_the_flag() {
        let definition = definition(clap::builder::PossibleValuesParser::new(["a", "b"]).into());
        let error = definition.clone().try_get_matches_from(["x"]).unwrap_err();
        let words = wrong_variable(&error, &definition, []).unwrap().message;
        assert_eq!(words, "the environment variable PATH (for --way) has a wrong value: it takes a, b");
        for line in [["x", "--way=c"], ["x", "-wc"]] {
            let error = definition.clone().try_get_matches_from(line).unwrap_err();
            assert!(wrong_variable(&error, &definition, line.map(OsStr::new)).is_none(), "{line:?}");
        }
    }

    #[test]
    fn of_two_flags_of_one_name_the_one_of_the_command_on_the_line_counts() {
        let other = Command::new("other").arg(Arg::new("way").long("way"));
        let both = Command::new("t").subcommand(other).subcommand(definition(clap::value_parser!(u8).into()));
        let line = ["t", "x"];
        let error = both.clone().try_get_matches_from(line).unwrap_err();
        assert!(wrong_variable(&error, &both, line.map(OsStr::new)).unwrap().message.contains("variable PATH"));
    }

    #[test]
    fn a_variable_with_a_value_is_not_called_empty() {
        let definition = definition(clap::value_parser!(String));
        let matches = definition.clone().try_get_matches_from(["x"]).unwrap();
        assert!(empty_variable(&matches, &definition).is_none());
    }
}
