# TEN: a tenant that asks as fast as it can over 64 connections, makes new shapes and reads subsets, and what
# another tenant notices of it: the p99 of tails at a steady pace, in turns without and with the greedy one.
# Both have tokens, and the limits of one policy.

row_ten() {
  local key="$WORK/ten.key" quiet greedy url
  make_database bench_ten
  rm -rf "$WORK/ten"
  sql bench_ten "$(make_table items)" "$(make_rows items 20000)" "CREATE INDEX ON items (tenant)" \
    "VACUUM ANALYZE"
  echo "a secret that only this row knows, of some length" > "$key"
  cat > "$WORK/ten.yaml" << 'YAML'
tenant: tenant
tables:
  items: {where: "tenant = ${claim.tenant}"}
limits: {live: 100, shapes: 50, snapshots_per_minute: 60, requests_per_second: 1000}
YAML
  start_busbar bench_ten bench_ten "$WORK/ten" BUSBAR_INSECURE= BUSBAR_JWT_KEY_FILE="$key" \
    BUSBAR_POLICY_FILE="$WORK/ten.yaml"
  wait_active > /dev/null
  quiet=$(token_ten "$key" 1)
  greedy=$(token_ten "$key" 2)
  url="http://127.0.0.1:$HTTP_PORT/v1/shape?table=items&offset=-1"
  curl -sf -o /dev/null -H "$quiet" "$url" || die "TEN: the shape cannot be read"
  wrk -t 1 -c 8 -d 1 -H "$quiet" -s "$BENCH/rows/paced.lua" "$url" > /dev/null # warm
  pair_ten() {
    paced_ten alone "$quiet" "$url"
    greed_ten "$greedy" "$url"
    paced_ten beside "$quiet" "$url"
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

paced_ten() { # paced_ten SERIES HEADER URL
  local line
  line=$(wrk -t 1 -c 8 -d "$HTTP_SECONDS" -H "$2" -s "$BENCH/rows/paced.lua" "$3" | grep '^paced')
  [[ $(word errors "$line") == 0 ]] || die "TEN: wrk met errors: $line"
  raw TEN "$1_p99" "$(word p99_us "$line")"
  raw TEN "$1_p50" "$(word p50_us "$line")"
}

greed_ten() { # greed_ten HEADER URL: sets GREED_PID and GREED_SHAPES_PID
  wrk -t 1 -c 48 -d "$((HTTP_SECONDS + 5))" -H "$1" "$2" > /dev/null &
  GREED_PID=$!
  note_process "$GREED_PID"
  cat > "$WORK/ten.lua" << 'LUA'
local n = 0
function request()
  n = n + 1
  return wrk.format(nil, wrk.path .. "&where=id%20%3E%20" .. n .. (n % 2 == 0 and "&subset__where=true" or ""))
end
LUA
  wrk -t 1 -c 16 -d "$((HTTP_SECONDS + 5))" -H "$1" -s "$WORK/ten.lua" "$2" > /dev/null &
  GREED_SHAPES_PID=$!
  note_process "$GREED_SHAPES_PID"
  sleep 1
}
