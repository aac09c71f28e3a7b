// The time, as state: "4 min ago" grows old, and a client who has left is not viewing any more.

/**
 * Milliseconds of the server's clock, moving on once a second in the browser. `serverNow` is what the
 * server's clock said when it answered: a browser whose own is wrong must not see ghosts.
 */
export function useClock(serverNow: () => number) {
  let now = $state(serverNow())
  $effect(() => {
    const ahead = serverNow() - Date.now()
    const tick = () => (now = Date.now() + ahead)
    tick()
    const timer = setInterval(tick, 1000)
    return () => clearInterval(timer)
  })
  return {
    get now() {
      return now
    },
  }
}
