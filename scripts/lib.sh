# scripts/lib.sh: what the scripts share. Source it from bash: it defines functions and starts nothing.
# shellcheck shell=bash
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8 # Part of libc, so present where no locale was ever generated.
pg_bin=/usr/lib/postgresql/15/bin
begun=$SECONDS

say() { printf '[%4ds] %s\n' "$((SECONDS - begun))" "$*"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root: run it as root or install sudo"
  fi
}

# stop_process PID [SECONDS]: asks it to end, insists after SECONDS, returns when it has ended.
stop_process() {
  local pid=$1 patience=${2:-15} i
  kill -TERM "$pid" 2>/dev/null || return 0
  for ((i = 0; i < patience * 10; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

# run_shown TITLE SECONDS LOG COMMAND…: runs a program with its output in LOG, shows the last line
# of it meanwhile, and ends it when its time is up. If it fails, the end of LOG is shown.
# `shown_pid` is its process while it runs, for a trap to stop.
shown_pid=
run_shown() {
  local title=$1 limit=$2 log=$3 from=$SECONDS next=15 status=0 line
  shift 3
  say "$title"
  mkdir -p "$(dirname "$log")"
  : >"$log"
  # timeout makes a process group of its own and passes a TERM on to all of it.
  timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null &
  shown_pid=$!
  while kill -0 "$shown_pid" 2>/dev/null; do
    sleep 0.3
    line=$(tail -c 400 "$log" | tr '\r\t' '\n ' | grep -v '^ *$' | tail -n 1 || true)
    if [[ -t 1 ]]; then
      printf '\r\033[K        %s' "${line:0:90}"
    elif ((SECONDS - from >= next)); then
      printf '        %ds: %s\n' "$((SECONDS - from))" "${line:0:110}"
      next=$((next + 15))
    fi
  done
  [[ -t 1 ]] && printf '\r\033[K'
  wait "$shown_pid" || status=$?
  shown_pid=
  ((status == 0)) && return
  printf -- '--- the end of %s\n' "$log" >&2
  tail -n 40 "$log" >&2
  ((status == 124)) && die "failed: $title (not done after $limit s)"
  die "failed: $title"
}

# build_release TARGET…: configures and builds the release preset, at most an hour.
build_release() {
  local targets=()
  (($# > 0)) && targets=(--target "$@")
  run_shown "Configuring" 600 "$top/build/configure.log" cmake -S "$top" --preset release
  run_shown "Building build/release (minutes the first time)" 3600 "$top/build/build.log" \
    cmake --build "$top/build/release" "${targets[@]}"
}

# free_port [PREFERRED]: a TCP port nobody listens on.
free_port() {
  python3 - "${1:-0}" <<'PY'
import socket, sys
for port in (int(sys.argv[1]), 0):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            continue
        print(s.getsockname()[1])
        break
PY
}

# PostgreSQL refuses to run as root: then its own user, which the package made, runs it.
as_postgres() {
  if ((EUID == 0)); then
    (cd / && runuser -u postgres -- "$@")
  else
    (cd / && "$@")
  fi
}

# start_postgres DIR: a private server with wal_level=logical in DIR, which must not exist, on a free
# loopback port and a Unix socket in DIR. Sets pg_port, pg_url (with password) and PGPASSFILE.
start_postgres() {
  local dir=$1 password i
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  if ((EUID == 0)); then install -d -o postgres -g postgres -m 700 "$dir"; else install -d -m 700 "$dir"; fi
  printf '%s\n' "$password" | as_postgres tee "$dir/password" >/dev/null
  as_postgres "$pg_bin/initdb" --pgdata="$dir/data" --username=postgres --encoding=UTF8 \
    --locale=C.UTF-8 --auth=scram-sha-256 --pwfile="$dir/password" >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; die "PostgreSQL: initdb failed"; }
  as_postgres rm "$dir/password"
  for ((i = 0; i < 5; i++)); do # Somebody else may take the port before the server does.
    pg_port=$(free_port)
    as_postgres tee "$dir/data/postgresql.auto.conf" >/dev/null <<EOF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = '$dir'
wal_level = logical
EOF
    if as_postgres "$pg_bin/pg_ctl" start --pgdata="$dir/data" --log="$dir/server.log" \
      --wait --timeout=60 --silent </dev/null >/dev/null 2>&1; then
      pg_url="postgresql://postgres:$password@127.0.0.1:$pg_port/postgres"
      PGPASSFILE=$dir/../pgpass
      (umask 077 && printf '*:%s:*:postgres:%s\n' "$pg_port" "$password" >"$PGPASSFILE")
      export PGPASSFILE
      return
    fi
  done
  tail -n 20 "$dir/server.log" >&2
  die "PostgreSQL does not start"
}

# stop_postgres DIR: ends the server in DIR, if there is one.
stop_postgres() {
  as_postgres test -e "$1/data/postmaster.pid" 2>/dev/null || return 0
  as_postgres "$pg_bin/pg_ctl" stop --pgdata="$1/data" --mode=fast --timeout=20 --silent >/dev/null 2>&1 ||
    as_postgres "$pg_bin/pg_ctl" stop --pgdata="$1/data" --mode=immediate --silent >/dev/null 2>&1 || true
}
