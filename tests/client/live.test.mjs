// live.test.mjs: waiting readers: long polls, server-sent events, offsets beyond the log, shapes that
// go away, conditional requests and cursors (spec §8.5, §9, §10, §13.5, §14).
import assert from 'node:assert/strict'
import { expectCommonHeaders, expectInvalid, expectMustRefetch, expectOnlyUpToDate } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { openEvents, poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
const quick = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000' },
})
const usual = await stageBusbar(postgres, {
  sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`,
})

const epoch = Date.UTC(2024, 9, 9) / 1000
const secondsNow = () => Math.floor(Date.now() / 1000) - epoch

// The slow ones begin now and are looked at by the last tests of this file.
const patient = await follow(usual, { table: 'items' })
const usualPoll = await poll(usual, { table: 'items', offset: patient.offset, handle: patient.handle, cursor: '17' })
const usualEvents = await openEvents(usual, { table: 'items', offset: patient.offset, handle: patient.handle })
const usualEventsStarted = Date.now()

scenario('a live poll without change is answered at its timeout with up-to-date alone', async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const state = await follow(quick, { table })
  const before = secondsNow()
  const { answer } = await poll(quick, { table, offset: state.offset, handle: state.handle })
  const response = await answer
  assert.ok(response.ms >= 900 && response.ms < 4_000, `answered after ${response.ms} ms`)
  const page = checkLogResponse(response, { offset: state.offset, live: true })
  expectCommonHeaders(response)
  expectOnlyUpToDate(response)
  assert.equal(page.offset, state.offset)
  assert.equal(response.header('electric-has-data'), 'false')
  assert.equal(response.header('cache-control'), 'public, max-age=5, stale-while-revalidate=5')
  const cursor = Number(response.header('electric-cursor'))
  assert.ok(cursor >= before && cursor <= secondsNow() + 2, `cursor ${cursor}`)
  const etag = new RegExp(`^"${state.handle}:${state.offset}:${state.offset}:.+"$`)
  assert.match(response.header('etag'), etag)
  const again = await (await poll(quick, { table, offset: state.offset, handle: state.handle })).answer
  assert.match(again.header('etag'), etag)
  assert.notEqual(again.header('etag'), response.header('etag'), 'an empty answer has a unique ETag')
})

scenario("F23: the cursor always exceeds the request's", async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const state = await follow(quick, { table })
  const future = secondsNow() + 10_000
  const ask = async (cursor) =>
    Number(
      (await (await poll(quick, { table, offset: '0_0', handle: state.handle, cursor })).answer).header(
        'electric-cursor',
      ),
    )
  const jump = await ask(String(future))
  assert.ok(jump > future && jump <= future + 3600, `${future} → ${jump}`)
  for (const odd of ['', 'abc', '-5', '1.5', '12x'])
    assert.ok(Math.abs((await ask(odd)) - secondsNow()) <= 3, `cursor "${odd}" counts as none`)
  for (const huge of ['4611686018427387905', '9223372036854775807', '18446744073709551615', '9'.repeat(40)]) {
    const { answer } = await poll(quick, { table, offset: '0_0', handle: state.handle, cursor: huge })
    const next = BigInt((await answer).header('electric-cursor'))
    assert.ok(next > BigInt(huge) && next <= BigInt(huge) + 3600n, `${huge} → ${next}`)
  }
  // Without live there is none.
  const plain = await get(quick, { table, offset: state.offset, handle: state.handle, cursor: '5', live: 'false' })
  assert.equal(plain.header('electric-cursor'), undefined)
})

scenario('a change wakes all its readers at once, and only those', async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const shapes = {
    all: { table },
    done: { table, where: 'done = true' },
    titles: { table, columns: 'id,title' },
    elsewhere: { table, where: 'id > 100' },
  }
  const states = {}
  for (const [name, shape] of Object.entries(shapes)) states[name] = await follow(quick, shape)
  const polls = {}
  for (const [name, shape] of Object.entries(shapes)) {
    polls[name] = await poll(quick, { ...shape, offset: states[name].offset, handle: states[name].handle })
  }
  const crowd = await Promise.all(
    Array.from({ length: 20 }, () =>
      poll(quick, { ...shapes.all, offset: states.all.offset, handle: states.all.handle }),
    ),
  )
  await quick.query(`UPDATE ${table} SET note = 'changed' WHERE id = 1`) // not done, title unchanged
  const response = await polls.all.answer
  assert.ok(response.ms < 900, `woken after ${response.ms} ms`)
  assert.equal(response.json.length, 2)
  for (const one of crowd) assert.equal((await one.answer).text, response.text)
  for (const name of ['done', 'titles', 'elsewhere']) {
    const untouched = await polls[name].answer
    assert.ok(untouched.ms >= 900, `${name} was woken after ${untouched.ms} ms`)
    expectOnlyUpToDate(untouched)
  }
})

scenario('live: any value but false means true; a match of If-None-Match ends the wait', async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const state = await follow(quick, { table })
  for (const live of ['', '0', 'true', 'yes']) {
    const response = await get(quick, { table, offset: '0_0', handle: state.handle, live })
    assert.ok(response.header('electric-cursor'), `live=${live}`)
  }
  const etag = `"${state.handle}:${state.offset}:${state.offset}"`
  const started = Date.now()
  const response = await get(
    quick,
    { table, offset: state.offset, handle: state.handle, live: 'true' },
    { headers: { 'if-none-match': etag } },
  )
  assert.equal(response.status, 304)
  assert.ok(Date.now() - started < 800)
  assert.ok(response.header('electric-cursor'))
})

scenario('F51: an offset beyond the log is a 400 after half the long poll, live or not', async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const { handle } = await follow(quick, { table })
  for (const live of [undefined, 'true']) {
    const started = Date.now()
    const response = await get(quick, { table, handle, offset: '9999999999999_0', live })
    const ms = Date.now() - started
    assert.deepEqual(expectInvalid(response, 'offset'), ['out of bounds for this shape'])
    assert.ok(ms >= 400 && ms < 3_000, `answered after ${ms} ms`)
  }
  const stream = await get(quick, { table, handle, offset: '9999999999999_0', live: 'true', live_sse: 'true' })
  assert.deepEqual(expectInvalid(stream, 'offset'), ['out of bounds for this shape'])
})

scenario('F51: an offset just ahead of the log waits for it to come, live or not, also as a stream', async ({ cleanup }) => {
  const table = await newTable(usual, itemColumns)
  const state = await follow(usual, { table })
  const ahead = `${await usual.walPosition()}_0`
  const at = { table, offset: ahead, handle: state.handle }
  const { answer, pending } = await poll(usual, at)
  const plain = await poll(usual, { ...at, live: undefined })
  const opening = openEvents(usual, at)
  assert.ok(pending() && plain.pending())
  await usual.query(`INSERT INTO ${table} VALUES (1, 'one', true, NULL)`)
  const response = await answer
  assert.ok(response.ms < 9_000)
  const ids = (messages) => messages.filter((message) => message.key).map((message) => message.value.id)
  assert.deepEqual(ids(checkLogResponse(response, { offset: ahead, live: true }).messages), ['1'])
  const page = checkLogResponse(await plain.answer, { offset: ahead })
  assert.deepEqual(ids(page.messages), ['1'])
  assert.ok(page.upToDate)
  const events = await opening
  cleanup(() => events.connection.destroy())
  assert.equal(events.head.status, 200)
  assert.equal(events.head.header('electric-offset'), ahead)
  assert.deepEqual(ids(await events.batch()), ['1'])
})

scenario('F51: who waits ahead of a log that goes away is told to begin anew', async () => {
  const table = await newTable(usual, itemColumns, itemRows)
  const state = await follow(usual, { table })
  const at = { table, offset: `${(await usual.walPosition()) + 1_000_000_000n}_0`, handle: state.handle }
  const waiting = [
    await poll(usual, at),
    await poll(usual, { ...at, live: undefined }),
    await poll(usual, { ...at, live_sse: 'true' }),
  ]
  await usual.query(`TRUNCATE ${table}`)
  for (const { answer } of waiting) expectMustRefetch(await answer)
})

scenario('a stream is opened whatever tags the client has', async ({ cleanup }) => {
  const table = await newTable(quick, itemColumns, itemRows)
  const { handle, offset } = await follow(quick, { table })
  const tag = `"${handle}:${offset}:${offset}"`
  const connection = await RawConnection.open(quick.port)
  cleanup(() => connection.destroy())
  connection.request('GET', target({ table, handle, offset, live: 'true', live_sse: 'true' }), { 'if-none-match': tag })
  const head = await connection.readHead()
  assert.equal(head.status, 200)
  assert.equal(head.header('content-type'), 'text/event-stream')
})

scenario('F24: TRUNCATE: waiting readers get a 409, later ones a 409 with the new handle', async () => {
  const table = await newTable(usual, itemColumns, itemRows)
  const state = await follow(usual, { table })
  const { answer } = await poll(usual, { table, offset: state.offset, handle: state.handle })
  await usual.query(
    `BEGIN; INSERT INTO ${table} VALUES (9, 'lost', true, NULL); TRUNCATE ${table}; INSERT INTO ${table} VALUES (10, 'after', true, NULL); COMMIT`,
  )
  expectMustRefetch(await answer)
  const next = expectMustRefetch(await get(usual, { table, offset: state.offset, handle: state.handle }), {
    handle: true,
  })
  assert.notEqual(next, state.handle)
  const fresh = await follow(usual, { table })
  assert.equal(fresh.handle, next)
  assert.deepEqual(
    [...fresh.checker.rows.values()].map((row) => row.id),
    ['10'],
  )
})

scenario('changes of the schema end the shapes they touch, and no others', async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const all = { table }
  const some = { table, columns: 'id,title' }
  const states = [await follow(quick, all), await follow(quick, some)]
  const survives = async (shape, state) => {
    await quick.query(`UPDATE ${table} SET title = title || '.' WHERE id = 1`)
    await until(async () => {
      const response = await get(quick, { ...shape, offset: state.offset, handle: state.handle })
      return checkLogResponse(response, { offset: state.offset }).messages.length > 1
    }, 'a change of a shape that survives')
  }
  await quick.query(
    `ANALYZE ${table}; CREATE INDEX ON ${table} (title); GRANT SELECT ON ${table} TO public; COMMENT ON TABLE ${table} IS 'x'`,
  )
  await survives(all, states[0])
  await survives(some, states[1])
  const { answer } = await poll(quick, { ...all, offset: (await follow(quick, all)).offset, handle: states[0].handle })
  await quick.query(`ALTER TABLE ${table} ADD COLUMN extra int; INSERT INTO ${table} VALUES (50, 'new', true, NULL, 7)`)
  const woken = await answer
  if (woken.status === 200)
    expectOnlyUpToDate(woken) // The poll had just ended.
  else expectMustRefetch(woken)
  await until(
    async () => (await get(quick, { ...all, offset: states[0].offset, handle: states[0].handle })).status === 409,
    'the 409',
  )
  const fresh = await follow(quick, all)
  assert.equal(fresh.checker.rows.size, 4)
  assert.ok('extra' in fresh.schema)
  await survives(some, states[1])
})

scenario('SSE: the head comes at once, then one event a message and an up-to-date a batch', async ({ cleanup }) => {
  const table = await newTable(quick, itemColumns, itemRows)
  const state = await follow(quick, { table })
  const events = await openEvents(quick, { table, offset: state.offset, handle: state.handle })
  cleanup(() => events.connection.destroy())
  const { head } = events
  assert.equal(head.status, 200)
  assert.match(head.header('content-type'), /^text\/event-stream/)
  assert.equal(head.header('transfer-encoding'), 'chunked')
  assert.equal(head.header('connection'), 'keep-alive')
  assert.equal(head.header('cache-control'), 'public, max-age=59')
  assert.equal(head.header('electric-handle'), state.handle)
  assert.equal(head.header('electric-offset'), state.offset)
  assert.match(head.header('electric-cursor'), /^[0-9]+$/)
  assert.equal(head.header('electric-schema'), undefined)
  assert.equal(head.header('electric-up-to-date'), '')
  assert.equal(head.header('electric-has-data'), 'true')
  expectCommonHeaders(head)

  await quick.query(`INSERT INTO ${table} VALUES (4, 'line\nbreak', true, NULL), (5, 'five', false, NULL)`)
  const first = await events.batch()
  assert.deepEqual(
    first.slice(0, -1).map((message) => [message.headers.operation, message.value.id, message.headers.last]),
    [
      ['insert', '4', undefined],
      ['insert', '5', true],
    ],
  )
  const lsn = first[0].headers.lsn
  assert.equal(first.at(-1).headers.global_last_seen_lsn, lsn, 'the LSN of the shape, not of the server')
  await quick.query(`DELETE FROM ${table} WHERE id = 4`)
  const second = await events.batch()
  assert.deepEqual(
    second.map((message) => message.headers.operation ?? message.headers.control),
    ['delete', 'up-to-date'],
  )
  assert.ok(BigInt(second[0].headers.lsn) > BigInt(lsn))
})

scenario('SSE: pending data comes first, more than a chunk of it, and the stream stays open', async ({ cleanup }) => {
  const table = await newTable(quick, 'id int PRIMARY KEY, body text')
  const state = await follow(quick, { table })
  await quick.query(`INSERT INTO ${table} SELECT i, rpad('', 1000, 'p') FROM generate_series(1, 40) i`)
  await until(
    async () => (await get(quick, { table, offset: state.offset, handle: state.handle })).json.length > 1,
    'the insert to arrive',
  )
  const events = await openEvents(quick, { table, offset: state.offset, handle: state.handle })
  cleanup(() => events.connection.destroy())
  assert.equal(events.head.header('electric-offset'), state.offset)
  const batch = await events.batch()
  assert.equal(batch.length, 41)
  assert.equal(batch.at(-2).headers.last, true)
  assert.equal(batch.at(-1).headers.global_last_seen_lsn, batch[0].headers.lsn)
  await quick.query(`INSERT INTO ${table} VALUES (41, 'more')`)
  assert.deepEqual(
    (await events.batch()).filter((message) => message.key).map((message) => message.value.id),
    ['41'],
  )
})

scenario('SSE: a resume from <lsn>_0 delivers the rest of that transaction again', async ({ cleanup }) => {
  const table = await newTable(quick, 'id int PRIMARY KEY')
  const state = await follow(quick, { table })
  await quick.query(`INSERT INTO ${table} VALUES (1), (2), (3)`)
  const arrived = await until(async () => {
    const { json } = await get(quick, { table, offset: state.offset, handle: state.handle })
    return json.length > 1 && json
  }, 'the insert to arrive')
  const events = await openEvents(quick, { table, offset: `${arrived[0].headers.lsn}_0`, handle: state.handle })
  cleanup(() => events.connection.destroy())
  assert.deepEqual(
    (await events.batch()).filter((message) => message.key).map((message) => message.value.id),
    ['2', '3'],
  )
})

scenario('SSE: the stream ends cleanly when its shape goes away, and the reconnect gets the 409', async () => {
  const table = await newTable(quick, itemColumns, itemRows)
  const state = await follow(quick, { table })
  const events = await openEvents(quick, { table, offset: state.offset, handle: state.handle })
  await quick.query(`TRUNCATE ${table}`)
  assert.equal(await events.next(), undefined)
  events.connection.destroy()
  const params = { table, offset: state.offset, handle: state.handle, live: 'true', live_sse: 'true', cursor: '' }
  expectMustRefetch(await get(quick, params), { handle: true })
})

scenario('F48: a reader that leaves while waiting costs nobody else anything', async () => {
  const table = await newTable(usual, itemColumns, itemRows)
  const state = await follow(usual, { table })
  const params = { table, offset: state.offset, handle: state.handle }
  const leaving = await Promise.all(Array.from({ length: 50 }, () => poll(usual, params)))
  const staying = await poll(usual, params)
  for (const [index, { connection }] of leaving.entries())
    index % 2 ? connection.destroy() : connection.socket.resetAndDestroy()
  await usual.query(`DELETE FROM ${table} WHERE id = 3`)
  const response = await staying.answer
  assert.ok(response.ms < 10_000)
  assert.deepEqual(
    response.json.filter((message) => message.key).map((message) => message.headers.operation),
    ['delete'],
  )
})

scenario(
  'the default long poll ends after 20 s with a cursor on the 20 s grid',
  async () => {
    const response = await usualPoll.answer
    assert.ok(response.ms >= 19_500 && response.ms < 25_000, `answered after ${response.ms} ms`)
    expectOnlyUpToDate(response)
    assert.equal(Number(response.header('electric-cursor')) % 20, 0)
  },
  { deadlineMs: 45_000 },
)

scenario(
  'SSE: silence is broken by a comment after 21 s and ended after 60 s',
  async () => {
    assert.equal(usualEvents.head.status, 200)
    for (const second of [21, 42]) {
      assert.equal(await usualEvents.next(40_000), ': keep-alive')
      const seconds = (Date.now() - usualEventsStarted) / 1000
      assert.ok(seconds >= second - 1, `comment after ${seconds} s`)
    }
    assert.equal(await usualEvents.next(40_000), undefined)
    const seconds = (Date.now() - usualEventsStarted) / 1000
    assert.ok(seconds >= 59 && seconds < 75, `ended after ${seconds} s`)
    usualEvents.connection.destroy()
  },
  { deadlineMs: 100_000 },
)
