#!/bin/sh
# Starts a broker with its own id, rack and address. A disk that was written to is never formatted again.
set -eu
properties=/run/kafka/server.properties
cat /etc/kafka-config/server.properties /var/run/kafka-identity/overrides.properties >"$properties"
log_dir=$(sed -n 's/^log\.dirs=//p' "$properties" | tail -n 1)
if ! [ -f "$log_dir/meta.properties" ]; then
  /opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$(cat /etc/kafka-config/cluster-id)" --config "$properties"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$properties"
