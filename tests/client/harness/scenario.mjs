// harness/scenario.mjs: a test with a deadline of its own, with cleanups in reverse order, that
// prints what the servers said when it fails.
import { test } from 'node:test'
import { recentOutput } from './busbar.mjs'
import { patience, within } from './processes.mjs'

/** The client warns on the console about every 409; the reader of a passing run need not know. */
const warnings = []
console.warn = (...words) => {
  warnings.push(words.map(String).join(' ').split('\n')[0])
  if (warnings.length > 50) warnings.shift()
}

/** `body` receives {cleanup(fn)}; whatever it registered runs afterwards, passed or failed. */
export function scenario(name, body, { deadlineMs = 60_000, skip = false } = {}) {
  // Node's own timeout is a second net: it cannot print the servers' output.
  test(name, { timeout: deadlineMs * patience + 30_000, skip }, async () => {
    const cleanups = []
    try {
      await within(Promise.resolve(body({ cleanup: (fn) => cleanups.push(fn) })), deadlineMs, 'the whole test')
    } catch (error) {
      console.error(`\n=== ${name} failed; the servers said:\n${recentOutput()}`)
      if (warnings.length > 0) console.error(`=== the client said:\n${warnings.join('\n')}`)
      throw error
    } finally {
      for (const cleanup of cleanups.reverse()) await cleanup()
    }
  })
}
