// subquery-trouble.test.mjs: shapes with subqueries while servers are killed and restarted, and on
// several materializers: same handle, no row twice, every client equals SELECT.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { bravely, equalsSelect, markerTable } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const postgres = await stagePostgres()
const env = { BUSBAR_LONG_POLL_TIMEOUT: '500ms', BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '20000' }
const server = await stageBusbar(postgres, { sql: markerTable, env })
const wide = await stageBusbar(postgres, { sql: markerTable, env: { ...env, BUSBAR_MATERIALIZERS: '3' } })

/** `rows` tasks on each of four teams, of which the first is in. */
async function world(at, rows) {
  const tasks = await newTable(at, 'id int PRIMARY KEY, ref int NOT NULL, title text')
  const teams = await newTable(at, 'id int PRIMARY KEY, open bool NOT NULL', '(1,true), (2,false), (3,false), (4,false)')
  await at.query(`INSERT INTO ${tasks} SELECT i, 1 + i % 4, repeat('x', 40) || i FROM generate_series(1, ${4 * rows}) i`)
  return { tasks, teams }
}

const follow = (table, where) => new TaggedFollower(server, { table, where })

scenario('kill -9 while rows are moving in or out: same handles, no row twice, nothing missing', async () => {
  const { tasks, teams } = await world(server, 800)
  const followers = [
    follow(tasks, `ref IN (SELECT id FROM ${teams} WHERE open)`),
    follow(tasks, `ref NOT IN (SELECT id FROM ${teams} WHERE open) AND title LIKE '%1'`),
    follow(tasks, `ref IN (SELECT id FROM ${teams} WHERE id IN (SELECT id FROM ${teams} WHERE open))`),
  ]
  for (const follower of followers) await equalsSelect(server, follower)
  const handles = followers.map(({ handle }) => handle)
  for (let round = 0; round < 6; round++) {
    // One reader is in the middle of it, the others come back later.
    let reading = true
    const reader = (async () => {
      while (reading) await bravely(followers[0], true)
    })()
    const killed = (async () => {
      await server.query(
        `BEGIN; UPDATE ${teams} SET open = NOT open WHERE id IN (${1 + (round % 4)}, ${1 + ((round + 1) % 4)});
         UPDATE ${tasks} SET ref = 1 + (ref + 1) % 4 WHERE id % 50 = ${round}; COMMIT`,
      )
      await delay(round * 7) // From before the first word of it to long after the last.
      await server.kill9()
      await server.query(`UPDATE ${tasks} SET title = title || '1' WHERE id % 100 = ${round}`)
      await server.start()
    })()
    await killed.finally(() => (reading = false))
    await reader
    for (const follower of followers) await equalsSelect(server, follower, `round ${round}`)
  }
  assert.deepEqual(
    followers.map(({ handle }) => handle),
    handles,
  )
  assert.deepEqual(
    followers.map(({ refetches }) => refetches),
    [0, 0, 0],
  )
})

scenario('on three materializers shapes that share subqueries, or nest them, are right all the same', async ({ cleanup }) => {
  const client = await wide.client()
  cleanup(() => client.end())
  const { tasks, teams } = await world(wide, 20)
  const other = await world(wide, 10)
  const followers = []
  for (let n = 0; n < 6; n++) {
    for (const where of [
      `ref IN (SELECT id FROM ${teams} WHERE open) AND id % 6 = ${n}`,
      `id IN (SELECT ref FROM ${other.tasks} WHERE ref IN (SELECT id FROM ${other.teams} WHERE open OR id = ${n}))`,
      `ref NOT IN (SELECT id FROM ${other.teams} WHERE open) AND id > ${n}`,
    ]) {
      followers.push(new TaggedFollower(wide, { table: tasks, where }))
    }
  }
  await Promise.all(followers.map((follower) => equalsSelect(wide, follower)))
  for (const statement of [
    `UPDATE ${teams} SET open = NOT open`,
    `UPDATE ${other.teams} SET open = NOT open WHERE id > 2`,
    `UPDATE ${tasks} SET ref = 5 - ref WHERE id % 3 = 0; DELETE FROM ${other.tasks} WHERE ref = 2; DELETE FROM ${teams} WHERE id = 3`,
    `BEGIN; INSERT INTO ${teams} VALUES (3, true); INSERT INTO ${other.tasks} VALUES (900, 2); UPDATE ${other.teams} SET open = true; COMMIT`,
  ]) {
    await client.query(statement)
    await Promise.all(followers.map((follower) => equalsSelect(wide, follower, statement)))
  }
  await wide.restart()
  await client.query(`UPDATE ${other.teams} SET open = id = 1; UPDATE ${teams} SET open = id <> 1`)
  await Promise.all(followers.map((follower) => equalsSelect(wide, follower, 'restarted')))
  assert.equal(
    followers.reduce((sum, { refetches }) => sum + refetches, 0),
    0,
  )
})

scenario('PostgreSQL is restarted, and killed, between and while rows move', async () => {
  const { tasks, teams } = await world(server, 200)
  const followers = [
    follow(tasks, `ref IN (SELECT id FROM ${teams} WHERE open)`),
    follow(tasks, `ref NOT IN (SELECT id FROM ${teams} WHERE open)`),
  ]
  for (const follower of followers) await equalsSelect(server, follower)
  for (const end of [() => postgres.stop(), () => postgres.kill9()]) {
    await server.query(`UPDATE ${teams} SET open = NOT open`)
    await end()
    await postgres.start()
    await server.query(`UPDATE ${teams} SET open = NOT open WHERE id < 3; UPDATE ${tasks} SET ref = 2 WHERE id % 7 = 0`)
    await until(async () => (await server.health())?.status === 'active', 'the server to have its PostgreSQL again')
    for (const follower of followers) await equalsSelect(server, follower, String(end))
  }
  assert.deepEqual(
    followers.map(({ refetches }) => refetches),
    [0, 0],
  )
})
