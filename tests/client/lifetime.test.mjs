// lifetime.test.mjs: clusters that are old: transaction ids of later epochs, about their half and whole
// circle, WAL positions that no double holds and that have the highest bit. A shape's whole life on each.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Follower } from './harness/clients.mjs'
import { Postgres } from './harness/postgres.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { stageBusbar } from './harness/stage.mjs'
import { Tail, canonical } from './harness/tail.mjs'
import { openEvents } from './harness/waiting.mjs'

const page = 32_768 // Transactions of one page of pg_xact; the first of a page needs none before it.

/** A new cluster whose next transaction and next WAL file are these. */
async function aged(cleanup, { epoch, xid, wal }) {
  const postgres = await Postgres.start({ settings: { autovacuum: 'off' } })
  cleanup(() => postgres.discard())
  await postgres.query('postgres', 'VACUUM FREEZE')
  await postgres.query('template1', 'VACUUM FREEZE')
  await postgres.stop()
  const reset = spawnSync(
    join(postgres.bin, 'pg_resetwal'),
    ['-f', '-e', `${epoch}`, '-x', `${xid}`, '-u', `${xid - page}`, '-l', `00000001${wal}`, '-D', postgres.data],
    { ...postgres.owner, cwd: postgres.directory, encoding: 'utf8' },
  )
  assert.equal(reset.status, 0, reset.stderr)
  await postgres.start()
  return postgres
}

/** Ends `count` transactions that change nothing but the counter. */
const burn = (server, count) =>
  server.query(`DO $$ BEGIN FOR i IN 1..${count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)

const nextXid = async (server) => {
  const [row] = await server.query('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xid')
  return BigInt(row.xid)
}

for (const [what, { cross, ...age }] of Object.entries({
  'transaction ids about 2^31 of epoch 1, WAL beyond 2^63': {
    epoch: 1,
    xid: 2 ** 31 - page,
    wal: '8000000000000000',
    cross: 2n ** 32n + 2n ** 31n,
  },
  'transaction ids about 2^32 of epoch 2, WAL near 2^64': {
    epoch: 2,
    xid: 2 ** 32 - page,
    wal: 'FFFFFFFF000000E0',
    cross: 3n * 2n ** 32n,
  },
}))
  scenario(`F03, F69: ${what}, from the first snapshot to a restart`, async ({ cleanup }) => {
    const postgres = await aged(cleanup, age)
    const server = await stageBusbar(postgres, {
      sql: `CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'old');
            CREATE TABLE seen (id int PRIMARY KEY)`,
      env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' },
    })
    cleanup(() => server.discard())
    const shape = { table: 'notes' }
    const position = await server.walPosition()
    assert.ok(position > 2n ** 63n, `${position}`)

    // The table is published before: else a new shape waits for those who write to it.
    await follow(server, { ...shape, where: 'id < 0' })
    // The snapshot lies before the turn, what commits later behind it.
    const left = Number(cross - (await nextXid(server)))
    assert.ok(left > 300 && left < page, `${left} transactions to go`)
    await burn(server, left - 20)
    const writer = await postgres.client(server.database)
    cleanup(() => writer.end())
    await writer.query(`BEGIN; INSERT INTO notes VALUES (2, 'open during the snapshot')`)
    const rolledBack = await postgres.client(server.database)
    cleanup(() => rolledBack.end())
    await rolledBack.query(`BEGIN; INSERT INTO notes VALUES (3, 'never')`)
    await server.query(`INSERT INTO notes VALUES (4, 'committed before')`)
    const tail = await Tail.start(server, shape)
    cleanup(() => tail.stop())
    assert.deepEqual([...tail.checker.rows.values()].map((row) => row.id).sort(), ['1', '4'])
    const snapshot = (await get(server, { ...shape, offset: '-1' })).json
    const end = snapshot.find(({ headers }) => headers.control === 'snapshot-end').headers
    for (const id of [end.xmin, end.xmax, ...end.xip_list]) assert.equal(typeof id, 'string')
    assert.ok(end.xip_list.length >= 2, 'the writers were open')
    assert.equal(BigInt(end.xmax) >> 32n, (await nextXid(server)) >> 32n, 'the epoch is in the snapshot')
    await burn(server, 40)
    assert.ok((await nextXid(server)) > cross, 'the turn was taken')
    await writer.query(`UPDATE notes SET body = body || '.' WHERE id = 1; COMMIT`)
    await rolledBack.query('ROLLBACK')
    await server.query(`INSERT INTO notes VALUES (5, 'behind'); DELETE FROM notes WHERE id = 4`)
    const equals = async (why) => {
      const now = await server.walPosition()
      await server.query(`INSERT INTO notes SELECT max(id) + 1, 'mark' FROM notes`)
      await tail.covers(now)
      assert.deepEqual(tail.rows, (await server.query('SELECT * FROM notes')).map(canonical).sort(), why)
    }
    await equals('live')
    for (const place of tail.places.keys()) assert.ok(BigInt(place.split('_')[0]) > position, place)

    // The same log for who comes now, as events, and by the client.
    const fresh = await follow(server, shape)
    assert.equal(fresh.handle, tail.handle)
    assert.deepEqual([...fresh.checker.rows.values()].map(canonical).sort(), tail.rows)
    const events = await openEvents(server, { ...shape, handle: fresh.handle, offset: fresh.offset })
    cleanup(() => events.connection.destroy())
    await server.query(`UPDATE notes SET body = 'by event' WHERE id = 2`)
    const [change] = await events.batch()
    assert.equal(change.value.body, 'by event')
    assert.ok(BigInt(change.headers.lsn) > position)
    const client = new Follower(server.shapeUrl, shape)
    cleanup(() => client.close())
    const subset = await get(server, { ...shape, offset: '-1', log: 'changes_only', subset__where: 'id > 1' })
    assert.equal(subset.json.data.length, tail.rows.length - 1)

    await server.kill9()
    await server.query(`INSERT INTO notes SELECT max(id) + 1, 'while it was away' FROM notes`)
    await server.start()
    await equals('after a restart')
    await client.reaches((rows) => rows.length === tail.rows.length, 'all rows', 20_000)
    assert.equal(client.refetches, 0)
    const confirmed = await server.walPosition()
    await server.query(`INSERT INTO notes SELECT max(id) + 1, 'last' FROM notes`)
    await until(async () => {
      const [slot] = await server.query(
        `SELECT (confirmed_flush_lsn - '0/0')::text AS at FROM pg_replication_slots WHERE slot_name = '${server.slot}'`,
      )
      return BigInt(slot.at) > confirmed
    }, 'the slot to advance')
    await followTo(server, shape, fresh, confirmed)
  })
