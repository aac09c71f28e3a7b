#!/usr/bin/env bash
# One command from a checkout to the running product, on Debian 12.
#   examples/webkit/start.sh            runs until Ctrl-C, which ends all that it started
#   examples/webkit/start.sh --check    the same, then signs in, sees a live change, and exits 0
# Installs packages, builds Busbar and the app, starts a private PostgreSQL, Busbar and the app with
# two seeded agencies. The port is 5173, or PORT, or a free one. Nothing is kept afterwards.
# With BUSBAR_BINARY set, that is started and nothing of Busbar is built.
binary=${BUSBAR_BINARY:-}
unset BUSBAR_BINARY BUSBAR_SECRET # Busbar refuses settings that it does not know.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/packages.sh"

check=false
case ${1:-} in
  '') ;;
  --check) check=true ;;
  *) die "usage: examples/webkit/start.sh [--check]" ;;
esac

work='' server='' app=''

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  [[ -z $shown_pid ]] || stop_process "$shown_pid"
  [[ -z $work ]] || say "Stopping what was started"
  [[ -z $app ]] || stop_process "$app" 2
  [[ -z $server ]] || stop_process "$server"
  [[ -z $work ]] || stop_postgres "$work/postgres"
  [[ -z $work ]] || rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# answers PID SECONDS COMMAND…: waits until COMMAND succeeds, as long as the process lives.
answers() {
  local pid=$1 i limit=$2
  shift 2
  for ((i = 0; i < limit * 10; i++)); do
    kill -0 "$pid" 2>/dev/null || return 1
    ! "$@" >/dev/null 2>&1 || return 0
    sleep 0.1
  done
  return 1
}
is_active() { [[ $(curl -sS -m 5 "http://127.0.0.1:$busbar_port/v1/health") == *'"active"'* ]]; }

start_busbar() {
  busbar_port=$(free_port 3000)
  metrics_port=$(free_port 9464)
  busbar_secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  say "Starting Busbar on port $busbar_port"
  DATABASE_URL=$pg_url BUSBAR_SECRET=$busbar_secret setsid "${binary:-$top/build/release/busbar}" \
    serve --port "$busbar_port" --metrics-port "$metrics_port" --storage-dir "$work/data" \
    --listen-address 127.0.0.1 >"$work/busbar.log" 2>&1 </dev/null &
  server=$!
  answers "$server" 60 is_active || {
    tail -n 20 "$work/busbar.log" >&2
    die "Busbar does not start"
  }
}

start_app() {
  port=$(free_port "${PORT:-5173}")
  address=http://127.0.0.1:$port
  say "Starting the app on port $port"
  (cd "$here" && DATABASE_URL=$pg_url BUSBAR_URL=http://127.0.0.1:$busbar_port BUSBAR_SECRET=$busbar_secret \
    SESSION_SECRET=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n') WEBKIT_DEMO=true \
    HOST=127.0.0.1 PORT=$port ORIGIN=$address SHUTDOWN_TIMEOUT=1 exec setsid node build/index.js) \
    >"$work/app.log" 2>&1 </dev/null &
  app=$!
  answers "$app" 60 curl -sS -f -m 5 -o /dev/null "$address/login" || {
    tail -n 20 "$work/app.log" >&2
    die "the app does not start"
  }
}

# As a colleague's browser would: signs in, follows the activity by SSE, and logs a consultation.
verify() {
  local jar=$work/cookies session query events log=$work/check.log i
  say "Checking: sign in"
  browser() { curl -sS -m 20 -b "$jar" -c "$jar" -H "origin: $address" -H 'accept: text/html' "$@"; }
  browser -f -o /dev/null -d email=mara@northlight.example -d password=demo "$address/login"
  session=$(awk '$6 == "webkit_session" {print $7}' "$jar" | python3 -c '
import base64, json, sys
claims = sys.stdin.read().split(".")[1]
print(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sid"])')
  say "Checking: a live change through the app's proxy"
  query="$address/api/electric/activity?session=$session"
  browser -f -D "$log" -o /dev/null "$query&offset=-1"
  value() { tr -d '\r' <"$log" | sed -n "s/^$1: //Ip" | tail -n 1; }
  events="$query&handle=$(value electric-handle)&offset=$(value electric-offset)"
  browser -f -D "$log" -o /dev/null "$events"
  events="$query&handle=$(value electric-handle)&offset=$(value electric-offset)&live=true&live_sse=true"
  (sleep 1 && browser -f -o /dev/null -d 'client=A client of the check' "$address/?/consultation") &
  grep -m 1 -q 'A client of the check' < <(browser -N "$events" 2>/dev/null) ||
    die "check failed: the change did not arrive"
  say "Check passed: a change arrived through the proxy."
}

install_packages build run test
[[ -n $binary ]] || build_release busbar
run_shown "Installing the packages of the app" 900 "$here/npm.log" npm --prefix "$here" ci --no-audit --no-fund
run_shown "Building the app" 300 "$here/npm.log" npm --prefix "$here" run build
work=$(mktemp -d /tmp/busbar-webkit.XXXXXX)
chmod 711 "$work"
say "Starting a private PostgreSQL"
start_postgres "$work/postgres"
start_busbar
start_app
if $check; then
  verify
  exit 0
fi
cat <<EOT

  The product, with two agencies (everybody's password is "demo"):
    $address

  The activity log, as an admin panel would follow it:
    BUSBAR_SECRET=$busbar_secret go run ./examples/webkit/admin-tail -busbar http://127.0.0.1:$busbar_port

  Stop Busbar alone, to see the app go on without it:   kill -STOP $server   (and kill -CONT $server)
  Ctrl-C ends all of it.

EOT
wait -n "$server" "$app" || true
tail -n 20 "$work/busbar.log" "$work/app.log" >&2
die "Busbar or the app ended"
