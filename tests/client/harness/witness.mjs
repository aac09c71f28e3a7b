// harness/witness.mjs: a raw reader that follows one shape in one way and writes down all it is told:
// one step an answer (or SSE batch), in segments within which nothing may come twice. The records
// are judged later, by harness/invariants.mjs.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { FramingError, RawConnection } from './raw.mjs'
import { checkLogResponse, isUpToDate, target } from './shapes.mjs'
import { openEvents } from './waiting.mjs'

/** The ways of reading. `eager` is live from its second request on; `mixed` decides anew each time. */
export const modes = ['plain', 'live', 'eager', 'mixed', 'sse']

export class Witness {
  /** One for each stretch of steps without a reconnect: {from, steps}. */
  segments = []
  last // the step before
  breaks = 0
  failure
  #server
  #random
  #connection
  #stopped = false
  #done
  #cursor = ''
  #broken = false

  /** `begin` = {offset, handle}: a reader may join anywhere. `meet(step)` hears of every step. */
  constructor(server, shape, { name, mode, random, begin = { offset: '-1' }, meet = () => {} }) {
    this.#server = server
    this.#random = random
    Object.assign(this, { shape, name, mode, meet, offset: begin.offset, handle: begin.handle })
  }

  start() {
    this.#done = this.#run().catch((error) => {
      if (!this.#stopped) this.failure = error
    })
    return this
  }

  /** The answer on its way is given up. */
  async stop() {
    this.#stopped = true
    this.#connection?.destroy()
    await this.#done
  }

  /** Throws what ended the reading before its time. */
  check() {
    if (this.failure) throw new Error(`${this.name} at ${this.offset}: ${this.failure.stack}`)
  }

  get steps() {
    return this.segments.flatMap((segment) => segment.steps)
  }

  async #run() {
    this.segments.push({ from: this.offset, steps: [] })
    while (!this.#stopped) {
      try {
        await this.#next()
      } catch (error) {
        // A killed server breaks connections off and refuses new ones; nothing else is forgiven.
        const broken =
          error instanceof FramingError ? /^connection ended/.test(error.message) : /^ECONN/.test(error.code)
        if (!broken) throw error
        this.breaks++
        this.#broken = true
        this.#connection?.destroy()
        this.#connection = undefined
        await delay(20)
      }
    }
  }

  async #next() {
    const known = this.handle !== undefined && this.offset !== 'now'
    const caughtUp = this.last?.upToDate === true
    if (this.mode === 'sse' && caughtUp) return this.#stream()
    if (this.mode === 'eager' ? known : caughtUp && this.#waits()) return this.#ask(true)
    await this.#ask(false)
    if (this.last?.upToDate) await delay(this.#random.int(5, 60))
  }

  #waits() {
    return this.mode === 'live' || (this.mode === 'mixed' && this.#random.chance(0.5))
  }

  /** What the client would send; now and then a cursor from the future, as caches bring about. */
  #nextCursor() {
    if (this.#random.chance(0.1)) this.#cursor = String(BigInt(this.#cursor || 0) + BigInt(this.#random.int(1, 10_000)))
    return this.#cursor
  }

  async #ask(live) {
    const place = { ...this.shape, offset: this.offset, handle: this.handle }
    const cursor = live ? this.#nextCursor() : undefined
    this.#connection ??= await RawConnection.open(this.#server.port)
    const asked = performance.now()
    this.#connection.request('GET', target(live ? { ...place, live: 'true', cursor } : place))
    const response = await this.#connection.readResponse()
    if (response.status === 503) return delay(50) // not up again
    const page = checkLogResponse(response, { offset: this.offset, live })
    if (this.handle !== undefined && this.offset !== '-1') assert.equal(page.handle, this.handle, 'the handle stays')
    this.#note({
      way: live ? 'live' : 'plain',
      from: this.offset,
      to: page.offset,
      upToDate: page.upToDate,
      messages: page.messages,
      body: response.body,
      ms: performance.now() - asked,
      sent: cursor,
      cursor: response.header('electric-cursor'),
    })
    this.handle = page.handle
    if (this.offset === 'now') this.segments.at(-1).from = page.offset
    this.offset = page.offset
    if (live) this.#cursor = response.header('electric-cursor')
  }

  /** One SSE connection, left after a few batches; the place is kept as @electric-sql/client keeps it. */
  async #stream() {
    this.#connection?.destroy()
    const sent = this.#nextCursor()
    const events = await openEvents(this.#server, {
      ...this.shape,
      offset: this.offset,
      handle: this.handle,
      cursor: sent,
    })
    this.#connection = events.connection
    const { head } = events
    if (head.status === 503) {
      events.connection.destroy()
      return delay(50)
    }
    assert.equal(head.status, 200)
    assert.equal(head.header('electric-handle'), this.handle, 'the handle stays')
    this.#cursor = head.header('electric-cursor')
    this.offset = head.header('electric-offset')
    this.segments.push({ from: this.offset, steps: [], sent, cursor: this.#cursor })
    for (let left = this.#random.int(1, 12); left > 0 && !this.#stopped; left--) {
      const messages = await events.batch(60_000)
      const next = `${messages.at(-1).headers.global_last_seen_lsn}_0`
      this.#note({ way: 'sse', from: this.offset, to: next, upToDate: true, messages })
      this.offset = next
    }
    events.connection.destroy()
    this.#connection = undefined
  }

  #note(step) {
    const last = step.messages.at(-1)
    if (isUpToDate(last)) step.promised = BigInt(last.headers.global_last_seen_lsn)
    if (this.#broken) step.resumed = true // the first since the server was killed
    this.#broken = false
    this.segments.at(-1).steps.push(step)
    this.last = step
    this.meet(step)
  }
}
