#!/usr/bin/env bash
# Measures this module beside its peers and prints Markdown tables.
#
#   bench/run.sh                     every scenario
#   bench/run.sh fanout ack          some of them
#   bench/run.sh fanout -repeats 5 -stacks 'this module, TLS;nginx + Node, TLS'
#
#   bench/run.sh -svg docs/images/bench.svg -json run.json       and a picture, and every single result
#   bench/run.sh -read 'run.json;other.json' -svg bench.svg      tables and picture of earlier runs
#   bench/run.sh fanout -stacks 'this module, TLS' -profiles .   and a CPU profile of Caddy under load
#
# Scenarios: fanout, fanout-200, fanout-fixed, fanout-binary, fanout-binary-200, rooms, room-growth, grow, polling,
# compression, compression-saturated, compression-polling, slow-reader, slow-lines, ack, ack-fixed, connect, handshakes, idle, idle-8000, vanish, stalled, attack.
# Needs Go, Node with npm, and nginx. Everything runs on loopback, and everything started is ended.
# CADDY=<path> measures a Caddy that was built before, in place of building one.
set -euo pipefail
from=$PWD
cd "$(dirname "$0")"

for program in go node npm nginx; do
	if ! command -v "$program" >/dev/null; then
		echo "bench: $program is needed and is not here" >&2
		exit 1
	fi
done
# A workspace around this folder would change what is measured, and a clone that belongs to another
# user has no version that could be asked.
export GOWORK=off GOFLAGS="$(go env GOFLAGS) -buildvcs=false"

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT

go build -o "$bin/" ./cmd/...
(cd peers/zishang && go build -o "$bin/zishang" .)
(cd peers/node && npm ci --silent --no-audit --no-fund)
caddy=${CADDY:+$(cd "$from" && realpath "$CADDY")}
if [ -z "$caddy" ]; then
	../xcaddy.sh build >&2
	caddy=$PWD/../build/caddy
fi

here=$PWD
# File names that are given are those of the folder the command is called from.
cd "$from"
"$bin/bench" -bin "$bin" -caddy "$caddy" -node "$here/peers/node" "$@"
