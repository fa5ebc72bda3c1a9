#!/usr/bin/env bash
# Builds Caddy with this module, and runs the example.
#
#   ./xcaddy.sh            builds and runs Caddyfile.example: https://localhost
#   ./xcaddy.sh build      builds ./build/caddy, and that is all
#   ./xcaddy.sh run [...]  builds and runs; what follows goes to `caddy run`
#   ./xcaddy.sh share      builds the page of examples/share, and that is all;
#                          needs npm
#
# Environment:
#   HTTPS_PORT, HTTP_PORT  ports in place of 443 and 80
#   CADDY_ADMIN            the admin endpoint in place of localhost:2019
#   SITE                   the site's address in place of https://localhost
#   SOCKETIO_CLIENT        where the page's client comes from: `cdn`, or the
#                          absolute path of socket.io-client's dist folder.
#                          Unset: from npm, if there is one.

set -euo pipefail

readonly CADDY_VERSION=v2.11.9
readonly MODULE=github.com/caddy-socketio/socketio-stream
readonly GO_MINOR=26 # as in go.mod: Go 1.26

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
# A workspace around this folder would change what is built.
export GOWORK=off

fail() {
	printf '%s\n' "" "$@" >&2
	exit 1
}

usage() {
	awk 'NR > 1 && /^#/ { sub(/^# ?/, ""); print; next } NR > 1 { exit }' "${BASH_SOURCE[0]##*/}"
}

check_go() {
	command -v go >/dev/null ||
		fail "Go is missing. Install Go 1.$GO_MINOR or newer (https://go.dev/dl/) and try again."
	local version minor
	# In this folder an older Go fetches the one that go.mod asks for, unless it
	# was told not to or cannot.
	version=$(go env GOVERSION 2>/dev/null) || version=$(GOTOOLCHAIN=local go version 2>/dev/null | cut -d ' ' -f 3) || true
	minor=${version#go1.}
	minor=${minor%%[!0-9]*}
	if [[ $version != go1.* ]] || ((${minor:-0} < GO_MINOR)); then
		fail "Go 1.$GO_MINOR or newer is needed, and this is ${version:-of an unknown version} ($(command -v go))." \
			"Install it from https://go.dev/dl/ and try again."
	fi
}

build() {
	check_go
	mkdir -p build
	echo "Building Caddy $CADDY_VERSION with $MODULE into $PWD/build/caddy."
	[[ -x build/caddy ]] || echo "The first build fetches and compiles all of Caddy: some minutes."
	local xcaddy
	xcaddy=$(go -C tools tool -n xcaddy)
	# xcaddy tells every package it compiles; that is of interest when it fails.
	if ! "$xcaddy" build "$CADDY_VERSION" --with "$MODULE@v0.0.0=." --output build/caddy >build/xcaddy.log 2>&1; then
		tail -n 40 build/xcaddy.log >&2
		fail "The build failed; all of its output is in build/xcaddy.log."
	fi
	echo "Built $(build/caddy version)"
}

# find_client sets SOCKETIO_CLIENT to the folder the example page's client is
# served from, or leaves the choice to Caddyfile.example: the CDN.
find_client() {
	if [[ -n ${SOCKETIO_CLIENT:-} ]]; then
		echo "The page's client: $SOCKETIO_CLIENT"
		return
	fi
	if ! command -v npm >/dev/null; then
		echo "npm is not here: the page loads its client from Socket.IO's CDN."
		return
	fi
	echo "Installing the page's client by npm."
	if (cd examples/streaming && npm ci --no-audit --no-fund --loglevel=error); then
		export SOCKETIO_CLIENT=$PWD/examples/streaming/node_modules/socket.io-client/dist
	else
		echo "npm failed: the page loads its client from Socket.IO's CDN." >&2
	fi
}

# install_packages installs what a folder's lock file names, unless it is there.
install_packages() {
	if [[ node_modules/.package-lock.json -nt package-lock.json ]]; then
		return
	fi
	npm ci --no-audit --no-fund --loglevel=error
}

# build_share builds the page of examples/share, on the client in client/.
build_share() {
	(cd client && install_packages && npm run --silent build) &&
		(cd examples/share && install_packages && npm run --silent build)
}

# share builds the page that Caddyfile.example serves below /share/, if it can.
share() {
	if ! command -v npm >/dev/null; then
		echo "npm is not here: there is no page below /share/."
		return
	fi
	echo "Building the page below /share/ by npm."
	mkdir -p build
	if ! build_share >build/share.log 2>&1; then
		tail -n 20 build/share.log >&2
		echo "npm failed: there is no page below /share/. All of its output is in build/share.log." >&2
	fi
}

# listens tells whether somebody answers on a port of this machine.
listens() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# check_port stops where Caddy could not take the port, and says what to do.
check_port() {
	local name=$1 port=$2 first
	if listens "$port"; then
		fail "Port $port is taken by another program." \
			"Stop that, or choose other ports: HTTPS_PORT=8443 HTTP_PORT=8080 ./xcaddy.sh"
	fi
	if [[ $(uname -s) == Linux && $(id -u) != 0 ]]; then
		first=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)
		if ((port < first)); then
			echo
			echo "$name $port is below $first, where an ordinary user may not listen. If Caddy says"
			echo "\"permission denied\" below, either choose other ports:"
			echo "    HTTPS_PORT=8443 HTTP_PORT=8080 ./xcaddy.sh"
			echo "or allow this build to have them, and start it again without building:"
			echo "    sudo setcap cap_net_bind_service=+ep $PWD/build/caddy"
			echo "    $PWD/build/caddy run --config Caddyfile.example --adapter caddyfile"
		fi
	fi
}

# check_admin stops where another Caddy has the admin endpoint.
check_admin() {
	local address=${CADDY_ADMIN:-localhost:2019}
	if [[ $address =~ :([0-9]+)$ ]] && listens "${BASH_REMATCH[1]}"; then
		fail "The admin endpoint $address is taken, most likely by another Caddy." \
			"Stop that, or choose another address: CADDY_ADMIN=localhost:2020 ./xcaddy.sh"
	fi
}

run() {
	export HTTPS_PORT=${HTTPS_PORT:-443} HTTP_PORT=${HTTP_PORT:-80}
	local url=${SITE:-https://localhost}
	[[ $url == *://* ]] || url=https://$url
	# An address that names its port, or that is not encrypted, has no use for this one.
	[[ $HTTPS_PORT == 443 || ${url#*://} == *:* || $url == http://* ]] || url+=:$HTTPS_PORT
	build
	find_client
	share
	check_port HTTPS_PORT "$HTTPS_PORT"
	check_port HTTP_PORT "$HTTP_PORT"
	check_admin
	cat <<-END

		    Open  $url  in two tabs: start a stream in one, watch it in the other.
		    Open  $url/share/  to share text, images and files.

		The certificate comes from Caddy's own local authority, and a browser that does
		not know that yet warns. To make it known: $PWD/build/caddy trust
		Ctrl-C stops the server.

	END
	exec build/caddy run --config Caddyfile.example --adapter caddyfile "$@"
}

case ${1:-run} in
build)
	[[ $# == 1 ]] || fail "build takes no arguments." "" "$(usage)"
	build
	;;
share)
	[[ $# == 1 ]] || fail "share takes no arguments." "" "$(usage)"
	command -v npm >/dev/null || fail "npm is missing: install Node 20.19 or newer with npm (https://nodejs.org/)."
	build_share
	;;
run)
	shift $(($# > 0))
	run "$@"
	;;
-h | --help | help)
	usage
	;;
*)
	fail "Unknown command: $1" "" "$(usage)"
	;;
esac
