-- Each connection asks fifty times a second at most, so that what is measured is the server's delay and not
-- how busy we make it. Prints exact percentiles in one line for the shell.
function delay()
  return 20
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("paced requests=%d p50_us=%d p99_us=%d errors=%d\n", summary.requests,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
