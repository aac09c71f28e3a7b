// subquery-details.test.mjs: what shapes with subqueries tell at rare moments. PostgreSQL's answer with
// the rows that a subquery brings in is held back for as long as a test wants.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { equalsSelect, markerTable } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'
import { Throttle } from './harness/throttle.mjs'

const postgres = await stagePostgres()
const throttle = await Throttle.start(postgres.port)
after(() => throttle.stop())
const database = await postgres.createDatabase()
const url = new URL(postgres.url(database))
url.port = throttle.port
const server = await stageBusbar(postgres, {
  databaseUrl: postgres.url(database),
  env: { BUSBAR_POOLED_DATABASE_URL: url.href, BUSBAR_LONG_POLL_TIMEOUT: '300ms' },
})
server.query = (text, values) => postgres.query(database, text, values)
server.walPosition = () => postgres.walPosition(database)
await server.query(markerTable)

/** Reads the marker until the server has processed everything up to now. */
async function processed(marker) {
  const position = await server.walPosition()
  await server.query('UPDATE marker SET n = n + 1')
  await marker.reach(position)
}

class Marker extends TaggedFollower {
  constructor() {
    super(server, { table: 'marker' }, 'marker', () => ({
      seen: -1n,
      feed(messages) {
        for (const { headers } of messages) if (headers.control === 'up-to-date') this.seen = BigInt(headers.global_last_seen_lsn)
      },
    }))
  }
}

for (const [what, back] of [
  ['a value that comes and goes again while its rows are read', (teams) => `UPDATE ${teams} SET open = false WHERE id = 2`],
  ['one of two values that goes again while the rows are read', (teams) => `UPDATE ${teams} SET open = id <> 2`],
]) {
  scenario(`F50: ${what} promises nothing of what the shape keeps aside`, async ({ cleanup }) => {
    cleanup(() => throttle.open())
    const teams = await newTable(server, 'id int PRIMARY KEY, open bool NOT NULL', '(1,true), (2,false), (3,false)')
    const tasks = await newTable(server, 'id int PRIMARY KEY, ref int NOT NULL, title text', "(1,1,'a'), (2,2,'b'), (3,3,'c')")
    const follower = new TaggedFollower(server, { table: tasks, where: `ref IN (SELECT id FROM ${teams} WHERE open)` })
    const marker = new Marker()
    await equalsSelect(server, follower)
    await processed(marker)
    throttle.narrow({ bytesPerTick: 1, bytesMax: 0 })
    await server.query(`UPDATE ${teams} SET open = true WHERE id = 2`) // the shape waits for its rows
    await processed(marker)
    await server.query(`UPDATE ${tasks} SET title = 'changed' WHERE id = 1`)
    const changed = await server.walPosition()
    await server.query(back(teams))
    await processed(marker)
    await until(async () => ((await follower.step()), follower.upToDate), 'an answer')
    const rows = [...follower.rows.values.values()]
    assert.ok(
      follower.seen < changed || rows.some(({ title }) => title === 'changed'),
      `the promise is ${follower.seen}, and the change at ${changed} has not come: ${JSON.stringify(rows)}`,
    )
    throttle.open()
    await equalsSelect(server, follower)
    assert.equal(follower.refetches, 0)
  })
}

scenario('replica=full has an empty old_value where only the tags of a row change', async () => {
  const teams = await newTable(server, 'id int PRIMARY KEY', '(1), (2)')
  const tasks = await newTable(server, 'id int PRIMARY KEY, ref int, title text', "(1,1,'a')")
  const where = `ref IN (SELECT id FROM ${teams})`
  const follower = new TaggedFollower(server, { table: tasks, where, columns: 'id,title', replica: 'full' })
  await equalsSelect(server, follower)
  await server.query(`UPDATE ${tasks} SET ref = 2`)
  await equalsSelect(server, follower)
  const { value, old_value: old, headers } = follower.messages.findLast((message) => message.headers.operation)
  assert.equal(headers.operation, 'update')
  assert.deepEqual([value, old], [{ id: '1', title: 'a' }, {}])
})
