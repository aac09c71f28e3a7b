// order.test.mjs: the order of commits, the ends of chunks, and how far the slot is told to go: one case of
// each by design, where others wait for chance.
import assert from 'node:assert/strict'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { TaggedFollower } from './harness/tagged.mjs'
import { Tail, canonical } from './harness/tail.mjs'
import { poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
const env = { BUSBAR_LONG_POLL_TIMEOUT: '1s' }
const server = await stageBusbar(postgres, { env })

async function confirmed(of = server) {
  const [slot] = await postgres.query(
    'postgres',
    `SELECT (confirmed_flush_lsn - '0/0')::text AS at FROM pg_replication_slots WHERE slot_name = '${of.slot}'`,
  )
  return BigInt(slot.at)
}

async function equalsTable(tail, table) {
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${table} SELECT max(id) + 1 FROM ${table}`)
  await tail.covers(position)
  assert.deepEqual(tail.rows, (await server.query(`SELECT * FROM ${table}`)).map(canonical).sort())
}

scenario('F04: a transaction that wrote first and committed last comes whole, also across kill -9', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text', `(1, 'first')`)
  await follow(server, { table, where: 'id < 0' })
  const early = await server.client()
  cleanup(() => early.end())
  await early.query(`BEGIN; INSERT INTO ${table} VALUES (10, 'early'); UPDATE ${table} SET body = 'early' WHERE id = 1`)
  await server.query(`INSERT INTO ${table} VALUES (20, 'before the snapshot')`)
  const tail = await Tail.start(server, { table })
  cleanup(() => tail.stop())
  assert.equal(tail.rows.length, 2)
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${table} VALUES (30, 'between')`)
  await early.query(`INSERT INTO ${table} VALUES (11, 'early')`)
  await tail.covers(position)
  await until(async () => (await confirmed()) > position, 'what was between to be confirmed')
  await server.kill9()
  await server.query(`INSERT INTO ${table} VALUES (40, 'while it was away')`)
  await early.query(`INSERT INTO ${table} VALUES (12, 'early'); COMMIT`)
  await server.query(`INSERT INTO ${table} VALUES (50, 'behind')`)
  await server.start()
  await equalsTable(tail, table)
  const ids = [...tail.places.values()].map(({ value }) => Number(value.id))
  assert.deepEqual(ids.slice(0, 7), [30, 40, 10, 1, 11, 12, 50], 'in the order of the commits')
})

scenario('F11: neither a shape that waits for its snapshot nor one that is removed holds the slot', async ({ cleanup }) => {
  const alone = await stageBusbar(postgres, { env: { ...env, BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' } })
  cleanup(() => alone.discard())
  const teams = await newTable(alone, 'id int PRIMARY KEY, open bool NOT NULL', '(1,true), (2,false)')
  const tasks = await newTable(alone, 'id int PRIMARY KEY, team int NOT NULL', '(1,1), (2,2)')
  const notes = await newTable(alone, 'id bigserial PRIMARY KEY')
  const parked = new TaggedFollower(alone, { table: tasks, where: `team IN (SELECT id FROM ${teams} WHERE open)` })
  await until(async () => (await parked.step(), parked.upToDate), 'the first rows')
  await follow(alone, { table: notes })
  const locker = await alone.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${tasks} IN ACCESS EXCLUSIVE MODE`)
  const advances = async (what) => {
    const goal = await alone.walPosition()
    await alone.query(`INSERT INTO ${notes} DEFAULT VALUES`)
    await until(async () => (await confirmed(alone)) >= goal, () => `${what}: the slot to pass ${goal}`, { deadlineMs: 15_000 })
  }
  // One that cannot begin, whose reader gives up.
  const waiting = await poll(alone, { table: tasks, offset: '-1', live: undefined })
  await until(
    async () => (await alone.query(`SELECT 1 FROM pg_locks WHERE relation = '${tasks}'::regclass AND NOT granted`)).length > 0,
    'the snapshot to wait',
  )
  await advances('a snapshot that waits')
  waiting.connection.destroy()
  await advances('a snapshot that nobody waits for')
  // One that waits for the rows of a move, and holds the slot as long as it is there.
  await alone.query(`UPDATE ${teams} SET open = true WHERE id = 2`)
  const moved = await alone.walPosition()
  await alone.query(`INSERT INTO ${notes} DEFAULT VALUES`)
  await until(
    async () =>
      (await alone.query(
        `SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE relation = '${tasks}'::regclass AND NOT granted AND application_name ~ 'move'`,
      )).length > 0,
    'the rows of the move to be waited for',
  )
  assert.ok((await confirmed(alone)) < moved, 'the slot waits for them')
  const { handle } = parked
  assert.equal((await request(alone, target({ handle }), { method: 'DELETE' })).status, 202)
  await until(async () => (await confirmed(alone)) >= moved, 'the slot to pass the move')
  await advances('a shape that is removed')
  await locker.query('COMMIT')
})

scenario('F11: a shape whose rows cannot be read begins anew after a while, and the slot passes it', async ({ cleanup }) => {
  const alone = await stageBusbar(postgres, { env: { ...env, BUSBAR_PARKED_SHAPE_TIMEOUT: '1s' } })
  cleanup(() => alone.discard())
  const teams = await newTable(alone, 'id int PRIMARY KEY, open bool NOT NULL', '(1,true), (2,false)')
  const tasks = await newTable(alone, 'id int PRIMARY KEY, team int NOT NULL', '(1,1), (2,2)')
  const parked = new TaggedFollower(alone, { table: tasks, where: `team IN (SELECT id FROM ${teams} WHERE open)` })
  await until(async () => (await parked.step(), parked.upToDate), 'the first rows')
  const { handle } = parked
  const locker = await alone.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${tasks} IN ACCESS EXCLUSIVE MODE`)
  await alone.query(`UPDATE ${teams} SET open = true WHERE id = 2`)
  const moved = await alone.walPosition()
  await alone.query(`INSERT INTO ${teams} VALUES (3, false)`)
  await until(async () => (await confirmed(alone)) >= moved, 'the slot to pass the move', { deadlineMs: 30_000 })
  // It went, although the lock is still held; who asks for it now waits for the lock, as anybody would.
  assert.equal((await request(alone, target({ ...parked.shape, handle, offset: parked.offset }))).status, 409)
  await locker.query('COMMIT')
  await alone.query(`UPDATE ${teams} SET open = false WHERE id = 1`)
  await parked.reach(await alone.walPosition())
  assert.equal(parked.refetches, 1)
  assert.deepEqual([...parked.rows.values.values()].map(({ id }) => id), ['2'])
})

scenario('F13: a shape made amid heavy writes does not keep the slot behind when they end', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text', `(0, 'first')`)
  await follow(server, { table, where: 'id < 0' })
  let writing = true
  const writers = Promise.all(
    Array.from({ length: 4 }, async (_, worker) => {
      const client = await server.client()
      for (let n = 1; writing; n++) await client.query(`INSERT INTO ${table} VALUES ($1, 'x')`, [n * 4 + worker])
      await client.end()
    }),
  )
  cleanup(() => (writing = false))
  const shapes = Array.from({ length: 20 }, (_, n) => ({ table, where: `id > ${n}` }))
  const states = await Promise.all(shapes.map((shape) => follow(server, shape)))
  writing = false
  await writers
  const [{ at }] = await server.query(`SELECT (pg_current_wal_insert_lsn() - '0/0')::text AS at`)
  await until(async () => (await confirmed()) >= BigInt(at), () => `the slot to reach ${at}`)
  for (const n of [0, 7, 19]) {
    const [{ count }] = await server.query(`SELECT count(*) FROM ${table} WHERE id > ${n}`)
    const all = await follow(server, shapes[n], states[n])
    assert.equal(all.checker.rows.size, Number(count))
  }
})

scenario('F14: the slot advances under writes that never pause', async ({ cleanup }) => {
  const table = await newTable(server, 'id bigserial PRIMARY KEY, body text')
  for (let n = 0; n < 5; n++) await follow(server, { table, where: `id > ${n}` })
  let writing = true
  const writers = Promise.all(
    Array.from({ length: 4 }, async () => {
      const client = await server.client()
      while (writing) await client.query(`INSERT INTO ${table} (body) SELECT repeat('x', 500) FROM generate_series(1, 50)`)
      await client.end()
    }),
  )
  cleanup(() => (writing = false))
  let before = await confirmed()
  for (let step = 0; step < 4; step++) {
    const goal = await server.walPosition()
    await until(async () => (await confirmed()) >= goal, () => `step ${step}: the slot to pass ${goal}`, { deadlineMs: 15_000 })
    assert.ok((await confirmed()) > before, 'and further')
    before = await confirmed()
  }
  assert.ok(writing)
  writing = false
  await writers
})

scenario('F16: changed keys stay whole wherever chunks and transactions end, from every offset', async ({ cleanup }) => {
  const narrow = await stageBusbar(postgres, { env: { ...env, BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '1000' } })
  cleanup(() => narrow.discard())
  const table = await newTable(narrow, 'id int PRIMARY KEY, kind int, body text')
  const shapes = [{ table }, { table, where: 'kind > 0', replica: 'full' }]
  const states = await Promise.all(shapes.map((shape) => follow(narrow, shape)))
  // The bodies grow byte by byte, so that a chunk ends before, between and behind the two halves.
  for (let n = 1; n <= 30; n++)
    await narrow.query(
      `BEGIN; INSERT INTO ${table} VALUES (${n}, ${n % 3}, repeat('x', ${100 + 7 * n}));
       UPDATE ${table} SET id = id + 1000 WHERE id = ${n}; COMMIT;
       UPDATE ${table} SET id = id + 1000, kind = ${(n + 1) % 3} WHERE id = ${n + 1000}`,
    )
  const position = await narrow.walPosition()
  await narrow.query(`INSERT INTO ${table} VALUES (1, 1, 'last')`)
  for (const [at, shape] of shapes.entries()) {
    const want = (await narrow.query(`SELECT * FROM ${table} WHERE ${shape.where ?? 'true'}`)).map(canonical).sort()
    const whole = await until(async () => {
      const all = await follow(narrow, shape, { handle: states[at].handle, offset: '-1', checker: new LogChecker('all') })
      return all.checker.seen >= position && all.checker.rows.size === want.length && all
    }, 'all changes')
    assert.deepEqual([...whole.checker.rows.values()].map(canonical).sort(), want)
    assert.ok(whole.responses.length > 10, 'there are many chunks')
    const entries = whole.messages.filter(({ headers }) => headers.lsn !== undefined)
    const place = ({ headers }) => `${headers.lsn}_${headers.op_position}`
    const ends = new Set(whole.responses.map((response) => response.header('electric-offset')))
    const halves = entries.filter(({ headers }) => headers.key_change_to !== undefined)
    assert.ok(halves.length > 15, `${halves.length} changed keys`)
    assert.ok(halves.some((entry) => ends.has(place(entry))), 'a chunk ends between two halves')
    assert.ok(entries.some((entry) => entry.headers.key_change_from !== undefined && ends.has(place(entry))), 'and behind one')
    for (const [index, entry] of entries.entries()) {
      if (entry.headers.key_change_to === undefined) continue
      const next = entries[index + 1]
      assert.equal(next.headers.key_change_from, entry.key)
      assert.equal(next.key, entry.headers.key_change_to)
      assert.equal(next.headers.lsn, entry.headers.lsn)
      // Who has read the first half gets the second one first.
      const rest = await get(narrow, { ...shape, handle: whole.handle, offset: place(entry) })
      assert.equal(place(rest.json[0]), place(next))
    }
  }
})
