// pglite.test.mjs: shapes kept in PGlite tables by the unmodified @electric-sql/pglite-sync: first
// rows and changes, transactions over several shapes, restarts of both sides, refetches.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { live } from '@electric-sql/pglite/live'
import { electricSync } from '@electric-sql/pglite-sync'
import { quickRetries } from './harness/clients.mjs'
import { scratchDirectory, until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

// The long poll keeps its 20 s: a change that does not wake a waiting client fails its test. Chunks keep
// their size, too: the client that the plugin brings along (1.0) never asks again when a refresh, of which
// the plugin makes many, meets its reading ahead in a log of several chunks.
const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' } })
const restarted = await stageBusbar(postgres)

async function newPglite(dataDir) {
  const pg = await PGlite.create({ dataDir, extensions: { electric: electricSync(), live } })
  await pg.exec('SET TimeZone = UTC')
  return pg
}

// One for all tests, because it takes seconds to make; one of them ends it and starts it again.
const dataDir = join(scratchDirectory('pglite'), 'data')
let pg = await newPglite(dataDir)
after(() => pg.close())

/** A shape for the plugin; `seen` collects the offsets and handles of its requests. */
function shapeOf(at, table, { seen, fetchClient = fetch, ...params } = {}) {
  return {
    url: at.shapeUrl,
    params: { table, ...params },
    backoffOptions: quickRetries,
    fetchClient: (url, init) => {
      const query = new URL(url).searchParams
      seen?.push({ offset: query.get('offset'), handle: query.get('handle') })
      return fetchClient(url, init)
    },
  }
}

const failOn = (errors) => (error) => errors.push(error)

/** All rows as PostgreSQL's own texts, in the order of their ids. */
const rowsQuery = (table) => `SELECT t::text AS row FROM ${table} t ORDER BY id`

async function settles(pg, at, tables, errors, what, deadlineMs = 20_000) {
  const expected = []
  for (const table of tables) expected.push((await at.query(rowsQuery(table))).map(({ row }) => row))
  let present
  await until(
    async () => {
      assert.deepEqual(errors.map(String), [])
      present = []
      for (const table of tables) present.push((await pg.query(rowsQuery(table))).rows.map(({ row }) => row))
      return JSON.stringify(present) === JSON.stringify(expected)
    },
    () => `${what}: ${JSON.stringify(present).slice(0, 1000)}, not ${JSON.stringify(expected).slice(0, 1000)}`,
    { deadlineMs },
  )
}

const columns = 'id int4 PRIMARY KEY, title text, done bool NOT NULL, price numeric(20,6), at timestamptz'
const rows = `
  SELECT i, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'a "b", ' || i ELSE E'ünï\\n' || repeat('x', i) END,
    i % 3 = 0, i * 1.000001, timestamptz '2026-01-01 12:00:00.123456+02' + i * interval '1 hour'
  FROM generate_series(1, 300) i`

for (const initialInsertMethod of ['insert', 'json', 'csv']) {
  scenario(`one shape into one table, first rows by ${initialInsertMethod}`, async ({ cleanup }) => {
    const table = await newTable(server, columns)
    // Through csv the plugin cannot carry NULL beside the empty text: that is its own limit.
    await server.query(
      `INSERT INTO ${table} ${rows}; ${initialInsertMethod === 'csv' ? `DELETE FROM ${table} WHERE id % 5 < 2` : ''}`,
    )
    await pg.exec(`CREATE TABLE ${table} (${columns})`)
    const errors = []
    let initialSyncs = 0
    const sync = await pg.electric.syncShapeToTable({
      shape: shapeOf(server, table),
      table,
      primaryKey: ['id'],
      shapeKey: null,
      initialInsertMethod,
      onInitialSync: () => initialSyncs++,
      onError: failOn(errors),
    })
    cleanup(() => sync.unsubscribe())
    await settles(pg, server, [table], errors, 'the first rows')
    await until(() => initialSyncs > 0, 'onInitialSync')

    await server.query(
      `INSERT INTO ${table} VALUES (1000, 'new', true, NULL, NULL); UPDATE ${table} SET title = NULL, price = -1 WHERE id % 7 = 0;
       DELETE FROM ${table} WHERE id % 11 = 0`,
    )
    await server.query(
      `BEGIN; UPDATE ${table} SET done = NOT done; DELETE FROM ${table} WHERE id < 20;
       INSERT INTO ${table} VALUES (5, 'again', false, 0.5, now()); COMMIT; UPDATE ${table} SET id = 2000 WHERE id = 1000`,
    )
    await settles(pg, server, [table], errors, 'the changes')
    assert.equal(initialSyncs, 1)
  })
}

scenario('a shape of some rows and columns, mapped to other names', async ({ cleanup }) => {
  const table = await newTable(server, columns)
  await server.query(`INSERT INTO ${table} ${rows}`)
  await pg.exec(`CREATE TABLE mine (number int PRIMARY KEY, label text)`)
  const errors = []
  const sync = await pg.electric.syncShapeToTable({
    shape: shapeOf(server, table, { where: `done = true AND id > $1`, params: ['100'], columns: ['id', 'title'] }),
    table: 'mine',
    mapColumns: { number: 'id', label: 'title' },
    primaryKey: ['number'],
    shapeKey: null,
    onError: failOn(errors),
  })
  cleanup(() => sync.unsubscribe())
  const agree = async (what) => {
    const expected = await server.query(
      `SELECT id::text AS number, title AS label FROM ${table} WHERE done AND id > 100 ORDER BY id`,
    )
    await until(async () => {
      assert.deepEqual(errors.map(String), [])
      const { rows } = await pg.query('SELECT number::text, label FROM mine ORDER BY mine.number')
      return JSON.stringify(rows) === JSON.stringify(expected)
    }, what)
  }
  await agree('the first rows')
  await server.query(
    `UPDATE ${table} SET done = NOT done WHERE id % 2 = 0; UPDATE ${table} SET title = 'x' WHERE id = 111`,
  )
  await agree('rows that moved in and out')
})

/** Parents with children; every parent names how many children it has and their sum. */
const family = {
  parents: 'id int4 PRIMARY KEY, n int4 NOT NULL, total int4 NOT NULL',
  children: 'id int4 PRIMARY KEY, parent int4 NOT NULL, amount int4 NOT NULL',
  broken: (parents, children) => `
    SELECT coalesce(p.id, c.parent) AS id, p.n, p.total, c.n AS present, c.total AS sum
    FROM ${parents} p
    FULL JOIN (SELECT parent, count(*) AS n, sum(amount) AS total FROM ${children} GROUP BY parent) c ON c.parent = p.id
    WHERE (p.n, p.total) IS DISTINCT FROM (coalesce(c.n, 0), coalesce(c.total, 0)) ORDER BY 1`,
}

async function stageFamily(at, pg) {
  const parents = await newTable(at, family.parents)
  const children = await newTable(at, family.children)
  await at.query(
    `INSERT INTO ${parents} SELECT i, 2, i FROM generate_series(1, 20) i;
     INSERT INTO ${children} SELECT 100 * i + k, i, k * i FROM generate_series(1, 20) i, generate_series(0, 1) k`,
  )
  await pg.exec(`CREATE TABLE ${parents} (${family.parents}); CREATE TABLE ${children} (${family.children})`)
  return { parents, children }
}

const syncFamily = (pg, at, { parents, children }, { key = null, errors, seen = [], ...params }) =>
  pg.electric.syncShapesToTables({
    key,
    shapes: {
      parents: { shape: shapeOf(at, parents, { seen, ...params }), table: parents, primaryKey: ['id'] },
      children: { shape: shapeOf(at, children, { seen, ...params }), table: children, primaryKey: ['id'] },
    },
    onError: failOn(errors),
  })

/** Random transactions that leave every family whole, mixed with writes that concern nobody. */
async function changeFamilies(at, { parents, children }, rounds, first = 1000) {
  const client = await at.client()
  await client.query(`CREATE TABLE IF NOT EXISTS bystanders (id int4)`)
  try {
    for (let round = 0; round < rounds; round++) {
      const id = first + round
      const kind = round % 5
      await client.query('BEGIN')
      if (kind < 2) {
        await client.query(`INSERT INTO ${parents} VALUES (${id}, 3, 6)`)
        await client.query(`INSERT INTO bystanders VALUES (${id})`)
        await client.query(`INSERT INTO ${children} SELECT 100 * ${id} + k, ${id}, k FROM generate_series(1, 3) k`)
      } else if (kind === 2) {
        await client.query(`UPDATE ${children} SET amount = amount + 1 WHERE parent % 3 = ${round % 3}`)
        await client.query(`UPDATE ${parents} SET total = total + n WHERE id % 3 = ${round % 3}`)
      } else if (kind === 3) {
        await client.query(`DELETE FROM ${children} WHERE parent = ${id - 3}`)
        await client.query(`DELETE FROM ${parents} WHERE id = ${id - 3}`)
      } else {
        // Only one of the two shapes hears of this one.
        await client.query(`INSERT INTO ${parents} VALUES (${100_000 + id}, 0, 0)`)
      }
      await client.query('COMMIT')
      if (kind === 1) await client.query(`DELETE FROM bystanders`)
    }
  } finally {
    await client.end()
  }
}

/** Reads for ever, by query and by PGlite's live query, and counts the families seen broken. */
async function watchFamilies(pg, { parents, children }) {
  const watch = { broken: [], reads: 0, notices: 0 }
  const note = (rows) => {
    if (rows.length > 0) watch.broken.push(rows[0])
  }
  const query = family.broken(parents, children)
  const live = await pg.live.query(query, [], ({ rows }) => {
    watch.notices++
    note(rows)
  })
  let watching = true
  const reading = (async () => {
    while (watching) {
      note((await pg.query(query)).rows)
      watch.reads++
      await delay(2) // so that what is read may also change
    }
  })()
  watch.stop = async () => {
    watching = false
    await reading
    await live.unsubscribe()
  }
  return watch
}

scenario('two shapes: no reader ever sees a part of a transaction', async ({ cleanup }) => {
  const tables = await stageFamily(server, pg)
  const both = [tables.parents, tables.children]
  const errors = []
  const sync = await syncFamily(pg, server, tables, { errors })
  cleanup(() => sync.unsubscribe())
  await settles(pg, server, both, errors, 'the first rows')
  const watch = await watchFamilies(pg, tables)
  cleanup(() => watch.stop())
  await changeFamilies(server, tables, 120)
  await settles(pg, server, both, errors, 'all transactions')
  assert.deepEqual(watch.broken, [])
  assert.ok(watch.reads > 20 && watch.notices > 2, `${watch.reads} reads, ${watch.notices} notices`)
})

scenario(
  'killed and restarted while it syncs: still whole transactions, none lost, none twice',
  async ({ cleanup }) => {
    const tables = await stageFamily(restarted, pg)
    const both = [tables.parents, tables.children]
    const errors = []
    const seen = []
    const sync = await syncFamily(pg, restarted, tables, { errors, seen })
    cleanup(() => sync.unsubscribe())
    await settles(pg, restarted, both, errors, 'the first rows')
    const watch = await watchFamilies(pg, tables)
    cleanup(() => watch.stop())
    const started = seen.length
    for (const round of [1, 2]) {
      const writing = changeFamilies(restarted, tables, 40, 1000 * round)
      await restarted.kill9()
      await writing
      await restarted.start()
      await changeFamilies(restarted, tables, 20, 1000 * round + 500)
      await settles(pg, restarted, both, errors, `round ${round}`, 30_000)
    }
    assert.deepEqual(watch.broken, [])
    assert.ok(
      seen.slice(started).every(({ offset }) => offset !== '-1'),
      'nothing was fetched again',
    )
  },
  { deadlineMs: 120_000 },
)

scenario(
  'a stored subscription goes on where it was, after both sides have ended',
  async ({ cleanup }) => {
    const tables = await stageFamily(restarted, pg)
    const both = [tables.parents, tables.children]
    const errors = []
    const first = await syncFamily(pg, restarted, tables, { key: 'family', errors })
    await settles(pg, restarted, both, errors, 'the first rows')
    await changeFamilies(restarted, tables, 30)
    await settles(pg, restarted, both, errors, 'changes')
    const handles = Object.values(first.streams).map((stream) => stream.shapeHandle)
    first.unsubscribe()
    await pg.close()

    await changeFamilies(restarted, tables, 20, 2000)
    await restarted.kill9()
    await changeFamilies(restarted, tables, 20, 3000)
    await restarted.start()

    pg = await newPglite(dataDir)
    const watch = await watchFamilies(pg, tables)
    cleanup(() => watch.stop())
    const seen = []
    const second = await syncFamily(pg, restarted, tables, { key: 'family', errors, seen })
    cleanup(() => second.unsubscribe())
    await settles(pg, restarted, both, errors, 'what happened meanwhile')
    await changeFamilies(restarted, tables, 20, 4000)
    await settles(pg, restarted, both, errors, 'what happened since')
    assert.deepEqual(watch.broken, [])
    assert.ok(seen.length > 0 && seen.every(({ offset }) => offset !== '-1'), JSON.stringify(seen.slice(0, 5)))
    for (const { handle } of seen) assert.ok(handles.includes(handle), `${handle} is one of ${handles}`)
  },
  { deadlineMs: 90_000 },
)

scenario('TRUNCATE of one of two shapes, and a deleted shape, are fetched again', async ({ cleanup }) => {
  const tables = await stageFamily(server, pg)
  const both = [tables.parents, tables.children]
  const errors = []
  const sync = await syncFamily(pg, server, tables, { errors, key: 'refetched' })
  cleanup(() => sync.unsubscribe())
  await settles(pg, server, both, errors, 'the first rows')
  const handle = sync.streams.children.shapeHandle

  await server.query(`TRUNCATE ${tables.children}; INSERT INTO ${tables.children} VALUES (1, 1, 10), (2, 2, 20)`)
  await settles(pg, server, both, errors, 'after TRUNCATE')
  await until(() => sync.streams.children.shapeHandle !== handle, 'another handle')
  await server.query(
    `UPDATE ${tables.children} SET amount = 11 WHERE id = 1; INSERT INTO ${tables.parents} VALUES (77, 0, 0)`,
  )
  await settles(pg, server, both, errors, 'changes after it')

  const parents = sync.streams.parents.shapeHandle
  assert.equal((await request(server, target({ handle: parents }), { method: 'DELETE' })).status, 202)
  await until(() => ![parents, undefined].includes(sync.streams.parents.shapeHandle), 'another handle')
  await server.query(`DELETE FROM ${tables.parents} WHERE id < 5`)
  await settles(pg, server, both, errors, 'changes after DELETE of the shape')
})
