// catalog.test.mjs: what the stream does not tell (a table that is dropped, recreated, or leaves the
// publication), and what is served while PostgreSQL is away.
import assert from 'node:assert/strict'
import { expectInvalid, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms' },
})

/** Waits until a reader at `state` is told to start again. */
async function untilGone(table, state) {
  const response = await until(async () => {
    const answer = await get(server, { table, offset: state.offset, handle: state.handle })
    return answer.status === 200 ? undefined : answer
  }, 'the old handle to be refused')
  return response
}

scenario('a table that is dropped and created anew is followed anew', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  assert.equal(before.checker.rows.size, 3)
  await server.query(`DROP TABLE ${table}; CREATE TABLE ${table} (${itemColumns});
    INSERT INTO ${table} VALUES (42, 'new', true, NULL)`)
  const next = expectMustRefetch(await untilGone(table, before), { handle: true })
  assert.notEqual(next, before.handle)
  const after = await follow(server, { table })
  assert.deepEqual(
    [...after.checker.rows.values()].map((row) => row.id),
    ['42'],
  )
})

scenario('a table that is dropped is refused by name', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  await server.query(`DROP TABLE ${table}`)
  expectInvalid(await untilGone(table, before), 'table')
})

scenario('a table that leaves the publication is not followed silently', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  await server.query(`ALTER PUBLICATION ${pubname} DROP TABLE ${table}`)
  await server.query(`INSERT INTO ${table} VALUES (50, 'unseen', true, NULL)`)
  expectMustRefetch(await untilGone(table, before), { handle: true })
  const after = await follow(server, { table })
  assert.equal(after.checker.rows.size, 4)
})

scenario('a table dropped while the server is down is noticed at its start', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  await server.kill9()
  await server.query(`DROP TABLE ${table}; CREATE TABLE ${table} (${itemColumns})`)
  await server.start()
  await untilGone(table, before)
  assert.equal((await follow(server, { table })).checker.rows.size, 0)
})

scenario('shapes on disk are served at every offset after a restart without PostgreSQL', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  const last = (response) => BigInt(JSON.parse(response.body).at(-1).headers.global_last_seen_lsn)
  const told = last(await get(server, { table, offset: before.offset, handle: before.handle }))
  await server.kill9()
  await postgres.stop()
  try {
    await server.start({ wait: false })
    await until(async () => {
      try {
        return (await get(server, { table, offset: '-1' })).status === 200
      } catch {
        return false // not listening yet
      }
    }, 'the snapshot to be served')
    assert.equal((await get(server, { table, offset: 'now' })).status, 200)
    const answer = await get(server, { table, offset: before.offset, handle: before.handle })
    assert.equal(answer.status, 200)
    assert.ok(last(answer) > 0n && last(answer) <= told)
    const refused = await get(server, { table: 'something_else', offset: '-1' })
    assert.equal(refused.status, 503)
    assert.ok(refused.header('retry-after'))
    assert.ok(!refused.body.toString().includes('127.0.0.1'), 'the body names no host')
  } finally {
    await postgres.start()
  }
  await server.active()
  await server.query(`INSERT INTO ${table} VALUES (60, 'later', true, NULL)`)
  await until(async () => (await follow(server, { table })).checker.rows.size === 4, 'the stream to go on')
})
