// subquery-large.test.mjs: what costs too much only once a subquery selects very many values.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after } from 'node:test'
import { patience } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { equalsSelect, markerTable } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const values = 300_000

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `${markerTable}
        CREATE TABLE large (id int PRIMARY KEY, team int NOT NULL);
        CREATE TABLE items (id int PRIMARY KEY, ref int NOT NULL, title text);
        CREATE INDEX ON items (ref);
        INSERT INTO large SELECT i, i % 100 FROM generate_series(1, ${values}) i;
        INSERT INTO items SELECT i, i * 40, 't' || i FROM generate_series(1, 10000) i;
        ANALYZE`,
  env: { BUSBAR_LONG_POLL_TIMEOUT: '500ms' },
})
// With the usual work_mem NOT IN would take us a minute; what is tested is the server's sessions.
const client = await server.client()
after(() => client.end())
await client.query("SET work_mem = '256MB'")
server.query = async (text) => (await client.query(text)).rows

const shape = (n) => new TaggedFollower(server, { table: 'items', where: `ref IN (SELECT id FROM large) AND id > ${n}` })

/** What the server has computed so far, in seconds: other than time itself, little else changes it. */
function computed() {
  const stat = readFileSync(`/proc/${server.pid}/stat`, 'utf8')
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13)
  return (Number(user) + Number(system)) / 100
}

/**
 * Where a cost grew with the square of the values, the server computed for 18 s; where it grew with rows times
 * values, PostgreSQL did for a minute.
 */
async function soon(follower, what) {
  const began = performance.now()
  const before = computed()
  await equalsSelect(server, follower, what, 40_000 * patience)
  const seconds = (performance.now() - began) / 1000
  assert.ok(computed() - before < 8 * patience, `${what}: ${(computed() - before).toFixed(1)} s of the processor`)
  assert.ok(seconds < 30 * patience, `${what}: ${seconds.toFixed(1)} s`)
}

scenario('shapes on a subquery with very many values begin soon, also right after many moves, and again when it was gone', async () => {
  const few = new TaggedFollower(server, { table: 'items', where: 'ref IN (SELECT id FROM large WHERE team = 3)' })
  await soon(few, 'a small set')
  const first = shape(9000)
  await soon(first, 'the large set')
  await server.query(`BEGIN; DELETE FROM large WHERE id % 400 = 0; UPDATE large SET id = -id WHERE id % 1000 = 7; COMMIT`)
  await server.query(`UPDATE large SET team = (team + 1) % 100 WHERE id % 50 = 0`)
  await soon(shape(9500), 'one more, after many moves')
  const table = 'items'
  await soon(new TaggedFollower(server, { table, where: 'ref NOT IN (SELECT id FROM large) AND id > 5000' }), 'NOT IN')
  await soon(new TaggedFollower(server, { table, where: 'ref IN (SELECT id FROM large) AND id > 5000 OR id = 7' }), 'OR')
  await soon(first, 'the first')
  await soon(few, 'the small one')
  await server.restart()
  await soon(shape(9900), 'after a restart')
  await soon(first, 'the first, after a restart')
  await server.query('TRUNCATE large') // ends those that ask it
  await server.query(`INSERT INTO large SELECT i, 1 FROM generate_series(1, ${values}) i`)
  await soon(shape(9400), 'after the set was gone')
})
