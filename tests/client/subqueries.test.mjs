// subqueries.test.mjs: shapes whose clause asks what another table has, while both change.
import assert from 'node:assert/strict'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE projects (id int PRIMARY KEY, team int, active bool NOT NULL DEFAULT true);
        CREATE TABLE tasks (id int PRIMARY KEY, project_id int, title text, state text);
        CREATE TABLE marker (n int PRIMARY KEY);
        INSERT INTO marker VALUES (0);
        INSERT INTO projects VALUES (1, 10), (2, 10), (3, 20);
        INSERT INTO tasks SELECT i, 1 + i % 4, 't' || i, CASE WHEN i % 2 = 0 THEN 'open' ELSE 'done' END FROM generate_series(1, 20) i`,
  env: { BUSBAR_LONG_POLL_TIMEOUT: '500ms' },
})
const client = await server.client()

async function settled(follower) {
  const position = await server.walPosition()
  await client.query('UPDATE marker SET n = n + 1')
  await follower.reach(position)
}

async function equals(follower, sql) {
  await settled(follower)
  const { rows } = await client.query(sql)
  const want = rows.map((row) => Number(row.id)).sort((a, b) => a - b)
  const have = [...follower.rows.values.values()].map((row) => Number(row.id)).sort((a, b) => a - b)
  assert.deepEqual(have, want, `${follower.name}: ${sql}`)
}

const clause = 'project_id IN (SELECT id FROM projects WHERE team = 10)'

scenario('rows come and go with what the subquery selects', async () => {
  const follower = new TaggedFollower(server, { table: 'tasks', where: clause })
  const truth = `SELECT id FROM tasks WHERE ${clause}`
  await equals(follower, truth)
  await client.query('UPDATE projects SET team = 10 WHERE id = 3')
  await equals(follower, truth)
  await client.query('UPDATE projects SET team = 20 WHERE id = 1')
  await equals(follower, truth)
  await client.query("INSERT INTO tasks VALUES (100, 2, 'new', 'open'), (101, 1, 'hidden', 'open')")
  await equals(follower, truth)
  await client.query('UPDATE tasks SET project_id = 1 WHERE id = 100')
  await equals(follower, truth)
  await client.query('UPDATE tasks SET project_id = 3 WHERE id = 101')
  await equals(follower, truth)
  await client.query('BEGIN')
  await client.query("INSERT INTO projects VALUES (7, 10); INSERT INTO tasks VALUES (200, 7, 'both', 'open')")
  await client.query('UPDATE projects SET team = 20 WHERE id = 2; UPDATE tasks SET project_id = 2 WHERE id = 101')
  await client.query('COMMIT')
  await equals(follower, truth)
  assert.equal(follower.refetches, 0, 'none of it needs a new snapshot')
  assert.ok(follower.rows.events >= 4)
})
