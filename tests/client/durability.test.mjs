// durability.test.mjs: kill -9 of Busbar and of PostgreSQL, in the middle of whatever happens. The same
// handle and offset go on, nothing is lost, nothing comes twice, and PostgreSQL is told no more than
// what survives (spec postgres-and-operations §1.13, §2.6).
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { Follower } from './harness/clients.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { Tail, canonical } from './harness/tail.mjs'

const postgres = await stagePostgres()
const accounts = 'id int PRIMARY KEY, batch int NOT NULL, body text'

async function stage({ sql = '', env = {} } = {}) {
  return stageBusbar(postgres, {
    sql: `CREATE TABLE accounts (${accounts}); CREATE TABLE marker (id serial PRIMARY KEY); ${sql}`,
    env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', ...env },
  })
}

/** A WAL position that every shape reports once it has everything up to now. */
async function markPosition(server) {
  // Soon after PostgreSQL came back a new shape may be refused once more, as clients know.
  await until(
    async () => {
      const { status } = await get(server, { table: 'marker', offset: '-1' })
      assert.ok(status === 200 || status === 503, `status ${status}`)
      return status === 200
    },
    'new shapes to be served',
    { everyMs: 50 },
  )
  await follow(server, { table: 'marker' })
  const position = await server.walPosition()
  await server.query('INSERT INTO marker DEFAULT VALUES')
  return position
}

/**
 * Writes on `connections` connections until stop(): every transaction inserts a batch of `size` rows
 * and updates or deletes an earlier batch as a whole. Counts what was committed.
 */
async function writeLoad(server, { connections = 2, size = 5 } = {}) {
  const load = { commits: 0, entries: 0, errors: 0, lost: false }
  let stopped = false
  const one = async (worker) => {
    let client = await server.client()
    for (let turn = 0; !stopped; turn++) {
      const batch = worker * 1_000_000 + turn
      const older = batch - 3
      try {
        await client.query('BEGIN')
        await client.query(
          `INSERT INTO accounts SELECT $1::int * 10 + i, $1::int, 'x' FROM generate_series(1, ${size}) i`,
          [batch],
        )
        const { rowCount } =
          turn % 3 === 0
            ? await client.query('DELETE FROM accounts WHERE batch = $1', [older])
            : await client.query(`UPDATE accounts SET body = body || $2 WHERE batch = $1`, [older, String(turn)])
        await client.query('COMMIT')
        load.commits++
        load.entries += size + rowCount
      } catch (error) {
        load.errors++
        load.last = error
        if (!load.mayFail) throw error
        await client.end().catch(() => {})
        client = await until(() => server.client().catch(() => undefined), 'PostgreSQL to be back', {
          deadlineMs: 30_000,
          everyMs: 50,
        })
      }
    }
    await client.end()
  }
  const workers = Promise.all(Array.from({ length: connections }, (_, worker) => one(worker + 1)))
  workers.catch(() => {})
  load.stop = async () => {
    stopped = true
    await workers
  }
  load.reaches = (commits) =>
    until(
      () => load.commits >= commits,
      () => `${commits} commits, had ${load.commits}, ${load.last}`,
      { deadlineMs: 30_000 },
    )
  return load
}

async function expectTable(server, tail, where = 'true') {
  tail.check()
  const expected = (await server.query(`SELECT * FROM accounts WHERE ${where}`)).map(canonical).sort()
  assert.deepEqual(tail.rows, expected)
}

scenario(
  'F04, F06: kill -9 in the middle of a write load: same handle and offset, nothing lost, nothing twice',
  async ({ cleanup }) => {
    const server = await stage()
    const tail = await Tail.start(server, { table: 'accounts' })
    const some = await Tail.start(server, {
      table: 'accounts',
      where: 'batch > 1000000 AND batch < 2000000',
      columns: 'id,batch',
    })
    cleanup(() => tail.stop())
    cleanup(() => some.stop())
    const follower = new Follower(server.shapeUrl, { table: 'accounts' })
    cleanup(() => follower.close())
    // Every response that is up to date shows whole transactions only.
    let partial
    tail.onPage = (page) => {
      if (!page.upToDate) return
      const batches = new Map()
      for (const row of tail.checker.rows.values()) batches.set(row.batch, (batches.get(row.batch) ?? 0) + 1)
      for (const [batch, count] of batches)
        if (count !== 5) partial ??= `${count} of 5 rows of batch ${batch} at ${page.offset}`
    }
    const load = await writeLoad(server)
    for (let kill = 1; kill <= 4; kill++) {
      await load.reaches(load.commits + 40)
      await server.kill9()
      await load.reaches(load.commits + 20) // What is written meanwhile must come too.
      await server.start()
    }
    await load.reaches(load.commits + 40)
    await load.stop()
    const position = await markPosition(server)
    await tail.covers(position)
    await some.covers(position)
    await expectTable(server, tail)
    assert.equal(partial, undefined)
    assert.equal(tail.places.size, load.entries, 'every committed change is one entry')
    some.check()
    assert.deepEqual(
      some.rows,
      (await server.query('SELECT id, batch FROM accounts WHERE batch > 1000000 AND batch < 2000000'))
        .map(canonical)
        .sort(),
    )
    const count = tail.rows.length
    await follower.reaches((rows) => rows.length === count, `${count} rows`, 30_000)
    assert.equal(follower.refetches, 0)
    assert.equal(follower.handles.size, 1)
    // A newcomer reads the same log from the beginning.
    const fresh = await follow(server, { table: 'accounts' })
    assert.equal(fresh.handle, tail.handle)
    assert.deepEqual([...fresh.checker.rows.values()].map(canonical).sort(), tail.rows)
    const places = fresh.messages
      .filter((message) => message.headers.lsn)
      .map(({ headers }) => `${headers.lsn}_${headers.op_position}`)
    assert.deepEqual(places, [...tail.places.keys()])
  },
  { deadlineMs: 150_000 },
)

scenario(
  'F01: what PostgreSQL was told is durable survives kill -9 at that very moment',
  async ({ cleanup }) => {
    const server = await stage()
    const tail = await Tail.start(server, { table: 'accounts' })
    cleanup(() => tail.stop())
    const confirmed = async () => {
      const [row] = await postgres.query(
        'postgres',
        `SELECT (confirmed_flush_lsn - '0/0')::text AS lsn FROM pg_replication_slots WHERE slot_name = '${server.slot}'`,
      )
      return BigInt(row.lsn)
    }
    let written = 0
    for (let round = 0; round < 4; round++) {
      const before = await confirmed()
      for (let i = 0; i < 20; i++) await server.query(`INSERT INTO accounts VALUES (${++written}, ${round}, 'r')`)
      await until(async () => (await confirmed()) > before, 'confirmed_flush_lsn to advance', { deadlineMs: 20_000 })
      await server.kill9()
      await server.start()
    }
    await tail.covers(await markPosition(server))
    await expectTable(server, tail)
    assert.equal(tail.places.size, written)
  },
  { deadlineMs: 120_000 },
)

scenario(
  'F13, F14: confirmed_flush_lsn follows writes, and the WAL of others while idle',
  async () => {
    const server = await stage()
    await follow(server, { table: 'accounts' })
    const other = await postgres.createDatabase('other')
    await postgres.query(other, 'CREATE TABLE noise (body text)')
    const behind = async (position) => {
      const [row] = await postgres.query(
        'postgres',
        `SELECT (confirmed_flush_lsn - '0/0')::text AS lsn FROM pg_replication_slots WHERE slot_name = '${server.slot}'`,
      )
      return BigInt(row.lsn) < position
    }
    for (const write of [
      () => server.query(`INSERT INTO accounts SELECT i, 1, 'w' FROM generate_series(1, 1000) i`),
      () => postgres.query(other, `INSERT INTO noise SELECT repeat('n', 500) FROM generate_series(1, 2000)`),
      () => server.query(`CREATE TABLE unpublished AS SELECT repeat('u', 500) FROM generate_series(1, 2000)`),
    ]) {
      await write()
      const position = await postgres.walPosition()
      await until(async () => !(await behind(position)), `confirmed_flush_lsn to reach ${position}`, {
        deadlineMs: 40_000,
        everyMs: 100,
      })
    }
  },
  { deadlineMs: 150_000 },
)

scenario(
  'F29: a snapshot cut short by kill -9 is taken again, never half',
  async () => {
    const server = await stage({
      sql: `INSERT INTO accounts SELECT i, 0, repeat('s', 400) FROM generate_series(1, 20000) i`,
      env: { BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '200000' },
    })
    for (let round = 0; round < 3; round++) {
      const shape = { table: 'accounts', where: `batch >= ${-round}` } // a new shape every time
      const [first] = await Promise.all([
        get(server, { ...shape, offset: '-1' }).catch(() => undefined),
        delay(20 + round * 60).then(() => server.kill9()),
      ])
      await server.start()
      if (first?.status === 200) {
        // A client that holds the handle is either served on or told to begin again.
        const next = await get(server, {
          ...shape,
          offset: first.header('electric-offset'),
          handle: first.header('electric-handle'),
        })
        assert.ok([200, 409].includes(next.status), `${next.status} ${next.text.slice(0, 200)}`)
        if (next.status === 200) checkLogResponse(next, { offset: first.header('electric-offset') })
      }
      const state = await follow(server, shape)
      assert.equal(state.checker.rows.size, 20_000)
      assert.equal(state.messages.filter((message) => message.headers.control === 'snapshot-end').length, 1)
    }
  },
  { deadlineMs: 150_000 },
)

scenario(
  'F02: a transaction that wrote before its table was published is not lost',
  async ({ cleanup }) => {
    const server = await stage({
      sql: `CREATE TABLE identified (${accounts}); ALTER TABLE identified REPLICA IDENTITY FULL;
    CREATE TABLE plain (${accounts})`,
    })
    for (const table of ['identified', 'plain']) {
      const writer = await server.client()
      cleanup(() => writer.end())
      await writer.query('BEGIN')
      await writer.query(`INSERT INTO ${table} VALUES (1, 1, 'before')`)
      const follower = new Follower(server.shapeUrl, { table })
      cleanup(() => follower.close())
      // Busbar has added the table, or waits for a lock that the open transaction withholds.
      await until(
        async () =>
          (
            await server.query(`SELECT 1 FROM pg_publication_tables WHERE tablename = '${table}'
      UNION ALL SELECT 1 FROM pg_locks WHERE relation = '${table}'::regclass AND NOT granted`)
          ).length > 0,
        'the table to be asked for',
        { everyMs: 2 },
      )
      // Meanwhile other writers are not held up for longer than a lock timeout.
      const started = Date.now()
      await server.query(`INSERT INTO ${table} VALUES (2, 2, 'beside')`)
      assert.ok(Date.now() - started < 5_000, `another writer waited ${Date.now() - started} ms`)
      await writer.query(`INSERT INTO ${table} VALUES (3, 3, 'after')`)
      await writer.query('COMMIT')
      await follower.reaches((rows) => rows.length === 3, 'all three rows', 30_000)
      assert.equal(follower.changes.length, 3)
    }
  },
  { deadlineMs: 90_000 },
)

scenario(
  'F59: PostgreSQL goes away and comes back: stopped, killed, stopped in the middle of writes',
  async ({ cleanup }) => {
    const server = await stage()
    const tail = await Tail.start(server, { table: 'accounts' })
    cleanup(() => tail.stop())
    const follower = new Follower(server.shapeUrl, { table: 'accounts' })
    cleanup(() => follower.close())
    let id = 0
    const pid = server.pid
    for (const leave of [() => postgres.stop(), () => postgres.kill9(), () => postgres.stop('SIGQUIT')]) {
      await server.query(`INSERT INTO accounts SELECT i, 1, 'before' FROM generate_series(${id + 1}, ${id + 10}) i`)
      id += 10
      await leave()
      // Shapes that exist are served from storage; new ones are refused for the time being.
      const old = await get(server, { table: 'accounts', offset: '-1' })
      assert.equal(old.status, 200)
      assert.equal(old.header('electric-handle'), tail.handle)
      const fresh = await get(server, { table: 'accounts', where: `id > ${id}`, offset: '-1' }, { timeoutMs: 60_000 })
      assert.equal(fresh.status, 503, fresh.text)
      assert.match(fresh.header('retry-after'), /^[1-9][0-9]*$/)
      await postgres.start()
      await server.query(`INSERT INTO accounts VALUES (${++id}, 2, 'after')`)
      await server.active()
      await tail.covers(await markPosition(server), 45_000)
      await expectTable(server, tail)
      assert.equal(tail.places.size, id)
    }
    const load = await writeLoad(server)
    load.mayFail = true
    await load.reaches(30)
    await postgres.kill9()
    await postgres.start()
    await load.reaches(load.commits + 30)
    await load.stop()
    await server.active()
    await tail.covers(await markPosition(server), 45_000)
    await expectTable(server, tail)
    assert.equal(server.pid, pid)
    assert.ok(server.running, 'the same process all the time')
    const count = tail.rows.length
    await follower.reaches((rows) => rows.length === count, `${count} rows`, 30_000)
    assert.equal(follower.refetches, 0)
  },
  { deadlineMs: 240_000 },
)

scenario(
  'both are killed while data is on its way',
  async ({ cleanup }) => {
    const server = await stage()
    const tail = await Tail.start(server, { table: 'accounts' })
    cleanup(() => tail.stop())
    const load = await writeLoad(server)
    load.mayFail = true
    await load.reaches(30)
    tail.checker.mayFall = true // it finds out anew how far it is
    await Promise.all([server.kill9(), postgres.kill9()])
    await Promise.all([server.start({ wait: false }), postgres.start()])
    await server.active()
    await load.reaches(load.commits + 30)
    await load.stop()
    await tail.covers(await markPosition(server), 45_000)
    await expectTable(server, tail)
  },
  { deadlineMs: 120_000 },
)
