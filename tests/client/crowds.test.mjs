// crowds.test.mjs: many clients that come at the same moment: nobody is turned away but by admission
// control, and everybody gets the right rows (spec §6, §19).
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { get } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const sql = `CREATE TABLE members (id int PRIMARY KEY, team int NOT NULL, name text NOT NULL);
  INSERT INTO members SELECT i, i % 200, 'member ' || i FROM generate_series(0, 999) i;
  CREATE TABLE busy (id serial PRIMARY KEY)`
const server = await stageBusbar(postgres, { sql })

scenario('a thousand first requests at once on one shape get one handle and the same bytes', async () => {
  const shape = { table: 'members', where: 'team < 100', offset: '-1' }
  const responses = await Promise.all(Array.from({ length: 1000 }, () => get(server, shape)))
  const served = responses.filter((response) => response.status === 200)
  for (const refused of responses.filter((response) => response.status !== 200)) {
    assert.equal(refused.status, 503, refused.text)
    assert.equal(JSON.parse(refused.text).code, 'concurrent_request_limit_exceeded')
    assert.match(refused.header('retry-after'), /^\d+$/)
  }
  assert.ok(served.length >= 300, `${served.length} of 1000 were served`)
  assert.equal(new Set(served.map((response) => response.header('electric-handle'))).size, 1)
  assert.equal(new Set(served.map((response) => response.text)).size, 1)
  assert.equal(served[0].json.filter((message) => message.value).length, 500)
})

scenario('two hundred new shapes at once are all made while others commit', async () => {
  let stop = false
  const writers = Array.from({ length: 8 }, async () => {
    while (!stop) await server.query('INSERT INTO busy DEFAULT VALUES')
  })
  const teams = Array.from({ length: 200 }, (_, team) => team)
  const responses = await Promise.all(
    teams.map((team) => get(server, { table: 'members', where: `team = ${team}`, offset: '-1' })),
  )
  stop = true
  await Promise.all(writers)
  for (const team of teams) {
    const { status, text, json } = responses[team]
    assert.equal(status, 200, `team ${team}: ${text}`)
    const ids = json.filter((message) => message.value).map((message) => Number(message.value.id))
    assert.deepEqual(
      ids.sort((a, b) => a - b),
      [0, 1, 2, 3, 4].map((n) => team + n * 200),
      `team ${team}`,
    )
  }
  assert.equal(new Set(responses.map((response) => response.header('electric-handle'))).size, 200)
})

// PostgreSQL writes a commit into the WAL, which we read, before its session makes it visible to new
// snapshots. In a crowd that session may have to wait for a processor; here it waits for a standby.
scenario('a new shape waits for a commit that the stream has shown to become visible', async ({ cleanup }) => {
  const local = `DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET synchronous_commit = local', current_database()); END $$`
  const patient = await stageBusbar(postgres, { sql: `${sql}; ${local}` })
  await get(patient, { table: 'members', where: 'team = 0', offset: '-1' })
  const setStandby = async (change) => {
    await patient.query(change)
    await patient.query('SELECT pg_reload_conf()')
  }
  cleanup(() => setStandby('ALTER SYSTEM RESET synchronous_standby_names'))
  await setStandby(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
  const writer = await patient.client()
  cleanup(() => writer.end())
  await writer.query('SET synchronous_commit = on')
  const written = writer.query(`INSERT INTO members VALUES (5000, 777, 'late')`)
  written.catch(() => {}) // only if the test fails before it
  const waits = `SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`
  await until(async () => (await patient.query(waits)).length > 0, 'the commit waits for the standby')

  const asked = get(patient, { table: 'members', where: 'team = 777', offset: '-1' })
  const early = await Promise.race([asked, delay(1000)])
  assert.equal(early, undefined, early?.text)
  await setStandby('ALTER SYSTEM RESET synchronous_standby_names')
  await written
  const { status, text, json } = await asked
  assert.equal(status, 200, text)
  assert.deepEqual(
    json.filter((message) => message.value).map((message) => message.value.id),
    ['5000'],
  )
})
