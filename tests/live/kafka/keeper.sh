#!/usr/bin/env bash
# Keeps the servers of one cluster: starts them as its own children and ends them when its owner is gone.
#
#   keeper.sh FOLDER < commands
#
# Commands, one a line:  start NAME   runs FOLDER/NAME/start.sh; its process id goes to FOLDER/NAME/pid
#                        detach       outlives the owner, until it gets SIGTERM
# The owner's end of the pipe closes however the owner ends (return, panic, Ctrl-C, SIGKILL). Then exactly the children
# are killed and the folder is removed; of a cluster that a test failed on (FOLDER/failed), the logs stay.
set -u
folder=$1
declare -A pids=()

# Whether the process is our child and runs: `kill -0` would also see zombies and strangers with a reused id.
runs() {
  local stat rest
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  rest=${stat##*) }
  # shellcheck disable=SC2086
  set -- $rest
  [ "$1" != Z ] && [ "$2" = "$$" ]
}

end() {
  trap '' TERM INT HUP
  local name round left
  for name in "${!pids[@]}"; do
    runs "${pids[$name]}" && kill -KILL "${pids[$name]}" 2>/dev/null
  done
  for round in {1..200}; do
    left=0
    for name in "${!pids[@]}"; do runs "${pids[$name]}" && left=1; done
    [ $left = 0 ] && break
    sleep 0.05
  done
  # A zombie's threads may still hold its ports and files; who is waited for has none left.
  [ $left = 0 ] && wait "${pids[@]}" 2>/dev/null
  # Data may lie in memory.
  [ -L "$folder/data" ] && rm -rf "$(readlink "$folder/data")"
  if [ -e "$folder/failed" ]; then
    find "$folder" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
  else
    rm -rf "$folder"
  fi
  exit 0
}

start() {
  local name=$1
  bash "$folder/$name/start.sh" </dev/null >>"$folder/logs/$name.log" 2>&1 &
  pids[$name]=$!
  echo $! >"$folder/$name/pid.new" && mv "$folder/$name/pid.new" "$folder/$name/pid"
}

trap end TERM INT HUP
echo $$ >"$folder/keeper.new" && mv "$folder/keeper.new" "$folder/keeper.pid"
while read -r command name; do
  case $command in
    start) start "$name" ;;
    detach)
      # Opened for both ways, a named pipe never ends.
      mkfifo "$folder/commands" && exec 0<>"$folder/commands" && touch "$folder/detached"
      ;;
  esac
done
end
