// cache.test.mjs: an HTTP cache in front of Busbar (nginx: proxy_cache with request collapsing): many
// clients cost one request a poll, and none is ever left behind by something cached.
import assert from 'node:assert/strict'
import { Agent, get as httpGet } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { Follower, textParser } from './harness/clients.mjs'
import { stageNginx } from './harness/nginx.mjs'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, isUpToDate, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { canonical } from './harness/tail.mjs'

// The client's SSE library expects a browser's window and document; Node has neither.
globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} }
globalThis.window ??= globalThis

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' },
})
const nginx = await stageNginx(server)
// Here responses expire at once, and may then be served while they are fetched again.
const brief = await stageBusbar(postgres, { env: { BUSBAR_CACHE_MAX_AGE: '1s', BUSBAR_CACHE_STALE_AGE: '300s' } })
const briefNginx = await stageNginx(brief)

const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

/** One GET through the cache; resolves to {status, headers, text}. */
function get(url) {
  return new Promise((resolve, reject) => {
    const call = httpGet(url, { agent, headers: { 'accept-encoding': 'identity' } }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }))
      response.on('error', reject)
    })
    call.on('error', reject)
  })
}

/**
 * What ShapeStream does with its requests, and no more, so that hundreds fit into one process: the
 * same parameters in the same order, the same reaction to each response. Before 1.5 the client went
 * on from a 409 without a cache-buster; `early` ones do that.
 */
class LeanClient {
  requests = 0
  failures = 0
  refetches = 0
  refusals = 0 // 409s since the last 200
  worstRefusals = 0
  error
  #offset = '-1'
  #handle
  #expired
  #cursor
  #live = false
  #buster
  #stopped = false

  constructor(url, table, { early = false } = {}) {
    this.url = url
    this.table = table
    this.early = early
    this.checker = new LogChecker(`a client of ${table}`)
    this.done = this.#run().catch((error) => (this.error = error))
  }

  #nextUrl() {
    const query = new URLSearchParams({ table: this.table, log: 'full', offset: this.#offset })
    if (this.#handle !== undefined) query.set('handle', this.#handle)
    if (this.#live) query.set('live', 'true')
    if (this.#cursor !== undefined) query.set('cursor', this.#cursor)
    if (this.#expired !== undefined) query.set('expired_handle', this.#expired)
    if (this.#buster !== undefined) query.set('cache-buster', this.#buster)
    query.sort()
    return `${this.url}?${query}`
  }

  async #run() {
    while (!this.#stopped) {
      this.requests++
      const response = await get(this.#nextUrl()).catch(() => undefined)
      if (this.#stopped) return
      if (response === undefined || response.status >= 500) {
        this.failures++
        await delay(50 + Math.random() * 200)
      } else if (response.status === 409) {
        this.#refused(response.headers['electric-handle'])
      } else {
        assert.equal(response.status, 200, response.text)
        this.#accept(response)
      }
    }
  }

  #refused(handle) {
    this.worstRefusals = Math.max(this.worstRefusals, ++this.refusals)
    if (this.#live) this.refetches++
    this.#expired = this.#handle
    this.#handle = handle ?? (this.early ? `${this.#handle}-next` : undefined)
    this.#buster = this.early ? undefined : `${Date.now()}-${Math.random().toString(36).slice(2, 9)}`
    this.#offset = '-1'
    this.#cursor = undefined
    this.#live = false
    this.checker.reset()
  }

  #accept({ headers, text }) {
    const handle = headers['electric-handle']
    assert.notEqual(handle, this.#expired, 'a response of the shape that is gone')
    if (this.#offset !== '-1') assert.equal(handle, this.#handle)
    this.refusals = 0
    this.#buster = undefined
    this.#handle = handle
    this.#offset = headers['electric-offset']
    if (headers['electric-cursor'] !== undefined) this.#cursor = headers['electric-cursor']
    const messages = JSON.parse(text)
    this.checker.feed(messages)
    if (isUpToDate(messages.at(-1)) && !this.#live) {
      this.#live = true
      this.#cursor ??= ''
    }
  }

  get handle() {
    return this.#handle
  }

  get fingerprint() {
    return this.#live ? [...this.checker.rows.values()].map(canonical).sort().join() : 'not up to date'
  }

  check() {
    if (this.error) throw this.error
  }

  stop() {
    this.#stopped = true
  }
}

/** Shape requests that this Busbar has answered, all or those with one status. */
async function answered(at, status = '[0-9]+') {
  const text = await at.metrics()
  const series = new RegExp(`^busbar_http_requests_total\\{route="shape",status="${status}"\\} ([0-9]+)$`, 'gm')
  return [...text.matchAll(series)].reduce((sum, [, count]) => sum + Number(count), 0)
}

const columns = 'id int4 PRIMARY KEY, title text NOT NULL, n int4 NOT NULL'

/** Many clients and some whole ShapeStreams, one of them on server-sent events, all behind the cache. */
class Crowd {
  constructor(cleanup, url, table, { size, events }) {
    this.table = table
    this.lean = Array.from({ length: size }, (_, index) => new LeanClient(url, table, { early: index % 2 === 1 }))
    this.whole = Array.from(
      { length: 6 },
      (_, index) => new Follower(url, { table }, { parser: textParser, liveSse: events && index === 5 }),
    )
    cleanup(() => this.stop())
  }

  stop() {
    this.lean.forEach((client) => client.stop())
    this.whole.forEach((client) => client.close())
  }

  get requests() {
    return this.lean.reduce((sum, client) => sum + client.requests, 0)
  }

  async equalsTable(at, what, deadlineMs = 30_000) {
    const expected = (await at.query(`SELECT * FROM ${this.table}`)).map(canonical).sort().join()
    let behind
    await until(
      () => {
        behind = this.lean.filter((client) => {
          client.check()
          return client.fingerprint !== expected
        })
        const slow = this.whole.filter((client) => {
          client.check()
          return !client.shape.isUpToDate || client.rows.map(canonical).sort().join() !== expected
        })
        behind.push(...slow)
        return behind.length === 0
      },
      () => `${what}: ${behind.length} are behind`,
      { deadlineMs, everyMs: 25 },
    )
  }

  /** How many requests of this crowd's reached Busbar while `action` went on, of how many. */
  async cost(at, action) {
    const before = { here: this.requests, there: await answered(at) }
    await action()
    return { asked: this.requests - before.here, reached: (await answered(at)) - before.there }
  }
}

scenario(
  'F22: 500 clients behind a cache cost about one request a poll, whatever happens to their shape',
  async ({ cleanup }) => {
    const table = await newTable(server, columns)
    await server.query(`INSERT INTO ${table} SELECT i, 'row ' || i, 0 FROM generate_series(1, 20) i`)
    const started = await answered(server)
    const crowd = new Crowd(cleanup, nginx.shapeUrl, table, { size: 500, events: true })
    await crowd.equalsTable(server, 'the first rows')
    const joined = (await answered(server)) - started
    assert.ok(joined <= 30, `${joined} requests for ${crowd.requests} of the clients`)

    const changes = async (rounds) => {
      for (let round = 0; round < rounds; round++) {
        await server.query(
          `BEGIN; UPDATE ${table} SET n = n + 1 WHERE id % 3 = ${round % 3};
           INSERT INTO ${table} SELECT max(id) + 1, 'round ${round}', 0 FROM ${table}; COMMIT`,
        )
        await crowd.equalsTable(server, `round ${round}`)
      }
    }
    const expectCheap = ({ asked, reached }, what) => {
      assert.ok(asked >= 500, `${what}: only ${asked} requests`)
      assert.ok(reached > 0 && reached <= asked * 0.05, `${what}: ${reached} of ${asked} requests reached Busbar`)
    }
    expectCheap(await crowd.cost(server, () => changes(4)), 'changes')
    expectCheap(
      await crowd.cost(server, async () => {
        const goal = crowd.lean.map((client) => client.requests + 2)
        await until(() => crowd.lean.every((client, index) => client.requests >= goal[index]), 'two empty polls', {
          deadlineMs: 30_000,
        })
      }),
      'empty polls',
    )

    const refetched = async (what, refetches) => {
      await until(
        () => crowd.lean.every((client) => client.check() ?? client.refetches >= refetches),
        () => `${what}: all to hear of it`,
        { deadlineMs: 30_000 },
      )
      await crowd.equalsTable(server, what)
      // The rows may be those of before: then only the handle tells that a client has heard of it.
      let handles
      await until(
        () => {
          handles = new Set([
            ...crowd.lean.map((client) => client.handle),
            ...crowd.whole.map((c) => c.stream.shapeHandle),
          ])
          return handles.size === 1
        },
        () => `${what}: one handle: ${[...handles]}`,
        { deadlineMs: 30_000 },
      )
      await crowd.equalsTable(server, `${what}, with one handle`)
      // One 409 that names no handle, one that names the new one.
      const worst = Math.max(...crowd.lean.map((client) => client.worstRefusals))
      assert.ok(worst <= 2, `${what}: ${worst} times 409 for one client`)
      expectCheap(await crowd.cost(server, () => changes(1)), `changes after ${what}`)
      return [...handles][0]
    }
    await server.query(`TRUNCATE ${table}; INSERT INTO ${table} VALUES (1, 'after', 1)`)
    const handle = await refetched('TRUNCATE', 1)
    assert.equal((await request(server, target({ handle }), { method: 'DELETE' })).status, 202)
    await refetched('DELETE of the shape', 2)
    for (const client of crowd.whole) assert.equal(client.refetches, 2)
  },
  { deadlineMs: 180_000 },
)

scenario(
  'while Busbar is killed a new client starts from the cache, and all go on after the restart',
  async ({ cleanup }) => {
    const table = await newTable(server, columns, `(1, 'one', 0), (2, 'two', 0)`)
    // A broken event stream repeats a part of the last transaction, which the checks would object to.
    const crowd = new Crowd(cleanup, nginx.shapeUrl, table, { size: 100, events: false })
    await crowd.equalsTable(server, 'the first rows')
    await server.query(`UPDATE ${table} SET n = 1`)
    await crowd.equalsTable(server, 'a change')
    // The end of the log is cached when somebody has read it without waiting.
    const reader = new Follower(nginx.shapeUrl, { table }, { subscribe: false })
    cleanup(() => reader.close())
    await reader.reaches((rows) => rows.length === 2, 'the rows')
    await server.kill9()
    const late = new Follower(nginx.shapeUrl, { table })
    cleanup(() => late.close())
    await late.reaches((rows) => rows.length === 2, 'the rows from the cache')
    await server.query(
      `UPDATE ${table} SET n = 2; DELETE FROM ${table} WHERE id = 1; INSERT INTO ${table} VALUES (3, 'three', 3)`,
    )
    await until(() => crowd.lean.some((client) => client.check() ?? client.failures > 0), 'somebody to notice')
    await server.start()
    await crowd.equalsTable(server, 'what happened meanwhile')
    await late.reaches((rows) => rows.some((row) => row.id === '3'), 'the new row')
    for (const client of crowd.lean) assert.equal(client.refetches, 0)
    for (const client of [...crowd.whole, late]) assert.equal(client.refetches, 0)
  },
  { deadlineMs: 120_000 },
)

scenario('an expired response is revalidated by its ETag, and replaced once there is more', async ({ cleanup }) => {
  const table = await newTable(brief, columns, `(1, 'one', 0)`)
  const read = async (params) => {
    const response = await get(`${briefNginx.url}${target({ table, ...params })}`)
    assert.equal(response.status, 200, response.text)
    return { ...response, state: response.headers['x-cache'] }
  }
  const { headers } = await read({ offset: '-1' })
  const tail = { offset: headers['electric-offset'], handle: headers['electric-handle'] }
  const first = await read(tail)
  assert.equal(first.state, 'MISS')
  const notModified = await answered(brief, 304)
  const states = []
  await until(
    async () => {
      const again = await read(tail)
      states.push(again.state)
      assert.deepEqual([again.headers.etag, again.text], [first.headers.etag, first.text])
      return (await answered(brief, 304)) > notModified
    },
    () => `a 304; had ${states}`,
    { everyMs: 50 },
  )
  assert.ok(states.includes('STALE'), `served at once, though expired: ${states}`)

  await brief.query(`INSERT INTO ${table} VALUES (2, 'two', 0)`)
  const follower = new Follower(brief.shapeUrl, { table })
  cleanup(() => follower.close())
  await follower.reaches((rows) => rows.length === 2, 'the row at Busbar')
  await until(async () => (await read(tail)).text.includes('"two"'), 'the row from the cache', { everyMs: 50 })
  assert.notEqual((await read(tail)).headers.etag, first.headers.etag)
})

scenario('F64: what must not be shared is not cached', async () => {
  const table = await newTable(server, columns, `(1, 'one', 0)`)
  const twice = async (params) => {
    const url = `${nginx.url}${target({ table, ...params })}`
    return [await get(url), await get(url)].map((response) => [response.status, response.headers['x-cache']])
  }
  const subset = { offset: 'now', subset__where: 'id = 1' }
  assert.deepEqual(await twice(subset), [
    [200, 'MISS'],
    [200, 'MISS'],
  ])
  assert.deepEqual(await twice({ offset: 'nonsense' }), [
    [400, 'MISS'],
    [400, 'MISS'],
  ])
  assert.deepEqual(await twice({ offset: '-1' }), [
    [200, 'MISS'],
    [200, 'HIT'],
  ])
})
