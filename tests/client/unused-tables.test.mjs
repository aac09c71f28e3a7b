// unused-tables.test.mjs: a table that Busbar has added to its publication leaves it when nobody follows
// it any more; one that others added never does, and nobody who comes meanwhile misses a change.
import assert from 'node:assert/strict'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { canonical } from './harness/tail.mjs'

const postgres = await stagePostgres()
const env = {
  BUSBAR_LONG_POLL_TIMEOUT: '1s',
  BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
  BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '100ms',
  BUSBAR_UNUSED_TABLE_TIMEOUT: '300ms',
}
const publication = (server) => `busbar_publication_${server.streamId}`
async function published(server) {
  const rows = await server.query(`SELECT prrelid::regclass::text AS name FROM pg_publication_rel ORDER BY 1`)
  return rows.map(({ name }) => name)
}
const remove = async (server, table, handle) =>
  assert.equal((await request(server, target({ table, handle }), { method: 'DELETE' })).status, 202)
const leaves = (server, table) =>
  until(async () => !(await published(server)).includes(table), () => `${table} to leave:\n${server.output()}`)

scenario('what we added leaves when nobody follows it, what others added stays, also after kill -9', async () => {
  const server = await stageBusbar(postgres, { env })
  const [unused, foreign, followed, again] = [
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
    await newTable(server, 'id int PRIMARY KEY', '(1)'),
  ]
  await server.query(`ALTER PUBLICATION ${publication(server)} ADD TABLE ${foreign}`)
  const kept = await follow(server, { table: followed })
  for (const table of [unused, foreign, again]) await follow(server, { table })
  assert.deepEqual(await published(server), [unused, foreign, followed, again].sort())
  // Taken out and put in again by others, so it is theirs.
  await server.query(`ALTER PUBLICATION ${publication(server)} DROP TABLE ${again}`)
  await server.query(`ALTER PUBLICATION ${publication(server)} ADD TABLE ${again}`)
  await server.kill9()
  await server.start()
  for (const table of [unused, foreign, again]) {
    const { handle } = await follow(server, { table })
    await remove(server, table, handle)
  }
  await leaves(server, unused)
  const { handle } = await follow(server, { table: unused })
  await remove(server, unused, handle)
  await leaves(server, unused) // by now the others would have gone, too
  assert.deepEqual(await published(server), [foreign, followed, again].sort())
  await server.query(`INSERT INTO ${followed} VALUES (2)`)
  await until(async () => {
    const response = await get(server, { table: followed, handle: kept.handle, offset: kept.offset })
    assert.equal(response.status, 200)
    return response.text.includes('"id":"2"')
  }, 'the followed table to go on')
})

scenario('a table stays while a partition below it is followed', async () => {
  const server = await stageBusbar(postgres, { env })
  await server.query(`CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (10)`)
  const other = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const root = await follow(server, { table: 'whole' })
  const leaf = await follow(server, { table: 'low' })
  const third = await follow(server, { table: other })
  assert.deepEqual(await published(server), [other, 'whole'])
  await remove(server, 'whole', root.handle)
  await remove(server, other, third.handle)
  await leaves(server, other)
  await server.query('INSERT INTO low VALUES (1)')
  await followTo(server, { table: 'low' }, leaf, 1n + BigInt((await get(server, { table: 'low', offset: 'now' })).json.at(-1).headers.global_last_seen_lsn) - 1n)
  await until(async () => (await get(server, { table: 'low', handle: leaf.handle, offset: '0_inf' })).text.includes('"id":"1"'), 'the row')
  assert.deepEqual(await published(server), ['whole'])
  await remove(server, 'low', leaf.handle)
  await leaves(server, 'whole')
})

scenario('whoever comes while tables leave misses nothing', async () => {
  const seed = chosenSeed()
  console.log(`seed ${seed}`)
  const random = new Random(seed)
  const server = await stageBusbar(postgres, {
    env: { ...env, BUSBAR_UNUSED_TABLE_TIMEOUT: '1ms' },
  })
  const tables = []
  for (let i = 0; i < 4; i++) tables.push(await newTable(server, 'id int PRIMARY KEY', '(0)'))
  let next = 0
  let gone = 0
  const deadline = Date.now() + 6_000
  while (Date.now() < deadline) {
    const table = random.pick(tables)
    const write = () => server.query(`INSERT INTO ${table} VALUES (${++next})`)
    const written = Promise.all([write(), write()])
    const [state] = await Promise.all([follow(server, { table }), written])
    const position = await server.walPosition()
    await write()
    await followTo(server, { table }, state, position)
    const rows = (await server.query(`SELECT id::text FROM ${table}`)).map(canonical).sort()
    assert.deepEqual([...state.checker.rows.values()].map(canonical).sort(), rows)
    await remove(server, table, state.handle)
    if (random.chance(0.5)) {
      await leaves(server, table)
      gone++
    }
  }
  assert.ok(gone > 3, `${gone} tables left`)
})
