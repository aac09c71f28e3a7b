// expiry.test.mjs: shapes that go because nobody reads them, or because there are too many; and many that
// are removed at once.
//   BUSBAR_SHAPES=n  more or fewer of these; 100000 is the long run
import assert from 'node:assert/strict'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { Tail } from './harness/tail.mjs'

const postgres = await stagePostgres()
const quick = { BUSBAR_TWEAKS_EXPIRY_PERIOD: '200ms', BUSBAR_LONG_POLL_TIMEOUT: '1s' }

async function metric(server, name) {
  const text = await server.metrics()
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? 0)
}
const expired = (server) => metric(server, 'busbar_shapes_removed_total{reason="expired"}')
const is409 = async (server, table, { handle, offset }) =>
  (await get(server, { table, handle, offset })).status === 409

scenario('a shape that nobody reads expires, one that is followed does not, whatever its clients do', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, { env: { ...quick, BUSBAR_SHAPE_IDLE_TIMEOUT: '2s' } })
  const [idle, polled, streamed] = [
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
  ]
  const tail = await Tail.start(server, { table: polled })
  cleanup(() => tail.stop())
  const held = await follow(server, { table: streamed })
  const abort = new AbortController()
  cleanup(() => abort.abort())
  const stream = await fetch(
    `${server.url}${target({ table: streamed, handle: held.handle, offset: held.offset, live: 'true', live_sse: 'true' })}`,
    { signal: abort.signal },
  )
  assert.equal(stream.status, 200)
  const left = await follow(server, { table: idle })
  await until(async () => (await expired(server)) === 1, 'the shape that nobody reads to go', { deadlineMs: 20_000 })
  assert.ok(await is409(server, idle, left))
  assert.ok(!(await is409(server, streamed, held)))
  await server.query(`INSERT INTO ${polled} VALUES (2)`)
  await until(() => (tail.check(), tail.rows.length === 2), 'the follower to go on')
  assert.notEqual((await follow(server, { table: idle })).handle, left.handle)
})

scenario('beyond the number of shapes those go that were not read for the longest time, also after a restart', async () => {
  const server = await stageBusbar(postgres, { env: quick })
  const table = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const shapes = []
  for (let i = 0; i < 6; i++) shapes.push(await follow(server, { table, where: `id > ${i}` }))
  const second = Math.floor(Date.now() / 1000)
  await until(() => Math.floor(Date.now() / 1000) > second + 1, 'another second')
  for (const kept of [4, 1]) await follow(server, { table, where: `id > ${kept}` })
  const seconds = Math.floor(Date.now() / 1000)
  await until(() => Math.floor(Date.now() / 1000) > seconds + 1, 'what was read to be noted')
  await server.kill9()
  server.environment.BUSBAR_MAX_SHAPES = '2'
  await server.start()
  await until(async () => (await expired(server)) === 4, () => `four to go:\n${server.output()}`, { deadlineMs: 20_000 })
  for (const [i, shape] of shapes.entries()) {
    const answer = await get(server, { table, where: `id > ${i}`, handle: shape.handle, offset: shape.offset })
    assert.equal(answer.status, i === 1 || i === 4 ? 200 : 409, `shape ${i}`)
  }
})

scenario('beyond the bytes to keep the largest unread go until the rest fits', async () => {
  const server = await stageBusbar(postgres, { env: { ...quick, BUSBAR_MAX_STORAGE_BYTES: '1MB' } })
  const large = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${large} SELECT i, repeat('x', 10000) FROM generate_series(1, 200) i`)
  const gone = await follow(server, { table: large })
  const small = await newTable(server, 'id int PRIMARY KEY', '(1)')
  await until(async () => (await expired(server)) === 1, 'the large shape to go', { deadlineMs: 20_000 })
  const kept = await follow(server, { table: small })
  assert.ok(await is409(server, large, gone))
  assert.ok(!(await is409(server, small, kept)))
})

const count = Number(process.env.BUSBAR_SHAPES ?? 1_000)
scenario('F49, F58: a thousand shapes are removed at once, time and again, while another goes on; memory stays', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, {
    env: { ...quick, BUSBAR_ENABLE_INTEGRATION_TESTING: 'true', BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial":2000,"existing":10000}' },
  })
  const table = await newTable(server, 'id int PRIMARY KEY, body text', `(0, 'first')`)
  const tail = await Tail.start(server, { table })
  cleanup(() => tail.stop())
  const resident = []
  let row = 0
  for (let round = 0; round < 3; round++) {
    const handles = []
    for (let from = 0; from < count; from += 100)
      handles.push(
        ...(await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            const answer = await get(server, { table, where: `id = ${-1 - from - i}`, offset: '-1', log: 'changes_only' })
            assert.equal(answer.status, 200)
            return answer.header('electric-handle')
          }),
        )),
      )
    const writes = (async () => {
      for (let i = 0; i < 20; i++) await server.query(`INSERT INTO ${table} VALUES (${++row}, 'more')`)
    })()
    for (let from = 0; from < count; from += 50)
      await Promise.all(
        handles.slice(from, from + 50).map(async (handle) => {
          const answer = await request(server, target({ handle }), { method: 'DELETE' })
          assert.equal(answer.status, 202)
        }),
      )
    await writes
    await until(() => (tail.check(), tail.rows.length === row + 1), 'every row to have come')
    await until(async () => (await metric(server, 'busbar_shapes')) === 1, 'the shapes to be gone', { deadlineMs: 15_000 + count })
    const { readFileSync } = await import('node:fs')
    resident.push(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]))
  }
  // The first rounds fill caches and write buffers.
  assert.ok(resident[2] < resident[1] * 1.25, `${resident.join(', ')} KiB`)
  await server.restart()
  await server.query(`INSERT INTO ${table} VALUES (${++row}, 'last')`)
  await until(() => (tail.check(), tail.rows.length === row + 1), 'the row after the restart')
  assert.equal(await metric(server, 'busbar_shapes'), 1)
}, { deadlineMs: 60_000 + 20 * count })
