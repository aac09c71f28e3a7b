// disk.test.mjs: a storage directory on a disk that runs full. The stream waits, what is there is served,
// and when there is room again everything goes on by itself (spec postgres-and-operations §2.8).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { scratchDirectory, until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { get } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { Tail, canonical } from './harness/tail.mjs'

const postgres = await stagePostgres()

const run = (command, ...args) => spawnSync(command, args, { encoding: 'utf8' })

/** A disk of this size, or undefined where this process may not mount one. */
function smallDisk(megabytes) {
  const at = scratchDirectory('disk')
  return run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', at).status === 0 ? at : undefined
}

const disk = smallDisk(24)

scenario(
  'a full disk pauses the stream, what is there is served, and all goes on when there is room again',
  async ({ cleanup }) => {
    cleanup(() => run('umount', disk))
    const server = await stageBusbar(postgres, {
      sql: `CREATE TABLE papers (id int PRIMARY KEY, body text);
            CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1)`,
      storageDir: join(disk, 'data'),
      env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' },
    })
    cleanup(() => server.discard())
    const tail = await Tail.start(server, { table: 'papers' })
    cleanup(() => tail.stop())
    const { pid } = server
    let id = 0
    await until(
      async () => {
        id++
        await server.query(
          `INSERT INTO papers SELECT $1, string_agg(md5(i::text), '') FROM generate_series(1, 8000) i`,
          [id],
        )
        return /the disk of .* is full/.test(server.output(400))
      },
      () => `the disk to be full:\n${server.output()}`,
      { deadlineMs: 60_000 },
    )
    // A part of what is written now cannot be stored, and is not lost either.
    await server.query(`INSERT INTO papers VALUES (1000, 'last')`)
    await until(async () => (await server.health())?.status !== 'active', 'the health to tell')
    assert.equal(server.running, true)
    const there = await get(server, { table: 'papers', offset: '-1' })
    assert.equal(there.status, 200, 'what is there is served')
    const fresh = await get(server, { table: 'notes', offset: '-1' })
    assert.equal(fresh.status, 503, 'nothing new is begun')

    assert.equal(run('mount', '-o', 'remount,size=512m', disk).status, 0)
    await until(
      () => {
        tail.check()
        return tail.rows.some((row) => row.includes('"1000"'))
      },
      () => `the last row:\n${server.output()}`,
      { deadlineMs: 30_000 },
    )
    assert.equal(server.pid, pid, 'it is the same process')
    await server.active()
    assert.deepEqual(tail.rows, (await server.query('SELECT id::text, body FROM papers')).map(canonical).sort())
    await until(
      async () => (await get(server, { table: 'notes', offset: '-1' })).status === 200,
      'a new shape to be made',
    )
    await server.restart()
    await server.query(`INSERT INTO papers VALUES (1001, 'after')`)
    await until(
      () => {
        tail.check()
        return tail.rows.some((row) => row.includes('"1001"'))
      },
      () => `the row after the restart:\n${server.output()}`,
      { deadlineMs: 30_000 },
    )
  },
  { skip: disk ? false : 'no disk can be mounted here' },
)
