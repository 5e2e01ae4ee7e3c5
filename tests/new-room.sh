#!/usr/bin/env bash
# Makes the folder of a new command: tests/new-room.sh NAME [ROOT]. `make new ROOM=NAME` calls it.
set -euo pipefail
room=${1:?usage: make new ROOM=NAME}
root=${2:-$(dirname "$0")/..}
[[ $room =~ ^[a-z][a-z0-9]*$ ]] || { echo "a command's name is one lower-case word, not '$room'" >&2; exit 2; }
folder=$root/src/commands/$room
[ ! -e "$folder" ] || { echo "$folder exists already" >&2; exit 2; }
type=$(tr '[:lower:]' '[:upper:]' <<<"${room:0:1}")${room:1}

mkdir -p "$folder" "$root/tests/$room/cases"
header() { printf '//! %s\n' "$2" >"$folder/$1.rs"; }
header spec "What \`$room\` should be: text in, checked declarations or every fault with its place out."
header observe "Reads what the planner of \`$room\` needs, in as few requests as there can be."
header plan "All decisions of \`$room\`: what is desired and what is there in, steps out."
header apply "Carries out steps of \`$room\`; safe to repeat."
cat >"$folder/mod.rs" <<EOF
//! \`toolbox $room\`: say here what it is for, and its way through.

mod apply;
pub mod command;
mod observe;
pub mod plan;
pub mod spec;
EOF
cat >"$folder/command.rs" <<EOF
//! \`toolbox $room\`: flags, and the way through.

use crate::context::Context;
use crate::exit::Exit;

/// Say here what a person at 3 a.m. needs to know
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command to its end.
pub async fn run(_context: &mut Context, _args: &Args) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
EOF
printf '//! \`toolbox %s\`, whole commands.\n' "$room" >"$root/tests/$room/mod.rs"

printf 'pub mod %s;\n' "$room" >>"$root/src/commands/mod.rs"
sed -i "0,/^mod architecture;/s||mod architecture;\n/// \`toolbox $room\`.\nmod $room;|" "$root/tests/suite.rs"
# One line for the enum, one for the dispatch; rustfmt and the compiler say if they do not fit.
sed -i "s|^enum Command {|enum Command {\n    /// Say here in one line what it does\n    $type(crate::commands::$room::command::Args),|" "$root/src/cli.rs"
sed -i "0,/match self {/s||match self {\n            Command::$type(args) => crate::commands::$room::command::run(context, \&args).await,|" "$root/src/cli.rs"
echo "made src/commands/$room and tests/$room; fill them in, then run: cargo fmt; make check"
