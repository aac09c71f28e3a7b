// large.test.mjs: a transaction of 2 GB, ten million first rows and a thousand readers who stand still, and
// what memory the server takes for them. Only with BUSBAR_LARGE=1: it takes some minutes, and 15 GB of disk.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { get as fetchSlowly } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './harness/processes.mjs'
import { RawConnection } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const asked = process.env.BUSBAR_LARGE === '1'
const options = { skip: asked ? false : 'BUSBAR_LARGE=1 asks for it', deadlineMs: 2_400_000 }

const mebibyte = 1 << 20
// What the settings allow by default: BUSBAR_MEMORY_BUDGET, BUSBAR_CACHE_BYTES, RocksDB's write buffers. The
// process itself, and what the allocator keeps, are in it: the budget is never needed whole.
const allowed = (512 + 64 + 64) * mebibyte

const memory = (server, field) =>
  1024 * Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1])

/** Says how large the process was at most; fails if that was too large. */
function expectWithinBudget(server, what) {
  const peak = memory(server, 'VmHWM')
  console.log(`${what}: at most ${Math.round(peak / mebibyte)} MiB resident, now ${Math.round(memory(server, 'VmRSS') / mebibyte)}`)
  assert.ok(peak < allowed, `${what}: ${peak} bytes resident, and ${allowed} are allowed`)
}

/** Reads an answer without keeping it; says how many rows are in it, and how it ends. */
function pass(server, params) {
  return new Promise((resolve, reject) => {
    const request = fetchSlowly({ host: '127.0.0.1', port: server.port, path: target(params), agent: false }, (response) => {
      const mark = '"operation":'
      let rows = 0
      let rest = ''
      response.setEncoding('latin1').on('data', (piece) => {
        const text = rest + piece
        for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) rows++
        rest = text.slice(1 - mark.length)
      })
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, rows, end: rest }))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

/** Goes over a shape to its end, however long it takes until it is there; returns how many rows went by. */
async function passAll(server, shape) {
  let at = { offset: '-1' }
  let rows = 0
  for (;;) {
    const response = await pass(server, { ...shape, ...at })
    if (response.status === 503) {
      await delay(1_000) // PostgreSQL decodes what was written before, of whatever table
      continue
    }
    assert.equal(response.status, 200)
    rows += response.rows
    const { 'electric-handle': handle, 'electric-offset': offset } = response.headers
    if (offset === at.offset) return { rows, handle, offset }
    at = { handle, offset }
  }
}

/** Resolves when PostgreSQL has been told that all up to now is safe. */
async function confirmed(server) {
  const position = await server.walPosition()
  await until(
    async () => {
      await server.query(`SELECT pg_logical_emit_message(true, 'test', '')`)
      const [slot] = await server.query(
        `SELECT confirmed_flush_lsn - '0/0'::pg_lsn AS at FROM pg_replication_slots WHERE slot_name = '${server.slot}'`,
      )
      return BigInt(slot?.at ?? 0) >= position
    },
    () => `${position} to be confirmed`,
    { deadlineMs: 1_200_000, everyMs: 500 },
  )
}

const postgres = asked && (await stagePostgres({ settings: { max_wal_size: '8GB', shared_buffers: '256MB' } }))
const stage = (table) => stageBusbar(postgres, { sql: `CREATE TABLE ${table}`, env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })

scenario(
  'a transaction of 2 GB goes by within the memory budget, and its shape has all of it',
  async ({ cleanup }) => {
    const server = await stage('big (id int PRIMARY KEY, body text)')
    cleanup(() => server.discard())
    const { handle } = await follow(server, { table: 'big' })
    await server.query(`INSERT INTO big SELECT i, repeat(md5(i::text), 31) FROM generate_series(1, 2000000) i`)
    await confirmed(server)
    expectWithinBudget(server, '2 GB in one transaction')
    const all = await passAll(server, { table: 'big' })
    assert.equal(all.handle, handle)
    assert.equal(all.rows, 2_000_000)
    expectWithinBudget(server, '2 GB read again')
  },
  options,
)

scenario(
  'ten million first rows, and a thousand readers of them who stand still, stay within the memory budget',
  async ({ cleanup }) => {
    const server = await stage('many (id int PRIMARY KEY, n int, note text)')
    cleanup(() => server.discard())
    await server.query(`INSERT INTO many SELECT i, i % 1000, 'row ' || i FROM generate_series(1, 10000000) i`)
    const all = await passAll(server, { table: 'many' })
    assert.equal(all.rows, 10_000_000)
    expectWithinBudget(server, 'ten million first rows')
    for (let i = 0; i < 1000; i++) {
      const reader = await RawConnection.open(server.port)
      cleanup(() => reader.destroy())
      reader.socket.pause()
      reader.request('GET', target({ table: 'many', offset: '-1', handle: all.handle }))
    }
    assert.equal((await pass(server, { table: 'many', offset: '-1' })).status, 200) // comes after them all
    const began = Date.now()
    const state = await follow(server, { table: 'many' }, { offset: all.offset, handle: all.handle })
    console.log(`a reader beside them: ${Date.now() - began} ms`)
    const position = await server.walPosition()
    await server.query(`INSERT INTO many VALUES (0, 0, 'last')`)
    await followTo(server, { table: 'many' }, state, position)
    expectWithinBudget(server, 'a thousand readers who stand still')
  },
  options,
)
