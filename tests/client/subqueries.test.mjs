// subqueries.test.mjs: shapes whose clause asks what another table has, while both change: what is
// refused, what clients are told (spec where-and-matching §4), and what ends such a shape.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expectInvalid, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, rowKey, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { bravely, equalsSelect, markerTable, settle } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE projects (id int PRIMARY KEY, team int, active bool NOT NULL DEFAULT true);
        CREATE TABLE tasks (id int PRIMARY KEY, project_id int, title text, state text);
        ${markerTable}
        INSERT INTO projects VALUES (1, 10), (2, 10), (3, 20);
        INSERT INTO tasks SELECT i, 1 + i % 4, 't' || i, CASE WHEN i % 2 = 0 THEN 'open' ELSE 'done' END FROM generate_series(1, 20) i`,
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '500ms',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms',
  },
})
const client = await server.client()

const taskColumns = 'id int PRIMARY KEY, ref int, title text'
const taskRows = `(1,1,'a'), (2,2,'b'), (3,NULL,'c'), (4,1,'d')`
const teamColumns = 'id int PRIMARY KEY, team int'
const teamRows = '(1,10), (2,20)'

/** Two tables, and a settled follower of the rows of one that ask the other; not of the first four. */
async function world({ where, ...shape } = {}) {
  const tasks = await newTable(server, taskColumns, taskRows)
  const teams = await newTable(server, teamColumns, teamRows)
  const clause = where?.(teams, tasks) ?? `ref IN (SELECT id FROM ${teams} WHERE team = 10)`
  const follower = new TaggedFollower(server, { table: tasks, where: clause, ...shape })
  await settle(server, follower)
  return { tasks, teams, follower }
}

/** Runs the statements and returns what the follower was told, without the up-to-dates. */
async function told(follower, text) {
  const before = follower.messages.length
  await server.query(text)
  await settle(server, follower)
  return follower.messages.slice(before).filter((message) => message.headers.control !== 'up-to-date')
}

const hash = /^[0-9a-f]{32}$/
const isDecimal = /^[1-9][0-9]*$/

async function countShapes() {
  const line = (await server.metrics()).split('\n').find((one) => one.startsWith('busbar_shapes '))
  return Number(line.split(' ')[1])
}

/** The follower's shape ends; what comes next is read anew and equals SELECT. */
async function endsAndGoesOn(follower, statement, what) {
  const { handle, refetches } = follower
  await server.query(statement)
  await until(
    async () => {
      await bravely(follower)
      return follower.refetches > refetches
    },
    `${what}: a 409`,
  )
  await equalsSelect(server, follower, what)
  assert.notEqual(follower.handle, handle, what)
}

const clause = 'project_id IN (SELECT id FROM projects WHERE team = 10)'

scenario('rows come and go with what the subquery selects', async () => {
  const follower = new TaggedFollower(server, { table: 'tasks', where: clause })
  await equalsSelect(server, follower)
  await client.query('UPDATE projects SET team = 10 WHERE id = 3')
  await equalsSelect(server, follower)
  await client.query('UPDATE projects SET team = 20 WHERE id = 1')
  await equalsSelect(server, follower)
  await client.query("INSERT INTO tasks VALUES (100, 2, 'new', 'open'), (101, 1, 'hidden', 'open')")
  await equalsSelect(server, follower)
  await client.query('UPDATE tasks SET project_id = 1 WHERE id = 100')
  await equalsSelect(server, follower)
  await client.query('UPDATE tasks SET project_id = 3 WHERE id = 101')
  await equalsSelect(server, follower)
  await client.query('BEGIN')
  await client.query("INSERT INTO projects VALUES (7, 10); INSERT INTO tasks VALUES (200, 7, 'both', 'open')")
  await client.query('UPDATE projects SET team = 20 WHERE id = 2; UPDATE tasks SET project_id = 2 WHERE id = 101')
  await client.query('COMMIT')
  await equalsSelect(server, follower)
  assert.equal(follower.refetches, 0, 'none of it needs a new snapshot')
  assert.ok(follower.rows.events >= 4)
})

scenario('what cannot be kept live is refused under errors.where', async () => {
  const tasks = await newTable(server, `${taskColumns}, n int NOT NULL DEFAULT 1, flag bool`, taskRows)
  const teams = await newTable(server, `${teamColumns}, n int NOT NULL DEFAULT 1, big bigint`, teamRows)
  const nested = (depth) =>
    depth === 0 ? 'true' : `id IN (SELECT id FROM ${teams} WHERE ${nested(depth - 1)})`
  const many = (count, glue) =>
    Array.from({ length: count }, (_, i) => `(ref IN (SELECT id FROM ${teams} WHERE team = ${i}) OR n = ${i})`).join(glue)
  const before = await countShapes()
  for (const [where, words] of [
    [`ref NOT IN (SELECT n FROM ${teams})`, /NULL/],
    [`n NOT IN (SELECT team FROM ${teams})`, /NULL/],
    [`NOT (title = 'x' OR ref IN (SELECT n FROM ${teams}))`, /NULL/],
    [`EXISTS (SELECT id FROM ${teams})`, /only IN/],
    [`ref = (SELECT id FROM ${teams})`, /only IN/],
    [`ref IN (SELECT id FROM ${teams} LIMIT 1)`, /LIMIT/],
    [`ref IN (SELECT id FROM ${teams} ORDER BY id)`, /ORDER BY/],
    [`ref IN (SELECT a.id FROM ${teams} a JOIN ${teams} b ON true)`, /exactly one table/],
    [`ref IN (SELECT id FROM missing)`, /missing/],
    [`ref IN (SELECT id FROM nowhere.${teams})`, /nowhere/],
    [`ref IN (SELECT id FROM pg_catalog.pg_class)`, /pg_class|unknown column/],
    [`ref IN (SELECT big FROM ${teams})`, /equal types/],
    [`ref IN (SELECT id FROM ${teams} WHERE ref = 1)`, /unknown column/],
    [`n IN (SELECT n FROM ${teams}) OR n NOT IN (SELECT n FROM ${teams})`, /both with and without NOT/],
    [`(ref IN (SELECT id FROM ${teams})) IS TRUE`, /AND, OR and NOT/],
    [many(7, ' AND '), /disjunct|alternatives/],
    [nested(9), /too deeply/],
  ]) {
    for (const offset of ['-1', 'now']) {
      const [text] = expectInvalid(await get(server, { table: tasks, where, offset }), 'where')
      assert.match(text, words, where)
    }
  }
  assert.equal(await countShapes(), before, 'nothing was made on the way')
  for (const where of [nested(8), many(6, ' AND ')]) {
    const follower = new TaggedFollower(server, { table: tasks, where })
    await equalsSelect(server, follower, 'just within the limits')
  }
})

scenario('every message has the tags and conditions of its row, and nothing more', async () => {
  const { tasks, teams, follower } = await world()
  const relation = ['public', tasks]
  const key = (id) => rowKey('public', tasks, [String(id)])
  const [one, four, end] = follower.messages
  const tag = one.headers.tags[0]
  assert.match(tag, hash)
  const held = { tags: [tag], active_conditions: [true] }
  assert.deepEqual(one, { key: key(1), value: { id: '1', ref: '1', title: 'a' }, headers: { operation: 'insert', relation, ...held } })
  assert.deepEqual(four.headers, one.headers, 'one value, one tag')
  assert.deepEqual(Object.keys(end.headers).sort(), ['control', 'xip_list', 'xmax', 'xmin'])
  assert.equal(end.headers.control, 'snapshot-end')

  const only = (messages) => {
    assert.equal(messages.length, 1, JSON.stringify(messages))
    const { lsn, op_position: position, txids, ...rest } = messages[0].headers
    assert.match(lsn, isDecimal)
    assert.ok(Number.isInteger(position) && txids.length === 1)
    return { ...messages[0], headers: rest }
  }
  assert.deepEqual(only(await told(follower, `UPDATE ${tasks} SET title = 'A' WHERE id = 1`)), {
    key: key(1),
    value: { id: '1', title: 'A' },
    headers: { operation: 'update', relation, last: true, ...held, removed_tags: [] },
  })

  const moveIn = await told(follower, `UPDATE ${teams} SET team = 10 WHERE id = 2`)
  assert.equal(moveIn.length, 3, JSON.stringify(moveIn))
  const [event, row, rowsEnd] = moveIn
  assert.deepEqual(Object.keys(event), ['headers'])
  assert.deepEqual(Object.keys(event.headers).sort(), ['event', 'patterns', 'txids'])
  assert.equal(event.headers.event, 'move-in')
  assert.equal(event.headers.patterns.length, 1)
  const [{ pos, value: second }] = event.headers.patterns
  assert.deepEqual(event.headers.patterns, [{ pos, value: second }])
  assert.equal(pos, 0)
  assert.match(second, hash)
  assert.notEqual(second, tag)
  assert.ok(event.headers.txids.length === 1 && Number.isInteger(event.headers.txids[0]))
  assert.deepEqual(row, {
    key: key(2),
    value: { id: '2', ref: '2', title: 'b' },
    headers: { operation: 'insert', relation, is_move_in: true, tags: [second], active_conditions: [true] },
  })
  assert.deepEqual(Object.keys(rowsEnd.headers).sort(), ['control', 'xip_list', 'xmax', 'xmin'])
  assert.equal(rowsEnd.headers.control, 'snapshot-end')

  assert.deepEqual(only(await told(follower, `UPDATE ${tasks} SET ref = 2 WHERE id = 1`)), {
    key: key(1),
    value: { id: '1', ref: '2' },
    headers: { operation: 'update', relation, last: true, tags: [second], removed_tags: [tag], active_conditions: [true] },
  })

  const [changed] = await server.query(`UPDATE ${teams} SET team = NULL WHERE id = 2 RETURNING pg_current_xact_id()::xid::text AS txid`)
  await settle(server, follower)
  const out = follower.messages.filter((message) => message.headers.event).at(-1)
  assert.deepEqual(out, {
    headers: { event: 'move-out', patterns: [{ pos: 0, value: second }], txids: [Number(changed.txid)] },
  })
  assert.deepEqual([...follower.rows.visible], [key(4)])

  assert.deepEqual(only(await told(follower, `UPDATE ${tasks} SET ref = 1 WHERE id = 1`)), {
    key: key(1),
    value: { id: '1', ref: '1', title: 'A' },
    headers: { operation: 'insert', relation, last: true, ...held },
  })
  assert.deepEqual(only(await told(follower, `UPDATE ${tasks} SET ref = NULL WHERE id = 1`)).headers, {
    operation: 'delete',
    relation,
    last: true,
    ...held,
  })
  assert.deepEqual(only(await told(follower, `DELETE FROM ${tasks} WHERE id = 4`)), {
    key: key(4),
    value: { id: '4' },
    headers: { operation: 'delete', relation, last: true, ...held },
  })
  // A value that nobody has: clients are told, but there are no rows, and so no end of them.
  const empty = await told(follower, `INSERT INTO ${teams} VALUES (77, 10)`)
  assert.deepEqual(empty.map((message) => message.headers.event), ['move-in'])
  assert.deepEqual(await told(follower, `INSERT INTO ${teams} VALUES (78, 20); UPDATE ${teams} SET id = 79 WHERE id = 78`), [])
})

scenario('a tag has a slot for every position, and a move names all positions of its subquery', async () => {
  const { follower, teams } = await world({
    where: (teams) =>
      `ref IN (SELECT id FROM ${teams} WHERE team = 10) AND title <> 'z' OR id IN (SELECT id FROM ${teams} WHERE team = 10)`,
  })
  await equalsSelect(server, follower)
  const { tags, active_conditions: conditions } = follower.messages[0].headers
  assert.equal(tags.length, 2)
  assert.match(tags[0], /^[0-9a-f]{32}\/1\/$/)
  assert.match(tags[1], /^\/\/[0-9a-f]{32}$/)
  assert.deepEqual(conditions, [true, true, true])
  const messages = await told(follower, `UPDATE ${teams} SET team = 10 WHERE id = 2`)
  const { patterns } = messages[0].headers
  assert.deepEqual(patterns.map(({ pos }) => pos).sort(), [0, 2])
  await equalsSelect(server, follower)
  await told(follower, `UPDATE ${teams} SET team = 0 WHERE id = 1`)
  await equalsSelect(server, follower)
  assert.equal(follower.refetches, 0)
})

scenario('equal clauses in other words are one shape', async () => {
  const { follower, teams } = await world()
  for (const where of [
    `ref in (select "id" from public.${teams} where (team) = 10)`,
    `"ref" IN (SELECT x.id FROM ${teams} AS x WHERE x.team = '10')`,
    `(ref IN (SELECT id FROM ${teams} WHERE team = 10 /* ten */))`,
  ]) {
    const other = await get(server, { ...follower.shape, where, offset: '-1' })
    assert.equal(other.header('electric-handle'), follower.handle, `${where}: ${other.text}`)
  }
  const parameter = { where: `ref IN (SELECT id FROM ${teams} WHERE team = $1)`, 'params[1]': '10' }
  const same = await get(server, { ...follower.shape, ...parameter, offset: '-1' })
  assert.equal(same.header('electric-handle'), follower.handle, same.text)
  const different = await get(server, { ...follower.shape, ...parameter, 'params[1]': '20', offset: '-1' })
  assert.notEqual(different.header('electric-handle'), follower.handle)
})

scenario('replica=full tells old and whole rows, beside tags', async () => {
  const { follower, tasks } = await world({ replica: 'full' })
  const [update] = await told(follower, `UPDATE ${tasks} SET title = 'A' WHERE id = 1`)
  assert.deepEqual(update.value, { id: '1', ref: '1', title: 'A' })
  assert.deepEqual(update.old_value, { title: 'a' })
  assert.deepEqual(update.headers.removed_tags, [])
  const [gone] = await told(follower, `UPDATE ${tasks} SET ref = 2 WHERE id = 1`)
  assert.equal(gone.headers.operation, 'delete')
  assert.equal(gone.value.id, '1')
  assert.equal(gone.value.title, 'A')
  await equalsSelect(server, follower)
})

scenario('columns that the clause needs need not be among those shown', async () => {
  const { follower, tasks, teams } = await world({ columns: 'id,title' })
  await equalsSelect(server, follower)
  const [update] = await told(
    follower,
    `UPDATE ${teams} SET team = 10 WHERE id = 2; UPDATE ${teams} SET team = 20 WHERE id = 1`,
  )
  assert.ok(update.headers.event)
  const rows = await equalsSelect(server, follower)
  assert.deepEqual(rows, [{ id: '2', title: 'b' }])
  // Nothing that is shown changes but the tag, and clients must know that for the next move.
  await told(follower, `INSERT INTO ${teams} VALUES (3, 10)`)
  const moved = await told(follower, `UPDATE ${tasks} SET ref = 3 WHERE id = 2`)
  assert.equal(moved.length, 1)
  assert.deepEqual(moved[0].value, { id: '2' })
  assert.equal(moved[0].headers.removed_tags.length, 1)
  await told(follower, `UPDATE ${teams} SET team = 20 WHERE id = 2`)
  assert.equal((await equalsSelect(server, follower)).length, 1)
  await told(follower, `DELETE FROM ${teams} WHERE id = 3`)
  assert.deepEqual(await equalsSelect(server, follower), [])
})

scenario('log=changes_only: no first rows, but changes with tags, moves, and subsets with tags', async () => {
  const { tasks, teams, follower: full } = await world()
  const shape = { ...full.shape, log: 'changes_only' }
  let at = await get(server, { ...shape, offset: '-1' })
  assert.deepEqual(at.json.map((message) => message.headers.control), ['snapshot-end'])
  const handle = at.header('electric-handle')
  assert.notEqual(handle, full.handle)
  const seen = []
  const more = async (count) => {
    await until(
      async () => {
        at = await get(server, { ...shape, handle, offset: at.header('electric-offset') })
        assert.equal(at.status, 200, at.text)
        seen.push(...at.json.filter((message) => message.headers.control === undefined))
        return seen.length >= count
      },
      () => `${count} messages; there are ${JSON.stringify(seen)}`,
    )
  }
  await server.query(`INSERT INTO ${tasks} VALUES (5, 1, 'e'), (6, 2, 'f')`)
  await more(1)
  assert.equal(seen[0].value.id, '5')
  const [tag] = seen[0].headers.tags
  await server.query(`UPDATE ${teams} SET team = 10 WHERE id = 2`)
  await more(4)
  assert.equal(seen[1].headers.event, 'move-in')
  assert.deepEqual(seen.slice(2).map((message) => [message.headers.is_move_in, message.value.id]).sort(), [[true, '2'], [true, '6']])
  await server.query(`UPDATE ${teams} SET team = 20 WHERE id = 1`)
  await more(5)
  assert.deepEqual(seen[4].headers.patterns, [{ pos: 0, value: tag }])

  const subset = await get(server, { ...shape, handle, offset: at.header('electric-offset'), subset__where: 'id < 6', subset__order_by: 'id' })
  assert.equal(subset.status, 200, subset.text)
  const rows = await server.query(`SELECT * FROM ${tasks} WHERE ${shape.where} AND id < 6 ORDER BY id`)
  assert.deepEqual(subset.json.data.map((row) => row.value), rows.map((row) => ({ ...row })))
  for (const { headers } of subset.json.data) {
    assert.deepEqual(headers.tags, [seen[1].headers.patterns[0].value])
    assert.deepEqual(headers.active_conditions, [true])
  }
})

scenario('subsets of a shape with subqueries have its tags; their own conditions ask no table', async () => {
  const { teams, tasks, follower } = await world()
  const tags = new Map(follower.messages.filter(({ key }) => key).map(({ key, headers }) => [key, headers.tags]))
  const at = { ...follower.shape, handle: follower.handle, offset: follower.offset }
  const subset = await get(server, { ...at, subset__order_by: 'id DESC', subset__limit: '1' })
  assert.equal(subset.status, 200, subset.text)
  assert.deepEqual(subset.json.data.map(({ value, headers }) => [value.id, headers.tags]), [['4', tags.get(rowKey('public', tasks, ['4']))]])
  const asking = await get(server, { ...at, subset__where: `id IN (SELECT id FROM ${teams})` })
  assert.equal(asking.status, 400, asking.text)
  assert.deepEqual(Object.keys(asking.json.errors), ['subset'])
  assert.deepEqual(Object.keys(asking.json.errors.subset), ['where'])
  const body = JSON.stringify({ where: `id IN (SELECT id FROM ${teams})` })
  const headers = { 'content-type': 'application/json' }
  const posted = await request(server, target({ ...at }), { method: 'POST', headers, body })
  assert.equal(posted.status, 400, posted.text)
})

scenario('NOT IN: values that come hide rows, values that go show them', async () => {
  const { tasks, teams, follower } = await world({ where: (teams) => `id NOT IN (SELECT id FROM ${teams} WHERE team = 10)` })
  await equalsSelect(server, follower)
  const out = await told(follower, `UPDATE ${teams} SET team = 10 WHERE id = 2`)
  assert.deepEqual(out.map((message) => message.headers.event), ['move-out'])
  await equalsSelect(server, follower)
  const back = await told(follower, `DELETE FROM ${teams} WHERE id = 1`)
  assert.equal(back[0].headers.event, 'move-in')
  assert.equal(back[1].value.id, '1')
  await equalsSelect(server, follower)
  await told(follower, `DELETE FROM ${teams}; INSERT INTO ${tasks} VALUES (9, 9, 'n'); INSERT INTO ${teams} VALUES (9, 10)`)
  await equalsSelect(server, follower)
  assert.equal(follower.refetches, 0)
})

scenario('TRUNCATE and DROP of the inner table, and a column that may be NULL, end the shape', async () => {
  const truncated = await world()
  await endsAndGoesOn(truncated.follower, `TRUNCATE ${truncated.teams}`, 'TRUNCATE')
  assert.equal(truncated.follower.rows.visible.size, 0)
  await told(truncated.follower, `INSERT INTO ${truncated.teams} VALUES (1, 10)`)
  assert.equal((await equalsSelect(server, truncated.follower)).length, 2)

  const nullable = await world({ where: (teams) => `id NOT IN (SELECT id FROM ${teams} WHERE team = 10)` })
  const { follower, teams } = nullable
  await server.query(`ALTER TABLE ${teams} DROP CONSTRAINT ${teams}_pkey, ALTER COLUMN id DROP NOT NULL, REPLICA IDENTITY FULL`)
  await server.query(`INSERT INTO ${teams} VALUES (NULL, 10)`)
  const at = { ...follower.shape, handle: follower.handle, offset: follower.offset }
  const answer = await until(async () => {
    const response = await get(server, at)
    return response.status !== 200 && response
  }, 'the shape under NOT IN to end')
  // Asked anew, the clause cannot be had any more.
  assert.ok([400, 409].includes(answer.status), answer.text)
  expectInvalid(await get(server, { ...follower.shape, offset: '-1' }), 'where')
  await server.query(`DELETE FROM ${teams} WHERE id IS NULL`)
  await server.query(`ALTER TABLE ${teams} ADD PRIMARY KEY (id)`)
  await equalsSelect(server, new TaggedFollower(server, follower.shape), 'NOT NULL again')

  const dropped = await world()
  await server.query(`DROP TABLE ${dropped.teams}`)
  await server.query(`CREATE TABLE ${dropped.teams} (${teamColumns})`)
  await endsAndGoesOn(dropped.follower, `INSERT INTO ${dropped.teams} VALUES (2, 10)`, 'DROP TABLE')
})

scenario('DELETE of a shape takes its sets along, but not those that another shape asks', async () => {
  const before = await countShapes()
  const { follower, tasks, teams } = await world({
    where: (teams, tasks) =>
      `ref IN (SELECT id FROM ${teams} WHERE id IN (SELECT id FROM ${tasks})) AND id IN (SELECT id FROM ${teams} WHERE team = 10)`,
  })
  const sharing = new TaggedFollower(server, { table: tasks, where: `id IN (SELECT id FROM ${teams} WHERE team = 10)` })
  await settle(server, sharing)
  const remove = (handle) => request(server, target({ handle }), { method: 'DELETE' })
  assert.equal((await remove(follower.handle)).status, 202)
  expectMustRefetch(await get(server, { ...follower.shape, handle: follower.handle, offset: follower.offset }))
  await told(sharing, `UPDATE ${teams} SET team = 10 WHERE id = 2`)
  assert.equal((await equalsSelect(server, sharing)).length, 2)
  assert.equal(sharing.refetches, 0)
  // The 409 made the shape anew.
  const again = new TaggedFollower(server, follower.shape)
  await equalsSelect(server, again)
  assert.equal((await remove(again.handle)).status, 202)
  assert.equal((await remove(sharing.handle)).status, 202)
  await until(async () => (await countShapes()) === before, async () => `${before} shapes to be left, not ${await countShapes()}`)
})

scenario('nobody is served a set', async () => {
  const handles = () =>
    new Set(
      readdirSync(server.storageDir)
        .filter((name) => name.endsWith('.log'))
        .flatMap((name) => readFileSync(join(server.storageDir, name), 'latin1').match(/[0-9]{4,}-[0-9]{16}/g) ?? []),
    )
  const before = handles()
  const { follower, teams } = await world()
  const sets = [...handles()].filter((handle) => !before.has(handle) && handle !== follower.handle)
  assert.ok(sets.length >= 1, 'the set is stored with a handle')
  for (const handle of sets) {
    for (const shape of [follower.shape, { table: teams }, { table: teams, where: 'team = 10' }]) {
      const response = await get(server, { ...shape, handle, offset: '0_0' })
      const next = expectMustRefetch(response, { handle: true })
      assert.notEqual(next, handle)
    }
    assert.equal((await request(server, target({ handle }), { method: 'DELETE' })).status, 404)
  }
  await equalsSelect(server, follower, 'the shape lives on')
  assert.equal(follower.refetches, 0)
})

scenario('a subquery may ask a partitioned table, whose rows move between partitions', async () => {
  const tasks = await newTable(server, taskColumns, taskRows)
  const root = `parted_${tasks}`
  await server.query(
    `CREATE TABLE ${root} (id int, team int, PRIMARY KEY (id, team)) PARTITION BY LIST (team);
     CREATE TABLE ${root}_10 PARTITION OF ${root} FOR VALUES IN (10);
     CREATE TABLE ${root}_rest PARTITION OF ${root} DEFAULT;
     INSERT INTO ${root} VALUES (1, 10), (2, 20)`,
  )
  const at10 = new TaggedFollower(server, { table: tasks, where: `ref IN (SELECT id FROM ${root} WHERE team = 10)` })
  const all = new TaggedFollower(server, { table: tasks, where: `ref IN (SELECT id FROM ${root})` })
  const leaf = new TaggedFollower(server, { table: tasks, where: `ref IN (SELECT id FROM ${root}_10)` })
  const followers = [at10, all, leaf]
  for (const follower of followers) await equalsSelect(server, follower)
  for (const statement of [
    `UPDATE ${root} SET team = 10 WHERE id = 2`,
    `UPDATE ${root} SET team = 30 WHERE id = 1`,
    `INSERT INTO ${root} VALUES (1, 10)`,
    `DELETE FROM ${root} WHERE id = 1 AND team = 30`,
  ]) {
    await server.query(statement)
    for (const follower of followers) await equalsSelect(server, follower, statement)
  }
  assert.ok(!all.messages.some(({ headers }) => headers.event), 'a row that only moves brings and takes no value')
  assert.equal(at10.refetches + all.refetches + leaf.refetches, 0)
})

scenario('a table may ask itself', async () => {
  const { follower, tasks } = await world({ where: (teams, tasks) => `ref IN (SELECT id FROM ${tasks} WHERE title <> 'off')` })
  await equalsSelect(server, follower)
  for (const statement of [
    `UPDATE ${tasks} SET title = 'off' WHERE id = 1`,
    `UPDATE ${tasks} SET title = 'on', ref = 2 WHERE id = 1`,
    `INSERT INTO ${tasks} VALUES (5, 5, 'itself')`,
    `INSERT INTO ${tasks} VALUES (6, 7, 'pair'), (7, 6, 'pair')`,
    `UPDATE ${tasks} SET id = 8 WHERE id = 7`,
    `UPDATE ${tasks} SET ref = id`,
    `DELETE FROM ${tasks} WHERE id IN (2, 5)`,
  ]) {
    await server.query(statement)
    await equalsSelect(server, follower, statement)
  }
  assert.equal(follower.refetches, 0)
})

scenario('F16: a row whose key changes while it stays in goes and comes with its tags', async () => {
  const { follower, tasks, teams } = await world()
  const messages = await told(follower, `UPDATE ${tasks} SET id = 40 WHERE id = 4`)
  assert.deepEqual(messages.map(({ headers }) => headers.operation), ['delete', 'insert'])
  const [gone, come] = messages
  assert.equal(gone.headers.key_change_to, come.key)
  assert.equal(come.headers.key_change_from, gone.key)
  assert.deepEqual(come.headers.tags, gone.headers.tags)
  assert.deepEqual(come.headers.active_conditions, [true])
  assert.equal(come.headers.last, true)
  await equalsSelect(server, follower)
  await told(follower, `DELETE FROM ${teams} WHERE id = 1`)
  assert.deepEqual(await equalsSelect(server, follower), [])
})

scenario('of two subqueries under AND one side changes: the row goes and comes, as clients lose shared tags', async () => {
  const tasks = await newTable(server, 'id int PRIMARY KEY, ref int, owner int, title text', `(1,1,1,'a'), (2,2,2,'b')`)
  const teams = await newTable(server, teamColumns, '(1,10), (2,10)')
  const owners = await newTable(server, teamColumns, '(1,10), (2,10)')
  const where = `ref IN (SELECT id FROM ${teams} WHERE team = 10) AND owner IN (SELECT id FROM ${owners} WHERE team = 10)`
  const follower = new TaggedFollower(server, { table: tasks, where })
  await equalsSelect(server, follower)
  const operations = (messages) => messages.map(({ headers }) => headers.operation)
  const replaced = await told(follower, `UPDATE ${tasks} SET ref = 2 WHERE id = 1`)
  assert.deepEqual(operations(replaced), ['delete', 'insert'])
  const [gone, come] = replaced
  assert.equal(come.key, gone.key)
  assert.ok(gone.headers.op_position < come.headers.op_position)
  assert.deepEqual([gone.headers.last, come.headers.last], [undefined, true])
  assert.deepEqual(come.value, { id: '1', ref: '2', owner: '1', title: 'a' })
  assert.equal(come.headers.key_change_from, undefined)
  assert.deepEqual(operations(await told(follower, `UPDATE ${tasks} SET ref = 1, owner = 2 WHERE id = 1`)), ['update'])
  assert.deepEqual(operations(await told(follower, `UPDATE ${tasks} SET title = 'x' WHERE id = 1`)), ['update'])
  await equalsSelect(server, follower)
  await told(follower, `UPDATE ${owners} SET team = 20 WHERE id = 2`)
  assert.deepEqual(await equalsSelect(server, follower), [])
})
