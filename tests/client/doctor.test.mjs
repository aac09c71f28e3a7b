// doctor.test.mjs: `busbar doctor` names what is wrong with settings, PostgreSQL and disk, and what
// mends it: the SQL that it prints is run, and then it has nothing more to say. `busbar cleanup` drops
// what Busbar made, but not under a Busbar that leads.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Busbar, runToExit } from './harness/busbar.mjs'
import { Postgres } from './harness/postgres.mjs'
import { scratchDirectory, until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { get } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres({ settings: { max_slot_wal_keep_size: '20GB' } })

let streams = 0
/** The settings of a Busbar that does not run yet. */
function settings(database, changes = {}) {
  return {
    DATABASE_URL: postgres.url(database),
    BUSBAR_INSECURE: 'true',
    BUSBAR_STORAGE_DIR: join(scratchDirectory('store'), 'data'),
    BUSBAR_REPLICATION_STREAM_ID: `doctor_${++streams}`,
    ...changes,
  }
}

/** {code, checks: {name: {verdict, says, mend}}, text}; several of a name: the worst. */
async function doctor(environment, ...flags) {
  const { code, signal, stdout, stderr } = await runToExit(['doctor', '--json', ...flags], environment, 60_000)
  assert.equal(signal, null, stderr)
  assert.equal(stderr, '', 'nothing but the findings is said')
  const report = JSON.parse(stdout)
  const severity = ['ok', 'warn', 'unknown', 'wrong']
  const checks = {}
  for (const check of report.checks) {
    const before = checks[check.check]
    if (!before || severity.indexOf(check.verdict) > severity.indexOf(before.verdict)) checks[check.check] = check
    if (check.verdict !== 'ok') assert.ok(check.mend.length > 0, `${check.check} says nothing of mending: ${stdout}`)
  }
  return { code, verdict: report.verdict, checks, text: stdout }
}

function faults({ checks }) {
  return Object.values(checks)
    .filter(({ verdict }) => verdict === 'wrong' || verdict === 'unknown')
    .map(({ check }) => check)
    .sort()
}

scenario('doctor: all is well before the first start, beside a running Busbar, and after it', async () => {
  const server = await stageBusbar(postgres, {
    sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`,
  })
  const database = server.database
  const before = await doctor(settings(database))
  assert.equal(before.code, 0, before.text)
  assert.match(before.checks.slot.says, /not there yet/)
  assert.match(before.checks.storage.says, /not there yet/)

  await get(server, { table: 'items', offset: '-1' })
  const beside = await doctor(server.environment)
  assert.equal(beside.code, 0, beside.text)
  assert.match(beside.checks.slot.says, /streaming/)
  assert.match(beside.checks.storage.says, new RegExp(`in use by process ${server.pid}`))
  assert.match(beside.checks.tables.says, /1 table or partition is/)
  assert.equal((await server.health()).status, 'active', 'it was left alone')

  await server.terminate()
  const listing = readdirSync(server.storageDir).sort()
  const after = await doctor(server.environment)
  assert.equal(after.code, 0, after.text)
  assert.match(after.checks.slot.says, /nobody streams/)
  assert.match(after.checks.storage.says, /format \d/)
  assert.deepEqual(readdirSync(server.storageDir).sort(), listing, 'the store was not touched')
  await server.start()
  assert.equal((await get(server, { table: 'items', offset: '-1' })).status, 200)
})

scenario('doctor: it makes nothing, neither in PostgreSQL nor on disk', async () => {
  const database = await postgres.createDatabase()
  const environment = settings(database)
  await doctor(environment)
  assert.ok(!existsSync(environment.BUSBAR_STORAGE_DIR))
  const left = await postgres.query(
    database,
    `SELECT slot_name FROM pg_replication_slots WHERE database = '${database}'
     UNION ALL SELECT pubname FROM pg_publication`,
  )
  assert.deepEqual(left, [])
})

scenario('doctor: the text has a line for each check, and below a fault what mends it', async () => {
  const { code, stdout } = await runToExit(['doctor'], { DATABASE_URL: postgres.url(await postgres.createDatabase()) })
  assert.equal(code, 2, stdout)
  for (const line of stdout.trimEnd().split('\n'))
    assert.match(line, /^(ok|warn|wrong|unknown) +[a-z_ ]+ .+$|^ {8}mend: .+$/, stdout)
  assert.match(stdout, /^wrong +settings .*BUSBAR_SECRET/m)
  assert.match(stdout, /^ok +wal_level +logical$/m)
})

scenario('doctor: a weak role is told its grants, and with them all is well', async () => {
  const database = await postgres.createDatabase()
  const environment = settings(database)
  await postgres.query(
    database,
    `CREATE ROLE weak LOGIN PASSWORD 'canary-weak'; CREATE TABLE t (id int4 PRIMARY KEY, v text);
     CREATE TABLE bare (v text); CREATE TABLE ruled (id int4 PRIMARY KEY);
     ALTER TABLE ruled ENABLE ROW LEVEL SECURITY, REPLICA IDENTITY FULL; GRANT SELECT ON ruled TO weak;
     CREATE PUBLICATION busbar_publication_${environment.BUSBAR_REPLICATION_STREAM_ID}
       FOR TABLE t WHERE (id > 0), bare, ruled WITH (publish = 'insert, update')`,
  )
  environment.DATABASE_URL = postgres.url(database, { user: 'weak', password: 'canary-weak' })
  const found = await doctor(environment)
  assert.equal(found.code, 2, found.text)
  assert.deepEqual(faults(found), [
    'publication',
    'replica identity',
    'replication connection',
    'replication privilege',
    'row filter or column list',
    'row security',
    'select privilege',
  ])
  assert.ok(!found.text.includes('canary-weak'), found.text)

  // A DBA runs what it says, line by line, until it says no more.
  const isSql = (line) => /^(ALTER|GRANT|CREATE|SELECT)\b.*;/.test(line)
  for (let round = 0; round < 5; round++) {
    const next = await doctor(environment)
    if (next.code === 0) break
    assert.ok(round < 4, next.text)
    const all = JSON.parse(next.text).checks.filter(({ verdict }) => verdict === 'wrong')
    for (const { mend } of all) {
      const statement = mend.find(isSql)
      if (statement) await postgres.query(database, statement)
    }
  }
  const mended = await doctor(environment)
  assert.deepEqual(faults(mended), [], mended.text)
  // The slot is made by Busbar itself: the proof that nothing was overlooked is that it starts.
  const server = await Busbar.start({
    databaseUrl: environment.DATABASE_URL,
    streamId: environment.BUSBAR_REPLICATION_STREAM_ID,
  })
  assert.equal((await get(server, { table: 't', offset: '-1' })).status, 200)
  await server.terminate()
  await server.discard()
})

scenario('doctor: a database that cannot be reached is unknown, a wrong password is wrong', async () => {
  const database = await postgres.createDatabase()
  const away = await doctor({ ...settings(database), DATABASE_URL: 'postgresql://u:canary-away@127.0.0.1:1/x' })
  assert.equal(away.code, 1, away.text)
  assert.equal(away.checks.connection.verdict, 'unknown')
  assert.equal(away.checks['disk space'].verdict, 'ok', 'the disk is looked at all the same')
  await postgres.query(database, `CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right'`)
  const url = postgres.url(database, { user: 'guarded', password: 'canary-wrong' })
  const wrong = await doctor({ ...settings(database), DATABASE_URL: url })
  assert.equal(wrong.code, 2, wrong.text)
  assert.equal(wrong.checks.connection.verdict, 'wrong')
  assert.ok(!`${away.text}${wrong.text}`.includes('canary'), 'no password is repeated')
})

scenario('doctor: wal_level, the last slot, endless WAL and a lost slot', async ({ cleanup }) => {
  const small = await Postgres.start({
    walLevel: 'replica',
    settings: { max_replication_slots: 1, wal_sender_timeout: 0 },
  })
  cleanup(() => small.discard())
  const environment = { ...settings('postgres'), DATABASE_URL: small.url('postgres') }
  const found = await doctor(environment)
  assert.equal(found.code, 2, found.text)
  assert.equal(found.checks.wal_level.verdict, 'wrong')
  assert.match(found.checks.wal_level.mend[0], /ALTER SYSTEM SET wal_level = 'logical'/)
  assert.equal(found.checks.max_replication_slots.verdict, 'warn')
  assert.equal(found.checks.max_slot_wal_keep_size.verdict, 'warn')
  assert.equal(found.checks.wal_sender_timeout.verdict, 'warn')

  for (const check of ['wal_level', 'max_replication_slots'])
    await small.query('postgres', found.checks[check].mend[0])
  await small.query('postgres', `ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`)
  await small.query('postgres', `ALTER SYSTEM SET min_wal_size = '32MB'`)
  await small.stop()
  await small.start()
  const slot = `busbar_slot_${environment.BUSBAR_REPLICATION_STREAM_ID}`
  await small.query('postgres', `SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
  for (let i = 0; i < 3; i++) await small.query('postgres', 'SELECT pg_switch_wal(); CREATE TABLE x (); DROP TABLE x')
  await small.query('postgres', 'CHECKPOINT')
  const lost = await doctor(environment)
  assert.equal(lost.code, 2, lost.text)
  assert.deepEqual(faults(lost), ['slot'], lost.text)
  assert.match(lost.checks.slot.says, /is lost/)
  await small.query('postgres', lost.checks.slot.mend[0].replace(/^.*: SELECT/, 'SELECT'))
  assert.equal((await doctor(environment)).code, 0)
})

scenario('doctor: the pooled role is asked what it may read, too', async () => {
  const database = await postgres.createDatabase()
  const environment = settings(database)
  environment.BUSBAR_POOLED_DATABASE_URL = postgres.url(database, { user: 'half_blind' })
  await postgres.query(
    database,
    `CREATE ROLE half_blind LOGIN; CREATE TABLE shut (id int4 PRIMARY KEY); CREATE TABLE ruled (id int4 PRIMARY KEY);
     ALTER TABLE shut REPLICA IDENTITY FULL; ALTER TABLE ruled ENABLE ROW LEVEL SECURITY, REPLICA IDENTITY FULL;
     GRANT SELECT ON ruled TO half_blind;
     CREATE PUBLICATION busbar_publication_${environment.BUSBAR_REPLICATION_STREAM_ID} FOR TABLE shut, ruled`,
  )
  const found = await doctor(environment)
  assert.equal(found.code, 2, found.text)
  assert.deepEqual(faults(found), ['pooled role'], found.text)
  assert.match(found.text, /role .*half_blind.* may not read .*shut/)
  assert.match(found.text, /policies that apply to role .*half_blind/)
  await postgres.query(database, 'ALTER ROLE half_blind BYPASSRLS; GRANT SELECT ON shut TO half_blind')
  assert.equal((await doctor(environment)).code, 0)
})

scenario('doctor: a pooled URL that leads elsewhere, storage that is no store, a misspelt setting', async () => {
  const database = await postgres.createDatabase()
  const elsewhere = await postgres.createDatabase()
  const directory = scratchDirectory('store')
  writeFileSync(join(directory, 'CURRENT'), 'nonsense\n')
  const found = await doctor(
    settings(database, {
      BUSBAR_POOLED_DATABASE_URL: postgres.url(elsewhere),
      BUSBAR_STORAGE_DIR: directory,
    }),
  )
  assert.deepEqual(faults(found), ['pooled connection', 'storage'], found.text)
  const misspelt = await doctor(settings(database, { BUSBAR_PROT: '1' }))
  assert.equal(misspelt.code, 2)
  assert.match(misspelt.checks.settings.says, /BUSBAR_PORT/)
  const blocked = join(directory, 'file')
  writeFileSync(blocked, '')
  const file = await doctor(settings(database, { BUSBAR_STORAGE_DIR: blocked }))
  assert.deepEqual(faults(file), ['storage'], file.text)
})

scenario('doctor: storage of another database is named before a start refuses it', async () => {
  const server = await stageBusbar(postgres)
  await server.terminate()
  const other = await postgres.createDatabase()
  const found = await doctor({ ...server.environment, DATABASE_URL: postgres.url(other) })
  assert.ok(faults(found).includes('storage'), found.text)
  assert.match(found.checks.storage.says, /another database/)
  assert.ok(faults(found).includes('slot'), 'the slot is in the other database')
})

const cleanupOf = (environment, ...flags) => runToExit(['cleanup', ...flags], environment, 60_000)

async function belongings(database, streamId) {
  const [row] = await postgres.query(
    database,
    `SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'busbar_slot_${streamId}')::int AS slots,
            (SELECT count(*) FROM pg_publication WHERE pubname = 'busbar_publication_${streamId}')::int AS publications`,
  )
  return row
}

scenario('cleanup: not under a leader; then all of ours goes, and a dry run changes nothing', async () => {
  const server = await stageBusbar(postgres, { sql: `CREATE TABLE items (${itemColumns})` })
  await get(server, { table: 'items', offset: '-1' })
  const refused = await cleanupOf(server.environment)
  assert.equal(refused.code, 2, refused.stdout)
  assert.match(refused.stderr, /a Busbar leads stream .*: stop it first/)
  assert.deepEqual(await belongings(server.database, server.streamId), { slots: '1', publications: '1' })

  await server.terminate()
  const dry = await cleanupOf(server.environment, '--dry-run')
  assert.equal(dry.code, 0, dry.stderr)
  assert.match(dry.stdout, new RegExp(`pg_drop_replication_slot\\('${server.slot}'\\);`))
  assert.match(dry.stdout, /^DROP PUBLICATION "busbar_publication_/m)
  assert.deepEqual(await belongings(server.database, server.streamId), { slots: '1', publications: '1' })

  const done = await cleanupOf(server.environment)
  assert.equal(done.code, 0, done.stderr)
  assert.deepEqual(await belongings(server.database, server.streamId), { slots: '0', publications: '0' })
  assert.ok(existsSync(server.storageDir), 'storage is the owner’s to delete')
  const again = await cleanupOf(server.environment)
  assert.equal(again.code, 0, again.stderr)
  assert.match(again.stdout, /neither a slot nor a publication/)
})

scenario('cleanup: what the dry run prints does the same by hand', async () => {
  const server = await stageBusbar(postgres)
  await server.terminate()
  const { stdout } = await cleanupOf(server.environment, '--dry-run')
  for (const line of stdout.split('\n')) if (line !== '' && !line.startsWith('--')) await server.query(line)
  assert.deepEqual(await belongings(server.database, server.streamId), { slots: '0', publications: '0' })
})

scenario('cleanup: --force takes the stream from a leader, which makes it anew', async () => {
  const server = await stageBusbar(postgres, { sql: `CREATE TABLE items (${itemColumns})` })
  const [{ pid }] = await server.query(`SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = $1`, [
    server.slot,
  ])
  const forced = await cleanupOf(server.environment, '--force')
  assert.equal(forced.code, 0, forced.stderr)
  await until(
    async () => {
      const rows = await server.query(
        `SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = $1 AND active`,
        [server.slot],
      )
      return rows.length === 1 && rows[0].pid !== pid
    },
    'the leader to come back',
    { deadlineMs: 30_000 },
  )
  await server.active()
  const table = await newTable(server, 'id int4 PRIMARY KEY', '(1)')
  assert.equal((await get(server, { table, offset: '-1' })).status, 200)
})

scenario('cleanup: --replica-identity gives tables back what they had before Busbar, and only those', async () => {
  const server = await stageBusbar(postgres, {
    sql: `CREATE TABLE items (${itemColumns}); CREATE TABLE full_before (id int PRIMARY KEY);
      ALTER TABLE full_before REPLICA IDENTITY FULL; CREATE TABLE shared (id int PRIMARY KEY);
      CREATE PUBLICATION somebody FOR TABLE shared;
      CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE "the part" PARTITION OF parts FOR VALUES FROM (0) TO (10)`,
  })
  for (const table of ['items', 'full_before', 'shared', 'parts'])
    assert.equal((await get(server, { table, offset: '-1' })).status, 200)
  await server.terminate()
  const identities = async () => {
    const rows = await server.query(`SELECT relname, relreplident FROM pg_class
      WHERE relname IN ('items', 'full_before', 'shared', 'the part') ORDER BY 1`)
    return Object.fromEntries(rows.map(({ relname, relreplident }) => [relname, relreplident]))
  }
  const full = { full_before: 'f', items: 'f', shared: 'f', 'the part': 'f' }
  assert.deepEqual(await identities(), full)

  const elsewhere = { ...server.environment, BUSBAR_STORAGE_DIR: scratchDirectory('store') }
  const blind = await cleanupOf(elsewhere, '--dry-run', '--replica-identity')
  assert.equal(blind.code, 0, blind.stderr)
  assert.match(blind.stdout, /^-- which tables have REPLICA IDENTITY FULL from Busbar is not known/m)
  assert.doesNotMatch(blind.stdout, /^ALTER TABLE/m)
  assert.match(blind.stdout, /^-- public\.items keeps .* ALTER TABLE ONLY public\.items REPLICA IDENTITY DEFAULT;$/m)

  const dry = await cleanupOf(server.environment, '--dry-run', '--replica-identity')
  const altered = [...dry.stdout.matchAll(/^ALTER TABLE ONLY (.*) REPLICA IDENTITY DEFAULT;$/gm)].map(([, name]) => name)
  assert.deepEqual(altered, ['public."the part"', 'public.items'], dry.stdout)
  assert.match(dry.stdout, /^-- public\.full_before keeps .*: it may have had that before Busbar came;/m)
  assert.match(dry.stdout, /^-- public\.shared keeps .*: it is in a publication that stays;/m)
  assert.deepEqual(await identities(), full)

  const done = await cleanupOf(server.environment, '--replica-identity')
  assert.equal(done.code, 0, done.stderr)
  assert.deepEqual(await identities(), { ...full, items: 'd', 'the part': 'd' })
  assert.deepEqual(await belongings(server.database, server.streamId), { slots: '0', publications: '0' })
})

scenario('F38: cleanup: a publication of somebody else stays', async () => {
  const database = await postgres.createDatabase()
  const environment = settings(database)
  const id = environment.BUSBAR_REPLICATION_STREAM_ID
  await postgres.query(
    database,
    `CREATE ROLE tenant LOGIN REPLICATION; CREATE PUBLICATION busbar_publication_${id}`,
  )
  await postgres.query(database, `SELECT pg_create_logical_replication_slot('busbar_slot_${id}', 'pgoutput')`)
  const done = await cleanupOf({ ...environment, DATABASE_URL: postgres.url(database, { user: 'tenant' }) })
  assert.equal(done.code, 0, done.stderr)
  assert.match(done.stdout, /publication .* stays: its owner, postgres/)
  assert.deepEqual(await belongings(database, id), { slots: '0', publications: '1' })
})

scenario('cleanup: a failure is one line without password, and status 1', async () => {
  const { code, stderr } = await cleanupOf({ DATABASE_URL: 'postgresql://u:canary-gone@127.0.0.1:1/x' })
  assert.equal(code, 1)
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  assert.match(stderr, /^busbar: u@127\.0\.0\.1:1\/x: /)
  assert.ok(!stderr.includes('canary'))
})

scenario('both are listed in --help, with what their exit status means', async () => {
  const { stdout } = await runToExit(['--help'])
  assert.match(stdout, /busbar doctor/)
  assert.match(stdout, /busbar cleanup/)
  for (const command of ['doctor', 'cleanup'])
    assert.match((await runToExit([command, '--help'])).stdout, /Exit status: 0/)
})
