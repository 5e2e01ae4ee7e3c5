#!/bin/bash
# supervisor.sh FOLDER: runs what a test asks for, one line on stdin each, and outlives the test to clean up.
#   start NAME   runs FOLDER/run/NAME; its output goes to FOLDER/log/NAME.log, its pid to FOLDER/pid/NAME
#   kill NAME    SIGKILL, and waits until it is gone
# Each is answered with one line. When stdin ends, for whatever reason the test ended, all programs are killed,
# the scripts in FOLDER/end run, and FOLDER is removed; where FOLDER/keep exists, its logs stay.
set -um # Each program is a process group of its own.
folder=$1
declare -A pids

start() {
  "$folder/run/$1" >>"$folder/log/$1.log" 2>&1 </dev/null &
  pids[$1]=$!
  echo "$!" >"$folder/pid/$1"
}

stop() {
  [ -n "${pids[$1]:-}" ] || return 0
  kill -9 -- "-${pids[$1]}" 2>/dev/null
  wait "${pids[$1]}" 2>/dev/null
  unset "pids[$1]"
  rm -f "$folder/pid/$1"
}

mkdir -p "$folder"/{run,log,pid,end}
trap : INT TERM HUP # End with the test, not before it.
while read -r verb name || [ $? -gt 128 ]; do
  case $verb in
  start) start "$name" && echo started ;;
  kill) stop "$name" && echo stopped ;;
  esac
done 2>/dev/null

for name in "${!pids[@]}"; do stop "$name"; done
for script in "$folder"/end/*; do [ -x "$script" ] && "$script"; done >>"$folder/log/end.log" 2>&1
# What was killed a moment ago may still hold files: try again for ten seconds.
for _ in $(seq 100); do
  if [ -e "$folder/keep" ]; then
    find "$folder" -mindepth 1 -maxdepth 1 ! -name log ! -name keep -exec rm -rf {} + && break
  else
    rm -rf "$folder" && break
  fi
  sleep 0.1
done 2>/dev/null
