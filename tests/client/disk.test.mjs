// disk.test.mjs: a storage directory on a disk that runs full. The process ends in order, and when there
// is room again everything goes on where it was (spec postgres-and-operations §2.6).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { scratchDirectory, until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
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
  'a full disk ends the process with one clear line, and nothing is lost when there is room again',
  async ({ cleanup }) => {
    cleanup(() => run('umount', disk))
    const server = await stageBusbar(postgres, {
      sql: 'CREATE TABLE papers (id int PRIMARY KEY, body text)',
      storageDir: join(disk, 'data'),
      env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' },
    })
    cleanup(() => server.discard())
    const tail = await Tail.start(server, { table: 'papers' })
    cleanup(() => tail.stop())
    for (let id = 1; id <= 200 && server.running; id++)
      await server.query(`INSERT INTO papers SELECT $1, string_agg(md5(i::text), '') FROM generate_series(1, 8000) i`, [id])
    const { code, signal } = await server.exited(30_000)
    assert.deepEqual({ code, signal }, { code: 1, signal: null }, server.output())
    const said = server.output(400).split('\n').filter((line) => line.startsWith('busbar: '))
    assert.equal(said.length, 1, said.join('\n'))
    assert.match(said[0], /the disk refuses .* No space left on device/)

    assert.equal(run('mount', '-o', 'remount,size=512m', disk).status, 0)
    await server.start()
    await server.query(`INSERT INTO papers VALUES (1000, 'last')`)
    await until(
      () => {
        tail.check()
        return tail.checker.rows.size > 0 && tail.rows.some((row) => row.includes('"1000"'))
      },
      () => `the last row:\n${server.output()}`,
      { deadlineMs: 30_000 },
    )
    assert.deepEqual(tail.rows, (await server.query('SELECT id::text, body FROM papers')).map(canonical).sort())
  },
  { skip: disk ? false : 'no disk can be mounted here' },
)
