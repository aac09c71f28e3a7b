# bench/table.sh: the table on standard output and the JSON file. Sourced by run.sh.

print_table() {
  printf '\n%s, %s cores, %s, PostgreSQL %s, %s pairs%s, load average before: %s\n\n' "$(cpu_model)" \
    "$(nproc)" "$(uname -sr)" "$(sql postgres 'SHOW server_version' | cut -d ' ' -f 1)" "$PAIRS" \
    "$([[ $QUICK == 1 ]] && echo ', QUICK sizes')" "$LOAD_BEFORE"
  awk -F '\t' '
    function figure(x) { return x == "-" ? x : sprintf(x >= 1000 ? "%.0f" : "%.4g", x) }
    function goal(dir, x) { return (dir == "ge" ? ">= " : "<= ") x }
    BEGIN {
      format = "%-4s %-40s %-15s %10s %10s %7s %8s %8s  %s\n"
      printf format, "row", "workload", "unit", "ours", "comparator", "ratio", "must", "aim", "met"
    }
    { printf format, $1, $2, $3, figure($4), figure($5), ($5 == "-" ? "-" : sprintf("%.3f", $6)),
        goal($7, $8), goal($7, $9), $10 ($12 == "noisy" ? " (NOISY: the machine was not quiet)" : "")
      if ($11 != "") printf "     %s\n", $11 }' "$WORK/rows.tsv"
  awk -F '\t' 'BEGIN {
      print "\nquiet? bare comparator before and after (CPU us per delivery), core used by others:" }
    { printf "     %-4s %6.2f %6.2f %5.0f %%\n", $1, $2, $3, $4 }' "$WORK/calibrations.tsv"
}

cpu_model() { awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo; }

write_json() {
  local file=$1
  mkdir -p "$(dirname "$file")"
  {
    printf '{\n  "date": "%s",\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf '  "commit": "%s",\n' "$(git -C "$ROOT" rev-parse --short HEAD 2> /dev/null || echo none)"
    printf '  "machine": {"cpu": "%s", "cores": %s, "kernel": "%s", "load_before": %s},\n' \
      "$(cpu_model)" "$(nproc)" "$(uname -r)" "$LOAD_BEFORE"
    printf '  "pairs": %s,\n  "quick": %s,\n' "$PAIRS" "$([[ $QUICK == 1 ]] && echo true || echo false)"
    awk -F '\t' '
      BEGIN { print "  \"calibrations\": [" }
      { printf "%s    {\"row\": \"%s\", \"before\": %s, \"after\": %s, \"others_percent\": %s}",
          (NR > 1 ? ",\n" : ""), $1, $2, $3, $4 }
      END { print "\n  ]," }' "$WORK/calibrations.tsv"
    awk -F '\t' '
      function number(x) { return x == "-" ? "null" : x }
      BEGIN { print "  \"rows\": [" }
      { printf "%s    {\"row\": \"%s\", \"workload\": \"%s\", \"unit\": \"%s\", \"ours\": %s, " \
          "\"comparator\": %s, \"ratio\": %s, \"direction\": \"%s\", \"must\": %s, \"aim\": %s, " \
          "\"met\": \"%s\", \"note\": \"%s\", \"machine\": \"%s\"}", (NR > 1 ? ",\n" : ""), $1, $2, $3,
          number($4), number($5), ($5 == "-" ? "null" : $6), $7, $8, $9, $10, $11, $12 }
      END { print "\n  ]," }' "$WORK/rows.tsv"
    awk -F '\t' '
      { key = $1 "." $2; if (!(key in values)) { keys[++n] = key; values[key] = $3 }
        else values[key] = values[key] ", " $3 }
      END { print "  \"raw\": {"
            for (i = 1; i <= n; ++i)
              printf "    \"%s\": [%s]%s\n", keys[i], values[keys[i]], i < n ? "," : ""
            print "  }\n}" }' "$WORK/raw.tsv"
  } > "$file"
  say "wrote $file"
}
