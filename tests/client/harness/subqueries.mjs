// harness/subqueries.mjs: shapes with subqueries against SELECT: a follower that has been told of all
// that was committed must hold what PostgreSQL selects.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { FramingError } from './raw.mjs'
import { get } from './shapes.mjs'

/** For stageBusbar({sql}): a table whose changes tell the followers of all others how far the server is. */
export const markerTable = 'CREATE TABLE marker (n int PRIMARY KEY); INSERT INTO marker VALUES (0);'

/** A step that may meet a server that is being killed or that is not ready; undefined then. */
export async function bravely(follower, live = false) {
  try {
    return await follower.step(live && follower.upToDate)
  } catch (error) {
    const broken = error instanceof FramingError ? /^connection ended/.test(error.message) : /^ECONN/.test(error.code)
    if (!broken && !/: 503 /.test(error.message)) throw error
    follower.server.moveOn?.() // a client of a cluster
    await delay(20)
    return undefined
  }
}

/** Reads until the follower knows of everything that is committed now. No live requests: they wait for rows. */
export async function settle(server, follower, deadlineMs = 20_000) {
  // Only what some shape follows is streamed at once.
  server.marker ??= await get(server, { table: 'marker', offset: '-1' })
  const position = await server.walPosition()
  await server.query('UPDATE marker SET n = n + 1')
  const deadline = Date.now() + deadlineMs
  while (!(follower.upToDate && follower.seen >= position)) {
    assert.ok(Date.now() < deadline, `${follower.name} reaches ${position}; it is at ${follower.seen}, ${follower.offset}`)
    await bravely(follower)
    await delay(2)
  }
}

/** Settles the follower and compares its rows, column by column, with what PostgreSQL selects. */
export async function equalsSelect(server, follower, what = '', deadlineMs = undefined) {
  await settle(server, follower, deadlineMs)
  const { table, where, columns } = follower.shape
  const sql = `SELECT ${columns ?? '*'} FROM ${table} WHERE ${where} ORDER BY id`
  const want = (await server.query(sql)).map((row) => ({ ...row }))
  const have = [...follower.rows.values.values()].sort((a, b) => Number(a.id) - Number(b.id))
  assert.deepEqual(have, want, `${what} ${follower.name}`)
  return have
}
