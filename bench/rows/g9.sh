# G9: small hot requests over kept connections: the tail of a log with its up-to-date message, and
# its revalidation to 304: requests per CPU second, against nginx serving the same body from a file
# with a head of the same size.

row_g9() {
  local url head_bytes
  make_database bench_g9
  rm -rf "$WORK/g9" "$WORK/www"
  mkdir -p "$WORK/www"
  chmod 755 "$WORK/www"
  sql bench_g9 "$(make_table small)" "$(make_rows small 10)"
  start_busbar bench_g9 bench_g9 "$WORK/g9"
  wait_active > /dev/null
  url="http://127.0.0.1:$HTTP_PORT/v1/shape?table=small&$(shape_position '/v1/shape?table=small')"
  sql bench_g9 "UPDATE small SET amount = amount + 1 WHERE id = 1"
  for _ in {1..100}; do
    curl -sf -o "$WORK/www/tail" "$url"
    grep -q '"operation"' "$WORK/www/tail" && break
    sleep 0.05
  done
  grep -q '"operation"' "$WORK/www/tail" || die "G9: the change does not arrive"
  chmod 644 "$WORK/www/tail"
  settle "$BUSBAR_PID"
  small_requests_g9 tail "hot tail GET, $(stat -c %s "$WORK/www/tail") B" "$url" ''
  small_requests_g9 same 'revalidation to 304' "$url" "$(etag_of "$url")"
  stop_busbar
  drop_database bench_g9
}

etag_of() { curl -s -o /dev/null -D - "$1" | tr -d '\r' | awk 'tolower($1) == "etag:" { print $2 }'; }

# head_bytes URL [ETAG]
head_bytes() { curl -s -o /dev/null -D - ${2:+-H "if-none-match: $2"} "$1" | wc -c; }

# small_requests_g9 SERIES WORKLOAD URL ETAG: an empty ETAG asks for the body.
small_requests_g9() {
  local series=$1 workload=$2 url=$3 etag=$4 file_url file_etag padding ours theirs
  # An nginx head without padding tells how much it takes to make both equally long.
  start_nginx "$WORK/www" 'add_header x-padding "";'
  file_url="http://127.0.0.1:$NGINX_PORT/tail"
  file_etag=${etag:+$(etag_of "$file_url")}
  padding=$(($(head_bytes "$url" "$etag") - $(head_bytes "$file_url" "$file_etag") - 13))
  end_process "$NGINX_PID"
  start_nginx "$WORK/www" "add_header x-padding \"$(head -c "$padding" /dev/zero | tr '\0' x)\";"
  file_url="http://127.0.0.1:$NGINX_PORT/tail"
  [[ $(head_bytes "$url" "$etag") == "$(head_bytes "$file_url" "$file_etag")" ]] ||
    die "G9: the heads differ in size"
  pair_g9() {
    small_requests ours "$series" "$BUSBAR_PID" "$url" "$etag"
    small_requests comparator "$series" "$NGINX_PID" "$file_url" "$file_etag"
  }
  each_pair pair_g9
  end_process "$NGINX_PID"
  ours=$(median G9 "ours_$series")
  theirs=$(median G9 "comparator_$series")
  report G9 "$workload" "requests/CPU s" "$ours" "$theirs" "$(calc 'a / b' a="$ours" b="$theirs")" \
    ge 0.6 0.9 "wall: $(median G9 "ours_${series}_wall") against $(median G9 "comparator_${series}_wall") requests/s"
}

small_requests() { # small_requests LABEL SERIES PID URL ETAG
  local before after line header=${5:+if-none-match: $5}
  wrk -t 1 -c 16 -d 1 -H "${header:-x-none: 1}" "$4" > /dev/null # warm
  before=$(cpu_ns "$3")
  line=$(wrk -t 1 -c 16 -d "$HTTP_SECONDS" -H "${header:-x-none: 1}" \
    -s "$BENCH/rows/totals.lua" "$4" | grep '^totals')
  after=$(cpu_ns "$3")
  [[ $(word errors "$line") == 0 ]] || die "G9: wrk met errors: $line"
  raw G9 "$1_$2" "$(calc 'n / ((t1 - t0) / 1e9)' n="$(word requests "$line")" t0="$before" \
    t1="$after")"
  raw G9 "$1_$2_wall" "$(calc 'n / s' n="$(word requests "$line")" s="$(word seconds "$line")")"
}
