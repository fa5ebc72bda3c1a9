#!/usr/bin/env bash
# Measures this module beside its peers and prints Markdown tables.
#
#   bench/run.sh                     every scenario
#   bench/run.sh fanout ack          some of them
#   bench/run.sh fanout -repeats 5 -stacks 'this module, TLS;nginx + Node, TLS'
#
# Scenarios: fanout, fanout-200, fanout-fixed, ack, connect, handshakes, idle, vanish, stalled.
# Needs Go, Node with npm, and nginx. Everything runs on loopback, and everything started is ended.
# CADDY=<path> measures a Caddy that was built before, in place of building one.
set -euo pipefail
cd "$(dirname "$0")"

for program in go node npm nginx; do
	if ! command -v "$program" >/dev/null; then
		echo "bench: $program is needed and is not here" >&2
		exit 1
	fi
done

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT

go build -o "$bin/" ./cmd/...
(cd peers/zishang && go build -o "$bin/zishang" .)
(cd peers/node && npm ci --silent --no-audit --no-fund)
caddy=${CADDY:-}
if [ -z "$caddy" ]; then
	../xcaddy.sh build >&2
	caddy=../build/caddy
fi

"$bin/bench" -bin "$bin" -caddy "$caddy" -node peers/node "$@"
