// flood.test.mjs: very many at once, and what they cost: the statements that reach PostgreSQL, places of
// admission, the time until the last of a thousand readers is told.
//   BUSBAR_SEED=n       repeats the choices of a run (it prints its seed)
//   BUSBAR_SHAPES=10000 makes so many shapes in the burst, at most 2,500 at one moment
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { poll } from './harness/waiting.mjs'

const seed = chosenSeed()
const creations = Number(process.env.BUSBAR_SHAPES ?? 1_200)
const postgres = await stagePostgres({ settings: { log_statement: 'all' } })
const env = { BUSBAR_LONG_POLL_TIMEOUT: '20s', BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' }
const roomy = await stageBusbar(postgres, {
  env: { ...env, BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 5000, "existing": 10000}' },
})

/** How many lines of PostgreSQL's log match. */
const logged = (pattern) => readFileSync(join(postgres.directory, 'log'), 'utf8').split('\n').filter((line) => pattern.test(line)).length

async function metric(where, name) {
  const lines = (await where.metrics()).split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

scenario('F24: a thousand waiting readers hear at once that their shape is gone', async ({ cleanup }) => {
  const table = await newTable(roomy, 'id int PRIMARY KEY', '(1)')
  const state = await follow(roomy, { table })
  const polls = await Promise.all(Array.from({ length: 1_000 }, () => poll(roomy, { table, offset: state.offset, handle: state.handle })))
  cleanup(() => polls.forEach(({ connection }) => connection.destroy()))
  await until(async () => (await metric(roomy, 'busbar_waiting_readers')) >= 1_000, 'all to wait')
  const began = Date.now()
  await roomy.query(`TRUNCATE ${table}`)
  const answers = await Promise.all(polls.map(({ answer }) => answer))
  for (const answer of answers) expectMustRefetch(answer)
  // Far below the long poll, by which each would be answered anyway.
  assert.ok(Date.now() - began < 5_000, `it took ${Date.now() - began} ms`)
  assert.equal(await metric(roomy, 'busbar_waiting_readers'), 0)
})

scenario('F40: a burst of shapes alters the publication once for each table', async () => {
  const tables = await Promise.all([1, 2, 3].map(() => newTable(roomy, 'id int PRIMARY KEY', '(1)')))
  const statements = (table) => logged(new RegExp(`ALTER (PUBLICATION|TABLE).*"${table}"`))
  const before = tables.map(statements)
  let made = 0
  const answers = []
  const create = async () => {
    while (made < creations) {
      const n = made++
      const shape = { table: tables[n % 3], where: `id > ${-n}`, log: n % 10 ? 'changes_only' : 'full' }
      answers.push(await get(roomy, { ...shape, offset: '-1' }, { timeoutMs: 60_000 }))
    }
  }
  await Promise.all(Array.from({ length: Math.min(creations, 2_500) }, create))
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
  assert.equal(new Set(answers.map((answer) => answer.header('electric-handle'))).size, creations)
  for (const [n, table] of tables.entries()) {
    const cost = statements(table) - before[n]
    assert.ok(cost >= 1 && cost <= 2, `${cost} statements altered ${table} or its publication`)
  }
}, { deadlineMs: 60_000 + 30 * creations })

scenario('F52: a thousand first requests on a shape with nested subqueries make one', async () => {
  const groups = await newTable(roomy, 'id int PRIMARY KEY, open bool NOT NULL', '(1,true), (2,false)')
  const teams = await newTable(roomy, 'id int PRIMARY KEY, grp int NOT NULL', '(1,1), (2,2), (3,1)')
  const tasks = await newTable(roomy, 'id int PRIMARY KEY, team int NOT NULL', '(1,1), (2,2), (3,3)')
  const where = `team IN (SELECT id FROM ${teams} WHERE grp IN (SELECT id FROM ${groups} WHERE open))`
  const made = await metric(roomy, 'busbar_shapes_created_total')
  const connections = await Promise.all(Array.from({ length: 1_000 }, () => RawConnection.open(roomy.port)))
  connections.forEach((connection) => connection.request('GET', target({ table: tasks, where, offset: '-1' })))
  const answers = await Promise.all(connections.map((connection) => connection.readResponse({ timeoutMs: 40_000 })))
  connections.forEach((connection) => connection.destroy())
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
  assert.deepEqual(answers[0].json.filter(({ key }) => key).map(({ value }) => value.id).sort(), ['1', '3'])
  // The shape and the two sets that it asks.
  const cost = (await metric(roomy, 'busbar_shapes_created_total')) - made
  assert.ok(cost >= 1 && cost <= 3, `${cost} shapes were made`)
})

scenario(`F53: requests that are broken off at any moment leave no place taken (seed ${seed})`, async ({ cleanup }) => {
  const random = new Random(seed)
  const server = await stageBusbar(postgres, {
    env: { ...env, BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 40, "existing": 40}' },
  })
  cleanup(() => server.discard())
  const known = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${known} SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i`)
  const held = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const state = await follow(server, { table: known })
  const locker = await server.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${held} IN ACCESS EXCLUSIVE MODE`)
  const at = { table: known, handle: state.handle }
  const kinds = [
    () => ['GET', target({ table: held, where: `id > ${random.int(1, 50)}`, offset: '-1' })],
    () => ['GET', target({ table: known, where: `id > ${random.int(1, 2000)}`, offset: '-1' })],
    () => ['GET', target({ ...at, offset: '-1' })],
    () => ['GET', target({ ...at, offset: state.offset, live: 'true' })],
    () => ['GET', target({ ...at, offset: state.offset, live: 'true', live_sse: 'true' })],
    () => ['GET', target({ table: 'no_such_table', offset: '-1' })],
    () => ['HEAD', target({ table: held, offset: '-1' })],
    () => ['DELETE', target({ table: known, where: `id > ${random.int(1, 2000)}` })],
    () => ['POST', target({ table: random.pick([held, known]), offset: '-1' }), JSON.stringify({ where: `id > ${random.int(1, 9)}`, limit: 5, order_by: 'id' })],
  ]
  const one = async () => {
    const [method, path, body = ''] = random.pick(kinds)()
    const text = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    const sent = random.chance(0.3) ? random.int(1, text.length) : text.length
    const wait = random.int(0, 60)
    const reads = random.chance(0.5)
    const connection = await RawConnection.open(server.port)
    connection.socket.setNoDelay(true)
    if (!reads) connection.socket.pause()
    connection.send(text.slice(0, sent))
    await delay(wait)
    connection.socket.resetAndDestroy()
  }
  const all = Array.from({ length: 20 }, async () => {
    for (let n = 0; n < 40; n++) await one()
  })
  await Promise.all(all)
  await locker.query('COMMIT')
  const classes = async () => (await server.metrics()).split('\n').filter((line) => line.startsWith('busbar_admission_in_use{'))
  await until(
    async () => {
      const found = await classes()
      return found.length === 2 && found.every((line) => line.endsWith(' 0'))
    },
    'both classes to be free',
    { deadlineMs: 30_000 },
  )
  // All forty places can be taken again, at the same time, and no more.
  await locker.query(`BEGIN; LOCK TABLE ${held} IN ACCESS EXCLUSIVE MODE`)
  const waiting = await Promise.all(Array.from({ length: 40 }, () => RawConnection.open(server.port)))
  cleanup(() => waiting.forEach((connection) => connection.destroy()))
  for (const connection of waiting) connection.request('GET', target({ table: held, where: 'id > -7', offset: '-1' }))
  await until(async () => (await metric(server, 'busbar_admission_in_use')) === 40, 'forty to be admitted')
  assert.equal((await get(server, { table: known, offset: '-1' })).status, 503)
  await locker.query('COMMIT')
  for (const connection of waiting) assert.equal((await connection.readResponse()).status, 200)
})

scenario('F54: who is not admitted costs the database nothing and makes no shape', async ({ cleanup }) => {
  const server = await stageBusbar(postgres, {
    env: { ...env, BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 1, "existing": 100}' },
  })
  cleanup(() => server.discard())
  const held = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const other = 'not_admitted'
  await server.query(`CREATE TABLE ${other} (id int PRIMARY KEY)`)
  const locker = await server.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${held} IN ACCESS EXCLUSIVE MODE`)
  const waiting = await poll(server, { table: held, offset: '-1', live: undefined })
  cleanup(() => waiting.connection.destroy())
  await until(async () => (await metric(server, 'busbar_admission_in_use')) === 1, 'the place to be taken')
  await until(async () => (await metric(server, 'busbar_shapes_created_total')) === 1, 'its shape to be made')
  const before = logged(new RegExp(other))
  const tables = [other, `"${other}"`, `${other}_not`]
  for (let n = 0; n < 100; n++) {
    const params = { table: tables[n % 3], where: `id > ${n}`, offset: '-1' }
    const response = n % 4 === 3
      ? await request(server, target(params), { method: 'POST', body: JSON.stringify({ subset: { limit: 1, order_by: 'id' } }) })
      : await get(server, params)
    assert.equal(response.status, 503)
    assert.equal(response.json.code, 'concurrent_request_limit_exceeded')
  }
  assert.equal(logged(new RegExp(other)), before, 'no statement names their tables')
  assert.equal(await metric(server, 'busbar_shapes_created_total'), 1)
  await locker.query('COMMIT')
  assert.equal((await waiting.answer).status, 200)
  assert.equal((await get(server, { table: other, offset: '-1' })).status, 200)
  assert.ok(logged(new RegExp(other)) > before, 'one who is admitted does name it')
})
