// memory.test.mjs: what is under way is bounded by BUSBAR_MEMORY_BUDGET, however large it is: rows that
// very many shapes want, enormous rows, transactions larger than the budget.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const mebibyte = 1 << 20
const postgres = await stagePostgres()
const env = {
  BUSBAR_MEMORY_BUDGET: '64MiB',
  BUSBAR_CACHE_BYTES: '8MiB',
  BUSBAR_LONG_POLL_TIMEOUT: '1s',
  BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 5000, "existing": 10000}',
}
// One for each scenario: memory that was needed once is not given back at once.
const [wide, deep, long] = await Promise.all([1, 2, 3].map(() => stageBusbar(postgres, { env })))

const resident = (server) => 1024 * Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1])

/** Runs `work` and says by how much the process was larger than before, at most, while it ran. */
async function growthDuring(server, work) {
  const before = resident(server)
  let peak = before
  const timer = setInterval(() => (peak = Math.max(peak, resident(server))), 5)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return Math.max(peak, resident(server)) - before
}

/** Resolves when PostgreSQL has been told that all up to now is safe. */
async function confirmed(server) {
  const position = await server.walPosition()
  await until(
    async () => {
      const [slot] = await server.query(
        `SELECT confirmed_flush_lsn - '0/0'::pg_lsn AS at FROM pg_replication_slots WHERE slot_name = '${server.slot}'`,
      )
      return BigInt(slot?.at ?? 0) >= position
    },
    () => `${position} to be confirmed`,
    { deadlineMs: 60_000 },
  )
}

scenario('a row that a thousand shapes want is not held a thousand times', async () => {
  const server = wide
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  const shapes = Array.from({ length: 1000 }, (_, n) => ({ table, where: `id > ${-n}`, log: 'changes_only' }))
  const states = await Promise.all(shapes.map((shape) => follow(server, shape, { offset: 'now' })))
  // 400 kB fit into one frame, and make 400 MB of entries.
  const insert = () =>
    server.query(
      `INSERT INTO ${table} SELECT i, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 625) WHERE i > 0) FROM generate_series(1, 20) i`,
    )
  const growth = await growthDuring(server, async () => {
    await insert()
    await confirmed(server)
  })
  assert.ok(growth < 250 * mebibyte, `it grew by ${growth / mebibyte} MiB`)
  await server.query(`INSERT INTO ${table} VALUES (100, 'last')`)
  for (const n of [0, 500, 999]) {
    const seen = []
    let state = states[n]
    for (let rounds = 0; !seen.includes('100'); rounds++) {
      assert.ok(rounds < 50, 'it comes to the last row')
      const response = await get(server, { ...shapes[n], handle: state.handle, offset: state.offset })
      state = { handle: state.handle, offset: response.header('electric-offset') }
      for (const { headers, value } of response.json) if (headers.operation === 'insert') seen.push(value.id)
    }
    assert.deepEqual(seen, [...Array.from({ length: 20 }, (_, i) => String(i + 1)), '100'])
  }
})

scenario('enormous rows wait in PostgreSQL for their turn', async () => {
  const server = deep
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  const state = await follow(server, { table })
  const rows = 10
  const growth = await growthDuring(server, async () => {
    await server.query(`INSERT INTO ${table} SELECT i, repeat(md5(i::text), 250000) FROM generate_series(1, ${rows}) i`) // 8 MB each
    await confirmed(server)
  })
  // While it is decoded, encoded and written, one of them is held some times over.
  assert.ok(growth < 300 * mebibyte, `it grew by ${growth / mebibyte} MiB`)
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${table} VALUES (100, 'last')`)
  const { checker } = await followTo(server, { table }, state, position, { deadlineMs: 60_000 })
  const have = [...checker.rows.values()].map((row) => [Number(row.id), row.body.length]).sort(([a], [b]) => a - b)
  assert.deepEqual(have.slice(0, rows), Array.from({ length: rows }, (_, i) => [i + 1, 8_000_000]))
})

scenario('F12: a transaction larger than the budget goes through', async () => {
  const server = long
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  const shapes = Array.from({ length: 4 }, (_, n) => ({ table, where: `id % 4 <= ${n}`, log: 'changes_only' }))
  await Promise.all(shapes.map((shape) => follow(server, shape, { offset: 'now' })))
  const growth = await growthDuring(server, async () => {
    await server.query(`INSERT INTO ${table} SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 60000) i`) // 60 MB, and 150 MB of entries
    await confirmed(server)
  })
  assert.ok(growth < 200 * mebibyte, `it grew by ${growth / mebibyte} MiB`)
})
