#!/usr/bin/env bash
# The demo: topics declared, planned, applied, drifted, mended, moved, refused, deleted, on a real cluster. `make demo`
# runs it through `servers run`, which starts four brokers and ends them; all files are in a folder that goes away.
set -euo pipefail
toolbox=$(realpath "$1")
specs=$(realpath "$(dirname "$0")/../../configmaps/topics")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TOOLBOX_STATE_FOLDER=$work/state TOOLBOX_CLUSTER_ID=$SERVERS_CLUSTER_ID TOOLBOX_LOG=error
unset DD_API_KEY DD_DOGSTATSD_URL DD_AGENT_HOST
cd "$work"
cp -r "$specs" topics

bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
# step EXIT ARGUMENTS...: shows a command, runs it, and insists on its exit code.
step() {
  local wanted=$1 code=0
  shift
  printf '$ toolbox %s\n' "$*"
  "$toolbox" "$@" || code=$?
  if [ "$code" != "$wanted" ]; then
    echo "the demo expected exit code $wanted and got $code" >&2
    exit 1
  fi
  printf '(exit %s)\n' "$code"
}

bold "1. Four real Kafka brokers run, each in a rack of its own. The topics of configmaps/topics are declared, not there yet."
step 0 topics validate -f topics
step 3 topics diff -f topics

bold "2. Apply: what was shown is carried out, and each change leaves an event."
step 0 topics apply -f topics --yes

bold "3. A second run finds nothing to do."
step 0 topics apply -f topics --yes
step 0 topics list

bold "4. Somebody changes a topic by hand, at three in the morning …"
printf '$ kafka-configs.sh --alter --topic shop.orders --add-config retention.ms=1000\n'
"$SERVERS_TOOL" kafka.admin.ConfigCommand --bootstrap-server "$TOOLBOX_BOOTSTRAP_SERVER" --alter --entity-type topics \
  --entity-name shop.orders --add-config retention.ms=1000 2>"$work/kafka-configs.log" || { cat "$work/kafka-configs.log" >&2; exit 1; }
bold "   … it is distinguished from a change of the spec, and mended."
step 3 topics diff -f topics
step 0 topics apply -f topics --yes

bold "5. Broker 4 should go: what it holds moves to the others, and nothing else does."
printf '$ kafka-producer-perf-test.sh --topic shop.orders --num-records 20000 --record-size 1000 …\n'
"$SERVERS_TOOL" org.apache.kafka.tools.ProducerPerformance --topic shop.orders --num-records 20000 --record-size 1000 \
  --throughput -1 --producer-props "bootstrap.servers=$TOOLBOX_BOOTSTRAP_SERVER" acks=all >"$work/producer.log" 2>&1 ||
  { cat "$work/producer.log" >&2; exit 1; }
step 3 mapping evacuate --brokers 4
step 0 mapping evacuate --brokers 4 --out moves -o json >"$work/answer.json"
bold "   The plan is a file; it is carried out in bounded batches, throttled, verified, and resumed by running it again."
step 0 reassign execute moves/plan.json --throttle 50MB/s --yes --max-risk moves-data
step 0 reassign verify moves/plan.json
step 0 mapping show

bold "6. A slip of the finger changes nothing, and is found with its place."
sed 's/retention\.ms/retention.mss/' topics/shop.yaml >bad.yaml
step 2 topics apply -f bad.yaml --yes

bold "7. Deleting takes more than a word in a file."
cat >topics/shop.yaml <<'EOF'
topics:
  - name: shop.orders
    state: absent
EOF
step 4 topics apply -f topics --yes
step 0 topics apply -f topics --yes --max-risk loses-data --delete shop.orders

bold "8. The record of all this."
step 0 events list

bold "The brokers end now; nothing is left running."
