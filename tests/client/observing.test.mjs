// observing.test.mjs: what an operator sees of a running Busbar: series that move when something happens, tenants by
// load, log lines with their fields, slow queries, and the status page's data.
import assert from 'node:assert/strict'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { openEvents, poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: {
    BUSBAR_LOG_FORMAT: 'json',
    BUSBAR_LOG_LEVEL: 'debug',
    BUSBAR_TENANT_COLUMN: 'tenant',
    BUSBAR_TENANTS_LISTED: '2',
    BUSBAR_SLOW_QUERY: '200ms',
    BUSBAR_METRICS_ADDRESS: '127.0.0.1',
    BUSBAR_LONG_POLL_TIMEOUT: '5s',
  },
})
server.linesKept = 20_000

/** The sum of the series of this name whose labels contain `labels`. */
async function value(name, labels = '') {
  const lines = (await server.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return lines
    .filter((line) => line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
const rises = async (name, before, labels) =>
  until(async () => (await value(name, labels)) > before, `${name}{${labels ?? ''}} to rise above ${before}`)

const status = async () => (await fetch(`http://127.0.0.1:${server.metricsPort}/status.json`, { headers: { connection: 'close' } })).json()

/** Log lines as objects; every line must be one. */
function lines() {
  return server
    .output(Infinity)
    .split('\n')
    .filter((line) => !line.startsWith('---'))
    .map((line) => JSON.parse(line))
}
const lineWhere = (test, what) => until(() => lines().find(test), what)

const columns = 'id int PRIMARY KEY, tenant text NOT NULL, body text'

scenario('one change is counted all the way from its commit to the client', async () => {
  const table = await newTable(server, columns, `(1, 'a', 'x')`)
  const state = await follow(server, { table })
  const names = [
    'busbar_replication_receive_lag_seconds_count',
    'busbar_replication_received_bytes_total',
    'busbar_frame_apply_seconds_count',
    'busbar_frame_write_seconds_count',
    'busbar_commit_to_durable_seconds_count',
    'busbar_commit_to_client_seconds_count',
    'busbar_applied_changes_total',
    'busbar_applied_bytes_total',
    'busbar_applied_transactions_total',
  ]
  const before = await Promise.all(names.map((name) => value(name)))
  const waiting = await poll(server, { table, handle: state.handle, offset: state.offset })
  await until(async () => (await value('busbar_waiting_readers')) >= 1, 'the reader to wait')
  await server.query(`UPDATE ${table} SET body = 'y'`)
  assert.equal((await waiting.answer).status, 200)
  for (const [index, name] of names.entries()) await rises(name, before[index])
  // It was fresh: nothing took a minute.
  const late = (await value('busbar_commit_to_client_seconds_count')) - (await value('busbar_commit_to_client_seconds_bucket', 'le="60"'))
  assert.equal(late, 0)
  await rises('busbar_http_request_seconds_count', 0, 'live="true"')
})

scenario('a change that concerns no shape is counted as passed', async () => {
  const followed = await newTable(server, columns, `(1, 'a', 'x')`)
  await follow(server, { table: followed, where: 'id = 1' })
  const stored = await value('busbar_applied_changes_total', 'stored')
  const passed = await value('busbar_applied_changes_total', 'passed')
  const [bytesStored, bytesPassed] = [await value('busbar_applied_bytes_total', 'stored'), await value('busbar_applied_bytes_total', 'passed')]
  await server.query(`INSERT INTO ${followed} SELECT i, 'a', '' FROM generate_series(2, 11) i`)
  await until(async () => (await value('busbar_applied_changes_total', 'passed')) >= passed + 10, 'ten more to pass')
  assert.equal(await value('busbar_applied_changes_total', 'stored'), stored)
  assert.equal(await value('busbar_applied_bytes_total', 'stored'), bytesStored)
  assert.ok((await value('busbar_applied_bytes_total', 'passed')) >= bytesPassed + 10 * 'n2a'.length)
})

scenario('sessions that read from PostgreSQL are counted while they do, and how long one waited for them', async ({ cleanup }) => {
  const table = await newTable(server, columns, `(1, 'a', 'x')`)
  const teams = await newTable(server, 'id int PRIMARY KEY, open bool NOT NULL', '(1, false)')
  const shape = { table, where: `id IN (SELECT id FROM ${teams} WHERE open)` }
  const state = await follow(server, shape)
  const [subsets, moves] = [await value('busbar_subset_wait_seconds_count'), await value('busbar_move_wait_seconds_count')]
  const writer = await server.client()
  cleanup(() => writer.end())
  await writer.query(`BEGIN; LOCK TABLE ${table}`)
  const subset = get(server, { ...shape, handle: state.handle, offset: state.offset, subset__where: 'id > 0' })
  await until(async () => (await value('busbar_subsets_running')) === 1, 'the subset to be read')
  await writer.query(`UPDATE ${teams} SET open = true`)
  await writer.query('COMMIT')
  assert.equal((await subset).status, 200)
  await rises('busbar_subset_wait_seconds_count', subsets)
  await rises('busbar_move_wait_seconds_count', moves)
  for (const kind of ['subsets', 'move_reads', 'snapshots'])
    await until(async () => (await value(`busbar_${kind}_running`)) === 0, `no ${kind} to be running`)
})

scenario('slot and storage are looked at, and say what PostgreSQL says', async () => {
  await until(async () => (await value('busbar_slot_exists')) === 1, 'the slot to be looked at')
  const [{ wal_status }] = await server.query(`SELECT wal_status FROM pg_replication_slots WHERE slot_name = '${server.slot}'`)
  assert.equal(await value('busbar_slot_wal_status', `status="${wal_status}"`), 1)
  assert.ok((await value('busbar_slot_retained_bytes')) > 0)
  assert.equal(await value('busbar_slot_active'), 1)
  assert.ok((await value('busbar_storage_memory_bytes')) + (await value('busbar_storage_file_bytes')) > 0)
  assert.ok((await value('busbar_disk_free_bytes')) > 0)
  assert.equal(await value('busbar_storage_accepts_writes'), 1)
})

scenario('tenants are told apart by load; those that are not listed are summed up', async () => {
  const table = await newTable(server, columns, `(1, 'big', 'x'), (2, 'small', 'y'), (3, 'tiny', 'z')`)
  const read = (tenant, times) =>
    Promise.all(Array.from({ length: times }, () => get(server, { table, where: 'tenant = $1', 'params[1]': tenant, offset: '-1' })))
  for (const tenant of ['big', 'small', 'tiny']) await read(tenant, 1)
  await get(server, { table, offset: '-1' }) // nobody's
  assert.equal(await value('busbar_tenants'), 3)
  await read('big', 20)
  assert.equal(await value('busbar_tenant_requests_total', 'tenant="big"'), 21)
  assert.equal(await value('busbar_tenant_requests_total'), 23)
  assert.equal(await value('busbar_tenant_requests_total', 'others="true"'), 1)
  assert.equal(await value('busbar_tenant_shapes', 'others="true"'), 1)
  const sent = await value('busbar_tenant_sent_bytes_total', 'tenant="big"')
  const state = await follow(server, { table, where: 'tenant = $1', 'params[1]': 'big' })
  const events = await openEvents(server, { table, where: 'tenant = $1', 'params[1]': 'big', handle: state.handle, offset: state.offset })
  await server.query(`UPDATE ${table} SET body = repeat('b', 5000) WHERE tenant = 'big'`)
  assert.ok((await events.batch()).length > 0)
  events.connection.destroy()
  await until(async () => (await value('busbar_tenant_sent_bytes_total', 'tenant="big"')) > sent + 5000, 'what was sent to count')
  await rises('busbar_tenant_log_bytes_total', 5000, 'tenant="big"')
  await server.query(`DROP TABLE ${table}`)
})

scenario('a request is called the same in the answer, in its body and in the log', async () => {
  const id = 'the-client-calls-it-so-1'
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const headers = { 'x-request-id': id, traceparent: `00-${trace}-00f067aa0ba902b7-01` }
  const fine = await request(server, '/v1/health', { headers })
  assert.equal(fine.header('x-request-id'), id)
  const line = await lineWhere((one) => one.request_id === id, 'its line')
  assert.equal(line.trace_id, trace)
  assert.match(line.message, /^health was answered 200 after \d+ ms$/)

  const table = await newTable(server, columns, `(1, 'big', 'x')`)
  const of = await get(server, { table, offset: '-1' })
  const answered = await lineWhere((one) => one.request_id === of.header('x-request-id'), 'the line of an answer from a shape')
  assert.equal(answered.handle, of.header('electric-handle'))
  await server.query(`DROP TABLE ${table}`)

  const made = await request(server, target({ table: 'missing', offset: '-1', secret: 'nobody-may-read-this' }))
  const name = made.header('x-request-id')
  assert.match(name, /^[A-Za-z]{20}$/)
  assert.match((await lineWhere((one) => one.request_id === name, 'the line of a made up name')).message, /^shape was answered 400/)
  const bad = await request(server, '/v1/health', { headers: { traceparent: '00-nonsense', 'x-request-id': 'two words, and too many' } })
  assert.match(bad.header('x-request-id'), /^[A-Za-z]{20}$/)
  assert.ok(!server.output(Infinity).includes('nonsense') && !server.output(Infinity).includes('nobody-may-read-this'))
})

scenario('a refusal names the request, so that it can be found in the log', async ({ cleanup }) => {
  const at = await stageBusbar(postgres, { env: { BUSBAR_LOG_FORMAT: 'json' } })
  cleanup(() => at.discard())
  await postgres.query(at.database, `CREATE TABLE later (id int PRIMARY KEY)`)
  await postgres.query('postgres', `UPDATE pg_database SET datallowconn = false WHERE datname = '${at.database}'`)
  await postgres.query('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${at.database}'`)
  await until(async () => (await at.health()).status !== 'active', 'the outage to be noticed')
  const refused = await request(at, target({ table: 'later', offset: '-1' }))
  assert.equal(refused.status, 503)
  assert.equal(refused.json.request_id, refused.header('x-request-id'))
  await until(() => at.output(Infinity).includes(`"request_id":"${refused.json.request_id}"`), 'its line')
  // F57: what cannot be asked for now takes no other series with it.
  const metrics = await at.metrics()
  for (const line of [/^busbar_leader 0$/m, /^busbar_disk_free_bytes \d/m, /^process_open_fds \d/m, /^busbar_shapes 0$/m])
    assert.match(metrics, line)
  assert.match(metrics, /^busbar_replication_disconnects_total\{cause="[a-z_]+"\} [1-9]/m)
})

scenario('a removed shape is a line with its handle and tenant', async () => {
  const table = await newTable(server, columns, `(1, 'loud', 'x')`)
  const { handle } = await follow(server, { table, where: `tenant = 'loud'` })
  await server.query(`TRUNCATE ${table}`)
  const line = await lineWhere((one) => one.handle === handle && / is removed: /.test(one.message), 'the line')
  assert.equal(line.tenant, 'loud')
  assert.equal(line.level, 'info')
  assert.ok(!Number.isNaN(Date.parse(line.time)))
  const { removals } = await status()
  assert.equal(removals[0].handle, handle)
  assert.equal(removals[0].reason, 'truncated')
})

scenario('slow queries are logged with what they asked, counted and listed', async () => {
  const table = await newTable(server, columns, `(1, 'a', 'x'), (2, 'b', 'y')`)
  await follow(server, { table })
  const before = await value('busbar_slow_queries_total')
  const blocker = await server.client()
  await blocker.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
  const id = 'a-subset-that-has-to-wait'
  const subset = request(server, target({ table, offset: '-1', subset__where: `tenant = 'b'` }), { headers: { 'x-request-id': id } })
  await until(
    async () => (await server.query(`SELECT 1 FROM pg_locks WHERE relation = '${table}'::regclass AND NOT granted`)).length > 0,
    'the subset to wait for the lock',
  )
  await server.query('SELECT pg_sleep(0.4)')
  await blocker.query('COMMIT')
  await blocker.end()
  assert.equal((await subset).status, 200)
  const line = await lineWhere((one) => one.message.startsWith('slow query: subset') && one.request_id === id, 'the line')
  assert.match(line.message, /of public\.\w+ took 0\.[3-9]|[1-9]\.\d+ s for 1 rows: WHERE .*tenant/)
  assert.equal(line.level, 'warning')
  await rises('busbar_slow_queries_total', before)
  const { slow_queries } = await status()
  const listed = slow_queries.find(({ table: of, kind }) => of === `public.${table}` && kind === 'subset')
  assert.ok(listed.seconds >= 0.3 && listed.rows === 1 && listed.where.includes('tenant'))
})

scenario('a storm of alike lines is cut short and summed up', async ({ cleanup }) => {
  const at = await stageBusbar(postgres, { sql: `CREATE TABLE many (${columns})` })
  cleanup(() => at.discard())
  at.linesKept = 10_000
  for (let i = 0; i < 60; i += 20)
    await Promise.all(Array.from({ length: 20 }, (_, j) => get(at, { table: 'many', where: `id > ${i + j}`, offset: '-1' })))
  await postgres.query(at.database, 'TRUNCATE many')
  await until(() => /more lines like this one were left out: shape /.test(at.output(Infinity)), 'the summary', { deadlineMs: 25_000 })
  const said = at.output(Infinity).split('\n').filter((line) => /\] shape \d+-\d+ of public\.many is removed/.test(line)).length
  const [, left] = /(\d+) more lines like this one/.exec(at.output(Infinity))
  assert.equal(said, 20)
  assert.equal(said + Number(left), 60)
})

scenario('status.json tells roles, slot, shapes with their clients, and the configuration without secrets', async ({ cleanup }) => {
  const secret = 'a-secret-that-nobody-may-see'
  const at = await stageBusbar(postgres, {
    secret,
    env: { BUSBAR_TENANT_COLUMN: 'tenant' },
    sql: `CREATE TABLE watched (${columns}); INSERT INTO watched VALUES (1, 'a', '<script>alert(1)</script>')`,
  })
  cleanup(() => at.discard())
  const read = async () => (await fetch(`http://127.0.0.1:${at.metricsPort}/status.json`, { headers: { connection: 'close' } })).text()
  const shape = { table: 'watched', where: `tenant = 'a'`, secret }
  const state = await follow(at, shape)
  const readers = await Promise.all(Array.from({ length: 3 }, () => poll(at, { ...shape, handle: state.handle, offset: state.offset })))
  cleanup(() => readers.forEach(({ connection }) => connection.destroy()))
  let said
  await until(async () => (said = JSON.parse(await read())).shapes.clients === 3, 'three clients to wait')
  assert.equal(said.nodes.length, 1)
  assert.equal(said.nodes[0].role, 'leader')
  assert.ok(said.nodes[0].term > 0)
  assert.match(said.nodes[0].received_lsn, /^[0-9A-F]+\/[0-9A-F]+$/)
  await until(async () => (said = JSON.parse(await read())).slot?.exists, 'the slot')
  assert.equal(said.slot.name, at.slot)
  assert.equal(said.slot.wal_status, 'reserved')
  const [listed] = said.shapes.listed
  assert.deepEqual([listed.table, listed.where, listed.clients, listed.state, listed.tenant], ['public.watched', `tenant = 'a'`, 3, 'following', 'a'])
  assert.equal(listed.handle, state.handle)
  assert.ok(Math.abs(Date.now() - listed.made_at) < 60_000 && listed.bytes > 0)
  assert.equal(said.tenants.listed[0].tenant, 'a')
  const setting = (name) => said.configuration.find((one) => one.name === name)
  assert.deepEqual([setting('BUSBAR_SECRET').value, setting('BUSBAR_SECRET').changed], ['********', true])
  assert.equal(setting('BUSBAR_LONG_POLL_TIMEOUT').changed, false)
  const text = await read()
  assert.ok(!text.includes(secret))
})

scenario('the metrics port serves a page that runs nothing but itself, or none at all', async ({ cleanup }) => {
  const page = await request({ port: server.metricsPort }, '/')
  assert.equal(page.status, 200)
  assert.match(page.header('content-type'), /^text\/html/)
  assert.match(page.header('content-security-policy'), /default-src 'none'; script-src 'self'/)
  assert.equal(page.header('x-content-type-options'), 'nosniff')
  for (const [, path] of page.text.matchAll(/(?:src|href)="([^"]+)"/g))
    assert.equal((await request({ port: server.metricsPort }, `/${path}`)).status, 200, path)
  assert.ok(!/(?:src|href)="(?:https?:)?\/\//.test(page.text), 'nothing from elsewhere')
  assert.equal((await request({ port: server.metricsPort }, '/../etc/passwd')).status, 404)
  assert.equal((await request({ port: server.metricsPort }, '/', { method: 'POST', body: 'x' })).status, 405)
  const bare = await stageBusbar(postgres, { env: { BUSBAR_STATUS_PAGE: 'false' } })
  cleanup(() => bare.discard())
  for (const path of ['/', '/status.json']) assert.equal((await request({ port: bare.metricsPort }, path)).status, 404)
  assert.match(await bare.metrics(), /^busbar_leader 1$/m)
})
