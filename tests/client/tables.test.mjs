// tables.test.mjs: what becomes of a shape when its table is altered (spec §14, §12). The reconciler
// sleeps: whatever is noticed here is noticed with the first change that comes after.
import assert from 'node:assert/strict'
import { expectInvalid, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get } from './harness/shapes.mjs'
import { itemColumns, itemRows, itemSchema, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '60m' },
})

const schemaOf = (response) => JSON.parse(response.header('electric-schema'))

/** Waits until the log after `state` holds `text`; the handle must stay. */
async function goesOn(shape, state, text) {
  return until(async () => {
    const response = await get(server, { ...shape, offset: state.offset, handle: state.handle })
    assert.equal(response.status, 200, response.text)
    return response.text.includes(text) ? response : undefined
  }, text)
}

/** Waits until the old handle is refused. */
async function ends(shape, state) {
  return until(async () => {
    const response = await get(server, { ...shape, offset: state.offset, handle: state.handle })
    return response.status === 200 ? undefined : response
  }, 'the old handle to be refused')
}

async function endsAndBegins(shape, state) {
  expectMustRefetch(await ends(shape, state), { handle: true })
  const next = await follow(server, shape)
  assert.notEqual(next.handle, state.handle)
  return next
}

const rowsOf = (state) => [...state.checker.rows.values()]

scenario('electric-schema loses a NOT NULL before a reader can meet the NULL', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  assert.deepEqual(state.schema, itemSchema)
  for (let round = 0; round < 5; round++) {
    const id = 100 + round
    const title = round % 2 ? `'t'` : 'NULL'
    const waiting = get(server, { table, offset: state.offset, handle: state.handle, live: 'true' })
    await server.query(
      round % 2
        ? `DELETE FROM ${table} WHERE title IS NULL; ALTER TABLE ${table} ALTER title SET NOT NULL; INSERT INTO ${table} VALUES (${id}, ${title}, true)`
        : `ALTER TABLE ${table} ALTER title DROP NOT NULL; INSERT INTO ${table} VALUES (${id}, ${title}, true)`,
    )
    await waiting
    const log = await goesOn({ table }, state, `"id":"${id}"`)
    const anew = await get(server, { table, offset: '-1' })
    for (const response of [log, anew]) {
      assert.equal(response.header('electric-handle'), state.handle)
      assert.equal(schemaOf(response).title.not_null, round % 2 ? true : undefined, `round ${round}`)
    }
  }
})

scenario('what does not touch the selection is kept, and what widens it is told', async () => {
  const table = await newTable(
    server,
    `id int PRIMARY KEY, code varchar(10) NOT NULL, price numeric(6,2), at timestamptz(0), other int, "Größe" varbit(4)`,
    `(1, 'abc', 1.5, '2026-01-01 00:00:00Z', 7, B'101')`,
  )
  const shape = { table, columns: 'id,code,price,at,"Größe"' }
  const state = await follow(server, shape)
  await server.query(`
    ALTER TABLE ${table} ALTER code TYPE varchar(20), ALTER price TYPE numeric(12,2), ALTER at TYPE timestamptz(3),
      ALTER "Größe" TYPE varbit(9);
    ALTER TABLE ${table} DROP other; ALTER TABLE ${table} ADD more int;
    INSERT INTO ${table} VALUES (2, 'a longer code', 123456.5, '2026-01-01 00:00:00.123Z', B'11111', 1)`)
  const response = await goesOn(shape, state, 'a longer code')
  assert.deepEqual(schemaOf(response), {
    id: { type: 'int4', not_null: true, pk_index: 0 },
    code: { type: 'varchar', not_null: true, max_length: 20 },
    price: { type: 'numeric', precision: 12, scale: 2 },
    at: { type: 'timestamptz', precision: 3 },
    Größe: { type: 'varbit', length: 9 },
  })
})

const endings = {
  'a numeric gets another scale, which rewrites its rows': (t) => `ALTER TABLE ${t} ALTER price TYPE numeric(10,4)`,
  'a char(n) gets longer, which pads its rows': (t) => `ALTER TABLE ${t} ALTER pad TYPE char(6)`,
  'a varchar is narrowed': (t) => `ALTER TABLE ${t} ALTER code TYPE varchar(5)`,
  'a type changes': (t) => `ALTER TABLE ${t} ALTER code TYPE text`,
  'a column is dropped and made again under its name': (t) => `ALTER TABLE ${t} DROP code; ALTER TABLE ${t} ADD code varchar(10)`,
  'a column is renamed, and another takes its name': (t) => `ALTER TABLE ${t} RENAME code TO x; ALTER TABLE ${t} RENAME twin TO code`,
  'two columns swap their names': (t) =>
    `ALTER TABLE ${t} RENAME code TO x; ALTER TABLE ${t} RENAME twin TO code; ALTER TABLE ${t} RENAME x TO twin`,
  'the primary key gets another column': (t) => `ALTER TABLE ${t} DROP CONSTRAINT ${t}_pkey, ADD PRIMARY KEY (code)`,
}
const alterable = ['id int PRIMARY KEY, code varchar(10), twin varchar(10), price numeric(10,2), pad char(3)', `(1, 'a', 'b', 1, 'x')`]
for (const [what, change] of Object.entries(endings)) {
  scenario(`the shape ends when ${what}`, async () => {
    const table = await newTable(server, ...alterable)
    const shape = { table, columns: 'id,code,price,pad' }
    const state = await follow(server, shape)
    await server.query(`${change(table)}; INSERT INTO ${table} (id, code, price, pad) VALUES (2, 'c', 2, 'y')`)
    const next = await endsAndBegins(shape, state)
    // COPY does not trim char(n), a cast does.
    const selected = await server.query(`SELECT id::text, code, price::text, rpad(pad, octet_length(pad)) AS pad FROM ${table} ORDER BY id`)
    assert.deepEqual(rowsOf(next).sort((a, b) => a.id - b.id), selected)
  })
}

scenario('the shape ends, and its words define none any more, when the primary key is dropped', async () => {
  const table = await newTable(server, ...alterable)
  const shape = { table, columns: 'id,code' }
  const state = await follow(server, shape)
  await server.query(`ALTER TABLE ${table} DROP CONSTRAINT ${table}_pkey; INSERT INTO ${table} (id) VALUES (2)`)
  expectInvalid(await ends(shape, state), 'columns')
})

scenario('the shape ends when a collation changes that its clause depends on', async () => {
  const table = await newTable(server, ...alterable)
  const shape = { table, columns: 'id,price', where: `code < 'z'` }
  const state = await follow(server, shape)
  const [{ collname }] = await server.query(`SELECT collname FROM pg_collation WHERE collprovider = 'i' AND collname LIKE 'de%' LIMIT 1`)
  await server.query(`ALTER TABLE ${table} ALTER code TYPE varchar(10) COLLATE "${collname}"; INSERT INTO ${table} (id, code) VALUES (2, 'a')`)
  expectInvalid(await ends(shape, state), 'where')
})

scenario('a subset query that misses a column finds out what became of the table', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const shape = { table, columns: 'id,title' }
  const state = await follow(server, shape)
  const [other] = [await follow(server, { table, columns: 'id' })]
  await server.query(`ALTER TABLE ${table} DROP title`)
  const subset = { ...shape, offset: state.offset, handle: state.handle, subset__limit: '1', subset__order_by: 'id' }
  await until(async () => (await get(server, subset)).status === 400, 'the column to be missed')
  expectInvalid(await get(server, { ...shape, offset: state.offset, handle: state.handle }), 'columns')
  await server.query(`INSERT INTO ${table} VALUES (9, true)`)
  await goesOn({ table, columns: 'id' }, other, '"id":"9"')
})

scenario('a table that leaves the publication and comes back has missed changes', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  await server.query(`ALTER PUBLICATION ${pubname} DROP TABLE ${table}; INSERT INTO ${table} VALUES (50, 'unseen', true)`)
  await server.query(`ALTER PUBLICATION ${pubname} ADD TABLE ${table}; INSERT INTO ${table} VALUES (51, 'seen', true)`)
  const next = await endsAndBegins({ table }, state)
  assert.equal(next.checker.rows.size, 5)
})

scenario('another table that joins the publication ends nothing', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  const other = await newTable(server, itemColumns, itemRows)
  await follow(server, { table: other })
  await server.query(`INSERT INTO ${table} VALUES (50, 'more', true)`)
  await goesOn({ table }, state, 'more')
})

let trees = 0

/** A root with a row in each of its leaves `low` and `high`. */
async function newTree() {
  const root = `tree${++trees}`
  await server.query(`CREATE TABLE ${root} (id int PRIMARY KEY, title text NOT NULL) PARTITION BY RANGE (id);
    CREATE TABLE ${root}_low PARTITION OF ${root} FOR VALUES FROM (0) TO (10);
    CREATE TABLE ${root}_high PARTITION OF ${root} FOR VALUES FROM (10) TO (20);
    INSERT INTO ${root} VALUES (0, 'low'), (10, 'high')`)
  return root
}

scenario('a root that is renamed is noticed through its leaves', async () => {
  const root = await newTree()
  const state = await follow(server, { table: root })
  const leaf = await follow(server, { table: `${root}_low` })
  await server.query(`ALTER TABLE ${root} RENAME TO ${root}_new; INSERT INTO ${root}_new VALUES (1, 'one')`)
  expectInvalid(await ends({ table: root }, state), 'table')
  await goesOn({ table: `${root}_low` }, leaf, 'one')
  assert.equal((await follow(server, { table: `${root}_new` })).checker.rows.size, 3)
})

scenario('a NOT NULL that the root drops disappears from its schema', async () => {
  const root = await newTree()
  const state = await follow(server, { table: root })
  assert.equal(state.schema.title.not_null, true)
  await server.query(`ALTER TABLE ${root} ALTER title DROP NOT NULL; INSERT INTO ${root} VALUES (1, NULL)`)
  const response = await goesOn({ table: root }, state, '"title":null')
  assert.deepEqual(schemaOf(response).title, { type: 'text' })
})

scenario('the rows of a leaf that is detached leave the root with the first change in it', async () => {
  const root = await newTree()
  // First, so that the leaf is in the publication by itself, and streamed also without its root.
  const leaf = await follow(server, { table: `${root}_low` })
  const state = await follow(server, { table: root })
  await server.query(`INSERT INTO ${root} VALUES (1, 'one'), (11, 'eleven')`)
  await server.query(`ALTER TABLE ${root} DETACH PARTITION ${root}_low; INSERT INTO ${root}_low VALUES (2, 'two')`)
  const next = await endsAndBegins({ table: root }, state)
  assert.deepEqual(rowsOf(next).map((row) => row.id).sort(), ['10', '11'])
  await goesOn({ table: `${root}_low` }, leaf, 'two')
})

scenario('a leaf that was dropped is missed with the first change in another that is altered', async () => {
  const root = await newTree()
  const state = await follow(server, { table: root })
  await server.query(`DROP TABLE ${root}_low; ANALYZE ${root}_high; INSERT INTO ${root} VALUES (11, 'eleven')`)
  const next = await endsAndBegins({ table: root }, state)
  assert.deepEqual(rowsOf(next).map((row) => row.id).sort(), ['10', '11'])
})
