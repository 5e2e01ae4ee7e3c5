#!/bin/bash
# Writes src/commands/topics/spec/table.rs anew: the topic config keys of the released versions of Kafka, each as the ConfigDef
# in its own jars says. It needs Java 17 and Maven; the jars come from Maven's repository (about 15 MB a version, kept).
#
#   tests/topics/keys/generate.sh [FOLDER FOR THE DUMPS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${1:-${TMPDIR:-/tmp}/kafka-toolbox-keys}
versions="2.4.1 2.5.1 2.6.3 2.7.2 2.8.2 3.0.2 3.1.2 3.2.3 3.3.2 3.4.1 3.5.2 3.6.2 3.7.2 3.8.1 3.9.2 4.0.2 4.1.2 4.2.1 4.3.1 4.4.0"

# The artifacts that LogConfig of a version needs: few, so that not every transitive jar is fetched.
artifacts() {
  case $1 in
    2.[4-6].*) echo kafka-clients kafka_2.13 ;;
    2.7.*) echo kafka-clients kafka_2.13 kafka-raft ;;
    2.8.*) echo kafka-clients kafka_2.13 kafka-raft kafka-metadata ;;
    3.[0-6].*) echo kafka-clients kafka_2.13 kafka-raft kafka-metadata kafka-server-common kafka-storage kafka-storage-api ;;
    *) echo kafka-clients kafka-raft kafka-server-common kafka-storage kafka-storage-api ;;
  esac
}

dependency() {
  printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>' "$1" "$2" "$3"
  printf '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>\n'
}

pom() {
  echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>keys</groupId>'
  echo "<artifactId>keys</artifactId><version>$1</version><packaging>pom</packaging><dependencies>"
  for artifact in $(artifacts "$1"); do dependency org.apache.kafka "$artifact" "$1"; done
  dependency org.scala-lang scala-library 2.13.15
  dependency com.typesafe.scala-logging scala-logging_2.13 3.9.5
  dependency org.slf4j slf4j-api 1.7.36
  echo '</dependencies></project>'
}

mkdir -p "$work/classes"
javac -d "$work/classes" "$here/TopicKeys.java" "$here/KeysTable.java"
for version in $versions; do
  dump=$work/$version.tsv
  [ -s "$dump" ] && continue
  mkdir -p "$work/$version"
  pom "$version" >"$work/$version/pom.xml"
  mvn -B -q -f "$work/$version/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$work/$version/jars"
  java -cp "$work/classes:$work/$version/jars/*" TopicKeys >"$dump.new" 2>"$work/$version/log" || { cat "$work/$version/log"; exit 1; }
  mv "$dump.new" "$dump"
done
dumps=()
for version in $versions; do dumps+=("$work/$version.tsv"); done
java -cp "$work/classes" KeysTable "${dumps[@]}" >"$work/table.rs"
rustfmt --config-path "$root/rustfmt.toml" --edition 2024 "$work/table.rs"
mv "$work/table.rs" "$root/src/commands/topics/spec/table.rs"
