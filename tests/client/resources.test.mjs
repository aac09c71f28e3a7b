// resources.test.mjs: a PostgreSQL that lacks something: room on its disk, memory, connections. Nobody is told
// that it is his own fault, nothing ends, and all goes on by itself (spec postgres-and-operations §1.4).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { Busbar } from './harness/busbar.mjs'
import { Postgres } from './harness/postgres.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { newTable } from './harness/stage.mjs'
import { Steps } from './harness/steps.mjs'
import { Tail, canonical } from './harness/tail.mjs'

const postgres = await Postgres.start({ settings: { logical_decoding_work_mem: '64kB' } })
const run = (command, ...args) => spawnSync(command, args, { encoding: 'utf8' })

// PostgreSQL keeps slots here, and the changes of transactions that are too large for its memory.
const disk = join(postgres.data, 'pg_replslot')
const { uid = process.getuid(), gid = process.getgid() } = postgres.owner
const mounted = run('mount', '-t', 'tmpfs', '-o', `size=1m,uid=${uid},gid=${gid},mode=700`, 'tmpfs', disk).status === 0
const enlarge = () => assert.equal(run('mount', '-o', 'remount,size=256m', disk).status, 0)

const steps = await Steps.start(postgres.port)
after(async () => {
  await postgres.discard()
  if (mounted) run('umount', disk)
  await steps.stop()
})

async function stage(cleanup, database, url) {
  const server = await Busbar.prepare({ databaseUrl: url, env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })
  cleanup(() => server.discard())
  server.query = (text) => postgres.query(database, text)
  server.walPosition = () => postgres.walPosition(database)
  await server.start({ wait: false })
  return server
}

async function missed(server, cause) {
  await until(
    async () => {
      assert.ok(server.running, server.output())
      return (await server.healthBody().catch(() => undefined))?.cause === cause
    },
    () => `health to say ${cause}:\n${server.output()}`,
    { deadlineMs: 30_000 },
  )
}

/** All changes so far come to whoever follows the shape, under the same handle. */
async function goesOn(server, shape, state) {
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${shape.table} (id) SELECT max(id) + 1 FROM ${shape.table}`)
  await followTo(server, shape, state, position)
}

scenario('F36: whatever it lacks where first rows are read: a 503, and the next one who asks has them', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  const server = await stage(cleanup, database, steps.through(postgres.url(database)))
  await server.active()
  const table = await newTable(server, 'id int PRIMARY KEY, note text', `(1, 'a'), (2, 'b')`)
  const state = await follow(server, { table })
  for (const [n, sqlstate] of ['53100', '53200', '53300', '58030', '57P02', '57P03'].entries()) {
    const refused = steps.refuse(/COPY \(/, sqlstate)
    cleanup(() => refused.allow())
    const shapes = [{ table, where: `id < ${n + 3}` }, { table, where: `id IN (SELECT id FROM ${table} WHERE id < ${n + 3})` }]
    for (const shape of shapes) {
      const response = await get(server, { ...shape, offset: '-1' })
      assert.equal(response.status, 503, `${sqlstate}: ${response.text}`)
      assert.ok(Number(response.header('retry-after')) > 0)
      assert.equal(response.header('electric-internal-known-error'), 'true', response.text)
      assert.equal(response.header('cache-control'), 'no-store')
    }
    assert.ok(refused.met.length >= 2)
    assert.deepEqual(await server.healthBody(), { status: 'active' })
    refused.allow()
    await goesOn(server, { table }, state)
    for (const shape of shapes) assert.equal((await follow(server, shape)).checker.rows.size, n + 2)
  }
  assert.equal((await follow(server, { table })).handle, state.handle)
})

scenario('F36: the slot cannot be made for want of room: it is tried again until there is some', async ({
  cleanup,
}) => {
  const refused = steps.refuse(/CREATE_REPLICATION_SLOT/, '53100', 2)
  cleanup(() => refused.allow())
  const database = await postgres.createDatabase()
  await postgres.query(database, 'CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1)')
  const server = await stage(cleanup, database, steps.through(postgres.url(database)))
  await missed(server, 'no_resources')
  await server.active()
  assert.equal(refused.met.length, 2)
  assert.equal((await follow(server, { table: 'notes' })).checker.rows.size, 1)
})

scenario(
  'F36: the disk of PostgreSQL is full: where its slots lie, and where a large transaction is put aside',
  async ({ cleanup }) => {
    const noRoom = () => (readFileSync(join(postgres.directory, 'log'), 'utf8').match(/No space left on device/g) ?? []).length
    const ballast = join(disk, 'ballast')
    cleanup(() => rmSync(ballast, { force: true }))
    assert.throws(() => writeFileSync(ballast, Buffer.alloc(2 << 20)), { code: 'ENOSPC' })
    const database = await postgres.createDatabase()
    await postgres.query(database, 'CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1)')
    const server = await stage(cleanup, database, postgres.url(database))
    await missed(server, 'no_resources')
    assert.ok(noRoom() > 0, postgres.log())
    rmSync(ballast)
    await server.active()

    const tail = await Tail.start(server, { table: 'notes' })
    cleanup(() => tail.stop())
    const { pid } = server
    const before = noRoom()
    await server.query(`BEGIN; UPDATE notes SET body = 'first';
      INSERT INTO notes SELECT i, repeat(md5(i::text), 10) FROM generate_series(2, 20000) i; COMMIT`)
    await missed(server, 'no_resources')
    assert.ok(noRoom() > before, postgres.log())
    assert.equal((await get(server, { table: 'notes', offset: '-1' })).status, 200, 'what is there is served')
    enlarge()
    await until(
      () => {
        tail.check()
        return tail.rows.length === 20_000
      },
      () => `all rows, not ${tail.rows.length}:\n${server.output()}`,
      { deadlineMs: 30_000 },
    )
    await server.active()
    assert.equal(server.pid, pid, 'it is the same process')
    assert.deepEqual(tail.rows, (await server.query('SELECT id::text, body FROM notes')).map(canonical).sort())
  },
  { skip: mounted ? false : 'no disk can be mounted here' },
)
