// restored.test.mjs: a database or a storage directory that is not what it was: put back from a copy,
// or failed over. What may be wrong goes at once and is told; what is provably right stays (F27).
import assert from 'node:assert/strict'
import { appendFileSync, chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { restore, save } from './harness/copies.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const shape = { table: 'notes' }

/** Whoever is up to date to this has seen what was committed before. */
async function position(server) {
  const lsn = await server.walPosition()
  await server.query(`SELECT pg_logical_emit_message(true, 'test', '')`)
  return lsn
}

async function stage() {
  return stageBusbar(postgres, {
    sql: `CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (0, 'first')`,
    env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' },
  })
}

/** A copy of the whole database as it is now. */
async function saveDatabase() {
  await postgres.stop()
  const saved = save(postgres.data)
  await postgres.start()
  return saved
}

async function restoreDatabase(saved, prepare = () => {}) {
  await postgres.stop()
  restore(saved)
  prepare()
  await postgres.start()
  await recovered()
}

/** Connections are accepted before the recovery has ended. */
async function recovered() {
  const ended = async () => (await postgres.query('postgres', 'SELECT pg_is_in_recovery()::text AS r'))[0].r === 'false'
  await until(ended, 'the recovery to end')
}

/** `count` transactions of one row each. */
async function write(server, from, count, body) {
  for (let id = from; id < from + count; id++) await server.query('INSERT INTO notes VALUES ($1, $2)', [id, body])
}

async function slotCovers(server, lsn) {
  await until(
    async () => {
      const [row] = await server.query(`SELECT confirmed_flush_lsn - '0/0' >= ${lsn} AS yes FROM pg_replication_slots
        WHERE slot_name = '${server.slot}'`)
      return row?.yes === 't'
    },
    `the slot to be confirmed up to ${lsn}`,
  )
}

/** The reader who was at `state` is told to begin anew, and then sees what the table holds. */
async function expectNewBeginning(server, state) {
  await server.active()
  const response = await get(server, { ...shape, offset: state.offset, handle: state.handle })
  assert.equal(response.status, 409, response.text)
  const fresh = await follow(server, shape)
  assert.notEqual(fresh.handle, state.handle)
  await server.query(`INSERT INTO notes VALUES (9000, 'after all')`)
  await followTo(server, shape, fresh, await position(server))
  await expectTable(server, fresh)
}

async function expectTable(server, state) {
  const rows = await server.query('SELECT id, body FROM notes')
  const canonical = (all) => all.map(({ id, body }) => `${id} ${body}`).sort()
  assert.deepEqual(canonical([...state.checker.rows.values()]), canonical(rows))
}

for (const running of [true, false]) {
  scenario(`F27: a database restored to an earlier state, while Busbar is ${running ? 'running' : 'stopped'}`, async () => {
    const server = await stage()
    const state = await follow(server, shape)
    const saved = await saveDatabase()
    await server.active()
    await write(server, 1, 20, 'lost')
    await followTo(server, shape, state, await position(server))
    if (!running) await server.terminate()
    await restoreDatabase(saved)
    await write(server, 1, 2, 'other')
    if (!running) await server.start()
    await expectNewBeginning(server, state)
  })
}

scenario('F27: a restored database that has written more WAL since than it had lost', async () => {
  const server = await stage()
  const state = await follow(server, shape)
  const saved = await saveDatabase()
  await server.active()
  await write(server, 1, 20, 'lost')
  const lost = await position(server)
  await followTo(server, shape, state, lost)
  await server.terminate()
  await restoreDatabase(saved)
  await server.query(`INSERT INTO notes SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i`)
  assert.ok((await server.walPosition()) > lost, 'its WAL reaches farther')
  await server.start()
  await expectNewBeginning(server, state)
})

scenario('F27: an older copy of the storage directory', async () => {
  const server = await stage()
  const state = await follow(server, shape)
  await server.terminate()
  const saved = save(server.storageDir)
  await server.start()
  await write(server, 1, 5, 'missing in the copy')
  const seen = await position(server)
  await followTo(server, shape, state, seen)
  await slotCovers(server, seen)
  await server.terminate()
  restore(saved)
  await server.start()
  await expectNewBeginning(server, state)
})

/** The next start is the end of an archive recovery, as a standby's promotion is: a new timeline. */
function promote() {
  const signal = join(postgres.data, 'recovery.signal')
  writeFileSync(signal, '')
  if (postgres.owner.uid !== undefined) chownSync(signal, postgres.owner.uid, postgres.owner.gid)
  appendFileSync(join(postgres.data, 'postgresql.conf'), `restore_command = 'false'\n`)
}

async function timeline(server) {
  return (await server.query('SELECT timeline_id FROM pg_control_checkpoint()'))[0].timeline_id
}

scenario('F27: a failover to a server that has everything, slot included, goes on as if nothing had been', async () => {
  const server = await stage()
  const state = await follow(server, shape)
  await write(server, 1, 5, 'before')
  await followTo(server, shape, state, await position(server))
  const before = await timeline(server)
  await postgres.stop()
  promote()
  await postgres.start()
  await recovered()
  await server.query('CHECKPOINT')
  assert.notEqual(await timeline(server), before)
  await server.active()
  await write(server, 6, 5, 'after')
  await followTo(server, shape, state, await position(server))
  await expectTable(server, state)
})

scenario('F27: a failover to a server that lacks what was seen', async () => {
  const server = await stage()
  const state = await follow(server, shape)
  const saved = await saveDatabase()
  await server.active()
  await write(server, 1, 20, 'lost')
  await followTo(server, shape, state, await position(server))
  await restoreDatabase(saved, promote)
  await write(server, 1, 30, 'other')
  await expectNewBeginning(server, state)
})
