// slot.test.mjs: the publication and the slot under a running Busbar: lost, changed, in the making,
// in somebody else's hands.
import assert from 'node:assert/strict'
import { Busbar } from './harness/busbar.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
const shape = { table: 'notes' }

const sql = 'CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1)'
const env = { BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '500ms', BUSBAR_LONG_POLL_TIMEOUT: '1s' }

async function reconnects(server) {
  return Number(/^busbar_replication_reconnects_total (\S+)$/m.exec(await server.metrics())[1])
}

async function cause(server, wanted) {
  return until(
    async () => {
      const body = await server.healthBody()
      return body.cause === wanted && body
    },
    async () => `health to say ${wanted}; it says ${JSON.stringify(await server.healthBody())}\n${server.output()}`,
    { deadlineMs: 30_000 },
  )
}

async function refused(server, state) {
  await until(
    async () => (await get(server, { ...shape, offset: state.offset, handle: state.handle })).status === 409,
    () => `the reader to be told\n${server.output()}`,
    { deadlineMs: 30_000 },
  )
}

/** A new reader sees what there is and what comes. */
async function works(server) {
  const state = await until(async () => follow(server, shape).catch(() => false), 'the shape to be served again')
  await server.query('INSERT INTO notes SELECT max(id) + 1 FROM notes')
  const lsn = await server.walPosition()
  await server.query('INSERT INTO notes SELECT max(id) + 1 FROM notes')
  await followTo(server, shape, state, lsn)
  const [{ count }] = await server.query('SELECT count(*) FROM notes')
  assert.equal(state.checker.rows.size, Number(count))
}

scenario('F42: a publication that is dropped while nothing is written is made anew, once', async () => {
  const server = await stageBusbar(postgres, { sql, env })
  const state = await follow(server, shape)
  const before = await reconnects(server)
  await server.query(`DROP PUBLICATION busbar_publication_${server.streamId}`)
  await refused(server, state)
  await server.active()
  await works(server)
  assert.equal(await reconnects(server), before + 1)
})

scenario('F42: an operation that the publication withholds is given back by its owner', async () => {
  const server = await stageBusbar(postgres, { sql, env })
  const state = await follow(server, shape)
  await server.query(`ALTER PUBLICATION busbar_publication_${server.streamId} SET (publish = 'insert, update')`)
  await refused(server, state)
  await server.active()
  await works(server)
})

scenario("F42: a publication of somebody else's that is wrong is a stable state, which heals", async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  const server = await Busbar.prepare({ databaseUrl: postgres.url(database, { user: 'modest' }), env })
  cleanup(() => server.discard())
  const publication = `busbar_publication_${server.streamId}`
  await postgres.query(
    database,
    `CREATE ROLE modest LOGIN REPLICATION; ${sql}; GRANT SELECT ON notes TO modest;
     ALTER TABLE notes REPLICA IDENTITY FULL; CREATE PUBLICATION ${publication} FOR TABLE notes`,
  )
  server.query = (text) => postgres.query(database, text)
  server.walPosition = () => postgres.walPosition(database)
  await server.start()
  await works(server)
  await server.query(`ALTER PUBLICATION ${publication} SET (publish = 'insert')`)
  const said = await cause(server, 'publication')
  assert.equal(said.misconfigured, true)
  const fresh = await get(server, { ...shape, offset: '-1', where: 'id > 5' }, { timeoutMs: 15_000 })
  assert.equal(fresh.status, 503)
  assert.equal(fresh.json.message, said.message)
  assert.ok(server.running)
  await server.query(`ALTER PUBLICATION ${publication} SET (publish = 'insert, update, delete, truncate')`)
  await server.active(30_000)
  await works(server)
})

scenario('F38: tables that are published by hand', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  const server = await Busbar.prepare({
    databaseUrl: postgres.url(database),
    env: { ELECTRIC_MANUAL_TABLE_PUBLISHING: 'true', ...env },
  })
  cleanup(() => server.discard())
  const publication = `busbar_publication_${server.streamId}`
  await postgres.query(database, `${sql}; CREATE PUBLICATION ${publication}`)
  server.query = (text) => postgres.query(database, text)
  server.walPosition = () => postgres.walPosition(database)
  const [{ oid }] = await server.query(`SELECT oid FROM pg_publication WHERE pubname = '${publication}'`)
  await server.start()
  const expectMissing = async (what) => {
    const response = await get(server, { ...shape, offset: '-1' })
    assert.equal(response.status, 503)
    assert.equal(response.header('electric-internal-known-error'), 'true')
    assert.match(response.json.message, what)
  }
  await expectMissing(/"public"\."notes" is not in publication .* must run: ALTER PUBLICATION/)
  await server.query(`ALTER PUBLICATION ${publication} ADD TABLE notes`)
  await expectMissing(/has no REPLICA IDENTITY FULL.* must run: ALTER TABLE ONLY/)
  await server.query('ALTER TABLE notes REPLICA IDENTITY FULL')
  await works(server)
  const state = await follow(server, shape)
  await server.query(`ALTER PUBLICATION ${publication} DROP TABLE notes`)
  await refused(server, state)
  await expectMissing(/is not in publication/)
  await server.terminate()
  const [after] = await server.query(`SELECT oid, (SELECT count(*) FROM pg_publication_rel) AS tables FROM pg_publication`)
  assert.deepEqual({ ...after }, { oid, tables: '0' })
})

scenario('F35: a slot that waits for an open transaction says so, and goes on when that has ended', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  await postgres.query(database, sql)
  const writer = await postgres.client(database)
  cleanup(() => writer.end())
  await writer.query('BEGIN; INSERT INTO notes VALUES (2)')
  const [{ pid }] = (await writer.query('SELECT pg_backend_pid() AS pid')).rows
  const server = await Busbar.prepare({ databaseUrl: postgres.url(database), env })
  cleanup(() => server.discard())
  server.query = (text) => postgres.query(database, text)
  server.walPosition = () => postgres.walPosition(database)
  await server.start({ wait: false })
  await until(() => server.health(), 'an answer')
  const said = await cause(server, 'slot_waits')
  assert.match(said.message, new RegExp(`pid ${pid} \\(for \\d+ s\\)`))
  await writer.query('COMMIT')
  await server.active()
  await works(server)
})

scenario('F37: a slot whose WAL was removed costs every shape, but not all at one moment', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, {
    sql: `${sql}; CREATE TABLE noise (id int)`,
    env: { ...env, BUSBAR_LONG_POLL_TIMEOUT: '60s' },
  })
  const shapes = Array.from({ length: 120 }, (_, i) => ({ ...shape, where: `id > ${i}`, log: 'changes_only' }))
  const polls = await Promise.all(
    shapes.map(async (one) => {
      const first = await get(server, { ...one, offset: 'now' })
      assert.equal(first.status, 200, first.text)
      return poll(server, { ...one, offset: first.header('electric-offset'), handle: first.header('electric-handle') })
    }),
  )
  const parked = async () => Number(/^busbar_waiting_readers (\S+)$/m.exec(await server.metrics())?.[1])
  await until(async () => (await parked()) === polls.length, 'all readers to wait')
  cleanup(() => polls.forEach(({ connection }) => connection.destroy()))
  await postgres.query('postgres', `ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`)
  cleanup(() => postgres.query('postgres', 'ALTER SYSTEM RESET max_slot_wal_keep_size'))
  await postgres.query('postgres', 'SELECT pg_reload_conf()')
  process.kill(server.pid, 'SIGSTOP')
  const lost = async () => {
    const [row] = await postgres.query('postgres', `SELECT wal_status FROM pg_replication_slots WHERE slot_name = '${server.slot}'`)
    return row.wal_status === 'lost'
  }
  await until(
    async () => {
      await server.query('INSERT INTO noise VALUES (1)')
      await postgres.query('postgres', 'SELECT pg_switch_wal()')
      await postgres.query('postgres', 'CHECKPOINT')
      return lost()
    },
    'the WAL to be removed',
    { deadlineMs: 30_000 },
  )
  process.kill(server.pid, 'SIGCONT')
  const answers = await Promise.all(
    polls.map(async ({ answer }) => ({ status: (await answer).status, at: Date.now() })),
  )
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [409])
  const times = answers.map(({ at }) => at).sort((a, b) => a - b)
  assert.ok(times.at(-1) - times[0] > 700, `they were told within ${times.at(-1) - times[0]} ms`)
  assert.ok(server.running)
  await server.active()
  await works(server)
})
