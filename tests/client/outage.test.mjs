// outage.test.mjs: PostgreSQL away, for whatever reason: what exists is served and says since when,
// health says why, nothing ends, and all goes on as it was once the cause is gone.
import assert from 'node:assert/strict'
import { Busbar } from './harness/busbar.mjs'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { stagePostgres } from './harness/stage.mjs'
import { poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
await postgres.query('postgres', `CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right'`)
const shape = { table: 'notes' }

/** Whoever is up to date to this has seen what was committed before. */
async function position(server) {
  const lsn = await server.walPosition()
  await server.query(`SELECT pg_logical_emit_message(true, 'test', '')`)
  return lsn
}

async function stage(cleanup, longPoll = '1s') {
  const database = await postgres.createDatabase()
  await postgres.query(database, 'CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1)')
  const server = await Busbar.start({
    databaseUrl: postgres.url(database, { user: 'guarded', password: 'right' }),
    env: { BUSBAR_LONG_POLL_TIMEOUT: longPoll },
  })
  cleanup(() => server.discard())
  server.query = (text) => postgres.query(database, text)
  server.walPosition = () => postgres.walPosition(database)
  server.database = database
  return server
}

/** Waits until health names this cause; returns its body. */
async function missed(server, cause) {
  return until(
    async () => {
      assert.ok(server.running, server.output())
      const body = await server.healthBody()
      return body.cause === cause && body
    },
    async () => `health to say ${cause}; it says ${JSON.stringify(await server.healthBody())}\n${server.output()}`,
    { deadlineMs: 30_000 },
  )
}

async function dropSessions(server) {
  await postgres.query(
    'postgres',
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${server.database}'
     AND application_name LIKE 'busbar %'`,
  )
}

/** A read that is answered as of `since`, and is not to be kept for long. */
async function expectStale(server, state, since) {
  const response = await get(server, { ...shape, offset: '-1' })
  assert.equal(response.status, 200)
  assert.equal(response.header('electric-handle'), state.handle)
  assert.equal(response.header('busbar-stale-since'), since)
  assert.match(response.header('busbar-stale-since'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.equal(response.header('cache-control'), 'public, max-age=5, stale-while-revalidate=5')
  for (const path of ['/livez', '/readyz']) assert.equal((await request(server, path)).status, 200, path)
  const { conditions } = (await request(server, '/readyz')).json
  const stream = conditions.find(({ name }) => name === 'stream')
  const { cause, message } = (await request(server, '/v1/health')).json
  assert.deepEqual(stream, { name: 'stream', met: false, reason: cause, message })
}

async function expectHealed(server, state) {
  await server.active(30_000)
  await server.query('INSERT INTO notes SELECT max(id) + 1 FROM notes')
  await followTo(server, shape, state, await position(server))
  const response = await get(server, { ...shape, offset: '-1' })
  assert.equal(response.header('busbar-stale-since'), undefined)
  assert.match(response.header('cache-control'), /max-age=604800/)
  assert.deepEqual(await server.healthBody(), { status: 'active' })
}

const troubles = {
  'F59: a password that is rotated': {
    cause: 'invalid_password',
    begin: () => postgres.query('postgres', `ALTER ROLE guarded PASSWORD 'another'`),
    end: () => postgres.query('postgres', `ALTER ROLE guarded PASSWORD 'right'`),
  },
  'F59: a database that is renamed': {
    cause: 'no_such_database',
    begin: async (server) => {
      await postgres.query('postgres', `ALTER DATABASE ${server.database} ALLOW_CONNECTIONS false`)
      await dropSessions(server)
      await until(async () => {
        try {
          await postgres.query('postgres', `ALTER DATABASE ${server.database} RENAME TO elsewhere`)
          return true
        } catch {
          return false
        }
      }, 'the database to be renamed')
    },
    end: (server) =>
      postgres.query(
        'postgres',
        `ALTER DATABASE elsewhere RENAME TO ${server.database}; ALTER DATABASE ${server.database} ALLOW_CONNECTIONS true`,
      ),
  },
  'F59: a role that may not replicate any more': {
    cause: 'missing_privilege',
    begin: () => postgres.query('postgres', 'ALTER ROLE guarded NOSUPERUSER NOREPLICATION'),
    end: () => postgres.query('postgres', 'ALTER ROLE guarded SUPERUSER REPLICATION'),
  },
}

for (const [what, { cause, begin, end }] of Object.entries(troubles)) {
  scenario(`${what} is told, ends nothing, and heals by itself`, async ({ cleanup }) => {
    const server = await stage(cleanup)
    const state = await follow(server, shape)
    const pid = server.pid
    await begin(server)
    await dropSessions(server)
    const said = await missed(server, cause)
    assert.equal(said.status, 'starting')
    assert.equal(said.misconfigured, true)
    assert.doesNotMatch(JSON.stringify(said), /127\.0\.0\.1|guarded|right/)
    await expectStale(server, state, said.since)
    const fresh = await get(server, { ...shape, offset: '-1', where: 'id > 7' }, { timeoutMs: 15_000 })
    assert.equal(fresh.status, 503)
    assert.equal(fresh.json.message, said.message)
    await end(server)
    await expectHealed(server, state)
    assert.equal(server.pid, pid)
    assert.ok(server.running)
  })
}

scenario('a server that starts with shapes in storage serves them, however wrong its password is', async ({ cleanup }) => {
  const server = await stage(cleanup)
  const state = await follow(server, shape)
  await server.terminate()
  await postgres.query('postgres', `ALTER ROLE guarded PASSWORD 'another'`)
  await server.start({ wait: false })
  await until(() => server.health(), 'an answer')
  const said = await missed(server, 'invalid_password')
  await expectStale(server, state, said.since)
  await postgres.query('postgres', `ALTER ROLE guarded PASSWORD 'right'`)
  await expectHealed(server, state)
})

scenario('with PostgreSQL down reads go on, and a live request sees what is written when it is back', async ({ cleanup }) => {
  const server = await stage(cleanup, '15s')
  const state = await follow(server, shape)
  const before = Math.floor(Date.now() / 1000)
  await postgres.stop()
  const said = await missed(server, 'connection_refused')
  assert.equal(said.misconfigured, false)
  assert.ok(Date.parse(said.since) / 1000 >= before - 1)
  await expectStale(server, state, said.since)
  const waiting = await poll(server, { ...shape, offset: state.offset, handle: state.handle })
  await postgres.start()
  await server.query('INSERT INTO notes VALUES (2)')
  const answer = await waiting.answer
  assert.equal(answer.status, 200)
  assert.equal(answer.json[0]?.value.id, '2')
  const handle = (await get(server, { ...shape, offset: '-1' })).header('electric-handle')
  assert.equal(handle, state.handle)
})
