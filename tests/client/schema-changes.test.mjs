// schema-changes.test.mjs: what happens to a table while readers wait for its rows (spec §14): which
// shapes end, which go on, and what each kind of reader is told. What the stream does not tell at all
// is in catalog.test.mjs, what only electric-schema shows in schema-metadata.test.mjs.
import assert from 'node:assert/strict'
import { expectInvalid, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { TaggedFollower } from './harness/tagged.mjs'
import { Throttle } from './harness/throttle.mjs'
import { openEvents, poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '20s', BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms' },
})

// PostgreSQL also marks the columns behind one whose type is altered, so that one stands before those.
const columns = 'id int PRIMARY KEY, a text, touched int DEFAULT 0, b int, c int'
const rows = `(1, 'one', 1, 10), (2, 'two', 2, 20), (3, 'three', 3, 30)`

/** The shapes of every table below: what each selects, and what it looks at besides. */
const shapesOf = (table) => ({
  all: { table },
  full: { table, replica: 'full' },
  listed: { table, columns: 'id,a,b,c,touched' },
  some: { table, columns: 'id,a,touched' },
  where: { table, columns: 'id,a,touched', where: 'b < 100' },
})

const changesOf = (messages) => messages.filter((message) => message.headers.lsn !== undefined)

/** A reader of each kind at the end of the shape, waiting. */
async function wait(cleanup, shape) {
  const state = await follow(server, shape)
  const place = { ...shape, offset: state.offset, handle: state.handle }
  const { connection, answer, pending } = await poll(server, place)
  const events = await openEvents(server, place)
  assert.equal(events.head.status, 200)
  cleanup(() => connection.destroy())
  cleanup(() => events.connection.destroy())
  return { shape, place, state, answer, pending, events }
}

/** Both readers are told that the shape is gone. */
async function told({ answer, events }) {
  expectMustRefetch(await answer)
  assert.equal(await events.next(), undefined, 'the stream ends without a word')
}

/** They are told, and the old handle leads to a new one, which has the table's rows. */
async function ended(reader, expected) {
  await told(reader)
  const { shape, place } = reader
  const next = expectMustRefetch(await get(server, place), { handle: true })
  assert.notEqual(next, place.handle)
  const fresh = await follow(server, shape)
  assert.equal(fresh.handle, next)
  assert.deepEqual(sorted(fresh.checker.rows.values()), sorted(expected))
  return fresh
}

/** They are told, and what they had asked for is no longer possible. */
async function refused(reader, field) {
  await told(reader)
  const answer = await until(async () => {
    const response = await get(server, reader.place)
    if (response.status !== 409) return response
    expectMustRefetch(response, { handle: false }) // what is gone may still be remembered
  }, 'the old request to be refused')
  expectInvalid(answer, field)
  expectInvalid(await get(server, { ...reader.shape, offset: '-1' }), field)
}

/** Both readers go on: they get the change that was made last, and the old handle stays good. */
async function wentOn({ shape, place, state, answer, events }, expected) {
  const response = await answer
  assert.equal(response.status, 200, response.text)
  assert.ok(changesOf(response.json).length > 0)
  assert.ok(changesOf(await events.batch()).length > 0)
  const rest = await follow(server, shape, { offset: place.offset, handle: place.handle, checker: state.checker })
  assert.equal(rest.handle, place.handle)
  assert.deepEqual(sorted(state.checker.rows.values()), sorted(expected))
}

/** Numbers as the protocol writes them. */
const texts = (rows) => rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, String(value)])))

const sorted = (values) => [...values].map((row) => ({ ...row })).sort((a, b) => Number(a.id) - Number(b.id))

/**
 * All five shapes wait; `change` happens and then a row changes; those in `end` begin anew, those in
 * `refuse` (name → field) cannot, the others go on.
 */
async function changing(cleanup, change, end, refuse = {}) {
  const table = await newTable(server, columns)
  await server.query(`INSERT INTO ${table} (id, a, b, c) VALUES ${rows}`)
  const waiting = {}
  for (const [name, shape] of Object.entries(shapesOf(table))) waiting[name] = await wait(cleanup, shape)
  await server.query(change(table))
  await server.query(`UPDATE ${table} SET touched = 1 WHERE id = 1`)
  const now = await server.query(`SELECT * FROM ${table}`)
  const fresh = {}
  for (const [name, reader] of Object.entries(waiting)) {
    if (refuse[name]) {
      await refused(reader, refuse[name])
      continue
    }
    const selected = reader.shape.columns?.split(',') ?? Object.keys(now[0])
    const expected = now.map((row) => Object.fromEntries(selected.map((column) => [column, row[column]])))
    if (end.includes(name)) fresh[name] = await ended(reader, expected)
    else await wentOn(reader, expected)
  }
  return fresh
}

scenario('a column is added: who has all columns begins anew', async ({ cleanup }) => {
  const fresh = await changing(cleanup, (table) => `ALTER TABLE ${table} ADD COLUMN d int`, ['all', 'full'])
  assert.deepEqual(fresh.all.schema.d, { type: 'int4' })
})

scenario('a column is added with a value for every row', async ({ cleanup }) => {
  await changing(cleanup, (table) => `ALTER TABLE ${table} ADD COLUMN d text NOT NULL DEFAULT 'new'`, ['all', 'full'])
})

scenario('a column is added in a transaction that changes rows before and after', async ({ cleanup }) => {
  await changing(
    cleanup,
    (table) => `BEGIN; UPDATE ${table} SET touched = 7 WHERE id = 2; ALTER TABLE ${table} ADD COLUMN d int;
      UPDATE ${table} SET d = id, touched = 8; COMMIT`,
    ['all', 'full'],
  )
})

scenario('a column is dropped: who has it begins anew, or cannot', async ({ cleanup }) => {
  const fresh = await changing(cleanup, (table) => `ALTER TABLE ${table} DROP COLUMN c`, ['all', 'full'], {
    listed: 'columns',
  })
  assert.ok(!('c' in fresh.all.schema))
})

scenario('a column is renamed: who has it begins anew, or cannot', async ({ cleanup }) => {
  const fresh = await changing(cleanup, (table) => `ALTER TABLE ${table} RENAME COLUMN c TO d`, ['all', 'full'], {
    listed: 'columns',
  })
  assert.deepEqual(Object.keys(fresh.all.schema).sort(), ['a', 'b', 'd', 'id', 'touched'])
})

scenario('a column gets another type: who has it begins anew', async ({ cleanup }) => {
  const fresh = await changing(cleanup, (table) => `ALTER TABLE ${table} ALTER COLUMN c TYPE text USING 'c' || c`, [
    'all',
    'full',
    'listed',
  ])
  assert.deepEqual(fresh.listed.schema.c, { type: 'text' })
})

scenario(
  'a column that only a where clause looks at is dropped, renamed, or gets another type',
  async ({ cleanup }) => {
    await changing(cleanup, (table) => `ALTER TABLE ${table} DROP COLUMN b`, ['all', 'full'], {
      listed: 'columns',
      where: 'where',
    })
    await changing(cleanup, (table) => `ALTER TABLE ${table} RENAME COLUMN b TO bb`, ['all', 'full'], {
      listed: 'columns',
      where: 'where',
    })
    await changing(cleanup, (table) => `ALTER TABLE ${table} ALTER COLUMN b TYPE bigint`, [
      'all',
      'full',
      'listed',
      'where',
    ])
  },
)

scenario(
  'columns are dropped and added while nobody writes: later requests see the table as it is',
  async ({ cleanup }) => {
    const table = await newTable(server, columns)
    await server.query(`INSERT INTO ${table} (id, a, b, c) VALUES ${rows}`)
    const { handle } = await follow(server, { table })
    await server.query(`ALTER TABLE ${table} ADD COLUMN d int DEFAULT 4`)
    await server.query(`UPDATE ${table} SET a = 'touched' WHERE id = 3`)
    await until(
      async () => (await get(server, { table, offset: '-1' })).header('electric-handle') !== handle,
      'a new shape',
    )
    const fresh = await follow(server, { table })
    assert.deepEqual(
      [...fresh.checker.rows.values()].map((row) => row.d),
      ['4', '4', '4'],
    )
  },
)

scenario('F21: what changes nothing of the columns ends nothing, however often it is described', async ({ cleanup }) => {
  const table = await newTable(server, columns)
  const other = await newTable(server, 'id int PRIMARY KEY')
  await server.query(`INSERT INTO ${table} (id, a, b, c) VALUES ${rows}`)
  const shapes = Object.values(shapesOf(table))
  const readers = []
  for (const shape of shapes) readers.push(await wait(cleanup, shape))
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  const harmless = [
    `ANALYZE ${table}`,
    `CREATE INDEX i_${table} ON ${table} (b)`,
    `REINDEX TABLE ${table}`,
    `CLUSTER ${table} USING i_${table}`,
    `DROP INDEX i_${table}`,
    `VACUUM ${table}`,
    `VACUUM FULL ${table}`,
    `COMMENT ON TABLE ${table} IS 'seen'`,
    `COMMENT ON COLUMN ${table}.a IS 'seen'`,
    `GRANT SELECT ON ${table} TO public`,
    `ALTER TABLE ${table} SET (fillfactor = 70)`,
    `ALTER TABLE ${table} ALTER COLUMN a SET STATISTICS 50`,
    `ALTER TABLE ${table} ALTER COLUMN a SET STORAGE EXTERNAL`,
    `ALTER TABLE ${table} ALTER COLUMN c SET DEFAULT 5`,
    `ALTER TABLE ${table} ADD CONSTRAINT c_${table} CHECK (b < 1000000)`,
    `ALTER TABLE ${table} DROP CONSTRAINT c_${table}`,
    `ALTER TABLE ${other} ADD COLUMN parent int REFERENCES ${table}`,
    `CREATE STATISTICS s_${table} ON a, b FROM ${table}`,
    `CREATE FUNCTION f_${table}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
    `CREATE TRIGGER t_${table} BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION f_${table}()`,
    `ALTER TABLE ${table} ADD COLUMN gone int; ALTER TABLE ${table} DROP COLUMN gone`,
    `BEGIN; ALTER TABLE ${table} DROP COLUMN a; ROLLBACK`,
    `ALTER TABLE ${table} REPLICA IDENTITY FULL`,
    `ALTER PUBLICATION ${pubname} ADD TABLE ${other}`,
    `ALTER PUBLICATION ${pubname} DROP TABLE ${other}`,
  ]
  let n = 0
  for (const statement of harmless) {
    await server.query(statement)
    // Described anew, if at all, with the next change.
    await server.query(`UPDATE ${table} SET touched = ${++n} WHERE id = 2`)
  }
  // A session of its own describes everything anew.
  for (let i = 0; i < 3; i++) {
    const before = await server.query(
      `SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = '${server.slot}'`,
    )
    await server.query(`SELECT pg_terminate_backend(${before[0].pid})`)
    await server.query(`UPDATE ${table} SET touched = ${++n} WHERE id = 2`)
    await until(
      async () => (await follow(server, { table })).checker.rows.get(`"public"."${table}"/"2"`).touched === String(n),
      'the stream to go on',
      { deadlineMs: 20_000, everyMs: 50 },
    )
  }
  const now = await server.query(`SELECT * FROM ${table}`)
  for (const reader of readers) {
    const selected = reader.shape.columns?.split(',') ?? Object.keys(now[0])
    const expected = now.map((row) => Object.fromEntries(selected.map((column) => [column, row[column]])))
    await wentOn(reader, expected)
  }
  const handles = readers.map(({ place }) => place.handle)
  readers.forEach(({ events }) => events.connection.destroy())
  await server.restart()
  await server.query(`UPDATE ${table} SET touched = -1`)
  for (const [i, shape] of shapes.entries()) {
    await until(async () => {
      const state = await follow(server, shape)
      assert.equal(state.handle, handles[i])
      return [...state.checker.rows.values()].every((row) => row.touched === '-1')
    }, 'the change after the restart')
  }
})

scenario('rows are rewritten under a column of the same type: who shows it or asks for it begins anew', async ({ cleanup }) => {
  const rewriting = (column, as) => (table) => `ALTER TABLE ${table} ALTER ${column} TYPE ${as}`
  await changing(cleanup, rewriting('a', 'text USING upper(a)'), ['all', 'full', 'listed', 'some', 'where'])
  await changing(cleanup, rewriting('b', 'int USING b * 2'), ['all', 'full', 'listed', 'where'])
  await changing(cleanup, rewriting('c', 'int USING c + 1'), ['all', 'full', 'listed'])
})

scenario('rows are rewritten while nobody writes, and partitions with the table above them', async ({ cleanup }) => {
  const numbers = await newTable(server, 'id int PRIMARY KEY, m int, n int', '(1, 1, 1), (2, 2, 2)')
  const root = `root_${numbers}`
  await server.query(`CREATE TABLE ${root} (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
    CREATE TABLE low_${root} PARTITION OF ${root} FOR VALUES FROM (0) TO (10);
    CREATE TABLE high_${root} PARTITION OF ${root} FOR VALUES FROM (10) TO (20);
    INSERT INTO ${root} VALUES (1, 'one'), (11, 'eleven')`)
  const shapes = [{ table: numbers }, { table: root }, { table: `low_${root}` }]
  const readers = await Promise.all(shapes.map((shape) => wait(cleanup, shape)))
  const bystander = await wait(cleanup, { table: numbers, columns: 'id,m' })
  await server.query(`ALTER TABLE ${numbers} ALTER n TYPE int USING -n`)
  await server.query(`ALTER TABLE ${root} ALTER note TYPE text USING upper(note)`)
  for (const [i, { table }] of shapes.entries()) await ended(readers[i], texts(await server.query(`SELECT * FROM ${table}`)))
  await server.query(`UPDATE ${numbers} SET m = 7 WHERE id = 1`)
  await wentOn(bystander, [
    { id: '1', m: '7' },
    { id: '2', m: '2' },
  ])
})

scenario('rows that only a subquery asks are rewritten: what it selects is found out anew', async ({ cleanup }) => {
  const parents = await newTable(server, 'id int PRIMARY KEY, note text, active bool NOT NULL', `(1, 'a', true), (2, 'b', false)`)
  const children = await newTable(server, 'id int PRIMARY KEY, parent int', '(1, 1), (2, 2)')
  const shape = { table: children, where: `parent IN (SELECT id FROM ${parents} WHERE active)` }
  const reader = await wait(cleanup, shape)
  await server.query(`ALTER TABLE ${parents} ALTER active TYPE bool USING NOT active`)
  await ended(reader, [{ id: '2', parent: '2' }])
  const next = await wait(cleanup, shape)
  await server.query(`VACUUM FULL ${parents}`)
  await server.query(`ALTER TABLE ${parents} ALTER active SET STATISTICS 50`)
  await server.query(`ALTER TABLE ${parents} ALTER note TYPE text USING note`)
  await server.query(`INSERT INTO ${children} VALUES (3, 2)`)
  await wentOn(next, [
    { id: '2', parent: '2' },
    { id: '3', parent: '2' },
  ])
})

scenario('rows are rewritten, or only packed anew, while the server is down', async () => {
  const rewritten = await newTable(server, 'id int PRIMARY KEY, b text, a text', `(1, 'x', 'one')`)
  const packed = await newTable(server, 'id int PRIMARY KEY, a text', `(1, 'one')`)
  const shapes = [{ table: rewritten }, { table: rewritten, columns: 'id,b' }, { table: packed }]
  const before = await Promise.all(shapes.map((shape) => follow(server, shape)))
  await server.terminate()
  await server.query(`ALTER TABLE ${rewritten} ALTER a TYPE text USING upper(a)`)
  await server.query(`VACUUM FULL ${packed}`)
  await server.query(`ALTER TABLE ${packed} ALTER a SET STATISTICS 50`)
  await postgres.stop()
  await postgres.start()
  await server.start()
  const [first] = before
  await until(async () => {
    const answer = await get(server, { ...shapes[0], offset: first.offset, handle: first.handle })
    return answer.status === 409
  }, 'the shape of the rewritten column to be gone')
  assert.deepEqual([...(await follow(server, shapes[0])).checker.rows.values()], [{ id: '1', b: 'x', a: 'ONE' }])
  await server.query(`UPDATE ${rewritten} SET b = 'y'; UPDATE ${packed} SET a = 'two'`)
  const position = await server.walPosition()
  await server.query(`UPDATE ${rewritten} SET b = 'z'; UPDATE ${packed} SET a = 'three'`)
  for (const i of [1, 2]) {
    await followTo(server, shapes[i], before[i], position)
    assert.equal((await follow(server, shapes[i])).handle, before[i].handle)
  }
})

scenario('a table is renamed under its readers', async ({ cleanup }) => {
  const table = await newTable(server, columns)
  await server.query(`INSERT INTO ${table} (id, a, b, c) VALUES ${rows}`)
  const reader = await wait(cleanup, { table })
  await server.query(`ALTER TABLE ${table} RENAME TO ${table}_new`)
  await server.query(`INSERT INTO ${table}_new VALUES (4, 'four')`)
  await refused(reader, 'table')
  const fresh = await follow(server, { table: `${table}_new` })
  assert.equal(fresh.checker.rows.size, 4)
  assert.ok([...fresh.checker.rows.keys()].every((key) => key.startsWith(`"public"."${table}_new"/`)))
})

scenario('a table is renamed, and nobody writes to it', async ({ cleanup }) => {
  const table = await newTable(server, columns, `(1, 'one')`)
  const reader = await wait(cleanup, { table })
  await server.query(`ALTER TABLE ${table} RENAME TO ${table}_quiet`)
  await refused(reader, 'table')
})

scenario('a table moves to another schema, and another takes its name', async ({ cleanup }) => {
  const table = await newTable(server, columns, `(1, 'one')`)
  const reader = await wait(cleanup, { table })
  await server.query(`BEGIN; CREATE SCHEMA s_${table}; ALTER TABLE ${table} SET SCHEMA s_${table};
    CREATE TABLE ${table} (id int PRIMARY KEY, other text); INSERT INTO ${table} VALUES (9, 'another'); COMMIT`)
  const fresh = await ended(reader, [{ id: '9', other: 'another' }])
  assert.deepEqual(Object.keys(fresh.schema).sort(), ['id', 'other'])
  assert.equal((await follow(server, { table: `s_${table}.${table}` })).checker.rows.size, 1)
})

scenario('a table is dropped under its readers', async ({ cleanup }) => {
  const table = await newTable(server, columns, `(1, 'one')`)
  const readers = [await wait(cleanup, { table }), await wait(cleanup, { table, columns: 'id,a' })]
  await server.query(`DROP TABLE ${table}`)
  for (const reader of readers) await refused(reader, 'table')
})

scenario('a table is dropped and made anew in one transaction, the same or otherwise', async ({ cleanup }) => {
  for (const definition of [columns, 'a text, id int PRIMARY KEY']) {
    const table = await newTable(server, columns, `(1, 'one')`)
    const reader = await wait(cleanup, { table })
    await server.query(`BEGIN; DROP TABLE ${table}; CREATE TABLE ${table} (${definition});
      INSERT INTO ${table} (id, a) VALUES (7, 'seven'); COMMIT`)
    await server.query(`INSERT INTO ${table} (id, a) VALUES (8, 'eight')`)
    await told(reader)
    expectMustRefetch(await get(server, reader.place), { handle: true })
    const fresh = await until(async () => {
      const state = await follow(server, { table })
      return state.checker.rows.size === 2 && state
    }, 'both rows')
    assert.deepEqual(
      sorted(fresh.checker.rows.values()).map((row) => row.a),
      ['seven', 'eight'],
    )
    await server.query(`DELETE FROM ${table} WHERE id = 7`)
    await until(async () => (await follow(server, { table })).checker.rows.size === 1, 'a change of the new table')
  }
})

scenario('F26: generated columns: refused where asked for or implied, and the others can be had', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED')
  await server.query(`INSERT INTO ${table} VALUES (1, 1), (2, 2)`)
  for (const params of [
    {},
    { columns: 'id,twice' },
    { columns: 'id,n,twice' },
    { replica: 'full' },
    { log: 'changes_only' },
  ])
    expectInvalid(await get(server, { table, ...params, offset: '-1' }), 'columns')
  expectInvalid(await get(server, { table, columns: 'id,n', where: 'twice > 2', offset: '-1' }), 'where')
  const shape = { table, columns: 'id,n' }
  const reader = await wait(cleanup, shape)
  await server.query(`UPDATE ${table} SET n = 5 WHERE id = 1; INSERT INTO ${table} VALUES (3, 3)`)
  await wentOn(reader, [
    { id: '1', n: '5' },
    { id: '2', n: '2' },
    { id: '3', n: '3' },
  ])
})

scenario('F18: TRUNCATE of several tables, by CASCADE and in one transaction with changes', async ({ cleanup }) => {
  const parent = await newTable(server, 'id int PRIMARY KEY', '(1), (2)')
  const child = await newTable(
    server,
    `id int PRIMARY KEY, parent int REFERENCES ${parent} ON DELETE CASCADE`,
    '(1, 1), (2, 2)',
  )
  const beside = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const gone = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const kept = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const shapes = [
    { table: parent },
    { table: child },
    { table: child, where: 'id > 1' },
    { table: child, log: 'changes_only' },
    { table: gone },
  ]
  const readers = await Promise.all(shapes.map((shape) => wait(cleanup, shape)))
  const bystanders = [await wait(cleanup, { table: beside }), await wait(cleanup, { table: kept })]
  await server.query(`BEGIN; INSERT INTO ${beside} VALUES (2); INSERT INTO ${parent} VALUES (3); INSERT INTO ${child} VALUES (3, 3);
    TRUNCATE ${parent} RESTART IDENTITY CASCADE; INSERT INTO ${parent} VALUES (4); TRUNCATE ${gone}; INSERT INTO ${child} VALUES (4, 4);
    SAVEPOINT s; TRUNCATE ${kept}; ROLLBACK TO s; INSERT INTO ${kept} VALUES (2); INSERT INTO ${beside} VALUES (3); COMMIT`)
  await ended(readers[0], [{ id: '4' }])
  await ended(readers[1], [{ id: '4', parent: '4' }])
  await ended(readers[2], [{ id: '4', parent: '4' }])
  await told(readers[3])
  await ended(readers[4], [])
  await wentOn(bystanders[0], [{ id: '1' }, { id: '2' }, { id: '3' }])
  await wentOn(bystanders[1], [{ id: '1' }, { id: '2' }])
  await server.query(`BEGIN; TRUNCATE ${parent} CASCADE; ROLLBACK`)
  await server.query(`INSERT INTO ${parent} VALUES (5)`)
  const after = await until(async () => {
    const state = await follow(server, { table: parent })
    return state.checker.rows.size === 2 && state
  }, 'the insert after the TRUNCATE that was rolled back')
  assert.equal(after.handle, (await follow(server, { table: parent })).handle)
})

scenario('F25: a column is added while shapes wait for PostgreSQL: who does not show it goes on', async ({ cleanup }) => {
  const throttle = await Throttle.start(postgres.port)
  cleanup(() => throttle.stop())
  const database = await postgres.createDatabase()
  const road = new URL(postgres.url(database))
  road.port = throttle.port
  const slow = await stageBusbar(postgres, {
    database,
    env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_POOLED_DATABASE_URL: road.href },
  })
  cleanup(() => slow.discard())
  const parents = await newTable(slow, 'id int PRIMARY KEY, active bool NOT NULL', '(1, true), (2, false)')
  const children = await newTable(slow, 'id int PRIMARY KEY, parent int, body text', `(1, 1, 'a'), (2, 2, 'b')`)
  const notes = await newTable(slow, 'id serial PRIMARY KEY')
  await follow(slow, { table: notes })
  const passed = async () => {
    const position = await slow.walPosition()
    await slow.query(`INSERT INTO ${notes} DEFAULT VALUES`)
    await until(
      async () => BigInt((await get(slow, { table: notes, offset: 'now' })).json.at(-1).headers.global_last_seen_lsn) >= position,
      'the changes to have gone by',
    )
  }
  const moving = new TaggedFollower(slow, {
    table: children,
    columns: 'id,parent',
    where: `parent IN (SELECT id FROM ${parents} WHERE active)`,
  })
  await until(async () => (await moving.step(), moving.upToDate), 'the first rows')
  const { handle } = moving
  throttle.narrow({ bytesPerTick: 0, bytesMax: 0 })
  await slow.query(`UPDATE ${parents} SET active = true WHERE id = 2`)
  const beginning = get(slow, { table: children, columns: 'id,body', offset: '-1' })
  const waiting = async () => {
    const metrics = await slow.metrics()
    return ['making', 'lagging'].every((state) => metrics.includes(`busbar_shapes_by_state{state="${state}"} 1\n`))
  }
  await until(waiting, 'one to wait for its snapshot, the other for the rows of a move')
  await passed()
  await slow.query(`UPDATE ${children} SET body = 'bb' WHERE id = 2; INSERT INTO ${children} VALUES (3, 2, 'c')`)
  await slow.query(`ALTER TABLE ${children} ADD COLUMN more int DEFAULT 7`)
  await slow.query(`INSERT INTO ${children} VALUES (4, 2, 'd', 8), (5, 1, 'e', 9); DELETE FROM ${children} WHERE id = 3`)
  await passed()
  throttle.open()
  const response = await beginning
  assert.equal(response.status, 200)
  const shape = { table: children, columns: 'id,body' }
  const state = await follow(slow, shape)
  assert.equal(state.handle, response.header('electric-handle'))
  await slow.query(`INSERT INTO ${children} VALUES (6, 2, 'f', 1)`)
  const position = await slow.walPosition()
  await slow.query(`INSERT INTO ${notes} DEFAULT VALUES`)
  await followTo(slow, shape, state, position)
  await moving.reach(position)
  assert.equal(moving.handle, handle, 'the shape that waited for rows has gone on')
  assert.equal(moving.refetches, 0)
  const texts = (rows) => rows.map((row) => JSON.stringify(Object.values(row))).sort()
  const select = (columns) => slow.query(`SELECT ${columns} FROM ${children}`)
  assert.deepEqual(texts([...moving.rows.values.values()]), texts(await select('id::text, parent::text')))
  assert.deepEqual(texts([...state.checker.rows.values()]), texts(await select('id::text, body')))
})
