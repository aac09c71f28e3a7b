// startup.test.mjs: what a start with bad settings or a bad world says and does: one clear line and a
// non-zero exit where nothing can heal, patience where it can; and what a good command line prints.
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Busbar, runToExit } from './harness/busbar.mjs'
import { Postgres } from './harness/postgres.mjs'
import { freePort, scratchDirectory, until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const database = await postgres.createDatabase()
await postgres.query(
  database,
  `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows};
  CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right';
  CREATE ROLE powerless LOGIN;
  CREATE ROLE reader LOGIN REPLICATION`,
)

/** Everything a good start needs; a test spoils one thing. */
async function settings(changes = {}) {
  const all = {
    DATABASE_URL: postgres.url(database),
    BUSBAR_INSECURE: 'true',
    BUSBAR_PORT: String(await freePort()),
    BUSBAR_METRICS_PORT: String(await freePort()),
    BUSBAR_STORAGE_DIR: join(scratchDirectory('store'), 'data'),
    BUSBAR_REPLICATION_STREAM_ID: 'startup',
    ...changes,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** It ends by itself, soon, not by a signal, with exactly one line on stderr that says `what`. */
async function refuses(environment, what, { args = ['serve'], lines = 1 } = {}) {
  const { code, signal, stderr, stdout, ms } = await runToExit(args, environment)
  const said = `exit ${code}/${signal} after ${ms} ms\nstdout: ${stdout}\nstderr: ${stderr}`
  assert.equal(signal, null, said)
  assert.notEqual(code, 0, said)
  assert.ok(ms < 10_000, said)
  const complaints = stderr.split('\n').filter((line) => line.trim() !== '' && !/\b(info|warning|debug)\b/i.test(line))
  assert.equal(complaints.length, lines, said)
  assert.match(complaints.at(-1), what, said)
  assert.ok(complaints.at(-1).length < 500, said)
  return stderr + stdout
}

const badSettings = {
  'DATABASE_URL missing': [{ DATABASE_URL: undefined }, /DATABASE_URL/],
  'DATABASE_URL empty': [{ DATABASE_URL: '' }, /DATABASE_URL/],
  'DATABASE_URL no URL': [{ DATABASE_URL: 'localhost' }, /DATABASE_URL/],
  'DATABASE_URL of another scheme': [{ DATABASE_URL: 'mysql://u@localhost/x' }, /DATABASE_URL/],
  'DATABASE_URL without host': [{ DATABASE_URL: 'postgresql:///x' }, /DATABASE_URL/],
  'DATABASE_URL with a bad port': [{ DATABASE_URL: 'postgresql://u@localhost:notaport/x' }, /DATABASE_URL/],
  'DATABASE_URL with replication=': [
    { DATABASE_URL: 'postgresql://u@localhost/x?replication=database' },
    /DATABASE_URL|replication/,
  ],
  'DATABASE_URL with an unknown sslmode': [{ DATABASE_URL: 'postgresql://u@localhost/x?sslmode=perhaps' }, /sslmode/],
  'neither secret nor insecure': [
    { BUSBAR_INSECURE: undefined },
    /BUSBAR_SECRET.*BUSBAR_INSECURE|BUSBAR_INSECURE.*BUSBAR_SECRET/,
  ],
  'both secret and insecure': [{ BUSBAR_SECRET: 'x' }, /BUSBAR_SECRET|BUSBAR_INSECURE/],
  'a port that is no number': [{ BUSBAR_PORT: 'http' }, /BUSBAR_PORT/],
  'a port out of range': [{ BUSBAR_PORT: '70000' }, /BUSBAR_PORT/],
  'a bad stream id': [{ BUSBAR_REPLICATION_STREAM_ID: 'Not Valid!' }, /BUSBAR_REPLICATION_STREAM_ID/],
  'a stream id too long for a slot name': [
    { BUSBAR_REPLICATION_STREAM_ID: 'x'.repeat(60) },
    /BUSBAR_REPLICATION_STREAM_ID/,
  ],
  'a bad duration': [{ BUSBAR_LONG_POLL_TIMEOUT: 'soon' }, /BUSBAR_LONG_POLL_TIMEOUT/],
  'a bad size': [{ BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '-1' }, /BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD/],
  'a bad boolean': [{ BUSBAR_INSECURE: 'maybe' }, /BUSBAR_INSECURE/],
  'an unknown BUSBAR_ variable': [{ BUSBAR_PROT: '3000' }, /BUSBAR_PROT/],
}

for (const [what, [changes, complaint]] of Object.entries(badSettings)) {
  scenario(`refused at once: ${what}`, async () => {
    await refuses(await settings(changes), complaint)
  })
}

scenario('refused: an unknown flag and an unknown command', async () => {
  await refuses(await settings(), /--frobnicate/, { args: ['serve', '--frobnicate'] })
  await refuses(await settings(), /dance/, { args: ['dance'] })
})

scenario('F59, F63: refused: a wrong password, which no output repeats', async () => {
  const said = await refuses(
    await settings({ DATABASE_URL: postgres.url(database, { user: 'guarded', password: 'canary77' }) }),
    /password|authentication/i,
  )
  assert.ok(!said.includes('canary77'), said)
})

scenario('refused: a database that does not exist', async () => {
  await refuses(await settings({ DATABASE_URL: postgres.url('nowhere') }), /nowhere/)
})

scenario('refused: a role without REPLICATION, and one that may not create a publication', async () => {
  await refuses(await settings({ DATABASE_URL: postgres.url(database, { user: 'powerless' }) }), /REPLICATION/i)
  await refuses(
    await settings({ DATABASE_URL: postgres.url(database, { user: 'reader' }) }),
    /publication|permission|CREATE/i,
  )
})

scenario('refused: wal_level that is not logical', async ({ cleanup }) => {
  const replica = await Postgres.start({ walLevel: 'replica' })
  cleanup(() => replica.discard())
  await refuses(await settings({ DATABASE_URL: replica.url('postgres') }), /wal_level/)
})

scenario('refused: a port that is taken, for shapes or for metrics', async ({ cleanup }) => {
  const holder = createServer().listen(0, '0.0.0.0')
  cleanup(() => holder.close())
  await new Promise((resolve) => holder.once('listening', resolve))
  const port = String(holder.address().port)
  await refuses(await settings({ BUSBAR_PORT: port }), new RegExp(port))
  await refuses(await settings({ BUSBAR_METRICS_PORT: port }), new RegExp(port))
})

scenario('refused: storage that cannot be written', async () => {
  // A path below a regular file: the modes of a directory would not stop root.
  const file = join(scratchDirectory('store'), 'file')
  writeFileSync(file, 'not a directory')
  const storage = join(file, 'data')
  await refuses(await settings({ BUSBAR_STORAGE_DIR: storage }), /storage|BUSBAR_STORAGE_DIR|file\/data/i)
})

const items = `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`

scenario('refused: storage that another Busbar holds', async () => {
  const first = await stageBusbar(postgres, { sql: items })
  const spoilt = { BUSBAR_STORAGE_DIR: first.storageDir, DATABASE_URL: postgres.url(first.database) }
  await refuses(await settings(spoilt), /storage|lock|use/i)
  assert.deepEqual(await first.health(), { code: 200, status: 'active' })
})

scenario(
  'F27: refused: storage of another PostgreSQL, and of another database; neither does any harm',
  async ({ cleanup }) => {
    const first = await stageBusbar(postgres, { sql: items })
    const { handle, offset } = await follow(first, { table: 'items' })
    await first.terminate()
    await first.query(`INSERT INTO items VALUES (4, 'while away', true, NULL)`)
    const other = await Postgres.start()
    cleanup(() => other.discard())
    const same = { BUSBAR_STORAGE_DIR: first.storageDir, BUSBAR_REPLICATION_STREAM_ID: first.streamId }
    await refuses(
      await settings({ ...same, DATABASE_URL: other.url('postgres') }),
      /another|different|database|system/i,
    )
    await refuses(await settings({ ...same, DATABASE_URL: postgres.url(database) }), /another|different|database/i)
    // With storage of its own it would find the slot of that stream in use by another database.
    await refuses(await settings({ BUSBAR_REPLICATION_STREAM_ID: first.streamId }), /slot|stream/i)
    await first.start()
    const state = await until(async () => {
      const rest = await follow(first, { table: 'items' }, { offset, handle })
      return rest.messages.length > 1 && rest
    }, 'what was written while it was away')
    assert.equal(state.handle, handle)
    assert.equal(state.messages[0].value.id, '4')
  },
  { deadlineMs: 120_000 },
)

scenario('PostgreSQL that is not up yet is waited for', async ({ cleanup }) => {
  const late = await Postgres.prepare()
  cleanup(() => late.discard())
  const server = await Busbar.prepare({ databaseUrl: late.url('postgres') })
  cleanup(() => server.discard())
  await server.start({ wait: false })
  const asksHealth = async (...flags) => {
    const { code, stdout, stderr } = await runToExit(['health', ...flags], { BUSBAR_PORT: String(server.port) })
    return { code, said: (stdout + stderr).trim() }
  }
  assert.deepEqual(await until(() => server.health(), 'an answer while starting'), { code: 202, status: 'starting' })
  assert.deepEqual(await asksHealth(), { code: 0, said: 'starting' })
  assert.deepEqual(await asksHealth('--active'), { code: 1, said: 'starting' })
  const asked = Date.now()
  const response = await get(server, { table: 'items', offset: '-1' }, { timeoutMs: 15_000 })
  assert.ok(Date.now() - asked >= 4_900, 'it waits for the service')
  assert.equal(response.status, 503)
  assert.equal(response.header('retry-after'), '5')
  assert.equal(response.header('cache-control'), 'no-store')
  assert.equal(response.header('surrogate-control'), 'no-store')
  assert.equal(typeof response.json.message, 'string')
  assert.doesNotMatch(response.text, /127\.0\.0\.1/, 'the body names no host')
  assert.ok(server.running, 'it goes on trying')
  await late.start()
  await late.query('postgres', `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`)
  await server.active(30_000)
  assert.deepEqual(await asksHealth('--active'), { code: 0, said: 'active' })
  assert.equal((await follow(server, { table: 'items' })).checker.rows.size, 3)
  await server.terminate()
  const { code, said } = await asksHealth()
  assert.equal(code, 1)
  assert.match(said, new RegExp(`no answer at port ${server.port}`))
})

scenario('while the stream is made again, first requests wait and the others are served', async () => {
  const server = await stageBusbar(postgres, { sql: `${items}; CREATE TABLE more (id int PRIMARY KEY)` })
  const state = await follow(server, { table: 'items' })
  await server.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [server.slot])
  await until(async () => (await server.health())?.status === 'starting', 'the stream to be missed', { everyMs: 5 })
  const [first, known] = await Promise.all([
    get(server, { table: 'more', offset: '-1' }),
    get(server, { table: 'items', offset: state.offset, handle: state.handle }),
  ])
  checkLogResponse(known, { offset: state.offset })
  checkLogResponse(first, { offset: '-1' })
})

scenario('F33: a second Busbar of the same stream waits for the first to go', async ({ cleanup }) => {
  const first = await stageBusbar(postgres)
  const second = await Busbar.prepare({ databaseUrl: postgres.url(first.database), streamId: first.streamId })
  cleanup(() => second.discard())
  await second.start({ wait: false })
  const health = await until(
    async () => {
      const answer = await second.health()
      return answer?.status === 'waiting' && answer
    },
    () => `the second to wait:\n${second.output()}`,
  )
  assert.equal(health.code, 202)
  assert.deepEqual(await first.health(), { code: 200, status: 'active' })
  await first.terminate()
  await second.active(30_000)
})

scenario("Electric's names of the settings are understood", async ({ cleanup }) => {
  const electric = await Busbar.prepare({ databaseUrl: postgres.url(database) })
  cleanup(() => electric.discard())
  electric.environment = {
    DATABASE_URL: postgres.url(database),
    ELECTRIC_SECRET: 'sesame',
    ELECTRIC_PORT: String(electric.port),
    ELECTRIC_PROMETHEUS_PORT: String(electric.metricsPort),
    ELECTRIC_STORAGE_DIR: electric.storageDir,
    ELECTRIC_REPLICATION_STREAM_ID: electric.streamId,
    ELECTRIC_ENABLE_INTEGRATION_TESTING: 'true',
    ELECTRIC_CACHE_MAX_AGE: '7',
    ELECTRIC_CACHE_STALE_AGE: '8',
    ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
    ELECTRIC_LONG_POLL_TIMEOUT: '500ms',
    ELECTRIC_MAX_CONCURRENT_REQUESTS: '{"initial": 50, "existing": 60}',
    ELECTRIC_FEATURE_FLAGS: '',
  }
  await electric.start()
  electric.secret = 'sesame'
  const state = await follow(electric, { table: 'items' })
  assert.equal(state.responses.at(-1).header('cache-control'), 'public, max-age=7, stale-while-revalidate=8')
  const started = Date.now()
  const poll = await get(electric, { table: 'items', offset: state.offset, handle: state.handle, live: 'true' })
  checkLogResponse(poll, { offset: state.offset, live: true })
  assert.ok(Date.now() - started < 5_000)
  assert.equal((await request(electric, target({ table: 'items', offset: '-1' }))).status, 401)
  assert.equal((await fetch(`http://127.0.0.1:${electric.metricsPort}/metrics`)).status, 200)
  assert.ok(existsSync(electric.storageDir))
  const slots = await postgres.query(
    database,
    'SELECT slot_name FROM pg_replication_slots WHERE database = current_database()',
  )
  assert.ok(
    slots.some((row) => row.slot_name === electric.slot),
    JSON.stringify(slots),
  )
  const publications = await postgres.query(database, 'SELECT pubname FROM pg_publication')
  assert.ok(
    publications.some((row) => row.pubname === `busbar_publication_${electric.streamId}`),
    JSON.stringify(publications),
  )
})

scenario('F28: SIGTERM ends it soon with code 0, and waiting readers are answered first', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, { sql: `CREATE TABLE items (${itemColumns})` })
  const state = await follow(server, { table: 'items' })
  const reader = await RawConnection.open(server.port)
  cleanup(() => reader.destroy())
  reader.request(
    'GET',
    target({ table: 'items', offset: state.offset, handle: state.handle, live: 'true', cursor: '' }),
  )
  const answer = reader.readResponse({ timeoutMs: 15_000 })
  // The reader is parked once a request sent after it has been answered.
  await request(server, '/v1/health')
  const started = Date.now()
  const { code, signal } = await server.terminate(15_000)
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.ok(Date.now() - started < 10_000)
  const response = await answer
  assert.ok([200, 503].includes(response.status), `status ${response.status}`)
})

scenario('who is about to end is alive, but not ready', async ({ cleanup }) => {
  const server = await stageBusbar(postgres)
  assert.deepEqual((await request(server, '/livez')).json, { status: 'ok' })
  const { status, conditions } = (await request(server, '/readyz')).json
  assert.equal(status, 'ok')
  assert.deepEqual(
    conditions.map(({ name, met }) => [name, met]),
    ['running', 'storage', 'configuration', 'leadership', 'stream'].map((name) => [name, true]),
  )
  // Connections whose requests have begun are let finish them.
  const begun = []
  for (let i = 0; i < 100; i++) begun.push(await RawConnection.open(server.port))
  cleanup(() => begun.forEach((one) => one.destroy()))
  for (const [i, one] of begun.entries()) one.send(`GET /${i % 2 ? 'livez' : 'readyz'} HTTP/1.1\r\nhost: localhost\r\n`)
  await request(server, '/livez')
  const ended = server.terminate(15_000)
  const isRefused = () => RawConnection.open(server.port).then((one) => one.destroy(), () => true)
  await until(isRefused, 'new connections to be refused')
  let alive, ready
  do {
    const [one, other] = begun.splice(-2)
    one.send('\r\n')
    other.send('\r\n')
    ready = await one.readResponse()
    alive = await other.readResponse()
    assert.equal(alive.status, 200)
  } while (ready.status === 200 && begun.length > 0)
  assert.deepEqual([ready.status, ready.json.status], [503, 'stopping'])
  assert.deepEqual(ready.json.conditions[0], { name: 'running', met: false, reason: 'stopping', message: 'the server is stopping' })
  begun.forEach((one) => one.destroy())
  assert.deepEqual(await ended, { code: 0, signal: null })
})

scenario('--version and --help', async () => {
  const version = await runToExit(['--version'])
  assert.equal(version.code, 0)
  assert.match(version.stdout, /[0-9]+\.[0-9]+\.[0-9]+/)
  assert.equal(version.stderr, '')
  const help = await runToExit(['serve', '--help'])
  assert.equal(help.code, 0)
  for (const name of [
    'DATABASE_URL',
    'BUSBAR_SECRET',
    'BUSBAR_INSECURE',
    'BUSBAR_PORT',
    'BUSBAR_METRICS_PORT',
    'BUSBAR_STORAGE_DIR',
    'BUSBAR_REPLICATION_STREAM_ID',
    'BUSBAR_LONG_POLL_TIMEOUT',
    'BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD',
    'BUSBAR_ENABLE_INTEGRATION_TESTING',
    '3000',
    '9464',
    './busbar-data',
  ])
    assert.ok(help.stdout.includes(name), `${name} in\n${help.stdout}`)
})
