// subquery-clients.test.mjs: the unmodified clients on shapes with subqueries: @electric-sql/client
// passes moves on and does not stumble, TanStack DB shows and hides the rows.
import './harness/globals.mjs'
import assert from 'node:assert/strict'
import { Shape, ShapeStream } from '@electric-sql/client'
import { createCollection } from '@tanstack/db'
import { electricCollectionOptions } from '@tanstack/electric-db-collection'
import { quickRetries } from './harness/clients.mjs'
import { until, within } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

// The long poll keeps its 20 s: a move that does not wake a waiting client fails its test.
const postgres = await stagePostgres()
const server = await stageBusbar(postgres)
const patienceMs = 15_000

async function world() {
  const tasks = await newTable(
    server,
    'id int PRIMARY KEY, ref int, owner int, title text',
    `(1,1,1,'a'), (2,2,1,'b'), (3,NULL,2,'c'), (4,1,2,'d')`,
  )
  const teams = await newTable(server, 'id int PRIMARY KEY, open bool', '(1,true), (2,false)')
  const owners = await newTable(server, 'id int PRIMARY KEY, open bool', '(1,true), (2,true)')
  return { tasks, teams, owners, where: `ref IN (SELECT id FROM ${teams} WHERE open)` }
}

async function selectIds(table, where) {
  const rows = await server.query(`SELECT id FROM ${table} WHERE ${where} ORDER BY id`)
  return rows.map(({ id }) => Number(id))
}

for (const liveSse of [false, true]) {
  const form = liveSse ? 'server-sent events' : 'long polls'
  scenario(`ShapeStream hands on moves and goes on, by ${form}`, async ({ cleanup }) => {
    const { tasks, teams, where } = await world()
    const abort = new AbortController()
    cleanup(() => abort.abort())
    const messages = []
    const errors = []
    const stream = new ShapeStream({
      url: server.shapeUrl,
      params: { table: tasks, where },
      signal: abort.signal,
      backoffOptions: quickRetries,
      liveSse,
      onError: (error) => void errors.push(error),
    })
    stream.subscribe((batch) => messages.push(...batch))
    const shape = new Shape(stream)
    const ids = () => shape.currentRows.map(({ id }) => id).sort()
    const has = (what, condition) =>
      until(condition, () => `${what}: ${JSON.stringify(messages.slice(-4))}, errors ${errors.map(String)}`, { deadlineMs: patienceMs })
    const events = (name) => messages.filter(({ headers }) => headers.event === name)

    assert.deepEqual((await within(shape.rows, patienceMs, 'the first rows')).map(({ id }) => id).sort(), [1, 4])
    await server.query(`UPDATE ${teams} SET open = true WHERE id = 2`)
    await has('the rows of a move-in', () => ids().join() === '1,2,4')
    assert.equal(events('move-in').length, 1)
    const moved = messages.find(({ headers }) => headers.is_move_in)
    assert.equal(moved.value.id, 2)
    assert.deepEqual(moved.headers.tags, [events('move-in')[0].headers.patterns[0].value])

    await server.query(`UPDATE ${teams} SET open = false WHERE id = 1`)
    await has('the move-out', () => events('move-out').length === 1)
    // This client keeps rows that only an event takes away; what it holds besides must go on being right.
    await server.query(`UPDATE ${tasks} SET title = 'B' WHERE id = 2; INSERT INTO ${tasks} VALUES (9, 2, 1, 'new')`)
    await has('changes after a move-out', () => ids().includes(9) && shape.currentRows.find(({ id }) => id === 2).title === 'B')
    const gone = new Set(events('move-out')[0].headers.patterns.map(({ value }) => value))
    const tagged = new Map(messages.filter(({ headers }) => headers.tags).map(({ value, headers }) => [value.id, headers.tags]))
    const kept = ids().filter((id) => !tagged.get(id).every((tag) => gone.has(tag)))
    assert.deepEqual(kept, await selectIds(tasks, where), 'the tags tell which rows those are')
    assert.deepEqual(errors, [])
    assert.ok(stream.isConnected())
  })
}

/** A collection of the shape's rows; shows(condition) waits for exactly the rows that SELECT finds. */
function collect(cleanup, { tasks, where, syncMode = 'eager' }) {
  const collection = createCollection(
    electricCollectionOptions({
      id: `${tasks}-${syncMode}`,
      getKey: (row) => row.id,
      syncMode,
      shapeOptions: { url: server.shapeUrl, params: { table: tasks, where }, backoffOptions: quickRetries },
    }),
  )
  cleanup(() => collection.cleanup())
  const ids = () => collection.toArray.map(({ id }) => id).sort((a, b) => a - b)
  const shows = async (what) => {
    const want = (await selectIds(tasks, where)).join()
    await until(
      () => collection.isReady() && ids().join() === want,
      () => `${what}: ${collection.status}, has ${ids()}, wants ${want}`,
      { deadlineMs: patienceMs },
    )
  }
  return { collection, shows }
}

for (const syncMode of ['eager', 'progressive']) {
  scenario(`TanStack DB (${syncMode}) shows rows that move in and removes those that move out`, async ({ cleanup }) => {
    const { tasks, teams, where } = await world()
    const { collection, shows } = collect(cleanup, { tasks, where, syncMode })
    await within(collection.preload(), patienceMs, 'the first rows')
    await shows('the first rows')
    for (const statement of [
      `UPDATE ${teams} SET open = true WHERE id = 2`,
      `UPDATE ${teams} SET open = false WHERE id = 1`,
      `UPDATE ${teams} SET open = NOT open`,
      `INSERT INTO ${tasks} VALUES (5, 1, 1, 'e'), (6, 2, 1, 'f')`,
      `UPDATE ${tasks} SET ref = 2 WHERE id = 5`,
      `BEGIN; UPDATE ${teams} SET open = true; UPDATE ${tasks} SET ref = 1 WHERE id = 6; COMMIT`,
      `DELETE FROM ${teams} WHERE id = 1`,
      `UPDATE ${tasks} SET id = 50 WHERE id = 5`,
      `DELETE FROM ${teams}`,
      `INSERT INTO ${teams} VALUES (1, true)`,
    ]) {
      await server.query(statement)
      await shows(statement)
    }
  })
}

scenario('TanStack DB removes a row whose tags changed on one side of two subqueries only', async ({ cleanup }) => {
  const { tasks, teams, owners } = await world()
  const where = `ref IN (SELECT id FROM ${teams} WHERE open) AND owner IN (SELECT id FROM ${owners} WHERE open)`
  const { collection, shows } = collect(cleanup, { tasks, where })
  await within(collection.preload(), patienceMs, 'the first rows')
  for (const statement of [
    `UPDATE ${teams} SET open = true`,
    `UPDATE ${tasks} SET owner = 2 WHERE id = 1`,
    `UPDATE ${tasks} SET title = 'same tags' WHERE id = 1`,
    `UPDATE ${tasks} SET ref = 2 WHERE id = 1`,
    `UPDATE ${owners} SET open = false WHERE id = 1`,
    `UPDATE ${teams} SET open = false WHERE id = 2`,
    `UPDATE ${owners} SET open = true WHERE id = 1`,
    `UPDATE ${teams} SET open = NOT open`,
  ]) {
    await server.query(statement)
    await shows(statement)
  }
})

scenario('TanStack DB awaits the transaction that only moved rows', async ({ cleanup }) => {
  const { tasks, teams, where } = await world()
  const { collection, shows } = collect(cleanup, { tasks, where })
  await within(collection.preload(), patienceMs, 'the first rows')
  for (const statement of [`UPDATE ${teams} SET open = true WHERE id = 2`, `UPDATE ${teams} SET open = false WHERE id = 2`]) {
    const [{ txid }] = await server.query(`${statement} RETURNING pg_current_xact_id()::xid::text AS txid`)
    await collection.utils.awaitTxId(Number(txid), patienceMs)
    await shows(statement)
  }
})
