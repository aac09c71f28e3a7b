// answers.test.mjs: what every answer keeps to, whatever was asked: who may cache it, that there is one, and
// that metrics need no database.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { Random, chosenSeed } from './harness/random.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { until } from './harness/processes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const seed = chosenSeed()
const postgres = await stagePostgres()
const env = { BUSBAR_LONG_POLL_TIMEOUT: '200ms' }
const server = await stageBusbar(postgres, { env })

scenario('F64: only what may be shared is public, whatever status and method', async ({ cleanup }) => {
  const guarded = await stageBusbar(postgres, {
    secret: 'sesame',
    env: { ...env, BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 1, "existing": 1000}' },
  })
  cleanup(() => guarded.discard())
  const table = await newTable(guarded, 'id int PRIMARY KEY', '(1)')
  const held = await newTable(guarded, 'id int PRIMARY KEY', '(1)')
  const state = await follow(guarded, { table })
  const known = { table, handle: state.handle, secret: 'sesame' }
  const first = await get(guarded, { ...known, offset: '-1' })
  const answers = {
    200: [target({ ...known, offset: '-1' }), {}],
    304: [target({ ...known, offset: '-1' }), { 'if-none-match': first.header('etag') }],
    400: [target({ ...known, offset: 'x' }), {}],
    401: [target({ ...known, offset: '-1', secret: 'guess' }), {}],
    404: ['/v1/nothing', {}],
    409: [target({ ...known, handle: 'of-another', offset: '0_0' }), {}],
    414: [`${target({ ...known, offset: '-1' })}&x=${'y'.repeat(70_000)}`, {}],
    431: [target({ ...known, offset: '-1' }), { 'x-long': 'y'.repeat(70_000) }],
  }
  const seen = new Set()
  const judge = (what, method, response) => {
    seen.add(response.status)
    const kept = response.header('cache-control') ?? ''
    const shared = ['GET', 'HEAD'].includes(method) && [200, 304, 409].includes(response.status)
    if (!shared) assert.doesNotMatch(kept, /public|s-maxage/, `${method} ${what}: ${response.status} ${kept}`)
    if (!shared && response.status >= 400) assert.match(kept, /no-store|no-cache|private/, `${method} ${what}: ${response.status} ${kept}`)
  }
  for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT', 'PATCH'])
    for (const [what, [path, headers]] of Object.entries(answers)) {
      const response = await request(guarded, path, { method, headers, body: method === 'POST' ? '{}' : undefined })
      if (method === 'GET') assert.equal(response.status, Number(what), response.text)
      judge(what, method, response)
    }
  // 503: the only place of first requests is taken by one that waits for a lock.
  const locker = await guarded.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${held} IN ACCESS EXCLUSIVE MODE`)
  const waiting = await RawConnection.open(guarded.port)
  cleanup(() => waiting.destroy())
  waiting.request('GET', target({ table: held, offset: '-1', secret: 'sesame' }))
  await until(async () => /^busbar_admission_in_use\{[^}]*\} 1$/m.test(await guarded.metrics()), 'the place to be taken')
  for (const method of ['GET', 'HEAD', 'POST']) {
    const body = method === 'POST' ? '{}' : undefined
    const response = await request(guarded, target({ table, offset: '-1', secret: 'sesame' }), { method, body })
    assert.equal(response.status, 503)
    judge('503', method, response)
  }
  await locker.query('COMMIT')
  for (const status of [200, 304, 400, 401, 404, 405, 409, 414, 431, 503]) assert.ok(seen.has(status), `a ${status} was seen`)
})

scenario(`F67: no offset, handle or cursor is anything but an answer (seed ${seed})`, async () => {
  const random = new Random(seed)
  const table = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const state = await follow(server, { table })
  const number = () =>
    random.pick(['0', '1', '-1', '-0', '007', '9007199254740993', '9223372036854775807', '9223372036854775808',
      '18446744073709551615', '18446744073709551616', '-9223372036854775809', '1e3', '0x10', 'inf', '-inf', 'NaN', '', ' 1', '٣'])
  const offset = () =>
    random.pick([
      () => `${number()}_${number()}`, number, () => state.offset, () => 'now', () => '-1', () => '0_inf',
      () => `${number()}_${number()}_${number()}`, () => `_${number()}`, () => 'é'.repeat(random.int(1, 2_000)), () => '\0',
    ])()
  const handle = () =>
    random.pick([
      () => state.handle, () => undefined, () => '', () => `${state.handle}x`, () => '\0', () => '1-1', () => '🦆'.repeat(random.int(1, 200)),
      () => 'h'.repeat(random.int(1, 6_000)), () => '../../etc', () => `${number()}-${number()}`, () => `${state.handle}\r\nx: y`,
    ])()
  const before = { shapes: (await server.metrics()).match(/^busbar_shapes .*$/m)?.[0], pid: server.pid }
  const seen = new Set()
  const one = async () => {
    const connection = await RawConnection.open(server.port)
    for (let n = 0; n < 100; n++) {
      const params = {
        table, offset: offset(), handle: handle(), live: random.pick([undefined, 'true', 'false', 'x']),
        cursor: random.pick([undefined, '', number(), 'c'.repeat(random.int(1, 500))]),
      }
      connection.request('GET', target(params))
      const response = await connection.readResponse()
      assert.ok([200, 204, 400, 409, 414].includes(response.status), `${response.status} to ${JSON.stringify(params)}: ${response.text}`)
      seen.add(response.status)
      if (response.status === 414 || response.header('connection') === 'close') return connection.destroy()
    }
    connection.destroy()
  }
  await Promise.all(Array.from({ length: 20 }, one))
  for (const status of [200, 400, 409]) assert.ok(seen.has(status), `a ${status} was seen`)
  assert.ok(server.running && server.pid === before.pid)
  assert.equal((await follow(server, { table })).handle, state.handle, 'the shape is the one of before')
})

scenario('F57: metrics are told while PostgreSQL is away', async ({ cleanup }) => {
  const series = async () => new Set((await server.metrics()).split('\n').filter((line) => /^[a-z]/.test(line)).map((line) => line.replace(/ \S+$/, '')))
  const before = await series()
  assert.ok(before.size > 30)
  await postgres.stop()
  cleanup(() => postgres.start())
  await until(async () => (await server.health())?.status !== 'active', 'the outage to be noticed')
  for (let n = 0; n < 10; n++) {
    const meanwhile = await series()
    for (const name of before) assert.ok(meanwhile.has(name), `${name} is told`)
  }
})

scenario('F56: a connection that is used again about its end is answered whole or closed without a byte', async ({ cleanup }) => {
  const idle = await stageBusbar(postgres, { env: { ...env, BUSBAR_TCP_READ_TIMEOUT: '1s' } })
  cleanup(() => idle.discard())
  const path = target({ table: await newTable(idle, 'id int PRIMARY KEY', '(1)'), offset: '-1' })
  const connections = await Promise.all(Array.from({ length: 200 }, () => RawConnection.open(idle.port)))
  cleanup(() => connections.forEach((connection) => connection.destroy()))
  // Pauses from half of the limit to one and a half, most of them close to it.
  const outcomes = await Promise.all(
    connections.map(async (connection, n) => {
      connection.request('GET', path)
      assert.equal((await connection.readResponse()).status, 200)
      const pause = n < 20 ? 500 : n >= 180 ? 1_500 : 900 + (n - 20) * 1.5
      await delay(pause)
      connection.request('GET', path)
      try {
        assert.equal((await connection.readResponse()).status, 200)
        return 'answered'
      } catch (error) {
        assert.match(error.message, /^connection ended after ""/)
        return 'closed'
      }
    }),
  )
  assert.deepEqual([...new Set(outcomes.slice(0, 20))], ['answered'], 'well before the limit')
  assert.deepEqual([...new Set(outcomes.slice(180))], ['closed'], 'well behind it')
})
