// connections.test.mjs: what the role, the database or the road to it do to Busbar's sessions: settings
// that would spoil texts or cut work short, a standby in the list of hosts.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Busbar, runToExit } from './harness/busbar.mjs'
import { Postgres } from './harness/postgres.mjs'
import { freePort, scratchDirectory, until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { stagePostgres } from './harness/stage.mjs'
import { markerTable, settle } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const postgres = await stagePostgres()

/** Everything a role may set for itself that a service must not believe. */
const hostile = {
  search_path: `evil, pg_catalog`,
  datestyle: `'German, MDY'`,
  intervalstyle: `'sql_standard'`,
  timezone: `'Asia/Kolkata'`,
  bytea_output: `'escape'`,
  extra_float_digits: '-10',
  standard_conforming_strings: 'off',
  escape_string_warning: 'on',
  client_encoding: `'LATIN1'`,
  xmlbinary: `'hex'`,
  statement_timeout: `'400ms'`,
  lock_timeout: `'50ms'`,
  idle_in_transaction_session_timeout: `'200ms'`,
  idle_session_timeout: `'700ms'`,
  default_transaction_isolation: `'serializable'`,
  default_transaction_deferrable: 'on',
  row_security: 'off',
  enable_seqscan: 'off',
  jit: 'on',
}

const columns = `id int PRIMARY KEY, ref int, day date, at timestamptz, span interval, raw bytea, f float8, text text`
const values = (from, to) => `SELECT i, i % 4, date '2024-02-03' + i, timestamptz '2024-02-03 04:05:06.789+00' + i * interval '1 hour',
    make_interval(days => i, mins => -i), decode(lpad(to_hex(i), 4, '0'), 'hex'), i / 3.0::float8, 'grüße \\ ' || i
  FROM generate_series(${from}, ${to}) i`

scenario('F34: a role that is set against us changes neither texts nor patience, from first start to restart', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  await postgres.query(
    database,
    `CREATE ROLE odd SUPERUSER LOGIN; CREATE SCHEMA evil;
     CREATE FUNCTION evil.quote_ident(text) RETURNS text LANGUAGE sql AS $$ SELECT 'evil'::text $$;
     CREATE FUNCTION evil.has_table_privilege(oid, text) RETURNS bool LANGUAGE sql AS $$ SELECT false $$;
     CREATE TABLE evil.facts (id int PRIMARY KEY); CREATE TABLE evil.teams (id int PRIMARY KEY, open bool);
     CREATE TABLE facts (${columns}); CREATE TABLE teams (id int PRIMARY KEY, open bool); ${markerTable}
     INSERT INTO teams VALUES (1, true), (2, false); INSERT INTO facts ${values(1, 100)}`,
  )
  for (const [name, value] of Object.entries(hostile))
    await postgres.query(database, `ALTER ROLE odd SET ${name} = ${value}`)
  const server = await Busbar.prepare({
    databaseUrl: postgres.url(database, { user: 'odd' }),
    env: { BUSBAR_LONG_POLL_TIMEOUT: '500ms', BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '300ms' },
  })
  cleanup(() => server.discard())
  Object.assign(server, {
    query: (text) => postgres.query(database, text),
    walPosition: () => postgres.walPosition(database),
  })
  const select = async (condition = 'true') =>
    (await server.query(`SELECT * FROM public.facts WHERE ${condition} ORDER BY id`)).map((row) => ({ ...row }))
  const sorted = (rows) => [...rows].sort((a, b) => Number(a.id) - Number(b.id))
  const equals = async (state, what) => assert.deepEqual(sorted(state.checker.rows.values()), await select(), what)

  // The new slot waits for a transaction that is open, longer than statement_timeout allows.
  const writer = await postgres.client(database)
  await writer.query('BEGIN; SELECT pg_current_xact_id()')
  await server.start({ wait: false })
  await delay(900)
  await writer.query('COMMIT')
  await server.active()

  // The first rows wait for a lock, longer than all but idle_session_timeout allow.
  await writer.query('BEGIN; LOCK TABLE facts IN ACCESS EXCLUSIVE MODE')
  const shape = { table: 'facts' }
  const waiting = get(server, { ...shape, offset: '-1' })
  await delay(650)
  await writer.query('COMMIT')
  await writer.end()
  assert.equal((await waiting).status, 200, (await waiting).text)
  const state = await follow(server, shape)
  await equals(state, 'the first rows')

  await server.query(`INSERT INTO facts ${values(101, 120)}; UPDATE facts SET span = span * 2 WHERE id < 5`)
  await followTo(server, shape, state, await server.walPosition())
  await equals(state, 'changes')

  const subset = await get(server, { ...shape, offset: '-1', log: 'changes_only', subset__where: "at > '2024-02-07T00:00:00Z'" })
  assert.equal(subset.status, 200, subset.text)
  assert.deepEqual(sorted(subset.json.data.map(({ value }) => value)), await select(`at > '2024-02-07T00:00:00Z'`), 'a subset')

  const where = 'ref IN (SELECT id FROM teams WHERE open)'
  const follower = new TaggedFollower(server, { table: 'facts', where })
  await settle(server, follower)
  await server.query('UPDATE teams SET open = true WHERE id = 2')
  await settle(server, follower)
  assert.deepEqual(sorted(follower.rows.values.values()), await select(where), 'rows of a move')

  // Every session has been idle for longer than idle_session_timeout allows.
  await delay(1_200)
  await server.query(`ALTER TABLE facts ALTER text TYPE varchar; INSERT INTO facts ${values(121, 125)}`)
  const altered = await until(async () => {
    const fresh = await follow(server, shape).catch(() => undefined)
    return fresh?.checker.rows.size === 125 && fresh
  }, 'the altered table to be followed')
  await equals(altered, 'after a long silence and an ALTER TABLE')
  await server.query(`CREATE TABLE later AS SELECT * FROM facts; ALTER TABLE later ADD PRIMARY KEY (id)`)
  assert.equal((await follow(server, { table: 'later' })).checker.rows.size, 125, 'a new shape after the silence')

  await server.restart()
  await server.query(`INSERT INTO facts ${values(126, 130)}`)
  const after = await until(async () => {
    const fresh = await follow(server, shape)
    return fresh.checker.rows.size === 130 && fresh
  }, 'changes after the restart')
  await equals(after, 'after a restart')
})

/** A hot standby of `primary`, streaming from it. */
async function standbyOf(primary) {
  const standby = Object.assign(new Postgres(), { bin: primary.bin, owner: primary.owner })
  standby.directory = scratchDirectory('standby')
  standby.data = join(standby.directory, 'data')
  mkdirSync(standby.data, { mode: 0o700 })
  for (const path of [standby.directory, standby.data])
    if (standby.owner.uid !== undefined) chownSync(path, standby.owner.uid, standby.owner.gid)
  const made = spawnSync(
    join(standby.bin, 'pg_basebackup'),
    ['-D', standby.data, '-R', '-X', 'stream', '--checkpoint=fast', '--no-sync', '-d', primary.url('postgres')],
    { ...standby.owner, cwd: standby.directory, encoding: 'utf8' },
  )
  assert.equal(made.status, 0, made.stderr)
  standby.port = await freePort()
  appendFileSync(join(standby.data, 'postgresql.conf'), `unix_socket_directories = '${standby.directory}'\n`)
  await standby.start()
  return standby
}

scenario('a standby that stands first in the list of hosts is passed over, and doctor knows one', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  await postgres.query(database, 'CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1)')
  const standby = await standbyOf(postgres)
  cleanup(() => standby.discard())
  const hosts = `127.0.0.1:${standby.port},127.0.0.1:${postgres.port}`
  const url = `postgresql://postgres@${hosts}/${database}?target_session_attrs=read-write`
  const server = await Busbar.start({ databaseUrl: url })
  cleanup(() => server.discard())
  assert.equal((await get(server, { table: 'items', offset: '-1' })).status, 200)

  const doctor = async (databaseUrl) => {
    const { code, stdout } = await runToExit(
      ['doctor', '--json'],
      { DATABASE_URL: databaseUrl, BUSBAR_INSECURE: 'true', BUSBAR_STORAGE_DIR: scratchDirectory('store') },
      60_000,
    )
    return { code, found: Object.fromEntries(JSON.parse(stdout).checks.map((check) => [check.check, check])) }
  }
  const wrong = await doctor(standby.url(database))
  assert.equal(wrong.code, 2)
  assert.equal(wrong.found['role of server'].verdict, 'wrong')
  assert.match(wrong.found['role of server'].mend[0], /target_session_attrs=read-write/)
  assert.equal((await doctor(url)).found['role of server'].verdict, 'ok')
  // The same name and the same rows, but not the same server.
  const pooled = await runToExit(
    ['doctor', '--json'],
    {
      DATABASE_URL: postgres.url(database),
      BUSBAR_POOLED_DATABASE_URL: standby.url(database),
      BUSBAR_INSECURE: 'true',
      BUSBAR_STORAGE_DIR: scratchDirectory('store'),
    },
    60_000,
  )
  const found = JSON.parse(pooled.stdout).checks.find(({ check }) => check === 'pooled connection')
  assert.equal(found.verdict, 'wrong', found.says)
})
