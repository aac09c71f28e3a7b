// catalog.test.mjs: what the stream does not tell (a table or partition that is dropped, detached,
// recreated, or leaves the publication), and what is served while PostgreSQL is away.
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

scenario('F42: a table that leaves the publication is not followed silently', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  await server.query(`ALTER PUBLICATION ${pubname} DROP TABLE ${table}`)
  await server.query(`INSERT INTO ${table} VALUES (50, 'unseen', true, NULL)`)
  expectMustRefetch(await untilGone(table, before), { handle: true })
  const after = await follow(server, { table })
  assert.equal(after.checker.rows.size, 4)
})

scenario('a table that leaves the publication and comes back is not followed silently', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  await server.query(`ALTER PUBLICATION ${pubname} DROP TABLE ${table}; INSERT INTO ${table} VALUES (50, 'unseen', true, NULL)`)
  await server.query(`ALTER PUBLICATION ${pubname} ADD TABLE ${table}`)
  expectMustRefetch(await untilGone(table, before), { handle: true })
  assert.equal((await follow(server, { table })).checker.rows.size, 4)
})

scenario('F42: a publication that withholds something, even for a moment, ends what it concerns', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  const publish = (what) => server.query(`ALTER PUBLICATION ${pubname} SET (publish = '${what}')`)
  await publish('insert, update, truncate')
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  await publish('insert, update, delete, truncate')
  expectMustRefetch(await untilGone(table, before), { handle: true })
  assert.equal((await follow(server, { table })).checker.rows.size, 2)
})

scenario('electric-schema follows a table that nobody writes to, and remembers it', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  await server.query(`ALTER TABLE ${table} ALTER title DROP NOT NULL, ALTER note SET DEFAULT 'x'`)
  const followed = async () => {
    const answer = await get(server, { table, offset: before.offset, handle: before.handle })
    assert.equal(answer.status, 200)
    return JSON.parse(answer.header('electric-schema')).title.not_null === undefined
  }
  await until(followed, 'the NOT NULL to disappear')
  await server.kill9()
  await postgres.stop()
  try {
    await server.start({ wait: false })
    await until(async () => followed().catch(() => false), 'the same without PostgreSQL')
  } finally {
    await postgres.start()
  }
  await server.active()
})

scenario('an enum whose label is renamed ends the shapes that show it, one that grows does not', async () => {
  await server.query(`CREATE TYPE mood AS ENUM ('sad', 'ok')`)
  const table = await newTable(server, 'id int PRIMARY KEY, state mood', `(1, 'ok')`)
  const [all, ids] = [await follow(server, { table }), await follow(server, { table, columns: 'id,state' })]
  await server.query(`ALTER TYPE mood ADD VALUE 'fine'`)
  await server.query(`INSERT INTO ${table} VALUES (2, 'fine')`)
  await follow(server, { table }, all)
  await server.query(`ALTER TYPE mood RENAME VALUE 'ok' TO 'good'`)
  expectMustRefetch(await untilGone(table, all), { handle: true })
  const state = await follow(server, { table, columns: 'id,state' })
  assert.notEqual(state.handle, ids.handle)
  assert.deepEqual([...state.checker.rows.values()], [{ id: '1', state: 'good' }, { id: '2', state: 'fine' }])
})

const silent = {
  'a column is added to a table of which all are wanted': [(t) => `ALTER TABLE ${t} ADD extra int`, 409],
  'a generated column is added to it': [(t) => `ALTER TABLE ${t} ADD loud text GENERATED ALWAYS AS (upper(title)) STORED`, 400],
  'a selected column is retyped': [(t) => `ALTER TABLE ${t} ALTER note TYPE varchar`, 409],
  'the table moves to another schema': [(t) => `CREATE SCHEMA IF NOT EXISTS elsewhere; ALTER TABLE ${t} SET SCHEMA elsewhere`, 400],
  'the table gets a child by inheritance': [(t) => `CREATE TABLE ${t}_child () INHERITS (${t})`, 400],
}
for (const [what, [change, status]] of Object.entries(silent)) {
  scenario(`without any change in its rows a shape ends when ${what}`, async () => {
    const table = await newTable(server, itemColumns, itemRows)
    const before = await follow(server, { table })
    await server.query(change(table))
    assert.equal((await untilGone(table, before)).status, status)
  })
}

scenario('F44: a REPLICA IDENTITY that is taken away is given back', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const before = await follow(server, { table })
  await server.query(`ALTER TABLE ${table} REPLICA IDENTITY DEFAULT`)
  const identity = async () => (await server.query(`SELECT relreplident FROM pg_class WHERE relname = '${table}'`))[0].relreplident
  await until(async () => (await identity()) === 'f', 'the identity')
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  await until(async () => {
    const answer = await get(server, { table, offset: before.offset, handle: before.handle })
    assert.equal(answer.status, 200)
    return answer.text.includes('"operation":"delete"')
  }, 'the delete')
})

let trees = 0

/** A root with a row in each of its leaves `low` and `high`. */
async function newTree() {
  const root = `tree${++trees}`
  await server.query(`CREATE TABLE ${root} (id int PRIMARY KEY, title text) PARTITION BY RANGE (id);
    CREATE TABLE ${root}_low PARTITION OF ${root} FOR VALUES FROM (0) TO (10);
    CREATE TABLE ${root}_high PARTITION OF ${root} FOR VALUES FROM (10) TO (20);
    INSERT INTO ${root} VALUES (1, 'low'), (11, 'high')`)
  return root
}
const idsOf = async (table) => [...(await follow(server, { table })).checker.rows.values()].map((row) => row.id).sort().join()

for (const [what, statement] of Object.entries({ detached: 'ALTER TABLE $ DETACH PARTITION $_low', dropped: 'DROP TABLE $_low' })) {
  scenario(`the rows of a partition that is ${what} leave the root`, async () => {
    const root = await newTree()
    const before = await follow(server, { table: root })
    const high = await follow(server, { table: `${root}_high` })
    await server.query(statement.replaceAll('$', root))
    expectMustRefetch(await untilGone(root, before), { handle: true })
    assert.equal(await idsOf(root), '11')
    const sibling = await get(server, { table: `${root}_high`, offset: high.offset, handle: high.handle })
    assert.equal(sibling.status, 200, 'its sibling goes on')
  })
}

scenario('a leaf that is detached is not streamed with its root any more, and begins anew', async () => {
  const root = await newTree()
  await follow(server, { table: root })
  const leaf = await follow(server, { table: `${root}_low` })
  await server.query(`ALTER TABLE ${root} DETACH PARTITION ${root}_low; INSERT INTO ${root}_low VALUES (2, 'unseen')`)
  expectMustRefetch(await untilGone(`${root}_low`, leaf), { handle: true })
  assert.equal(await idsOf(`${root}_low`), '1,2')
})

scenario('the rows of a table that is attached come to the root', async () => {
  const root = await newTree()
  const before = await follow(server, { table: root })
  await server.query(`CREATE TABLE ${root}_more (id int NOT NULL, title text); INSERT INTO ${root}_more VALUES (21, 'more')`)
  await server.query(`ALTER TABLE ${root} ATTACH PARTITION ${root}_more FOR VALUES FROM (20) TO (30)`)
  expectMustRefetch(await untilGone(root, before), { handle: true })
  assert.equal(await idsOf(root), '1,11,21')
})

scenario('a partition that is made ends nothing, and has its identity before the first row', async () => {
  const root = await newTree()
  const before = await follow(server, { table: root })
  await server.query(`CREATE TABLE ${root}_more PARTITION OF ${root} FOR VALUES FROM (20) TO (30)`)
  const identity = async () => (await server.query(`SELECT relreplident FROM pg_class WHERE relname = '${root}_more'`))[0].relreplident
  await until(async () => (await identity()) === 'f', 'the identity')
  await server.query(`INSERT INTO ${root} VALUES (21, 'more'); UPDATE ${root} SET title = 'changed' WHERE id = 21`)
  await until(async () => {
    const answer = await get(server, { table: root, offset: before.offset, handle: before.handle })
    assert.equal(answer.status, 200)
    return answer.text.includes('changed')
  }, 'its rows')
})

scenario('a partition dropped while the server is down is noticed at its start', async () => {
  const root = await newTree()
  const before = await follow(server, { table: root })
  await server.query(`CREATE TABLE ${root}_more PARTITION OF ${root} FOR VALUES FROM (20) TO (30); INSERT INTO ${root} VALUES (21, 'more')`)
  const next = await until(async () => {
    const state = await follow(server, { table: root }, { offset: before.offset, handle: before.handle, checker: before.checker })
    before.offset = state.offset
    return before.checker.rows.size === 3 && state
  }, 'the row in the new partition')
  await server.kill9()
  await server.query(`DROP TABLE ${root}_more`)
  await server.start()
  await untilGone(root, next)
  assert.equal(await idsOf(root), '1,11')
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

scenario('F07: shapes on disk are served at every offset after a restart without PostgreSQL', async () => {
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
