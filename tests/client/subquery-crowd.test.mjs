// subquery-crowd.test.mjs: two hundred shapes whose subqueries select from one table, by pairs the
// same, while values move between them and rows change: every client equals SELECT.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
import assert from 'node:assert/strict'
import { Random, chosenSeed } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { equalsSelect, markerTable } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const seed = chosenSeed()
const teams = 50
const members = 120

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `${markerTable}
        CREATE TABLE members (id int PRIMARY KEY, team int, kind int NOT NULL);
        CREATE TABLE tasks (id int PRIMARY KEY, member int, other int, n int NOT NULL, title text);
        CREATE INDEX ON tasks (member);
        INSERT INTO members SELECT i, i % ${teams}, i % 3 FROM generate_series(1, ${members}) i;
        INSERT INTO tasks SELECT i, 1 + i % ${members + 5}, 1 + i % 7, i % 10, 't' || i FROM generate_series(1, 1500) i`,
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '500ms',
    BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '20000',
    BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial":1000,"existing":1000}',
  },
})

const shapes = Array.from({ length: teams }, (_, team) => [
  `member IN (SELECT id FROM members WHERE team = ${team})`,
  `member IN (SELECT id FROM members WHERE team = ${team}) AND n > ${team % 10}`,
  `other IN (SELECT id FROM members WHERE team = ${team}) OR n = 3 AND member IN (SELECT id FROM members WHERE kind = ${team % 3} AND team < ${team})`,
  `n = ${team % 10} AND member IN (SELECT id FROM members WHERE team IN (SELECT kind FROM members WHERE id = ${team}))`,
]).flat()

function statement(random) {
  const member = random.int(1, members + 5)
  const task = random.int(1, 1500)
  const some = [
    `UPDATE members SET team = ${random.int(0, teams - 1)} WHERE id = ${member}`,
    `UPDATE members SET team = (team + 1) % ${teams} WHERE id BETWEEN ${member} AND ${member + 10}`,
    `UPDATE members SET team = NULL, kind = (kind + 1) % 3 WHERE id = ${member}`,
    `DELETE FROM members WHERE id = ${member}`,
    `INSERT INTO members VALUES (${member}, ${random.int(0, teams - 1)}, 1) ON CONFLICT DO NOTHING`,
    `UPDATE tasks SET member = ${member} WHERE id = ${task}`,
    `UPDATE tasks SET other = NULL, title = title || '.' WHERE id = ${task}`,
    `UPDATE tasks SET n = (n + 1) % 10 WHERE id BETWEEN ${task} AND ${task + 20}`,
    `DELETE FROM tasks WHERE id = ${task}`,
    `INSERT INTO tasks VALUES (${task}, ${member}, ${random.int(1, 9)}, 3, 'new') ON CONFLICT (id) DO UPDATE SET member = EXCLUDED.member, title = 'again'`,
  ]
  return random.pick(some)
}

scenario('two hundred shapes whose sets move all the time equal SELECT', async () => {
  const random = new Random(seed)
  const followers = shapes.map((where) => new TaggedFollower(server, { table: 'tasks', where }))
  // Several at a time: each takes a session of the database.
  const all = async (what) => {
    const left = [...followers]
    const some = async () => {
      for (let next = left.pop(); next; next = left.pop()) await equalsSelect(server, next, what)
    }
    await Promise.all(Array.from({ length: 8 }, some))
  }
  await all('at first')
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 40; n++) {
      const list = Array.from({ length: random.int(1, 4) }, () => statement(random))
      await server.query(`BEGIN; ${list.join('; ')}; COMMIT`)
    }
    await all(`seed ${seed}, round ${round}`)
  }
  assert.equal(
    followers.reduce((sum, { refetches }) => sum + refetches, 0),
    0,
  )
  assert.ok(followers.reduce((sum, { rows }) => sum + rows.events, 0) > 100, 'values have moved')
})
