# TEN: a tenant that asks as fast as it can over 64 connections, reads shapes from the start, makes new ones and
# reads subsets, and what another tenant notices of it: the p99 of tails at a steady pace, in turns without and
# with the greedy one. Both have tokens, and the limits of one policy: those that docs/gatekeeping.md shows, but
# as many requests as a steady reader needs here.

row_ten() {
  local key="$WORK/ten.key" quiet greedy url tail
  make_database bench_ten
  rm -rf "$WORK/ten"
  sql bench_ten "$(make_table items)" "$(make_rows items 20000)" "CREATE INDEX ON items (tenant)" \
    "VACUUM ANALYZE"
  echo "a secret that only this row knows, of some length" > "$key"
  cat > "$WORK/ten.yaml" << 'YAML'
tenant: tenant
tables:
  items: {where: "tenant = ${claim.tenant}"}
limits: {live: 500, shapes: 200, snapshots_per_minute: 60, requests_per_second: 500, bytes_per_second: 5000000}
YAML
  start_busbar bench_ten bench_ten "$WORK/ten" BUSBAR_INSECURE= BUSBAR_JWT_KEY_FILE="$key" \
    BUSBAR_POLICY_FILE="$WORK/ten.yaml"
  wait_active > /dev/null
  quiet=$(token_ten "$key" 1)
  greedy=$(token_ten "$key" 2)
  url="http://127.0.0.1:$HTTP_PORT/v1/shape?table=items&offset=-1"
  tail=$(tail_ten "$quiet" "$url")
  wrk -t 1 -c 8 -d 1 -H "$quiet" -s "$BENCH/rows/paced.lua" "$tail" > /dev/null # warm
  pair_ten() {
    paced_ten alone "$quiet" "$tail"
    greed_ten "$greedy" "$url"
    paced_ten beside "$quiet" "$tail"
    end_process "$GREED_PID"
    end_process "$GREED_SHAPES_PID"
  }
  each_pair pair_ten
  stop_busbar
  drop_database bench_ten
  report TEN "p99 of a tenant beside a greedy one, against alone" us "$(median TEN beside_p99)" \
    "$(median TEN alone_p99)" \
    "$(calc 'a / b' a="$(median TEN beside_p99)" b="$(median TEN alone_p99)")" le 1.2 1.1 \
    "p50 $(median TEN beside_p50) against $(median TEN alone_p50) us"
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

token_ten() { # token_ten KEY-FILE TENANT: the header
  local text
  text="$(printf '{"alg":"HS256"}' | base64url).$(printf '{"tenant":%s,"exp":4000000000}' "$2" | base64url)"
  echo "authorization: Bearer $text.$(printf %s "$text" |
    openssl dgst -sha256 -hmac "$(< "$1")" -binary | base64url)"
}

# tail_ten HEADER URL: where the shape's log ends, which takes as many requests as it has pieces.
tail_ten() {
  local answer at=$2 i
  for ((i = 0; i < 100; i++)); do
    answer=$(curl -sf -D - -o /dev/null -H "$1" "$at") || die "TEN: the shape cannot be read"
    at="${2%%offset=*}handle=$(field_ten handle "$answer")&offset=$(field_ten offset "$answer")"
    grep -qi '^electric-up-to-date' <<< "$answer" || continue
    echo "$at"
    return
  done
  die "TEN: the shape does not end"
}

field_ten() { # field_ten NAME HEAD
  sed -n "s/^electric-$1: *\([^\r]*\)\r*$/\1/Ip" <<< "$2"
}

paced_ten() { # paced_ten SERIES HEADER URL
  local line
  line=$(wrk -t 1 -c 8 -d "$HTTP_SECONDS" -H "$2" -s "$BENCH/rows/paced.lua" "$3" | grep '^paced')
  [[ $(word errors "$line") == 0 ]] || die "TEN: wrk met errors: $line"
  raw TEN "$1_p99" "$(word p99_us "$line")"
  raw TEN "$1_p50" "$(word p50_us "$line")"
}

# greed_ten HEADER URL: sets GREED_PID and GREED_SHAPES_PID. Its machine is another one in truth, and takes no
# processor from the steady client's: it has what is left over (SCHED_IDLE).
greed_ten() {
  chrt --idle 0 wrk -t 1 -c 48 -d "$((HTTP_SECONDS + 5))" -H "$1" "$2" > /dev/null &
  GREED_PID=$!
  note_process "$GREED_PID"
  cat > "$WORK/ten.lua" << 'LUA'
local n = 0
function request()
  n = n + 1
  return wrk.format(nil, wrk.path .. "&where=id%20%3E%20" .. n .. (n % 2 == 0 and "&subset__where=true" or ""))
end
LUA
  chrt --idle 0 wrk -t 1 -c 16 -d "$((HTTP_SECONDS + 5))" -H "$1" -s "$WORK/ten.lua" "$2" > /dev/null &
  GREED_SHAPES_PID=$!
  note_process "$GREED_SHAPES_PID"
  sleep 1
}
