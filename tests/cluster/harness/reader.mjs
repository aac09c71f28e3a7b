// harness/reader.mjs: a client that follows one shape and goes to another node when one fails it.
// Strict: it counts every 409, and an insert of a row that it has is an error.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../client/harness/processes.mjs'

export class Reader {
  rows = new Map()
  refetches = 0
  failures = 0
  longestGapMs = 0
  changes = 0 // answers that had some
  #stopped = false
  #aborter
  #upToDate = false
  #lastChange = undefined

  constructor(cluster, shape, { prefers = 0 } = {}) {
    this.cluster = cluster
    this.shape = shape
    this.at = prefers
    this.offset = '-1'
    this.handle = undefined
    this.done = this.#run()
    this.done.catch((error) => (this.error = error))
  }

  async #run() {
    while (!this.#stopped) {
      const { node } = this
      const query = new URLSearchParams({ ...this.shape, offset: this.offset })
      if (this.handle) query.set('handle', this.handle)
      if (this.#upToDate) query.set('live', 'true')
      let response, text
      try {
        this.#aborter = new AbortController()
        response = await fetch(`${node.shapeUrl}?${query}`, { signal: AbortSignal.any([this.#aborter.signal, AbortSignal.timeout(8_000)]) })
        text = await response.text()
      } catch {
        this.#move()
        await delay(20)
        continue
      }
      if (response.status === 409) {
        this.refetches++
        this.why = `409 at ${node.clusterAddress}: ${text}, had ${this.handle} ${this.offset}`
        this.rows.clear()
        this.offset = '-1'
        this.handle = undefined
        this.#upToDate = false
        continue
      }
      if (response.status !== 200) {
        this.failures++
        if (response.status < 500 && response.status !== 429) this.refused ??= `${node.clusterAddress}: ${response.status} ${text}`
        this.lastFailure = `${response.status} ${text}`
        this.#move()
        await delay(50)
        continue
      }
      this.offset = response.headers.get('electric-offset')
      this.handle = response.headers.get('electric-handle')
      this.#take(JSON.parse(text))
    }
  }

  get node() {
    return this.cluster.nodes[this.at % this.cluster.nodes.length]
  }

  #move() {
    this.at++
  }

  #take(messages) {
    for (const { key, value, headers } of messages) {
      if (headers.operation === 'insert') {
        assert.ok(!this.rows.has(key), `an insert of ${key}, which is there`)
        this.rows.set(key, value)
      } else if (headers.operation === 'update') {
        assert.ok(this.rows.has(key), `an update of ${key}, which is not there`)
        this.rows.set(key, { ...this.rows.get(key), ...value })
      } else if (headers.operation === 'delete') {
        assert.ok(this.rows.delete(key), `a delete of ${key}, which is not there`)
      } else if (headers.control === 'up-to-date') {
        this.#upToDate = true
      }
    }
    if (messages.some(({ headers }) => headers.operation) && this.#upToDate) {
      const now = Date.now()
      this.changes++
      if (this.#lastChange) this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastChange)
      this.#lastChange = now
    }
  }

  async upToDate() {
    await until(() => this.#check() && this.#upToDate, () => `a reader to be up to date: ${this.lastFailure}`)
  }

  #check() {
    if (this.error) throw this.error
    return true
  }

  /** Waits until the reader has just these rows, by their column `id`. */
  async equals(expected) {
    const wanted = JSON.stringify(expected)
    const have = () =>
      JSON.stringify(
        [...this.rows.values()].map((row) => ({ ...row })).sort((a, b) => Number(a.id) - Number(b.id)),
      )
    await until(() => this.#check() && have() === wanted, () => `a reader to have what SELECT says:\n${wanted}\n${have()}\n${this.why ?? ''}`)
    assert.equal(this.refetches, 0, this.why)
    assert.equal(this.refused, undefined, 'nothing is refused for good')
  }

  stop() {
    this.#stopped = true
    this.#aborter?.abort()
  }
}
