// crowd.test.mjs: many at once: first requests that must converge on one shape and one snapshot, the
// limits of admission, and readers whose shape goes away under them (spec §2, §6 H2, §14, §17).
//   BUSBAR_ROUNDS=n  more rounds of shapes that go away under their readers
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { openEvents } from './harness/waiting.mjs'

const rounds = Number(process.env.BUSBAR_ROUNDS ?? 1)
const columns = 'id int PRIMARY KEY, grp int, body text'
const env = { BUSBAR_LONG_POLL_TIMEOUT: '20s', BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' }
const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env }) // with the default limits
const roomy = await stageBusbar(postgres, {
  // Busbar itself never waits for a standby here; a writer may choose to, in the last test.
  sql: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = local', current_database()); END $$`,
  env: {
    ...env,
    BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 5000, "existing": 10000}',
    BUSBAR_SNAPSHOT_CONNECTIONS: '1',
  },
})
const narrow = await stageBusbar(postgres, {
  env: { ...env, BUSBAR_MAX_CONCURRENT_REQUESTS: '{"initial": 3, "existing": 2}' },
})

const filled = (where, rows = 999) =>
  newTable(where, columns, `(0, 0, 'zero')`).then(async (table) => {
    await where.query(`INSERT INTO ${table} SELECT i, i % 200, 'row ' || i FROM generate_series(1, ${rows}) i`)
    return table
  })

/** A series of the metrics, or the sum over its labels. */
async function metric(where, name) {
  const text = await where.metrics()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/** What came of creating shapes: {shapes, snapshots, failures}. */
async function made(where) {
  return {
    shapes: await metric(where, 'busbar_shapes_created_total'),
    snapshots: await metric(where, 'busbar_snapshot_seconds_count'),
    failures: await metric(where, 'busbar_snapshot_failures_total'),
  }
}

const difference = (after, before) =>
  Object.fromEntries(Object.entries(after).map(([key, n]) => [key, n - before[key]]))

/** Opens all connections first, then sends all requests in one go; resolves with the answers. */
async function allAtOnce(where, targets) {
  const connections = await Promise.all(targets.map(() => RawConnection.open(where.port)))
  connections.forEach((connection, i) => connection.request('GET', targets[i]))
  const answers = await Promise.all(connections.map((connection) => connection.readResponse({ timeoutMs: 40_000 })))
  connections.forEach((connection) => connection.destroy())
  return answers
}

/** The only 503 that a crowd may see. */
function expectNotAdmitted(response) {
  assert.equal(response.status, 503, response.text)
  assert.equal(response.json.code, 'concurrent_request_limit_exceeded')
  assert.equal(typeof response.json.message, 'string')
  const seconds = response.header('retry-after')
  assert.match(seconds, /^([6-9]|10)$/)
  assert.equal(response.header('electric-internal-known-error'), 'true')
  assert.equal(response.header('cache-control'), 'no-store')
  assert.equal(response.header('surrogate-control'), 'no-store')
  return Number(seconds)
}

/** Sends all; who is not admitted tries again, sooner than told to. Resolves with the 200s in order. */
async function untilAllServed(where, targets) {
  const served = new Array(targets.length)
  const waits = new Set()
  let refused = 0
  let missing = targets.map((_, i) => i)
  for (let attempt = 0; missing.length > 0; attempt++) {
    assert.ok(attempt < 50, `${missing.length} are never served`)
    const answers = await allAtOnce(
      where,
      missing.map((i) => targets[i]),
    )
    for (const [at, response] of answers.entries()) {
      if (response.status === 200) served[missing[at]] = response
      else waits.add(expectNotAdmitted(response))
    }
    missing = missing.filter((i) => served[i] === undefined)
    refused += missing.length
    if (missing.length > 0) await delay(50)
  }
  return { served, refused, waits }
}

for (const [name, where] of [
  ['with room for 300', server],
  ['with room for all', roomy],
]) {
  scenario(`F52: a thousand first requests on one new shape make one shape and one snapshot, ${name}`, async () => {
    const table = await filled(where, 99)
    const before = await made(where)
    const targets = Array.from({ length: 1_000 }, () => target({ table, offset: '-1' }))
    const { served, refused, waits } = await untilAllServed(where, targets)
    assert.deepEqual(difference(await made(where), before), { shapes: 1, snapshots: 1, failures: 0 })
    assert.equal(new Set(served.map((response) => response.header('electric-handle'))).size, 1)
    assert.equal(new Set(served.map((response) => response.text)).size, 1)
    assert.equal(served[0].json.length, 101)
    for (const response of served) checkLogResponse(response, { offset: '-1' })
    if (where === roomy) assert.equal(refused, 0)
    else {
      assert.ok(refused >= 1, 'more than 300 at once are too many')
      assert.ok(waits.size > 1, `retry-after differs from one to the other: ${[...waits]}`)
    }
    assert.equal(await metric(where, 'busbar_admission_in_use'), 0)
  })
}

scenario('F52: five first requests on each of two hundred new shapes make two hundred', async () => {
  const tables = [await filled(server), await filled(server), await filled(server)]
  const before = await made(server)
  const shapes = Array.from({ length: 200 }, (_, i) => ({
    table: tables[i % 3],
    where: `grp = ${i}`,
    ...(i % 2 ? { replica: 'full' } : {}),
  }))
  const targets = Array.from({ length: 1_000 }, (_, i) => target({ ...shapes[i % 200], offset: '-1' }))
  const { served } = await untilAllServed(server, targets)
  assert.deepEqual(difference(await made(server), before), { shapes: 200, snapshots: 200, failures: 0 })
  const handles = served.map((response) => response.header('electric-handle'))
  assert.equal(new Set(handles).size, 200)
  for (const [i, response] of served.entries()) {
    assert.equal(handles[i], handles[i % 200], 'equal definitions, equal handles')
    assert.equal(response.text, served[i % 200].text)
    assert.equal(response.json.filter((message) => message.key).length, 5)
  }
})

scenario('F54: first requests beyond their limit are refused, known readers are not', async ({ cleanup }) => {
  const [held, known] = [await filled(narrow), await filled(narrow)]
  const state = await follow(narrow, { table: known })
  // A table that nobody may read yet keeps those busy who ask for it.
  const locker = await narrow.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${held} IN ACCESS EXCLUSIVE MODE`)
  const waiting = await Promise.all(Array.from({ length: 3 }, () => RawConnection.open(narrow.port)))
  cleanup(() => waiting.forEach((connection) => connection.destroy()))
  for (const connection of waiting) connection.request('GET', target({ table: held, offset: '-1' }))
  await until(async () => (await metric(narrow, 'busbar_admission_in_use')) === 3, 'three to be admitted')
  const refused = await metric(narrow, 'busbar_admission_rejected_total')
  for (const params of [
    { table: held, offset: '-1' },
    { table: known, offset: '-1' }, // no handle: as good as a first request
    { table: known, offset: '0_0', handle: 'nobody-knows-it' },
    { table: 'no_such_table', offset: '-1' },
  ])
    expectNotAdmitted(await get(narrow, params))
  assert.equal((await metric(narrow, 'busbar_admission_rejected_total')) - refused, 4)
  const poll = await RawConnection.open(narrow.port)
  cleanup(() => poll.destroy())
  poll.request('GET', target({ table: known, offset: state.offset, handle: state.handle, live: 'true', cursor: '' }))
  assert.equal((await get(narrow, { table: known, offset: '-1', handle: state.handle })).status, 200)
  assert.equal((await get(narrow, { table: known, offset: '0_0', handle: state.handle })).status, 200)
  assert.deepEqual(await narrow.health(), { code: 200, status: 'active' }, 'health is no shape request')
  await locker.query('COMMIT')
  for (const connection of waiting) assert.equal((await connection.readResponse()).status, 200)
  assert.equal((await get(narrow, { table: known, offset: '-1' })).status, 200)
  await narrow.query(`DELETE FROM ${known} WHERE id = 1`)
  assert.equal((await poll.readResponse()).json.length, 2)
})

scenario(
  'F53: known readers beyond their limit are refused, first requests are not; waiting costs no place',
  async ({ cleanup }) => {
    const big = await newTable(narrow, columns)
    await narrow.query(`INSERT INTO ${big} SELECT i, i, repeat('slow ', 200) FROM generate_series(1, 30000) i`)
    const { handle, offset } = await follow(narrow, { table: big })
    // Any number may wait for news …
    const polls = await Promise.all(Array.from({ length: 10 }, () => RawConnection.open(narrow.port)))
    cleanup(() => polls.forEach((connection) => connection.destroy()))
    for (const connection of polls)
      connection.request('GET', target({ table: big, offset, handle, live: 'true', cursor: '' }))
    await until(async () => (await metric(narrow, 'busbar_waiting_readers')) === 10, 'ten to wait')
    assert.equal(await metric(narrow, 'busbar_admission_in_use'), 0)
    // … but who does not read what he asked for holds his place.
    const lazy = Array.from({ length: 2 }, () => {
      const socket = connect({ port: narrow.port, host: '127.0.0.1' })
      socket.pause()
      socket.write(`GET ${target({ table: big, offset: '-1', handle })} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
      return socket
    })
    cleanup(() => lazy.forEach((socket) => socket.destroy()))
    await until(async () => (await metric(narrow, 'busbar_admission_in_use')) === 2, 'two to be admitted')
    expectNotAdmitted(await get(narrow, { table: big, offset, handle }))
    expectNotAdmitted(await get(narrow, { table: big, offset: '-1', handle }))
    const fresh = await filled(narrow)
    assert.equal((await get(narrow, { table: fresh, offset: '-1' })).status, 200)
    lazy.forEach((socket) => socket.destroy())
    await until(async () => (await get(narrow, { table: big, offset, handle })).status === 200, 'a place to be free')
  },
)

/** Readers at the end of `table`: long polls, and every third a stream; each with its way back. */
async function waitingCrowd(where, table, count) {
  const state = await follow(where, { table })
  const place = { table, offset: state.offset, handle: state.handle }
  const readers = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      if (i % 3 === 2) {
        const events = await openEvents(where, place)
        return {
          ended: events.next(40_000).then((event) => assert.equal(event, undefined)),
          close: () => events.connection.destroy(),
        }
      }
      const connection = await RawConnection.open(where.port)
      connection.request('GET', target({ ...place, live: 'true', cursor: '' }))
      return {
        ended: connection.readResponse({ timeoutMs: 40_000 }).then((response) => expectMustRefetch(response)),
        close: () => connection.destroy(),
      }
    }),
  )
  readers.forEach(({ ended }) => ended.catch(() => {}))
  await until(async () => (await metric(where, 'busbar_waiting_readers')) >= count, 'all to wait')
  return { place, handle: state.handle, readers }
}

/**
 * What a client does after a 409 or the end of its stream, at once: begins anew, as often as it is told
 * to, until it is up to date on the handle that `settled` resolves with. Resolves with its rows.
 */
async function convergence(where, table, settled) {
  let final
  settled.then((handle) => (final = handle))
  let at = { offset: '-1' }
  let rows = 0
  for (let step = 0; step < 2_000; step++) {
    const response = await get(where, { table, ...at })
    if (response.status === 409) {
      at = { offset: '-1', handle: expectMustRefetch(response) }
      rows = 0
      continue
    }
    const page = checkLogResponse(response, { offset: at.offset })
    for (const { headers } of page.messages) rows += { insert: 1, delete: -1 }[headers.operation] ?? 0
    at = { offset: page.offset, handle: page.handle }
    if (!page.upToDate) continue
    if (final === page.handle) return rows
    await delay(30)
  }
  throw new Error(`not on ${final} after 2000 requests, but on ${at.handle}`)
}

for (const [what, removals] of [
  ['DELETE', [(place) => request(roomy, target({ handle: place.handle }), { method: 'DELETE' })]],
  ['TRUNCATE', [({ table }) => roomy.query(`TRUNCATE ${table}`)]],
  [
    'DELETE and TRUNCATE at once',
    [
      (place) => request(roomy, target({ handle: place.handle }), { method: 'DELETE' }),
      ({ table }) => roomy.query(`TRUNCATE ${table}`),
      ({ table }) => request(roomy, target({ table }), { method: 'DELETE' }),
    ],
  ],
])
  scenario(`F24: three hundred waiting readers are all told of a ${what} and converge`, async ({ cleanup }) => {
    for (let round = 0; round < rounds; round++) {
      const table = await filled(roomy)
      const { place, handle, readers } = await waitingCrowd(roomy, table, 300)
      cleanup(() => readers.forEach((reader) => reader.close()))
      let settle
      const settled = new Promise((resolve) => (settle = resolve))
      const ends = readers.map(async ({ ended }) => {
        await ended
        return convergence(roomy, table, settled)
      })
      ends.forEach((end) => end.catch(() => {}))
      await Promise.all(removals.map((remove) => remove(place)))
      await Promise.all(readers.map((reader) => reader.ended))
      // A TRUNCATE may still be on its way to a shape that was made after the DELETE.
      const [{ n }] = await roomy.query(`SELECT count(*) AS n FROM ${table}`)
      const last = await until(async () => {
        const state = await follow(roomy, { table }).catch(() => undefined)
        return state?.checker.rows.size === Number(n) && state
      }, 'the table as it is')
      settle(last.handle)
      assert.deepEqual([...new Set(await Promise.all(ends))], [Number(n)])
      assert.notEqual(last.handle, handle)
      // The old handle leads everybody to the same new one.
      const led = await Promise.all(Array.from({ length: 50 }, () => get(roomy, place)))
      assert.deepEqual([...new Set(led.map((answer) => expectMustRefetch(answer, { handle: true })))], [last.handle])
    }
  })

scenario(
  'a commit that waits for its standby delays new shapes, and is in them once it is visible',
  async ({ cleanup }) => {
    const table = await filled(roomy)
    await follow(roomy, { table })
    // Such a commit is in the WAL, and streamed, but no snapshot sees it until the standby has answered.
    await postgres.query('postgres', `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
    await postgres.query('postgres', 'SELECT pg_reload_conf()')
    const release = async () => {
      const admin = await postgres.client('postgres')
      await admin.query('SET synchronous_commit = local')
      await admin.query(`ALTER SYSTEM SET synchronous_standby_names = ''`)
      await admin.query('SELECT pg_reload_conf()')
      await admin.end()
    }
    cleanup(release)
    const writer = await roomy.client()
    cleanup(() => writer.end())
    await writer.query('SET synchronous_commit = on')
    // PostgreSQL takes the setting up in its own time: the first commit that does not return waits.
    let id = 4_999
    let written
    await until(async () => {
      id++
      written = writer.query(`INSERT INTO ${table} VALUES (${id}, 0, 'waits')`)
      return (await Promise.race([written, delay(500)])) === undefined
    }, 'a commit to wait')
    await until(
      async () => (await follow(roomy, { table })).checker.rows.has(`"public"."${table}"/"${id}"`),
      'the insert to be streamed',
    )
    assert.deepEqual(await roomy.query(`SELECT id FROM ${table} WHERE id = ${id}`), [], 'streamed, but not visible')
    const answer = get(roomy, { table, where: 'id > 900', offset: '-1' })
    const first = await Promise.race([answer, delay(2_000)])
    assert.equal(first, undefined, `answered while it could not be: ${first?.status} ${first?.text}`)
    await release()
    await written
    const response = await answer
    assert.equal(response.status, 200, response.text)
    const ids = response.json.filter((message) => message.key).map((message) => message.value.id)
    assert.ok(ids.includes(String(id)))
    assert.equal(ids.length, 99 + id - 4_999)
  },
)
