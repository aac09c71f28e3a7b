// removal.test.mjs: shapes that go away: DELETE, and why one went, for whoever reads logs and metrics
// (spec §14, §16).
import assert from 'node:assert/strict'
import { expectInvalid, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' } })
const plain = await stageBusbar(postgres)

async function metric(name) {
  const text = await server.metrics()
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? 0)
}

/** The answer to a live request that waits for news, as a promise in an object. */
async function parked({ handle, offset }, table, where) {
  const answer = get(server, { table, where, handle, offset, live: 'true' })
  await until(async () => (await metric('busbar_waiting_readers')) === 1, 'the reader to wait')
  return { answer }
}

const remove = (params) => request(server, target(params), { method: 'DELETE' })

scenario('DELETE removes a shape by its handle and wakes its readers', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  const { answer } = await parked(state, table)
  const removed = await remove({ handle: state.handle })
  assert.equal(removed.status, 202)
  assert.equal(removed.body.length, 0)
  assert.equal(removed.header('cache-control'), 'no-cache')
  expectMustRefetch(await answer, { handle: false })
  const next = expectMustRefetch(await get(server, { table, offset: state.offset, handle: state.handle }), {
    handle: true,
  })
  assert.notEqual(next, state.handle)
  assert.equal((await follow(server, { table })).handle, next)
  assert.equal((await remove({ handle: state.handle })).status, 404)
  expectInvalid(await remove({}), 'handle', { method: 'DELETE' })
})

scenario('DELETE removes a shape by its definition, alone or with its handle', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  let { handle } = await follow(server, { table })
  assert.equal((await remove({ table, columns: 'id,title' })).status, 404)
  const mismatch = await remove({ table, handle: 'not-this-one' })
  assert.equal(mismatch.status, 400)
  assert.deepEqual(Object.keys(mismatch.json), ['message'])
  assert.equal(mismatch.header('cache-control'), 'no-cache')
  assert.equal((await remove({ table })).status, 202)
  assert.equal((await remove({ handle })).status, 404)
  const next = await follow(server, { table })
  assert.notEqual(next.handle, handle)
  handle = next.handle
  assert.equal((await remove({ table, handle })).status, 202)
  assert.notEqual((await follow(server, { table })).handle, handle)
})

scenario('DELETE looks at the parameters of GET, but takes live as a strict boolean', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle } = await follow(server, { table })
  for (const [field, params] of [
    ['live', { live: 'maybe' }],
    ['live_sse', { live_sse: 'yes' }],
    ['replica', { replica: 'some' }],
    ['log', { log: 'none' }],
    ['table', { table: 'a.b.c' }],
    ['columns', { table, columns: 'id, title' }],
    ['params', { table, where: 'id = $1', params: 'x' }],
    ['handle', { handle: ' ' }],
  ]) {
    expectInvalid(await remove({ handle, ...params }), field, { method: 'DELETE' })
  }
  // A position means nothing to it.
  const done = await remove({ handle, live: '1', live_sse: 'false', offset: 'bad' })
  assert.equal(done.status, 202)
  assert.equal(done.header('electric-has-data'), 'true')
  assert.equal(done.header('electric-handle'), undefined)
  const unknown = await remove({ handle })
  assert.equal(unknown.status, 404)
  assert.equal(typeof unknown.json.message, 'string')
})

scenario('DELETE refuses a definition as GET does, in the same words, and makes no shape of a good one', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle } = await follow(server, { table })
  const made = await metric('busbar_shapes_created_total')
  for (const [field, params] of [
    ['where', { table, where: 'id = ' }],
    ['where', { table, where: '1 x 1' }],
    ['where', { table, where: 'no_such_column = 1' }],
    ['where', { table, where: 'id' }],
    ['params', { table, where: 'id = $1', 'params[1]': 'one' }],
    ['columns', { table, columns: 'id,nothing' }],
    ['columns', { table, columns: 'title' }],
    ['columns', { table, columns: 'id, title' }],
    ['queryable_columns', { table, queryable_columns: 'id,nothing' }],
    ['table', { table: 'nothing_here' }],
    ['table', { table: 'nothing_here', columns: 'id, title', where: 'id = ' }],
  ]) {
    const refused = expectInvalid(await remove({ handle, ...params }), field, { method: 'DELETE' })
    assert.deepEqual(refused, expectInvalid(await get(server, { offset: '-1', ...params }), field))
  }
  const missing = await remove({ table, where: 'id = $1' })
  assert.equal(missing.status, 400)
  assert.deepEqual(missing.json, (await get(server, { table, offset: '-1', where: 'id = $1' })).json)
  for (let round = 0; round < 2; round++) assert.equal((await remove({ table, where: 'id > 1' })).status, 404)
  assert.equal(await metric('busbar_shapes_created_total'), made)
  assert.equal((await follow(server, { table })).handle, handle, 'the shape that was there is still there')
})

scenario('why a shape went away, and what its readers were told, is in the log and in the metrics', async () => {
  const endings = {
    truncated: [(table) => `TRUNCATE ${table}`, 'the table was truncated'],
    schema: [(table) => `ALTER TABLE ${table} DROP COLUMN note; INSERT INTO ${table} VALUES (9, 'nine', true)`, 'column'],
    publication: [
      (table) => `ALTER TABLE ${table} REPLICA IDENTITY DEFAULT; UPDATE ${table} SET title = 'x' WHERE id = 1`,
      'REPLICA IDENTITY FULL',
    ],
    clause: [(table) => `INSERT INTO ${table} VALUES (0, 'zero', true)`, 'cannot be evaluated', '10 / id > 0'],
    deleted: [undefined, 'a client asked for it'],
  }
  const removed = (reason) => metric(`busbar_shapes_removed_total{reason="${reason}"}`)
  const told = (reason) => metric(`busbar_must_refetch_total{reason="${reason}"}`)
  for (const [reason, [sql, words, where]] of Object.entries(endings)) {
    const table = await newTable(server, itemColumns, itemRows)
    const state = await follow(server, { table, where })
    const before = { removed: await removed(reason), waiting: await told('removed'), late: await told('handle') }
    const { answer } = await parked(state, table, where)
    if (sql) await server.query(sql(table))
    else await remove({ table })
    expectMustRefetch(await answer, { handle: false })
    expectMustRefetch(await get(server, { table, where, offset: '0_0', handle: state.handle }), { handle: true })
    await until(async () => (await removed(reason)) === before.removed + 1, `one more ${reason}`)
    assert.equal(await told('removed'), before.waiting + 1, reason)
    assert.equal(await told('handle'), before.late + 1, reason)
    const said = (text) => text.includes(`shape ${state.handle} `)
    const line = await until(() => server.output(400).split('\n').find(said), 'a line in the log')
    assert.ok(line.includes(words), line)
  }
})

scenario('DELETE is refused unless integration testing is enabled', async () => {
  const response = await request(plain, target({ table: 'items' }), { method: 'DELETE' })
  assert.equal(response.status, 405)
  assert.equal(typeof response.json.message, 'string')
})
