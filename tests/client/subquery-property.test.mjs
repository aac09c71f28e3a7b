// subquery-property.test.mjs: random transactions from several writers against the tables that
// shapes with subqueries show and ask, while strict tag-aware clients join and the server is killed.
// At quiet moments every client holds what PostgreSQL selects, and on the way no row comes twice.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { FramingError } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 6)
const writers = 3
const transactionsPerRound = 90

const clauses = [
  'project_id IN (SELECT id FROM projects WHERE team = 1)',
  "project_id IN (SELECT id FROM projects WHERE team IN (SELECT id FROM teams WHERE region = 'eu'))",
  'n NOT IN (SELECT n FROM blocked)',
  "state = 'open' AND project_id IN (SELECT id FROM projects WHERE kind = 'a') OR owner IN (SELECT id FROM teams WHERE region = 'us')",
  '(project_id, state) IN (SELECT id, kind FROM projects)',
  "NOT (n IN (SELECT n FROM blocked) OR state = 'a')",
  "id IN (SELECT n FROM tasks WHERE state = 'open')",
  "project_id IN (SELECT id FROM projects WHERE kind = 'b') AND owner IN (SELECT id FROM teams WHERE region = 'eu')",
  "amount IN (SELECT price FROM projects WHERE kind = 'a') OR project_id IN (SELECT id FROM projects WHERE team IN (SELECT id FROM teams WHERE region = 'eu') AND kind = 'b')",
  'project_id IN (SELECT id FROM projects)',
]

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE teams (id int PRIMARY KEY, region text);
        CREATE TABLE projects (id int PRIMARY KEY, team int, kind text, price numeric);
        CREATE TABLE blocked (id int PRIMARY KEY, n int NOT NULL);
        CREATE TABLE tasks (id int PRIMARY KEY, project_id int, n int NOT NULL, owner int, state text, amount numeric, title text);
        CREATE TABLE marker (n int PRIMARY KEY);
        INSERT INTO marker VALUES (0);
        INSERT INTO teams SELECT i, (ARRAY['eu','us',NULL])[1 + i % 3] FROM generate_series(1, 4) i;
        INSERT INTO projects SELECT i, i % 5, (ARRAY['a','b','open'])[1 + i % 3], i FROM generate_series(1, 6) i;
        INSERT INTO tasks SELECT i, i % 8, i % 10, i % 5, (ARRAY['a','b','open',NULL])[1 + i % 4], (i % 7)::numeric, 't' || i FROM generate_series(1, 60) i`,
  env: { BUSBAR_LONG_POLL_TIMEOUT: '500ms', BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000' },
})

const one = (random, list) => random.pick(list)
const kinds = ["'a'", "'b'", "'open'", 'NULL']

function statement(random) {
  const task = random.int(1, 80)
  const project = random.int(1, 8)
  const team = random.int(1, 5)
  const some = [
    () => `INSERT INTO tasks VALUES (${task}, ${one(random, [project, 'NULL'])}, ${random.int(0, 12)}, ${one(random, [team, 'NULL'])}, ${one(random, kinds)}, ${one(random, [`${project}.0`, project, 'NULL'])}, 'x')
           ON CONFLICT (id) DO UPDATE SET project_id = EXCLUDED.project_id, state = EXCLUDED.state, title = 'again'`,
    () => `UPDATE tasks SET project_id = ${one(random, [project, 'NULL'])} WHERE id BETWEEN ${task} AND ${task + random.int(0, 5)}`,
    () => `UPDATE tasks SET state = ${one(random, kinds)}, owner = ${team}, title = title || '.' WHERE id = ${task}`,
    () => `UPDATE tasks SET n = ${random.int(0, 12)} WHERE id = ${task}`,
    () => `DELETE FROM tasks WHERE id = ${task}`,
    () => `UPDATE tasks SET id = ${100 + random.int(0, 50)} WHERE id = ${task} AND NOT EXISTS (SELECT FROM tasks WHERE id >= 100)`,
    () => `DELETE FROM tasks WHERE id >= 100`,
    () => `INSERT INTO projects VALUES (${project}, ${team}, ${one(random, kinds)}, ${project}.${one(random, ['0', '00', '5'])}) ON CONFLICT (id) DO UPDATE SET team = EXCLUDED.team, kind = EXCLUDED.kind, price = EXCLUDED.price`,
    () => `UPDATE projects SET team = ${one(random, [team, 'NULL'])} WHERE id = ${project}`,
    () => `UPDATE projects SET kind = ${one(random, kinds)} WHERE id = ${project}`,
    () => `DELETE FROM projects WHERE id = ${project}`,
    () => `UPDATE teams SET region = ${one(random, ["'eu'", "'us'", 'NULL'])} WHERE id = ${team}`,
    () => `DELETE FROM teams WHERE id = ${team}`,
    () => `INSERT INTO teams VALUES (${team}, ${one(random, ["'eu'", "'us'"])}) ON CONFLICT DO NOTHING`,
    () => `INSERT INTO blocked VALUES (${random.int(1, 9)}, ${random.int(0, 12)}) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n`,
    () => `DELETE FROM blocked WHERE id = ${random.int(1, 9)}`,
  ]
  return one(random, some)()
}

async function write(random, progress) {
  const client = await server.client()
  try {
    while (progress.commits < transactionsPerRound) {
      try {
        await client.query('BEGIN')
        for (let i = random.int(1, 4); i > 0; i--) await client.query(statement(random))
        await client.query(random.chance(0.1) ? 'ROLLBACK' : 'COMMIT')
        progress.commits++
      } catch (error) {
        if (!['40P01', '23505'].includes(error.code)) throw error // deadlocks, two inserts of one key
        await client.query('ROLLBACK')
      }
    }
  } finally {
    await client.end()
  }
}

class Reader {
  stopped = false

  constructor(clause, number, random) {
    const variant = random.int(0, 3)
    const shape = { table: 'tasks', where: clause }
    if (variant === 1) shape.replica = 'full'
    if (variant === 2) shape.columns = 'id,title'
    this.clause = clause
    this.columns = variant === 2 ? ['id', 'title'] : ['id', 'project_id', 'n', 'owner', 'state', 'amount', 'title']
    this.follower = new TaggedFollower(server, shape, `reader ${number} (seed ${seed}): ${clause}`)
    this.done = this.#run().catch((error) => {
      this.failure = error
    })
  }

  async #run() {
    while (!this.stopped) {
      try {
        await this.follower.step(this.follower.upToDate)
      } catch (error) {
        const broken = error instanceof FramingError ? /^connection ended/.test(error.message) : /^ECONN/.test(error.code)
        if (!broken && !/: 503 /.test(error.message)) throw error
        await delay(20)
      }
    }
  }
}

scenario(
  `clients of shapes with subqueries equal the tables (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`subquery property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    const random = new Random(seed)
    const observer = await server.client()
    cleanup(() => observer.end())
    const readers = []
    cleanup(() => Promise.all(readers.map((reader) => ((reader.stopped = true), reader.done))))
    const totals = { commits: 0, kills: 0, compared: 0, refetches: 0, events: 0 }
    const join = () => {
      if (readers.length < 30) readers.push(new Reader(random.pick(clauses), readers.length, random))
    }
    for (const clause of clauses.slice(0, 5)) readers.push(new Reader(clause, readers.length, random))

    for (let round = 1; round <= rounds; round++) {
      const progress = { commits: 0 }
      const writing = Promise.all(Array.from({ length: writers }, () => write(random.fork(), progress)))
      writing.catch((error) => (progress.error = error))
      const events = Array.from({ length: random.int(2, 5) }, () => [random.int(1, transactionsPerRound - 10), join])
      if (random.chance(0.6)) {
        const down = random.int(1, transactionsPerRound - 10)
        events.push([
          down,
          async () => {
            totals.kills++
            await server.kill9()
            await server.start()
          },
        ])
      }
      events.sort(([a], [b]) => a - b)
      for (const [commits, event] of events) {
        await until(
          () => {
            if (progress.error) throw progress.error
            return progress.commits >= commits
          },
          () => `${commits} commits in round ${round}`,
          { deadlineMs: 30_000, everyMs: 2 },
        )
        await event()
      }
      await writing
      const position = await server.walPosition()
      await observer.query('UPDATE marker SET n = n + 1')
      for (const reader of readers) {
        const { follower } = reader
        await until(
          () => {
            if (reader.failure) throw reader.failure
            return follower.upToDate && follower.seen >= position
          },
          () => `round ${round}: ${follower.name} to reach ${position}; it is at ${follower.seen}, ${follower.offset}`,
          { deadlineMs: 30_000 },
        )
        const list = reader.columns.map((name) => `${name}::text`).join(', ')
        const { rows } = await observer.query(`SELECT ${list} FROM tasks WHERE ${reader.clause} ORDER BY id`)
        const have = [...follower.rows.values.values()].sort((a, b) => Number(a.id) - Number(b.id))
        const text = (row) => JSON.stringify(row)
        const mine = new Set(have.map(text))
        const truth = new Set(rows.map(text))
        const wrong = [
          ...[...mine].filter((row) => !truth.has(row)).map((row) => `only the client has ${row}`),
          ...[...truth].filter((row) => !mine.has(row)).map((row) => `the client lacks ${row}`),
        ]
        assert.deepEqual(wrong.slice(0, 10), [], `round ${round}: ${follower.name}`)
        totals.compared++
      }
      totals.commits += progress.commits
    }
    for (const { follower } of readers) {
      totals.refetches += follower.refetches
      totals.events += follower.rows.events
    }
    assert.equal(totals.refetches, 0, 'nothing here ends a shape')
    console.log(`subquery property test: ${JSON.stringify(totals)}`)
  },
  { deadlineMs: 60_000 + rounds * 45_000 },
)
