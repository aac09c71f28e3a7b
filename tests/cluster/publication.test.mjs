// publication.test.mjs: the publication is the leader's business: what one leader has added to it the
// next one takes out when nobody follows it any more, and nothing else.
import assert from 'node:assert/strict'
import { until } from '../client/harness/processes.mjs'
import { request } from '../client/harness/raw.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { follow, followTo, target } from '../client/harness/shapes.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { stageCluster } from './harness/cluster.mjs'

const postgres = await stagePostgres()
const tables = ['unused', 'followed', 'foreign_one', 'late']
const cluster = await stageCluster(postgres, {
  sql: tables.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} VALUES (1);`).join(' '),
  env: {
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '100ms',
    BUSBAR_UNUSED_TABLE_TIMEOUT: '300ms',
  },
})

async function published() {
  const rows = await cluster.query('SELECT prrelid::regclass::text AS name FROM pg_publication_rel ORDER BY 1')
  return rows.map(({ name }) => name)
}

scenario('a table that one leader added leaves under the next one, when nobody follows it any more', async () => {
  const [first] = await cluster.followers()
  const old = await cluster.leader()
  await cluster.query(`ALTER PUBLICATION busbar_publication_${old.streamId} ADD TABLE foreign_one`)
  const unused = await follow(first, { table: 'unused' }) // asked of a follower, as the others are
  const kept = await follow(first, { table: 'followed' })
  const foreign = await follow(first, { table: 'foreign_one' })
  await old.kill9()
  const leads = () => cluster.leader().then((node) => (node !== undefined && node !== old ? node : undefined))
  const next = await until(leads, 'another node to lead', { deadlineMs: 60_000, everyMs: 50 })
  await old.start({ wait: false })
  await cluster.settled()
  assert.deepEqual(await published(), ['followed', 'foreign_one', 'unused'])
  for (const [table, { handle }] of [['unused', unused], ['foreign_one', foreign]])
    assert.equal((await request(next, target({ table, handle }), { method: 'DELETE' })).status, 202)
  await until(async () => !(await published()).includes('unused'), () => `the table to leave:\n${next.output()}`)
  // One that comes now, and goes: by the time that it has left, the foreign one would have, too.
  const late = await follow(old, { table: 'late' })
  assert.equal((await request(next, target({ table: 'late', handle: late.handle }), { method: 'DELETE' })).status, 202)
  await until(async () => !(await published()).includes('late'), () => `the late table to leave:\n${next.output()}`)
  assert.deepEqual(await published(), ['followed', 'foreign_one'])
  await cluster.query('INSERT INTO followed VALUES (2)')
  const position = await postgres.walPosition(cluster.database)
  await cluster.query('INSERT INTO followed VALUES (3)')
  await followTo(old, { table: 'followed' }, kept, position)
  assert.ok([...kept.checker.rows.values()].some(({ id }) => id === '2'), 'what is followed goes on')
}, { deadlineMs: 120_000 })
