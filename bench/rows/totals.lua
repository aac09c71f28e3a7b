-- Prints wrk's exact totals in one line for the shell; its own report rounds them.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("totals requests=%d bytes=%d seconds=%.6f errors=%d\n", summary.requests,
    summary.bytes, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
