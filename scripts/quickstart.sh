#!/usr/bin/env bash
# From a checkout to rows that change live in a browser, on Debian 12.
#   scripts/quickstart.sh            runs until Ctrl-C, which ends all that it started
#   scripts/quickstart.sh --check    the same, then verifies that a change arrives, and exits 0
# Installs packages, builds the release, starts a private PostgreSQL with a small demo table and a
# writer, and starts Busbar. With DATABASE_URL set, that database is used and no server is started;
# table, slot and publication of the demo are removed from it at the end.
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

check=false
case ${1:-} in
  '') ;;
  --check) check=true ;;
  *) die "usage: scripts/quickstart.sh [--check]" ;;
esac

stream=quickstart
table=busbar_demo
mark='made by scripts/quickstart.sh of Busbar'
work='' server='' writer='' pages='' has_table=false

# Statements on standard input, their rows on standard output, complaints in a log.
sql() {
  timeout 60 psql -X -q -A -t -v ON_ERROR_STOP=1 "$client_url" 2>>"$work/sql.log"
}

# Ends everything in the opposite order of its start, whatever the reason.
clean_up() {
  local status=$? i
  trap - EXIT
  trap '' INT TERM HUP
  [[ -z $shown_pid ]] || stop_process "$shown_pid"
  [[ -z $work ]] || say "Stopping what was started"
  [[ -z $pages ]] || stop_process "$pages"
  [[ -z $writer ]] || stop_process "$writer"
  [[ -z $server ]] || stop_process "$server"
  if [[ -n $work && -z ${DATABASE_URL:-} ]]; then
    stop_postgres "$work/postgres"
  elif $has_table; then
    # The slot would hold back the database's WAL for ever. It is free once its session has ended.
    for ((i = 0; i < 50; i++)); do
      [[ $(sql <<<"SELECT count(*) FROM pg_replication_slots
        WHERE slot_name = 'busbar_slot_$stream' AND active") == 1 ]] || break
      sleep 0.2
    done
    sql <<EOF >/dev/null || say "The database could not be cleaned: see slot busbar_slot_$stream"
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
  WHERE slot_name = 'busbar_slot_$stream';
SET client_min_messages = warning;
DROP PUBLICATION IF EXISTS busbar_publication_$stream;
DROP TABLE IF EXISTS public.$table;
EOF
  fi
  [[ -z $work ]] || rm -rf "$work"
  exit "$status"
}

prepare_database() {
  if [[ -n ${DATABASE_URL:-} ]]; then
    pg_url=$DATABASE_URL client_url=$DATABASE_URL
    say "Using the database of DATABASE_URL"
  else
    say "Starting a private PostgreSQL"
    start_postgres "$work/postgres"
    client_url=postgresql://postgres@127.0.0.1:$pg_port/postgres # the password is in PGPASSFILE
  fi
  local owner
  owner=$(sql <<<"SELECT coalesce(obj_description(to_regclass('public.$table'), 'pg_class'), 'other')
    WHERE to_regclass('public.$table') IS NOT NULL") ||
    die "cannot use the database: $(tail -n 1 "$work/sql.log")"
  [[ -z $owner || $owner == "$mark" ]] ||
    die "the database has a table $table already, which is not the demo's"
  sql <<EOF || die "cannot make the demo table: $(tail -n 1 "$work/sql.log")"
SET client_min_messages = warning;
DROP TABLE IF EXISTS public.$table;
CREATE TABLE public.$table (
  id int PRIMARY KEY, feeder text NOT NULL, load_mw numeric(5, 1) NOT NULL,
  closed boolean NOT NULL DEFAULT true, updated_at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE public.$table IS '$mark';
INSERT INTO public.$table (id, feeder, load_mw)
  SELECT n, name, round((20 + 60 * random())::numeric, 1)
  FROM unnest(ARRAY['Harbour', 'Old Mill', 'Station Road', 'University', 'Foundry', 'Hospital',
                    'Riverside', 'Airport', 'Market Square', 'Tramway']) WITH ORDINALITY AS f(name, n);
EOF
  has_table=true
}

# One session that changes a row every second; now and then a row comes or goes.
start_writer() {
  cat >"$work/writer.sql" <<EOF
UPDATE public.$table SET updated_at = now(), closed = random() > 0.1,
    load_mw = least(99.9, greatest(1, round((load_mw + 24 * random() - 12)::numeric, 1)))
  WHERE id = (SELECT 1 + floor(10 * random())::int)
\\;
INSERT INTO public.$table (id, feeder, load_mw) SELECT 11, 'Mobile substation', 5.0
  WHERE random() < 0.15 ON CONFLICT DO NOTHING
\\;
DELETE FROM public.$table WHERE id = 11 AND random() < 0.15
\\watch 1
EOF
  setsid psql -X -q -o /dev/null "$client_url" <"$work/writer.sql" >"$work/writer.log" 2>&1 &
  writer=$!
}

start_busbar() {
  local i
  port=$(free_port 3000)
  metrics_port=$(free_port 9464)
  say "Starting Busbar on port $port"
  # The flags settle what the demo depends on; other settings are left to the environment.
  env -u BUSBAR_SECRET -u ELECTRIC_SECRET DATABASE_URL="$pg_url" setsid "$top/build/release/busbar" \
    serve --insecure --port "$port" --metrics-port "$metrics_port" --storage-dir "$work/data" \
    --replication-stream-id "$stream" --listen-address "${BUSBAR_LISTEN_ADDRESS:-127.0.0.1}" \
    >"$work/busbar.log" 2>&1 </dev/null &
  server=$!
  for ((i = 0; i < 600; i++)); do
    kill -0 "$server" 2>/dev/null || break
    [[ $(curl -sS -m 5 "http://127.0.0.1:$port/v1/health" 2>/dev/null) != *'"active"'* ]] || return 0
    sleep 0.1
  done
  tail -n 20 "$work/busbar.log" >&2
  die "Busbar does not start"
}

start_pages() {
  local i
  page_port=$(free_port 8080)
  setsid python3 -m http.server "$page_port" --bind 127.0.0.1 \
    --directory "$top/examples/quickstart" >"$work/pages.log" 2>&1 </dev/null &
  pages=$!
  page="http://127.0.0.1:$page_port/?busbar=http://127.0.0.1:$port&table=$table"
  for ((i = 0; i < 100; i++)); do
    ! curl -sf -m 5 -o /dev/null "$page" || return 0
    sleep 0.1
  done
  die "the page is not served: $(tail -n 1 "$work/pages.log")"
}

# fetch QUERY: one request of the shape; leaves its body in a file, and handle, offset, cursor and
# up_to_date in variables.
fetch() {
  curl -sS -f -m 40 -D "$work/head" -o "$work/body" "$shape&$1"
  handle=$(response_header electric-handle)
  offset=$(response_header electric-offset)
  cursor=$(response_header electric-cursor)
  up_to_date=false
  ! grep -qi '^electric-up-to-date:' "$work/head" || up_to_date=true
}
response_header() { tr -d '\r' <"$work/head" | sed -n "s/^$1: //Ip" | head -n 1; }

# A change made after a live request was sent must come back as that request's answer, or, if the
# writer was quicker, as the answer of one that follows.
verify() {
  local sign="checked at $(date +%s%N)" i
  say "Checking: initial sync"
  fetch "offset=-1"
  for ((i = 0; i < 100; i++)); do
    ! $up_to_date || break
    fetch "handle=$handle&offset=$offset"
  done
  $up_to_date || die "check failed: the initial sync does not end"
  say "Checking: live change"
  (sleep 1 && sql <<<"UPDATE public.$table SET feeder = '$sign' WHERE id = 1") &
  for ((i = 0; i < 60; i++)); do
    fetch "handle=$handle&offset=$offset&cursor=$cursor&live=true"
    if grep -qF "$sign" "$work/body"; then
      say "Check passed: a change arrived through a live request."
      return
    fi
  done
  die "check failed: the change did not arrive"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

install_packages build run
build_release busbar
# Where PostgreSQL's unprivileged user can reach it; a checkout may be in a private home.
work=$(mktemp -d /tmp/busbar-quickstart.XXXXXX)
chmod 711 "$work"
prepare_database
start_writer
start_busbar
start_pages
shape="http://127.0.0.1:$port/v1/shape?table=$table"
if $check; then
  verify
  exit 0
fi
cat <<EOF

  Rows that change live, in a browser:
    $page

  The same from a terminal:
    curl -i '$shape&offset=-1'

  Metrics: http://127.0.0.1:$metrics_port/metrics
  Ctrl-C ends all of it.

EOF
wait -n "$server" "$pages" || true
tail -n 20 "$work/busbar.log" >&2
die "Busbar or the page's server ended"
