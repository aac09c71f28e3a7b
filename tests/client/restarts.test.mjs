// restarts.test.mjs: what goes on beside something that stops: restarts under load, a slot that is lost while
// a table is altered, tables that cannot be published, rows of a move that must wait.
import assert from 'node:assert/strict'
import { Busbar } from './harness/busbar.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { equalsSelect, markerTable } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'
import { Tail, canonical } from './harness/tail.mjs'
import { Throttle } from './harness/throttle.mjs'

const postgres = await stagePostgres()
const env = { BUSBAR_LONG_POLL_TIMEOUT: '1s' }

scenario('F28: restarts under writes and readers cost nobody a new beginning', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, { env })
  cleanup(() => server.discard())
  const table = await newTable(server, 'id bigserial PRIMARY KEY, n int', '(1, 0)')
  await server.query(`ALTER SEQUENCE ${table}_id_seq RESTART WITH 2`)
  const shapes = Array.from({ length: 10 }, (_, n) => ({ table, where: `id % 10 <> ${n}` }))
  const tails = await Promise.all(shapes.map((shape) => Tail.start(server, shape))) // each insists on its handle
  cleanup(() => Promise.all(tails.map((tail) => tail.stop())))
  for (const tail of tails) tail.checker.mayFall = true
  let writing = true
  let written = 0
  const writers = Promise.all(
    [1, 2].map(async () => {
      const client = await server.client()
      while (writing) {
        await client.query(`BEGIN; INSERT INTO ${table} (n) SELECT i FROM generate_series(1, 3) i; UPDATE ${table} SET n = n + 1 WHERE id < 3; COMMIT`)
        written++
      }
      await client.end()
    }),
  )
  cleanup(() => (writing = false))
  for (let round = 0; round < 8; round++) {
    const goal = written + 20
    await until(() => written >= goal, 'writes')
    if (round % 4 === 3) await server.kill9()
    else assert.deepEqual(await server.terminate(), { code: 0, signal: null })
    await server.start()
    tails.forEach((tail) => tail.check())
  }
  writing = false
  await writers
  const position = await server.walPosition()
  await server.query(`UPDATE ${table} SET n = -1 WHERE id < 3`)
  for (const [n, tail] of tails.entries()) {
    await tail.covers(position)
    assert.deepEqual(tail.rows, (await server.query(`SELECT * FROM ${table} WHERE ${shapes[n].where}`)).map(canonical).sort())
    assert.equal((await follow(server, shapes[n])).handle, tail.handle)
  }
}, { deadlineMs: 120_000 })

scenario('F20: a table that is altered while the slot is gone is read as it is', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, { env })
  cleanup(() => server.discard())
  const table = await newTable(server, 'id int PRIMARY KEY, a int, b text', `(1, 1, 'x')`)
  const shape = { table }
  const before = await follow(server, shape)
  await server.query(`INSERT INTO ${table} VALUES (2, 2, 'y')`)
  await followTo(server, shape, before, (await server.walPosition()) - 1n).catch(() => {})
  await server.terminate()
  await server.query(`SELECT pg_drop_replication_slot('${server.slot}')`)
  await server.query(`ALTER TABLE ${table} DROP a; ALTER TABLE ${table} ADD c int DEFAULT 7; INSERT INTO ${table} VALUES (3, 'z', 8)`)
  await server.start()
  await until(
    async () => (await get(server, { ...shape, handle: before.handle, offset: before.offset })).status === 409,
    'the shape of before to be gone',
  )
  const after = await follow(server, shape)
  const position = await server.walPosition()
  await server.query(`UPDATE ${table} SET c = c + 1; INSERT INTO ${table} VALUES (4, 'w', 9)`)
  await followTo(server, shape, after, position)
  assert.deepEqual(Object.keys(after.schema), ['id', 'b', 'c'])
  assert.deepEqual([...after.checker.rows.values()].map(canonical).sort(), (await server.query(`SELECT * FROM ${table}`)).map(canonical).sort())
})

scenario('F39: of many tables one may not be published, and two servers publish the others at once', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  const names = Array.from({ length: 20 }, (_, n) => `shared_${n}`)
  const owned = names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} VALUES (1); ALTER TABLE ${name} OWNER TO publisher`)
  await postgres.query(
    database,
    `CREATE ROLE publisher LOGIN REPLICATION; GRANT CREATE ON DATABASE ${database} TO publisher; GRANT ALL ON SCHEMA public TO publisher;
     CREATE TABLE foreign_one (id int PRIMARY KEY); GRANT SELECT ON foreign_one TO publisher; ${owned.join('; ')}`,
  )
  const servers = []
  for (let n = 0; n < 2; n++) {
    servers.push(await Busbar.start({ databaseUrl: postgres.url(database, { user: 'publisher' }), env }))
    cleanup(() => servers[n].discard())
  }
  const answers = await Promise.all(
    servers.flatMap((server) => [
      get(server, { table: 'foreign_one', offset: '-1' }),
      ...names.map((table) => get(server, { table, offset: '-1' })),
    ]),
  )
  for (const [at, response] of answers.entries()) {
    const foreign = at % (names.length + 1) === 0
    assert.equal(response.status, foreign ? 503 : 200, response.text)
    if (foreign) assert.match(response.json.message, /foreign_one/)
    else assert.equal(response.json.filter(({ key }) => key).length, 1)
  }
  const states = await Promise.all(servers.map((server) => follow(server, { table: 'shared_7' })))
  const position = await postgres.walPosition(database)
  await postgres.query(database, 'INSERT INTO shared_7 VALUES (2)')
  for (const [n, server] of servers.entries()) await followTo(server, { table: 'shared_7' }, states[n], position)
})

scenario('F50: a move that waits for a lock holds up no other shape, and comes when it can', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '300ms' }, sql: markerTable })
  cleanup(() => server.discard())
  const teams = await newTable(server, 'id int PRIMARY KEY, open bool NOT NULL', '(1,true), (2,false)')
  const [tasks, others] = [
    await newTable(server, 'id int PRIMARY KEY, ref int NOT NULL', '(1,1), (2,2), (3,2)'),
    await newTable(server, 'id int PRIMARY KEY, ref int NOT NULL', '(1,1), (2,2), (3,2)'),
  ]
  const notes = await newTable(server, 'id int PRIMARY KEY, ref int', '(1,1)')
  const where = `ref IN (SELECT id FROM ${teams} WHERE open)`
  const [slow, quick] = [tasks, others].map((table) => new TaggedFollower(server, { table, where }))
  for (const one of [slow, quick]) await equalsSelect(server, one)
  const plain = await follow(server, { table: notes })
  const locker = await server.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${tasks} IN ACCESS EXCLUSIVE MODE`)
  await server.query(`UPDATE ${teams} SET open = true WHERE id = 2`) // moves rows of both in
  const began = Date.now()
  for (let n = 2; Date.now() < began + 4_000; n++) {
    await server.query(`INSERT INTO ${notes} VALUES (${n}, 1); INSERT INTO ${others} VALUES (${n + 10}, ${1 + (n % 2)})`)
    await until(async () => {
      const all = await follow(server, { table: notes }, plain)
      Object.assign(plain, { offset: all.offset })
      return plain.checker.rows.has(`"public"."${notes}"/"${n}"`)
    }, `note ${n}`)
    const want = (await server.query(`SELECT id FROM ${others} WHERE ${where}`)).length
    await until(async () => (await quick.step(), quick.rows.values.size === want), `${want} rows of ${others}`)
    await slow.step()
  }
  assert.equal([...slow.rows.values.values()].map(({ id }) => id).join(), '1', 'the locked one waits')
  await locker.query('COMMIT')
  for (const one of [slow, quick]) {
    await equalsSelect(server, one)
    assert.equal(one.refetches, 0)
  }
})

scenario('F41: a table whose publication is committed, and the answer lost, is followed from then on', async ({ cleanup }) => {
  const throttle = await Throttle.start(postgres.port)
  cleanup(() => throttle.stop())
  const database = await postgres.createDatabase()
  const url = new URL(postgres.url(database))
  url.port = throttle.port
  const server = await Busbar.start({ databaseUrl: url.href, env })
  cleanup(() => server.discard())
  await postgres.query(
    database,
    'CREATE TABLE notes (id int PRIMARY KEY); ALTER TABLE notes REPLICA IDENTITY FULL; INSERT INTO notes VALUES (1)',
  )
  const [locker, writer] = [await postgres.client(database), await postgres.client(database)]
  cleanup(() => Promise.all([locker.end(), writer.end()]))
  await writer.query('BEGIN; INSERT INTO notes VALUES (2)') // which nobody would see without waiting for it
  await locker.query('BEGIN; LOCK TABLE notes IN SHARE UPDATE EXCLUSIVE MODE')
  let first = get(server, { table: 'notes', offset: '-1' }, { timeoutMs: 60_000 })
  first.catch(() => {})
  await until(
    async () => (await postgres.query(database, `SELECT 1 FROM pg_locks WHERE relation = 'notes'::regclass AND NOT granted`)).length > 0,
    'the publication to wait for the lock',
  )
  throttle.narrow({ bytesPerTick: 0, bytesMax: 0 })
  await locker.query('COMMIT')
  await until(
    async () => (await postgres.query(database, `SELECT 1 FROM pg_publication_rel WHERE prrelid = 'notes'::regclass`)).length > 0,
    'the publication to be committed',
  )
  throttle.cut()
  throttle.open()
  await server.active()
  await writer.query('INSERT INTO notes VALUES (3)')
  setTimeout(() => writer.query('COMMIT'), 1_500)
  const state = await until(async () => {
    const answer = await first
    if (answer.status === 200) return follow(server, { table: 'notes' })
    assert.equal(answer.status, 503, answer.text)
    first = get(server, { table: 'notes', offset: '-1' }, { timeoutMs: 60_000 })
    return false
  }, 'the shape to be served')
  const position = await postgres.walPosition(database)
  await postgres.query(database, 'INSERT INTO notes VALUES (4)')
  await followTo(server, { table: 'notes' }, state, position)
  assert.deepEqual([...state.checker.rows.values()].map(({ id }) => id).sort(), ['1', '2', '3', '4'])
})
