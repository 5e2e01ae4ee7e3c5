#!/usr/bin/env bash
# phase.sh NAME COMMAND [ARGUMENT...]: runs one phase of a recipe, and says in one line how long it took or that it failed.
set -u
name=$1
shift
"$@"
code=$?
if [ $code = 0 ]; then
  echo "== $name: $SECONDS s"
else
  echo "== $name: failed after $SECONDS s (exit code $code)" >&2
fi
exit $code
