// creation.test.mjs: many shapes of one table that come into being together, which share what it costs
// to make them: none may notice the others, whatever happens meanwhile (spec §6, §8, §9).
//   BUSBAR_SEED=n  repeats a run's choices
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './harness/processes.mjs'
import { Random } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, checkLogResponse, follow, followTo, get } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { canonical } from './harness/tail.mjs'

const seed = Number(process.env.BUSBAR_SEED ?? Math.floor(Math.random() * 2 ** 31))
console.log(`BUSBAR_SEED=${seed}`)

const postgres = await stagePostgres()
const groups = 40
const columns = 'id int PRIMARY KEY, grp int NOT NULL, body text'
const env = {
  BUSBAR_LONG_POLL_TIMEOUT: '1s',
  BUSBAR_SNAPSHOT_CONNECTIONS: '2', // so that a crowd has to share
  BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 5000, "existing": 10000}',
}
const server = await stageBusbar(postgres, { env })

const filled = async (where, rows = 400) => {
  const table = await newTable(where, columns)
  await where.query(`INSERT INTO ${table} SELECT i, i % ${groups}, 'row ' || i FROM generate_series(1, ${rows}) i`)
  return table
}

/** What a shape without a snapshot says: the rows that were inserted, in order. */
class Inserts {
  ids = []
  seen = -1n

  feed(messages) {
    for (const { headers, value } of messages) {
      if (headers.control === 'up-to-date') this.seen = BigInt(headers.global_last_seen_lsn)
      if (headers.operation === 'insert') this.ids.push(Number(value.id))
    }
  }
}

/** Inserts rows one by one, with ids from `first` on, and changes older ones, until stop(). */
function writer(where, table, first) {
  let stopped = false
  const load = { next: first }
  const done = (async () => {
    const client = await where.client()
    for (; !stopped; load.next++) {
      const id = load.next
      await client.query(`INSERT INTO ${table} VALUES ($1, $1::int % ${groups}, 'new')`, [id])
      await client.query(`UPDATE ${table} SET body = $2, grp = (grp + $3) % ${groups} WHERE id = $1`, [
        id % 400,
        `of ${id}`,
        id % 2,
      ])
      if (id % 5 === 0) await client.query(`DELETE FROM ${table} WHERE id = $1`, [(id * 7) % 400])
    }
    await client.end()
  })()
  load.stop = async () => {
    stopped = true
    await done
  }
  done.catch(() => {})
  return load
}

const selected = async (where, table, condition) => {
  const rows = await where.query(
    `SELECT id::text, grp::text, body FROM ${table} WHERE ${condition} ORDER BY id`,
  )
  return rows.map(canonical).sort()
}
const rowsOf = (checker) => [...checker.rows.values()].map(canonical).sort()

scenario('a burst of shapes with and without snapshot, made while rows are written, equals SELECT', async () => {
  const table = await filled(server)
  const load = writer(server, table, 1_000)
  const shapes = Array.from({ length: groups * 2 }, (_, i) => {
    const shape = { table, where: `grp = ${i % groups}` }
    const keeps = i < groups
    return keeps
      ? { shape, checker: new LogChecker(`group ${i % groups}`) }
      : { shape: { ...shape, log: 'changes_only', where: `id >= 1000 AND id % ${groups} = ${i % groups}` }, inserts: new Inserts() }
  })
  await until(() => load.next > 1_020, 'the writer to be at work')
  await Promise.all(
    shapes.map(async (one) => {
      one.state = await follow(server, one.shape, { checker: one.checker ?? one.inserts })
      one.promised = load.next + 1 // its changes are kept from here on at the latest
    }),
  )
  const enough = load.next + 2 * groups
  await until(() => load.next > enough, 'rows after the burst', { deadlineMs: 30_000 })
  await load.stop()
  const position = await server.walPosition()
  const last = load.next - 1
  await server.query(`INSERT INTO ${table} VALUES (999999, 0, 'end')`)
  await Promise.all(
    shapes.map(async ({ shape, state, checker, inserts, promised }) => {
      await followTo(server, shape, state, position)
      if (checker) {
        checker.rows.delete(`"public"."${table}"/"999999"`)
        assert.deepEqual(rowsOf(checker), await selected(server, table, `${shape.where} AND id <> 999999`))
        return
      }
      // From its first row on it has every one of its group.
      const group = Number(/= (\d+)$/.exec(shape.where)[1])
      const ids = inserts.ids.filter((id) => id <= last)
      assert.ok(ids[0] <= promised + groups, `group ${group} begins with ${ids[0]}, after ${promised}`)
      for (const [i, id] of ids.entries()) assert.equal(id, ids[0] + i * groups, `group ${group}: ${ids}`)
      assert.ok(ids.at(-1) > last - groups, `group ${group} ends with ${ids.at(-1)}, not at ${last}`)
    }),
  )
})

scenario('F48: a shape whose rows cannot be read fails alone', async () => {
  const table = await filled(server)
  const answers = await Promise.all(
    Array.from({ length: groups }, (_, i) =>
      // Of the odd one PostgreSQL says that it divides by zero, for every row.
      get(server, { table, where: i === 17 ? '1 / (grp - grp) = 1' : `grp = ${i}`, offset: '-1' }),
    ),
  )
  for (const [i, response] of answers.entries()) {
    if (i === 17) assert.equal(response.status, 400, response.text)
    else {
      const page = checkLogResponse(response, { offset: '-1' })
      assert.equal(page.messages.filter(({ key }) => key).length, 400 / groups, `group ${i}`)
      assert.equal((await follow(server, { table, where: `grp = ${i}` })).handle, page.handle)
    }
  }
})

scenario('shapes that are removed while they are made together leave the others alone', async () => {
  const busy = await stageBusbar(postgres, { env: { ...env, BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' } })
  const table = await filled(busy, 4_000)
  const followed = Array.from({ length: groups }, (_, i) => follow(busy, { table, where: `grp = ${i}` }))
  const doomed = Array.from({ length: groups }, async (_, i) => {
    const shape = { table, where: `grp = ${i} AND id > 0` }
    const first = await get(busy, { ...shape, offset: '-1' })
    if (first.status === 200) await get(busy, { ...shape, handle: first.header('electric-handle') }, { method: 'DELETE' })
    return first.status
  })
  for (const [i, state] of (await Promise.all(followed)).entries())
    assert.deepEqual(rowsOf(state.checker), await selected(busy, table, `grp = ${i}`))
  for (const status of await Promise.all(doomed)) assert.ok([200, 409].includes(status), `status ${status}`)
})

scenario(
  'F29: kill -9 in a burst of creations leaves only whole shapes',
  async () => {
    const random = new Random(seed)
    const busy = await stageBusbar(postgres, { env })
    const table = await filled(busy)
    for (let round = 0; round < 3; round++) {
      const shapes = Array.from({ length: 120 }, (_, i) => ({
        shape: {
          table,
          where: `grp = ${i % groups} AND id > ${-round}${i}`,
          ...(i % 3 === 0 ? { log: 'changes_only' } : {}),
        },
      }))
      let whole = 0
      const enough = random.int(0, 100)
      const burst = Promise.allSettled(
        shapes.map(async (one) => {
          const checker = one.shape.log ? new Inserts() : undefined
          one.state = await follow(busy, one.shape, checker ? { checker } : {})
          whole++
        }),
      )
      const pause = random.int(0, 40) // else it is always the same moment of a burst
      if (enough > 0) await until(() => whole >= enough, `${enough} whole shapes`, { everyMs: 1 })
      else await delay(pause)
      await busy.kill9()
      await burst
      await busy.query(`UPDATE ${table} SET body = 'round ${round}' WHERE id % 10 = ${round}`)
      await busy.query(`INSERT INTO ${table} VALUES (${10_000 + round}, ${round}, 'later')`)
      const position = await busy.walPosition()
      await busy.query(`DELETE FROM ${table} WHERE id = ${400 - round}`)
      await busy.start()
      await Promise.all(
        shapes.map(async (one) => {
          const before = one.state
          const checker = one.shape.log ? new Inserts() : new LogChecker(one.shape.where)
          // Who was told that the shape is whole goes on with it; for the others it may be a new one.
          const state = before ?? (await follow(busy, one.shape, { checker }))
          await followTo(busy, one.shape, state, position)
          const again = await follow(busy, one.shape, { checker: one.shape.log ? new Inserts() : undefined })
          assert.equal(again.handle, state.handle)
          if (one.shape.log) {
            const isItsOwn = Number(/grp = (\d+)/.exec(one.shape.where)[1]) === round
            if (before) assert.deepEqual(again.checker.ids, isItsOwn ? [10_000 + round] : [])
          } else {
            assert.deepEqual(rowsOf(again.checker), await selected(busy, table, one.shape.where))
          }
        }),
      )
    }
  },
  { deadlineMs: 90_000 },
)
