#!/bin/sh
# Makes a Temporal server ready for Durable Canary: the namespace, its retention, and the search attributes.
# Needs sh and the `temporal` command line only; run again, it changes nothing. `canary doctor` tells what is
# still missing.
#
#   TEMPORAL_ADDRESS     where the server is         (127.0.0.1:7233)
#   TEMPORAL_NAMESPACE   the namespace               (default)
#   CANARY_RETENTION     how long histories are kept (30d)
#   CANARY_PATIENCE      seconds to wait in all      (120)
set -eu

TEMPORAL_ADDRESS="${TEMPORAL_ADDRESS:-127.0.0.1:7233}"
TEMPORAL_NAMESPACE="${TEMPORAL_NAMESPACE:-default}"
export TEMPORAL_ADDRESS TEMPORAL_NAMESPACE
retention="${CANARY_RETENTION:-30d}"
patience="${CANARY_PATIENCE:-120}"

# A server takes a while to come up, and a few seconds more to know a new namespace everywhere.
waited=0
patiently() { # what it is for, command...
  purpose="$1"
  shift
  until said="$("$@" 2>&1)"; do
    if [ "$waited" -ge "$patience" ]; then
      echo "Cannot $purpose at $TEMPORAL_ADDRESS: $said" >&2
      exit 1
    fi
    waited=$((waited + 1))
    sleep 1
  done
}

make_namespace() { # fails where somebody else was quicker, and is there the next time
  temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$retention"
}

register() { # name, type
  temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type "$2"
}

patiently "reach Temporal" temporal operator cluster health
patiently "make namespace $TEMPORAL_NAMESPACE" make_namespace
patiently "keep histories for $retention" \
  temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$retention"
# One at a time: of several names in one command only the first is registered.
for name in Cluster Namespace Target Application Phase Revision; do
  patiently "register search attribute Canary$name" register "Canary$name" Keyword
done
patiently "register search attribute CanaryWeight" register CanaryWeight Int

echo "Temporal at $TEMPORAL_ADDRESS is ready: namespace $TEMPORAL_NAMESPACE, histories kept for $retention."
