// spool.test.mjs: shapes that wait for rows of PostgreSQL while more changes go by than memory may hold.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { after } from 'node:test'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { TaggedRows } from './harness/tagged.mjs'
import { Throttle } from './harness/throttle.mjs'

const mebibyte = 1 << 20
const postgres = await stagePostgres()
const throttle = await Throttle.start(postgres.port)
after(() => throttle.stop())
const database = await postgres.createDatabase()
const url = new URL(postgres.url(database))
url.port = throttle.port

const stage = (env = {}) =>
  stageBusbar(postgres, {
    database,
    env: {
      BUSBAR_POOLED_DATABASE_URL: url.href,
      BUSBAR_LONG_POLL_TIMEOUT: '1s',
      BUSBAR_MEMORY_BUDGET: '64MiB',
      BUSBAR_CACHE_BYTES: '8MiB',
      ...env,
    },
  })
const resident = (server) => 1024 * Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1])

/** Until the server has gone through all that is committed now: as another shape is told. */
async function passed(server, other) {
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${other} DEFAULT VALUES`)
  await until(
    async () => {
      const response = await get(server, { table: other, offset: 'now' })
      return BigInt(response.json.at(-1).headers.global_last_seen_lsn) >= position
    },
    'the changes to have gone by',
    { deadlineMs: 60_000, everyMs: 50 },
  )
}

const large = (table, first, parent) =>
  `INSERT INTO ${table} SELECT i, ${parent}, repeat(md5(i::text), 60) FROM generate_series(${first}, ${first + 29_999}) i` // 60 MB

scenario(
  'what goes by a shape that waits for its rows is kept on the disk, however much it is',
  async () => {
    const server = await stage()
    const parents = await newTable(server, 'id int PRIMARY KEY, active bool', '(1, true), (2, false)')
    const children = await newTable(server, 'id int PRIMARY KEY, parent int, body text', `(1, 1, 'a'), (2, 2, 'b')`)
    const other = await newTable(server, 'id serial PRIMARY KEY')
    await follow(server, { table: other })
    const shape = { table: children, where: `parent IN (SELECT id FROM ${parents} WHERE active)` }
    const state = await follow(server, shape, { checker: new TaggedRows('children') })
    throttle.narrow({ bytesPerTick: 0, bytesMax: 0 })
    await server.query(`UPDATE ${parents} SET active = true WHERE id = 2`) // now it waits
    await passed(server, other)
    const before = resident(server)
    let peak = before
    const timer = setInterval(() => (peak = Math.max(peak, resident(server))), 10)
    await server.query(large(children, 1_000, 1))
    await server.query(`UPDATE ${children} SET body = 'short' WHERE id % 2 = 0; DELETE FROM ${children} WHERE id % 3 = 0`)
    await passed(server, other)
    clearInterval(timer)
    const position = await server.walPosition()
    throttle.open()
    await server.query(`INSERT INTO ${children} VALUES (3, 2, 'last')`)
    await followTo(server, shape, state, position, { deadlineMs: 60_000 })
    await until(async () => {
      await followTo(server, shape, state, position)
      if (state.checker.values.size > 0 && [...state.checker.values.values()].some(({ id }) => id === '3')) return true
      const response = await get(server, { ...shape, offset: state.offset, handle: state.handle })
      state.checker.feed(response.json)
      state.offset = response.header('electric-offset')
      return false
    }, 'the last row')
    const texts = (rows) => rows.map(({ id, body }) => `${id} ${body.length}`).sort()
    const truth = await server.query(`SELECT id::text, body FROM ${children}`)
    assert.deepEqual(texts([...state.checker.values.values()]), texts(truth))
    // With all of it in memory it would be some hundred MiB more.
    assert.ok(peak - before < 150 * mebibyte, `it grew by ${(peak - before) / mebibyte} MiB`)
    assert.deepEqual(
      readdirSync(server.storageDir).filter((name) => name.startsWith('spool')),
      [],
    )
    await server.discard()
  },
  { deadlineMs: 120_000 },
)

scenario(
  'without room on the disk the shape that has waited longest begins anew, and the others go on',
  async () => {
    const server = await stage({ BUSBAR_SPOOL_BYTES: '0' })
    const table = await newTable(server, 'id int PRIMARY KEY, parent int, body text')
    const other = await newTable(server, 'id serial PRIMARY KEY')
    const kept = await follow(server, { table: other })
    throttle.narrow({ bytesPerTick: 0, bytesMax: 0 })
    const waiting = get(server, { table, offset: '-1' })
    await until(async () => (await server.query(`SELECT 1 FROM pg_publication_tables WHERE tablename = '${table}'`)).length > 0, 'it to be published')
    await passed(server, other)
    await server.query(large(table, 1, 1))
    await passed(server, other)
    throttle.open()
    assert.equal((await waiting).status, 409)
    assert.equal((await follow(server, { table })).checker.rows.size, 30_000)
    assert.equal((await get(server, { table: other, handle: kept.handle, offset: kept.offset })).status, 200)
    await server.discard()
  },
  { deadlineMs: 120_000 },
)
