# bench/servers.sh: starts and stops PostgreSQL, Busbar and the comparators. Sourced by run.sh.

# --- PostgreSQL: private, in $WORK/postgres, on a free loopback port --------------------------

as_postgres() { if [[ $EUID == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi; }

find_postgres() {
  local initdb
  initdb=$(ls -d /usr/lib/postgresql/*/bin/initdb 2> /dev/null | sort -V | tail -n 1)
  [[ -n $initdb ]] || initdb=$(command -v initdb) || die "no PostgreSQL server (initdb) found"
  PG_BIN=$(dirname "$initdb")
}

start_postgres() {
  local data=$WORK/postgres
  find_postgres
  PG_PORT=$(free_port)
  PG_LOG=$data/log
  mkdir -p "$data"
  [[ $EUID != 0 ]] || chown postgres: "$data"
  as_postgres "$PG_BIN/initdb" -D "$data/data" -U postgres -E UTF8 --locale=C --auth=trust \
    > "$WORK/initdb.log" 2>&1 || die "initdb failed, see $WORK/initdb.log"
  # Durability as by default (fsync on). Checkpoints and autovacuum would come at random moments,
  # so neither comes during a run. Both sides of every row use this same server.
  as_postgres tee -a "$data/data/postgresql.conf" > /dev/null << CONF
listen_addresses = '127.0.0.1'
port = $PG_PORT
unix_socket_directories = '$data'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 40
max_connections = 200
shared_buffers = 1GB
max_wal_size = 16GB
checkpoint_timeout = 1h
autovacuum = off
log_line_prefix = '%n '
log_replication_commands = on
CONF
  as_postgres "$PG_BIN/pg_ctl" -D "$data/data" -l "$PG_LOG" -w start > /dev/null ||
    die "PostgreSQL did not start, see $PG_LOG"
}

stop_postgres() {
  [[ -f $WORK/postgres/data/postmaster.pid ]] || return 0
  as_postgres "$PG_BIN/pg_ctl" -D "$WORK/postgres/data" -m fast -w stop > /dev/null || true
}

# sql DATABASE STATEMENT…: each statement by itself; prints the rows, unaligned.
sql() {
  local database=$1 commands=()
  shift
  for statement in "$@"; do commands+=(-c "$statement"); done
  PGOPTIONS='-c client_min_messages=warning' "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$PG_PORT" -U postgres -d "$database" "${commands[@]}"
}

# make_rows TABLE COUNT [FIRST]: an SQL statement. A row has about 250 B.
make_rows() {
  cat << SQL
INSERT INTO $1 (id, tenant, title, body, amount, created)
SELECT i, i % 1000, 'title of row number ' || i, repeat(md5(i::text), 5), (i % 99991) * 0.25,
       timestamptz '2026-01-01 00:00:00+00' + i * interval '1 second'
FROM generate_series(${3:-1}, ${3:-1} + $2 - 1) AS i
SQL
}
make_table() {
  echo "CREATE TABLE $1 (id int8 PRIMARY KEY, tenant int4 NOT NULL, title text NOT NULL," \
    "body text, amount numeric(12,2), created timestamptz)"
}

make_database() {
  drop_database "$1"
  sql postgres "CREATE DATABASE $1"
}

# drop_database NAME: with the slots that belong to it.
drop_database() {
  sql postgres "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                WHERE database = '$1'" "DROP DATABASE IF EXISTS $1 WITH (FORCE)" > /dev/null
}

# replication_began_ns SLOT: when PostgreSQL last began to stream that slot, from its log.
replication_began_ns() {
  awk -v slot="\"$1\"" '/starting logical decoding for slot/ && index($0, slot) { at = $1 }
    END { if (at == "") exit 1; sub(/\./, "", at); print at "000000" }' "$PG_LOG"
}

# --- Busbar -----------------------------------------------------------------------------------

# start_busbar DATABASE STREAM STORAGE [NAME=value…]: sets BUSBAR_PID, BUSBAR_BEGAN_NS, HTTP_PORT,
# METRICS_PORT.
start_busbar() {
  local database=$1 stream=$2 storage=$3
  shift 3
  HTTP_PORT=$(free_port)
  METRICS_PORT=$(free_port)
  echo "$METRICS_PORT" > "$WORK/metrics.port"
  BUSBAR_BEGAN_NS=$(now_ns)
  env DATABASE_URL="postgresql://postgres@127.0.0.1:$PG_PORT/$database" BUSBAR_INSECURE=true \
    BUSBAR_PORT="$HTTP_PORT" BUSBAR_METRICS_PORT="$METRICS_PORT" BUSBAR_STORAGE_DIR="$storage" \
    BUSBAR_REPLICATION_STREAM_ID="$stream" "${SERVER_ENV[@]}" "$@" "$BUSBAR" serve >> "$WORK/busbar-$stream.log" 2>&1 &
  BUSBAR_PID=$!
  note_process "$BUSBAR_PID"
}

# Prints at_ns=… of the moment at which Busbar is active.
wait_active() {
  "$LOAD" await --port "$HTTP_PORT" --path /v1/health --body-has '"active"' --interval-ms 2 \
    --patience 60 || die "Busbar did not become active, see $WORK/busbar-*.log (BENCH_KEEP=1)"
}

# busbar_metric SERIES: its value now, as it stands.
busbar_metric() {
  curl -s "http://127.0.0.1:$METRICS_PORT/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

stop_busbar() { end_process "$BUSBAR_PID"; }

# shape_position PATH: follows the shape to its end and prints "handle=…&offset=…".
shape_position() {
  local line
  line=$("$LOAD" get --port "$HTTP_PORT" --path "$1")
  echo "handle=$(word handle "$line")&offset=$(word offset "$line")"
}

# --- Comparators ------------------------------------------------------------------------------

# start_bare OPTIONS…: the bare epoll server. Sets BARE_PID and BARE_PORT. `--bytes N-marked` stands
# for N bytes that end like a delivery of ours, so that the clients know where it ends.
start_bare() {
  local options=("$@") i
  for i in "${!options[@]}"; do
    if [[ ${options[i]} == *-marked ]]; then
      { head -c "$((${options[i]%-marked} - 12))" /dev/zero | tr '\0' x; printf '"up-to-date"'; } \
        > "$WORK/payload"
      options[i - 1]=--payload
      options[i]=$WORK/payload
    fi
  done
  BARE_PORT=$(free_port)
  : > "$WORK/bare.log"
  "$BARE" --port "$BARE_PORT" "${options[@]}" > "$WORK/bare.log" 2>&1 &
  BARE_PID=$!
  note_process "$BARE_PID"
  for _ in {1..100}; do
    grep -q listening "$WORK/bare.log" && return 0
    kill -0 "$BARE_PID" 2> /dev/null || break
    sleep 0.02
  done
  die "the bare server did not start: $(cat "$WORK/bare.log")"
}

# start_nginx ROOT [DIRECTIVES]: one process that serves the files of a folder. Sets NGINX_PID and
# NGINX_PORT.
start_nginx() {
  local dir=$WORK/nginx
  mkdir -p "$dir"
  NGINX_PORT=$(free_port)
  cat > "$dir/nginx.conf" << CONF
daemon off;
master_process off;
worker_processes 1;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/json;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  ${2:-}
  server { listen 127.0.0.1:$NGINX_PORT; root $1; }
}
CONF
  "$NGINX" -c "$dir/nginx.conf" -e "$dir/error.log" -p "$dir" &
  NGINX_PID=$!
  note_process "$NGINX_PID"
  for _ in {1..100}; do
    (exec 3<> "/dev/tcp/127.0.0.1/$NGINX_PORT") 2> /dev/null && return 0
    kill -0 "$NGINX_PID" 2> /dev/null || break
    sleep 0.02
  done
  die "nginx did not start: $(cat "$dir/error.log")"
}
