// trouble.test.mjs: trouble that may pass is a 503 that says how long to stay away, by its cause, and
// hurts nobody who needs nothing of what is missing (spec §2, §17.2, §17.4).
import assert from 'node:assert/strict'
import { Busbar } from './harness/busbar.mjs'
import { expectCommonHeaders, expectInvalid } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`,
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 20, "existing": 10000}' },
})
const path = target({ table: 'items', offset: '-1' })

/** A connection that the test's end closes. */
async function open(cleanup) {
  const connection = await RawConnection.open(server.port)
  cleanup(() => connection.destroy())
  return connection
}

/** A 503 of this cause. */
function expectTrouble(response, retryAfter, { known = false } = {}) {
  assert.equal(response.status, 503, `${response.status} ${response.text}`)
  assert.equal(response.header('retry-after'), String(retryAfter), response.text)
  assert.equal(response.header('electric-internal-known-error'), known ? 'true' : undefined)
  assert.equal(response.header('content-type'), 'application/json; charset=utf-8')
  assert.equal(response.header('cache-control'), 'no-store')
  assert.equal(response.header('surrogate-control'), 'no-store')
  assert.equal(response.header('electric-handle'), undefined)
  expectCommonHeaders(response)
}

scenario('a database that takes no connections: what exists is served, the rest says when to come back', async ({
  cleanup,
}) => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  const at = { table, offset: state.offset, handle: state.handle }
  const admin = (sql) => postgres.query('postgres', sql)
  const allow = (yes) => admin(`ALTER DATABASE "${server.database}" ALLOW_CONNECTIONS ${yes}`)
  await allow(false)
  cleanup(() => allow(true))
  // The stream is a session of its own and goes on.
  await admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '${server.database}' AND backend_type = 'client backend'`)
  const first = await get(server, { table: 'items', offset: '-1', where: 'id > 1' })
  expectTrouble(first, 1)
  const subset = await get(server, { ...at, subset__where: 'id = 1' })
  expectTrouble(subset, 10)
  const posted = await request(server, target(at), { method: 'POST', body: '{"where":"id = 1"}' })
  expectTrouble(posted, 10) // no cache may keep it either
  assert.deepEqual(Object.keys(subset.json).sort(), ['code', 'error', 'request_id'])
  assert.equal(subset.json.code, 'database_unreachable')
  assert.equal((await get(server, at)).status, 200)
  assert.equal((await get(server, { ...at, live: 'true' })).status, 200)
  await allow(true)
  const healed = { table: 'items', offset: '-1', where: 'id > 1' }
  await until(async () => (await get(server, healed)).status === 200, 'new shapes again')
})

scenario('F39: a snapshot that PostgreSQL refuses is a known error, and no other shape suffers', async () => {
  const database = await postgres.createDatabase()
  await postgres.query(
    database,
    `CREATE ROLE modest LOGIN REPLICATION; GRANT CREATE ON DATABASE "${database}" TO modest;
     CREATE TABLE theirs (id int PRIMARY KEY); CREATE TABLE ours (id int PRIMARY KEY); ALTER TABLE ours OWNER TO modest`,
  )
  const modest = await Busbar.start({ databaseUrl: postgres.url(database, { user: 'modest' }) })
  try {
    const response = await get(modest, { table: 'theirs', offset: '-1' })
    expectTrouble(response, 10, { known: true })
    assert.equal(typeof response.json.message, 'string')
    assert.equal((await get(modest, { table: 'ours', offset: '-1' })).status, 200)
    await postgres.query(database, 'ALTER TABLE theirs OWNER TO modest')
    assert.equal((await get(modest, { table: 'theirs', offset: '-1' })).status, 200, 'it has healed')
  } finally {
    await modest.discard()
  }
})

scenario('what is wrong by itself is said at once, also while the service is not ready', async ({ cleanup }) => {
  await postgres.stop()
  cleanup(async () => {
    await postgres.start()
    await server.active()
  })
  await until(async () => (await server.health())?.status === 'starting', 'the stream to be missed')
  for (const [field, params] of [
    ['offset', { table: 'items' }],
    ['offset', { table: 'items', offset: 'x' }],
    ['handle', { table: 'items', offset: '0_0' }],
    ['live', { table: 'items', offset: '-1', live: 'true' }],
    ['replica', { table: 'items', offset: '-1', replica: 'some' }],
    ['table', { offset: '-1' }],
    ['table', { table: 'a.b.c', offset: '-1' }],
  ]) {
    expectInvalid(await get(server, params), field)
  }
  // Whether these are right only the catalogue knows.
  const unknown = [
    { table: 'unheard_of', offset: '-1' },
    { table: 'items', offset: '-1', where: 'nothing = 1' },
    { table: 'items', offset: '-1', columns: 'id, title' },
  ]
  for (const response of await Promise.all(unknown.map((params) => get(server, params)))) expectTrouble(response, 5)
})

scenario('beyond the limit of first requests there is a 503, and shapes that exist go on', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  // Without PostgreSQL a first request stays for seconds.
  await postgres.stop()
  cleanup(async () => {
    await server.active()
  })
  await until(async () => (await server.health())?.status === 'starting', 'the stream to be missed')
  const waiting = []
  for (let index = 0; index < 20; index++) {
    waiting.push(await open(cleanup))
    waiting.at(-1).request('GET', target({ table: `other${index}`, offset: '-1' }))
  }
  const refused = await until(async () => {
    const response = await request(server, path.replace('items', 'another'), { method: 'POST', body: '{}' })
    return response.json.code === 'concurrent_request_limit_exceeded' && response
  }, 'the limit to be reached')
  assert.equal(refused.status, 503)
  assert.equal(refused.header('cache-control'), 'no-store')
  assert.equal(refused.header('electric-internal-known-error'), 'true')
  assert.ok(Number(refused.header('retry-after')) >= 6 && Number(refused.header('retry-after')) <= 10)
  expectCommonHeaders(refused)
  const going = await get(server, { table, offset: state.offset, handle: state.handle })
  assert.equal(going.status, 200)
  for (const connection of waiting) {
    const response = await connection.readResponse()
    assert.equal(response.status, 503)
    assert.equal(response.header('retry-after'), '5')
    assert.equal(response.header('cache-control'), 'no-store')
    assert.equal(response.header('surrogate-control'), 'no-store')
    assert.equal(typeof response.json.message, 'string')
  }
  await postgres.start()
})
