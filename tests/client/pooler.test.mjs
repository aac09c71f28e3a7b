// pooler.test.mjs: BUSBAR_POOLED_DATABASE_URL leads through a real PgBouncer in transaction mode:
// snapshots, subsets and the rows of moves come through it, also through a pool of one connection, and
// it may be restarted. It is not for DATABASE_URL.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { Busbar, runToExit } from './harness/busbar.mjs'
import { freePort, scratchDirectory, until } from './harness/processes.mjs'
import { stagePgBouncer } from './harness/pgbouncer.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get } from './harness/shapes.mjs'
import { newTable, stagePostgres } from './harness/stage.mjs'
import { equalsSelect, markerTable } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'
import { poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()

/** A Busbar on a database of its own whose snapshots pass `pooler`. */
async function stagePooled(pooler, env = {}) {
  const database = await postgres.createDatabase()
  await postgres.query(database, markerTable)
  const server = await Busbar.start({
    databaseUrl: postgres.url(database),
    env: { BUSBAR_POOLED_DATABASE_URL: pooler.url(database), BUSBAR_LONG_POLL_TIMEOUT: '500ms', ...env },
  })
  return Object.assign(server, {
    database,
    query: (text, values) => postgres.query(database, text, values),
    walPosition: () => postgres.walPosition(database),
    passed: () => pooler.transactions(database),
  })
}

const columns = 'id int PRIMARY KEY, ref int, body text, day date, amount numeric, raw bytea, span interval'
const rows = `SELECT i, i % 5, 'row ''' || i, date '2024-02-28' + i, i / 7.0, decode(lpad(to_hex(i), 4, '0'), 'hex'),
  make_interval(days => i, secs => i) FROM generate_series(1, 200) i`

async function filledTable(server) {
  const table = await newTable(server, columns)
  await server.query(`INSERT INTO ${table} ${rows}`)
  return table
}

/** The rows of a shape that was read to its end equal SELECT, text by text. */
async function equalsTable(server, table, where) {
  const { checker } = await follow(server, { table, where })
  const want = await server.query(`SELECT * FROM ${table} WHERE ${where ?? true} ORDER BY id`)
  const have = [...checker.rows.values()].sort((a, b) => Number(a.id) - Number(b.id))
  assert.deepEqual(
    have,
    want.map((row) => ({ ...row })),
  )
  assert.ok(want.length > 0)
}

scenario('snapshots, subsets and the rows of moves come through the pooler', async ({ cleanup }) => {
  const pooler = await stagePgBouncer(postgres)
  const server = await stagePooled(pooler)
  cleanup(() => server.discard())
  const table = await filledTable(server)

  const before = await server.passed()
  await equalsTable(server, table, 'amount > 3')
  const afterShape = await until(
    async () => {
      const now = await server.passed()
      return now > before && now
    },
    'the snapshot to be counted by the pooler',
  )

  const subset = await get(server, {
    table,
    offset: '-1',
    log: 'changes_only',
    subset__where: 'id > 190',
    subset__order_by: 'id DESC',
    subset__limit: '3',
  })
  assert.equal(subset.status, 200, subset.text)
  assert.deepEqual(
    subset.json.data.map(({ value }) => value.id),
    ['200', '199', '198'],
  )
  const afterSubset = await server.passed()
  assert.ok(afterSubset > afterShape, 'the subset passed the pooler')

  const teams = await newTable(server, 'id int PRIMARY KEY, open bool', '(1, true), (2, false)')
  const where = `ref IN (SELECT id FROM ${teams} WHERE open)`
  const follower = new TaggedFollower(server, { table, where })
  await equalsSelect(server, follower, 'at first')
  const beforeMove = await server.passed()
  await server.query(`UPDATE ${teams} SET open = true WHERE id = 2`)
  assert.equal((await equalsSelect(server, follower, 'after a move')).length, 80)
  assert.ok((await server.passed()) > beforeMove, 'the rows of the move passed the pooler')
})

scenario('changes go on live while the first rows came through the pooler', async ({ cleanup }) => {
  const pooler = await stagePgBouncer(postgres)
  const server = await stagePooled(pooler, { BUSBAR_LONG_POLL_TIMEOUT: '20s' })
  cleanup(() => server.discard())
  const table = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const { handle, offset } = await follow(server, { table })
  const waiting = await poll(server, { table, handle, offset })
  await server.query(`INSERT INTO ${table} VALUES (2)`)
  const answer = await waiting.answer
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.json[0].value.id, '2')
})

scenario('a pool of one connection serves snapshots of many tables at once', async ({ cleanup }) => {
  const pooler = await stagePgBouncer(postgres, { poolSize: 1 })
  const server = await stagePooled(pooler, { BUSBAR_SNAPSHOT_CONNECTIONS: '8' })
  cleanup(() => server.discard())
  const tables = []
  for (let i = 0; i < 8; i++) tables.push(await filledTable(server))
  const all = tables.flatMap((table) => [
    equalsTable(server, table),
    equalsTable(server, table, 'ref = 3'),
    get(server, { table, offset: '-1', log: 'changes_only', subset__where: 'id = 7' }).then((answer) => {
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual(answer.json.data[0].value.raw, '\\x0007')
    }),
  ])
  await Promise.all(all)
  const servers = (await pooler.ask('SHOW SERVERS')).filter(({ database }) => database === server.database)
  assert.equal(servers.length, 1, 'the pool was one connection indeed')
})

scenario('what a snapshot sets is gone when the pooler hands the connection on', async ({ cleanup }) => {
  const pooler = await stagePgBouncer(postgres, { poolSize: 1 })
  const server = await stagePooled(pooler)
  cleanup(() => server.discard())
  const settings = `SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'DateStyle', 'IntervalStyle',
    'TimeZone', 'bytea_output', 'extra_float_digits', 'statement_timeout', 'lock_timeout', 'transaction_isolation',
    'transaction_read_only', 'idle_in_transaction_session_timeout', 'row_security', 'role') ORDER BY name`
  const stranger = async () => {
    const client = new pg.Client({ connectionString: pooler.url(server.database) })
    client.on('error', () => {})
    await client.connect()
    try {
      return { settings: (await client.query(settings)).rows, pid: (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid }
    } finally {
      await client.end()
    }
  }
  const before = await stranger()
  const table = await filledTable(server)
  await equalsTable(server, table)
  await get(server, { table, offset: '-1', log: 'changes_only', subset__where: 'id = 7' })
  const after = await stranger()
  assert.deepEqual(after, before, 'the same connection, as it was')
})

scenario('a pooler that dies and comes back costs new shapes a retry, and nothing else', async ({ cleanup }) => {
  const pooler = await stagePgBouncer(postgres)
  const server = await stagePooled(pooler)
  cleanup(() => server.discard())
  const old = await filledTable(server)
  await equalsTable(server, old)
  await pooler.kill9()

  const table = await filledTable(server)
  const refused = await get(server, { table, offset: '-1' })
  assert.equal(refused.status, 503, refused.text)
  assert.ok(refused.header('retry-after'))
  await server.query(`UPDATE ${old} SET body = 'new' WHERE id = 1`)
  await until(async () => {
    const { checker } = await follow(server, { table: old })
    return [...checker.rows.values()].some(({ body }) => body === 'new')
  }, 'what is there to be served on, with its changes')
  assert.equal((await server.health()).status, 'active')

  await pooler.start()
  await until(async () => {
    const answer = await get(server, { table, offset: '-1' })
    assert.ok([200, 503].includes(answer.status), answer.text)
    return answer.status === 200
  }, 'new shapes to be made again')
  await equalsTable(server, table)
})

scenario('a restart under snapshots that are being read ends in rows, not in half of them', async ({ cleanup }) => {
  const pooler = await stagePgBouncer(postgres)
  const server = await stagePooled(pooler)
  cleanup(() => server.discard())
  const tables = []
  for (let i = 0; i < 6; i++) tables.push(await filledTable(server))
  const readers = tables.map((table) =>
    until(
      async () => {
        const answer = await get(server, { table, offset: '-1' }).catch((error) => {
          if (/^connection ended/.test(error.message)) return undefined // a body that was cut off
          throw error
        })
        assert.ok(answer === undefined || [200, 503, 409].includes(answer.status), answer?.text)
        return answer?.status === 200
      },
      `${table} to be served`,
      { deadlineMs: 30_000 },
    ),
  )
  for (let i = 0; i < 3; i++) {
    await pooler.kill9()
    await delay(20)
    await pooler.start()
  }
  await Promise.all(readers)
  for (const table of tables) await equalsTable(server, table)
})

scenario('doctor tells a pooler in its place from one out of place', async () => {
  const pooler = await stagePgBouncer(postgres)
  const database = await postgres.createDatabase()
  const other = await postgres.createDatabase()
  const check = async (direct, pooled) => {
    const { stdout } = await runToExit(
      ['doctor', '--json'],
      {
        DATABASE_URL: direct,
        ...(pooled ? { BUSBAR_POOLED_DATABASE_URL: pooled } : {}),
        BUSBAR_INSECURE: 'true',
        BUSBAR_STORAGE_DIR: scratchDirectory('store'),
      },
      60_000,
    )
    return Object.fromEntries(JSON.parse(stdout).checks.map((found) => [found.check, found]))
  }
  const good = await check(postgres.url(database), pooler.url(database))
  assert.equal(good['pooled connection'].verdict, 'ok', good['pooled connection'].says)
  const elsewhere = await check(postgres.url(database), pooler.url(other))
  assert.equal(elsewhere['pooled connection'].verdict, 'wrong')
  const reversed = await check(pooler.url(database))
  assert.equal(reversed['replication connection'].verdict, 'wrong', reversed['replication connection'].says)
  assert.match(reversed['replication connection'].mend[0], /BUSBAR_POOLED_DATABASE_URL/)
})

scenario('F33: a pooler as DATABASE_URL ends the start in one line that says so', async () => {
  const pooler = await stagePgBouncer(postgres)
  const database = await postgres.createDatabase()
  const { code, signal, stderr, ms } = await runToExit(['serve'], {
    DATABASE_URL: pooler.url(database),
    BUSBAR_INSECURE: 'true',
    BUSBAR_PORT: String(await freePort()),
    BUSBAR_METRICS_PORT: '0',
    BUSBAR_STORAGE_DIR: scratchDirectory('store'),
  })
  assert.equal(signal, null)
  assert.equal(code, 1, stderr)
  assert.ok(ms < 10_000, `after ${ms} ms`)
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  assert.match(stderr, /DATABASE_URL leads to a pooler.*BUSBAR_POOLED_DATABASE_URL/)
  const left = await postgres.query(database, `SELECT FROM pg_replication_slots WHERE database = '${database}'`)
  assert.deepEqual(left, [])
})
