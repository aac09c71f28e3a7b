// harness/tail.mjs: a raw reader that follows one shape for ever, through killed servers, and
// remembers every entry by its place, so that nothing lost and nothing twice can be counted.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './processes.mjs'
import { FramingError } from './raw.mjs'
import { LogChecker, checkLogResponse, follow, get } from './shapes.mjs'

export class Tail {
  places = new Map() // "lsn_position" → entry
  failures = 0
  error
  #stopped = false
  #done

  /** Reads the shape from nothing, then follows it in the background until stop(). */
  static async start(server, shape, name = shape.table) {
    const tail = new Tail()
    tail.server = server
    tail.shape = shape
    tail.checker = new LogChecker(name)
    tail.state = await follow(server, shape, { checker: tail.checker })
    tail.handle = tail.state.handle
    tail.#done = tail.#run().catch((error) => {
      tail.error = error
    })
    return tail
  }

  async #run() {
    const { state, server, shape } = this
    let cursor = ''
    while (!this.#stopped) {
      let response
      try {
        response = await get(server, { ...shape, offset: state.offset, handle: state.handle, live: 'true', cursor })
      } catch (error) {
        // Killed while it answered, or not up again. Malformed bytes of a living server are its fault.
        if (error instanceof FramingError && !/^connection ended/.test(error.message)) throw error
        this.failures++
        await delay(20)
        continue
      }
      if (response.status === 503) {
        this.failures++
        await delay(50)
        continue
      }
      const page = checkLogResponse(response, { offset: state.offset, live: true })
      assert.equal(page.handle, this.handle, 'the handle stays')
      for (const message of page.messages) {
        if (message.headers.lsn === undefined) continue
        const place = `${message.headers.lsn}_${message.headers.op_position}`
        assert.ok(!this.places.has(place), `${place} came twice`)
        this.places.set(place, message)
      }
      this.checker.feed(page.messages)
      state.offset = page.offset
      cursor = response.header('electric-cursor')
      this.onPage?.(page)
    }
  }

  check() {
    if (this.error) throw this.error
  }

  async covers(lsn, deadlineMs = 30_000) {
    await until(
      () => {
        this.check()
        return this.checker.seen >= lsn
      },
      () =>
        `${this.shape.table} to be up to date to ${lsn}; it is at ${this.checker.seen}, offset ${this.state.offset}`,
      { deadlineMs },
    )
  }

  /** Rows as sorted JSON lines, to compare with SELECT. */
  get rows() {
    return [...this.checker.rows.values()].map(canonical).sort()
  }

  async stop() {
    this.#stopped = true
    await this.#done
  }
}

export function canonical(row) {
  return JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))
}
