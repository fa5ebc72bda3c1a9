#!/usr/bin/env bash
# Installs what the tests need and runs them. Stops at the first step that
# fails. A skipped test is a failed one.
#
#   ./test.sh               everything
#   ./test.sh lint go       only these parts, in this order
#
# Parts:
#   lint    gofmt, go vet, golangci-lint
#   go      go test -race of this module and of tools/, with a million steps
#           of the model of a session
#   bench   go vet and go test of bench/
#   client  type check, tests and build of client/, and of the page on it
#   e2e     the built Caddy with the real socket.io-client and a real browser,
#           behind a real nginx, and watched by a real Prometheus
#
# Environment:
#   CHROMIUM   the browser, if it is not in the PATH as chromium,
#              chromium-browser, google-chrome or google-chrome-stable
#   NGINX      nginx, if it is not in the PATH or in /usr/sbin
#   MODEL_STEPS
#              how many steps the model of a session takes in a step of its
#              own, a million if it is not set

set -euo pipefail

readonly GO_MINOR=26   # as in go.mod: Go 1.26
readonly NODE_MAJOR=20 # as in e2e/package.json

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
# A workspace around this folder would change what is tested.
export GOWORK=off

usage() {
	awk 'NR > 1 && /^#/ { sub(/^# ?/, ""); print; next } NR > 1 { exit }' "${BASH_SOURCE[0]##*/}"
}

# --- Steps ---------------------------------------------------------------

step_name='what is needed'
step_began=$SECONDS

# step ends the step before and begins one.
step() {
	end_step
	step_name=$1
	step_began=$SECONDS
	printf '\n=== %s\n' "$step_name"
}

end_step() {
	if [[ $step_name != 'what is needed' ]]; then
		printf -- '--- %s: %d s\n' "$step_name" $((SECONDS - step_began))
	fi
}

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}

# Whatever ends the script in the middle of a step has failed that step.
finished=
report() {
	local status=$?
	if [[ -z $finished ]]; then
		((status != 0)) || status=1
		printf '\nFAILED: %s, after %d s (%d s in all)\n' "$step_name" $((SECONDS - step_began)) $SECONDS >&2
	fi
	exit "$status"
}
trap report EXIT

# --- What is needed --------------------------------------------------------

# can_install tells whether a missing program may be installed here.
can_install() {
	[[ $(id -u) == 0 && -r /etc/debian_version ]] && command -v apt-get >/dev/null
}

apt_updated=
install() {
	if [[ -z $apt_updated ]]; then
		apt-get update -q </dev/null
		apt_updated=yes
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null
}

need_go() {
	local version minor
	command -v go >/dev/null || fail "Go is missing: install Go 1.$GO_MINOR or newer (https://go.dev/dl/)."
	version=$(go env GOVERSION) || fail "Go 1.$GO_MINOR or newer is needed."
	minor=${version#go1.}
	minor=${minor%%[!0-9]*}
	if [[ $version != go1.* ]] || ((${minor:-0} < GO_MINOR)); then
		fail "Go 1.$GO_MINOR or newer is needed, and this is $version."
	fi
	# A clone that belongs to another user has no version that could be asked.
	GOFLAGS="$(go env GOFLAGS) -buildvcs=false"
	export GOFLAGS
}

# need_race makes sure of a C compiler, which the race detector is linked with.
need_race() {
	export CGO_ENABLED=1
	command -v "$(go env CC)" >/dev/null && return
	can_install || fail "A C compiler ($(go env CC)) is missing: the race detector needs one." \
		"On Debian: apt-get install gcc libc6-dev"
	install gcc libc6-dev
}

need_node() {
	local major
	command -v node >/dev/null && command -v npm >/dev/null ||
		fail "Node is missing: install Node $NODE_MAJOR or newer with npm (https://nodejs.org/)."
	major=$(node -p 'process.versions.node.split(".")[0]')
	((major >= NODE_MAJOR)) || fail "Node $NODE_MAJOR or newer is needed, and this is $(node --version)."
}

need_chromium() {
	if [[ -n ${CHROMIUM:-} ]]; then
		[[ -x $CHROMIUM ]] || fail "CHROMIUM names no program: $CHROMIUM"
		export CHROMIUM
		return
	fi
	if ! find_chromium; then
		can_install || fail "A browser is missing: install Chromium or Chrome, or set CHROMIUM to one." \
			"On Debian: apt-get install chromium"
		install chromium
		find_chromium || fail "chromium was installed and is not in the PATH."
	fi
}

find_chromium() {
	local name
	for name in chromium chromium-browser google-chrome google-chrome-stable; do
		if CHROMIUM=$(command -v "$name"); then
			export CHROMIUM
			return
		fi
	done
	return 1
}

# need_nginx sets NGINX; the folder it is in is not in everybody's PATH.
need_nginx() {
	local folders=$PATH:/usr/sbin:/usr/local/sbin
	if [[ -z ${NGINX:-} ]] && ! NGINX=$(PATH=$folders command -v nginx); then
		can_install || fail "nginx is missing: install it, or set NGINX to one." \
			"On Debian: apt-get install nginx"
		# In a runlevel without services the package does not start its own.
		RUNLEVEL=1 install nginx
		NGINX=$(PATH=$folders command -v nginx) || fail "nginx was installed and is not in the PATH."
	fi
	[[ -x $NGINX ]] || fail "NGINX names no program: $NGINX"
	export NGINX
}

# need_prometheus makes sure of Prometheus, and of promtool, which comes with it.
need_prometheus() {
	command -v prometheus >/dev/null && command -v promtool >/dev/null && return
	can_install || fail "Prometheus is missing: install it with promtool (https://prometheus.io/download/)." \
		"On Debian: apt-get install prometheus"
	# In a runlevel without services the package does not start its own.
	RUNLEVEL=1 install prometheus
}

# need_redis makes sure of Redis, which the tests start themselves.
need_redis() {
	command -v redis-server >/dev/null && return
	can_install || fail "Redis is missing: install redis-server (https://redis.io/docs/latest/operate/oss_and_stack/install/)." \
		"On Debian: apt-get install redis-server"
	# In a runlevel without services the package does not start its own.
	RUNLEVEL=1 install redis-server
}

# need_systemd makes sure of what reads units.
need_systemd() {
	command -v systemd-analyze >/dev/null && command -v dpkg-deb >/dev/null && return
	can_install || fail "systemd-analyze or dpkg-deb is missing: install systemd and dpkg." \
		"On Debian: apt-get install systemd"
	install systemd
}

# need_languages makes sure of those in which the documents publish.
need_languages() {
	command -v python3 >/dev/null && command -v php >/dev/null && command -v ruby >/dev/null && command -v curl >/dev/null && return
	can_install || fail "Python, PHP, Ruby or curl is missing: install all of them." \
		"On Debian: apt-get install python3 php-cli ruby curl"
	install python3 php-cli ruby curl
}

# --- Parts -----------------------------------------------------------------

run_lint() {
	local unformatted golangci
	need_go

	step 'gofmt'
	unformatted=$(find . \( -name node_modules -o -name build -o -name .git \) -prune -o \
		-name '*.go' -exec gofmt -l {} +)
	[[ -z $unformatted ]] || fail 'These files are not formatted (gofmt -w):' "$unformatted"

	step 'go vet'
	go vet ./...
	go -C tools vet ./...

	step 'golangci-lint'
	golangci=$(go -C tools tool -n golangci-lint)
	"$golangci" run ./...
}

run_go() {
	need_go
	need_race
	need_redis
	mkdir -p build

	step 'go build -race'
	# Compiles side by side what the tests below need.
	go build -race ./...
	go -C tools build -o ../build/testlog ./testlog

	step 'go test -race'
	go test -race -timeout 10m -json ./... | build/testlog

	# The programs are the same each time, unlike a part of those above.
	step 'go test -race: the model'
	go test -race -timeout 30m -json -run '^TestModel$' ./streaming/engineio \
		-args -model.steps="${MODEL_STEPS:-1000000}" -model.seed=2000001 | build/testlog

	step 'go test tools'
	go -C tools test -json ./... | build/testlog
}

run_bench() {
	if [[ ! -f bench/go.mod ]]; then
		return
	fi
	need_go
	mkdir -p build
	go -C tools build -o ../build/testlog ./testlog

	step 'bench: go vet'
	go -C bench vet ./...

	step 'bench: go test'
	go -C bench test -json ./... | build/testlog
}

run_client() {
	need_node
	mkdir -p build

	step 'client: npm ci'
	(cd client && npm ci --no-audit --no-fund --loglevel=error)
	(cd examples/share && npm ci --no-audit --no-fund --loglevel=error)

	step 'client: type check'
	(cd client && npm run --silent check)

	step 'client: vitest'
	(cd client && npm run --silent test -- --reporter=default --reporter=json --outputFile.json=../build/client.json)
	check_vitest build/client.json

	build_share 'client: build'
}

# build_share builds the page of examples/share, once in a run.
share_built=
build_share() {
	[[ -z $share_built ]] || return 0
	step "$1"
	./xcaddy.sh share
	share_built=yes
}

run_e2e() {
	need_go
	need_race
	need_node
	mkdir -p build

	step 'e2e: chromium'
	need_chromium
	"$CHROMIUM" --version 2>/dev/null || fail "$CHROMIUM does not run."

	step 'e2e: nginx'
	need_nginx
	"$NGINX" -v

	step 'e2e: prometheus'
	need_prometheus
	prometheus --version 2>&1 | sed -n 1p

	step 'e2e: redis'
	need_redis
	redis-server --version

	step 'e2e: systemd'
	need_systemd
	systemd-analyze --version | sed -n 1p

	step 'e2e: languages'
	need_languages
	php --version | sed -n 1p

	step 'e2e: npm ci'
	(cd e2e && npm ci --no-audit --no-fund --loglevel=error)
	(cd examples/streaming && npm ci --no-audit --no-fund --loglevel=error)

	step 'e2e: xcaddy build'
	./xcaddy.sh build

	build_share 'e2e: page'

	step 'e2e: build with the race detector'
	go build -race -o build/caddy-e2e ./e2e/caddy

	step 'e2e: node --test'
	node --test \
		--test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter=tap --test-reporter-destination=build/e2e.tap \
		e2e/*.test.mjs
	check_tap build/e2e.tap
}

# check_tap refuses a run of which a part was skipped, or that ran nothing.
check_tap() {
	local count
	count=$(awk '/^# pass / { print $3 }' "$1")
	((${count:-0} > 0)) || fail 'No test ran.'
	if grep -E '^# (skipped|todo|cancelled) [1-9]' "$1"; then
		grep -E '^ *(not )?ok .*# (SKIP|TODO)' "$1" || true
		fail 'Tests were skipped.'
	fi
}

# check_vitest does the same for the report of Vitest.
check_vitest() {
	local passed
	passed=$(node -p '
		const { numTotalTests, numPassedTests } = JSON.parse(fs.readFileSync(process.argv[1]));
		numTotalTests > 0 && numPassedTests === numTotalTests' "$1")
	[[ $passed == true ]] || fail 'No test ran, or tests were skipped.'
}

# --- All of it -------------------------------------------------------------

case ${1:-} in
-h | --help | help)
	usage
	finished=yes
	exit 0
	;;
esac

[[ $# -gt 0 ]] || set -- lint go bench client e2e
for part in "$@"; do
	case $part in
	lint | go | bench | client | e2e) ;;
	*)
		step_name='the command line'
		fail "Unknown part: $part" "" "$(usage)"
		;;
	esac
done
for part in "$@"; do
	"run_$part"
done
end_step
printf '\nPassed: %s, in %d s\n' "$*" $SECONDS
finished=yes
