// subquery-subsets.test.mjs: subsets of shapes with subqueries, read while rows are moving in or out: a
// subset shows the tables as they are, the log as it has come to see them, and clients have both.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { get } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { Steps } from './harness/steps.mjs'
import { bravely, equalsSelect, markerTable, settle } from './harness/subqueries.mjs'
import { TaggedFollower, TaggedRows } from './harness/tagged.mjs'

const postgres = await stagePostgres()
const steps = await Steps.start(postgres.port)
after(() => steps.stop())
const database = await postgres.createDatabase()
await postgres.query(database, markerTable)
const server = await stageBusbar(postgres, {
  databaseUrl: steps.through(postgres.url(database)),
  env: { BUSBAR_LONG_POLL_TIMEOUT: '500ms' },
})
server.query = (text, values) => postgres.query(database, text, values)
server.walPosition = () => postgres.walPosition(database)

/** Has what subsets brought, and ignores changes of what they did not. */
class LoadedRows extends TaggedRows {
  apply(message) {
    const { headers, key } = message
    if (headers.operation === 'insert') this.forget(key)
    if (['update', 'delete'].includes(headers.operation) && !this.rows.has(key)) return
    super.apply(message)
  }

  forget(key) {
    this.rows.delete(key)
    this.visible.delete(key)
  }
}

/** A client that has no rows but those of its subsets. */
async function loader(shape) {
  const follower = new TaggedFollower(server, { ...shape, log: 'changes_only' }, undefined, () => new LoadedRows('loader'))
  await settle(server, follower)
  return follower
}

/** All rows there are, which take the place of those it had. */
async function load(follower) {
  const subset = await get(server, { ...follower.shape, handle: follower.handle, offset: follower.offset, subset__where: 'id > 0' })
  assert.equal(subset.status, 200, subset.text)
  for (const key of [...follower.rows.rows.keys()]) follower.rows.forget(key)
  follower.rows.feed(subset.json.data)
  return subset.json.data.map(({ value }) => Number(value.id)).sort((a, b) => a - b)
}

/**
 * `statement` makes rows move; what it brings is not read before `meanwhile` is over: it has been asked for, and
 * the rows are those before, or it has not, and they are those after.
 */
async function whileMoving(asked, statement, meanwhile) {
  const held = asked ? steps.hold(/ IN \('\d/) : steps.hold(/^/, 'busbar moves')
  try {
    await server.query(statement)
    await until(
      () => held.hit,
      () => `the rows are asked for; ${JSON.stringify(steps.statements)}`,
    )
    await meanwhile()
  } finally {
    held.release()
  }
}

const open = (...ids) => `UPDATE teams SET open = true WHERE id IN (${ids})`
const close = (...ids) => `UPDATE teams SET open = false WHERE id IN (${ids})`

/** Of each of four teams two rows; team 1 is in, or, where clients see those that are not in, all but 1. */
async function world(negated) {
  const tasks = await newTable(server, 'id int PRIMARY KEY, ref int NOT NULL, title text')
  const teams = await newTable(server, 'id int PRIMARY KEY, open bool NOT NULL', `(1,${!negated}), (2,${negated}), (3,${negated}), (4,${negated})`)
  await server.query(`INSERT INTO ${tasks} SELECT i, 1 + i % 4, 't' || i FROM generate_series(1, 8) i`)
  const shape = { table: tasks, where: `ref ${negated ? 'NOT ' : ''}IN (SELECT id FROM ${teams} WHERE open)` }
  const of = (statement) => statement.replace('teams', teams)
  return { tasks, teams, shape, show: (...ids) => of((negated ? close : open)(...ids)), hide: (...ids) => of((negated ? open : close)(...ids)) }
}

for (const [negated, asked] of [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
]) {
  const form = `${negated ? 'NOT IN' : 'IN'}, ${asked ? 'asked for' : 'not yet asked for'}`

  const endings = {
    'the rows come': () => '',
    'they go again': ({ hide }) => hide(2),
    'they go and come again': ({ hide, show }) => `${hide(2)}; ${show(2)}`,
  }
  for (const [name, ending] of Object.entries(endings)) {
    scenario(`${form}: a subset shows rows before the log does, some go or change meanwhile, and ${name}`, async () => {
      const at = await world(negated)
      const { tasks, shape } = at
      const followers = [await loader(shape), await loader(shape), new TaggedFollower(server, shape)]
      await settle(server, followers[2])
      await whileMoving(asked, at.show(2), async () => {
        assert.deepEqual(await load(followers[0]), [1, 4, 5, 8], 'those of team 2 are among them')
        await server.query(
          `DELETE FROM ${tasks} WHERE id = 1; UPDATE ${tasks} SET title = 'new' WHERE id = 5; UPDATE ${tasks} SET ref = 4 WHERE id = 4;
           INSERT INTO ${tasks} VALUES (9, 2, 'nine')`,
        )
        const statement = ending(at)
        for (const one of statement.split('; ').filter(Boolean)) await server.query(one)
        await load(followers[1])
      })
      for (const follower of followers) await equalsSelect(server, follower, name)
      await server.query(`${at.hide(1)}; ${at.show(3)}; UPDATE ${tasks} SET title = title || '!'`)
      for (const follower of followers) await equalsSelect(server, follower, 'later')
      assert.deepEqual(
        followers.map(({ refetches }) => refetches),
        [0, 0, 0],
      )
    })
  }

  scenario(`${form}: a subset lacks rows that the log has, which stay after all`, async () => {
    const at = await world(negated)
    const { tasks, shape } = at
    const followers = [await loader(shape), new TaggedFollower(server, shape)]
    await settle(server, followers[1])
    await whileMoving(asked, at.show(3), async () => {
      await server.query(at.hide(1))
      assert.deepEqual(await load(followers[0]), [2, 6], 'those of team 1 are not among them')
      await server.query(`UPDATE ${tasks} SET title = 'new' WHERE id = 8`)
      await server.query(at.show(1))
    })
    for (const follower of followers) await equalsSelect(server, follower)
    await server.query(`UPDATE ${tasks} SET title = title || '!'`)
    for (const follower of followers) await equalsSelect(server, follower, 'later')
  })

  scenario(`${form}: the same when the server is killed before the rows have come`, async () => {
    const at = await world(negated)
    const { tasks, shape } = at
    const follower = await loader(shape)
    follower.rows.mayFall = true
    const { handle } = follower
    await whileMoving(asked, at.show(2), async () => {
      assert.deepEqual(await load(follower), [1, 4, 5, 8])
      await server.query(`DELETE FROM ${tasks} WHERE id = 1`)
      await server.query(at.hide(2))
      await until(async () => !(await bravely(follower)) || follower.upToDate, 'what is told of it')
      await server.kill9()
    })
    await server.start()
    await equalsSelect(server, follower)
    assert.equal(follower.handle, handle)
  })

  scenario(`${form}: rows go and come again before others have come, and the server is killed`, async () => {
    const at = await world(negated)
    const { tasks, teams, shape } = at
    const followers = [await loader(shape), new TaggedFollower(server, shape)]
    await settle(server, followers[1])
    const witness = new TaggedFollower(server, { table: teams, where: `id IN (SELECT id FROM ${teams})` })
    for (const follower of followers) follower.rows.mayFall = true
    await whileMoving(asked, at.show(3), async () => {
      await server.query(at.hide(1))
      assert.deepEqual(await load(followers[0]), [2, 6])
      await server.query(`UPDATE ${tasks} SET title = 'new' WHERE id = 8`)
      await server.query(at.show(1))
      await settle(server, witness) // so the server has seen all of it, too
      await server.kill9()
    })
    await server.start()
    for (const follower of followers) await equalsSelect(server, follower)
    await server.query(`UPDATE ${tasks} SET title = title || '!'`)
    for (const follower of followers) await equalsSelect(server, follower, 'later')
    assert.deepEqual(
      followers.map(({ refetches }) => refetches),
      [0, 0],
    )
  })
}

scenario('a shape whose subsets nobody reads is told no more than the moves', async () => {
  const at = await world(false)
  const follower = new TaggedFollower(server, at.shape)
  await settle(server, follower)
  const before = follower.messages.length
  await whileMoving(false, at.show(2), () => server.query(at.hide(2)))
  await equalsSelect(server, follower)
  assert.deepEqual(
    follower.messages.slice(before).filter(({ headers }) => headers.event),
    [],
  )
})
