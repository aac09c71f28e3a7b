// cut.test.mjs: I12 of the protocol (spec §19): an SSE connection cut at any byte, and taken up again
// where the client then is, loses no change. The client's place is what @electric-sql/client makes
// of the bytes that came: the head's offset at once, `<lsn>_0` after each up-to-date.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more rounds of random cuts
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { Follower } from './harness/clients.mjs'
import { Cutter, Place } from './harness/cutter.mjs'
import { until, within } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, compareOffsets, follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { openEvents } from './harness/waiting.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 1)

// Small chunks, so that a batch of a few entries crosses their ends.
const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: 'CREATE TABLE marker (id int PRIMARY KEY, n int); INSERT INTO marker VALUES (1, 0)',
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '600' },
})

await follow(server, { table: 'marker' })

/** Three transactions: several rows, a key that changes, and one that deletes. */
const changes = (table) => [
  `INSERT INTO ${table} VALUES (11, 'élève'), (12, repeat('z', 150)), (13, 'x')`,
  `UPDATE ${table} SET id = 20 WHERE id = 2; UPDATE ${table} SET body = 'three' WHERE id = 3`,
  `DELETE FROM ${table} WHERE id = 1`,
]

const makeTable = () => newTable(server, 'id int PRIMARY KEY, body text', `(1, 'one'), (2, 'two'), (3, NULL)`)

/** Commits them; `each` may wait for something after each of them. */
async function commit(table, each = async () => {}) {
  const client = await server.client()
  for (const transaction of changes(table)) {
    await client.query(`BEGIN; ${transaction}; COMMIT`)
    await each()
  }
  await client.end()
}

/** All changes of the table after `start`, once the server has them. */
async function changesAfter(table, start) {
  const position = await server.walPosition()
  await server.query('UPDATE marker SET n = n + 1')
  return until(async () => {
    const checker = new LogChecker(table)
    checker.feed(start.messages)
    const rest = await follow(server, { table }, { offset: start.offset, handle: start.handle, checker })
    return checker.seen >= position && changesOf(rest.messages)
  }, 'the changes to arrive')
}

/** A shape that was read to its end and then changed: where that was, and what is due after it. */
async function pending() {
  const table = await makeTable()
  const start = await follow(server, { table })
  await commit(table)
  return { table, start, due: await changesAfter(table, start) }
}

const changesOf = (messages) => messages.filter((message) => message.headers.lsn !== undefined)
const placeOf = ({ headers }) => `${headers.lsn}_${headers.op_position}`

/**
 * Asks for the stream at `place` through the cutter. `bytes` resolves with all that got through; who
 * calls complete(lsn) ends the connection himself once the batch that speaks of `lsn` is whole.
 */
function ask(cutter, table, place) {
  const socket = connect({ port: cutter.port, host: '127.0.0.1', noDelay: true })
  const stream = { received: Buffer.alloc(0), ended: false }
  let last
  const check = () => {
    if (last && stream.received.includes(last)) socket.destroy()
  }
  const whole = new Promise((resolve, reject) => {
    socket.on('data', (bytes) => {
      stream.received = Buffer.concat([stream.received, bytes])
      check()
    })
    socket.on('error', reject)
    socket.on('close', () => {
      stream.ended = true
      resolve(stream.received)
    })
  })
  stream.bytes = within(whole, 50_000, 'the stream to be cut or complete')
  stream.complete = (lsn) => {
    last = `"global_last_seen_lsn":"${lsn}"}}\n\n`
    check()
    return stream.bytes
  }
  const parameters = { table, ...place.parameters, live_sse: 'true', experimental_live_sse: 'true' }
  socket.write(`GET ${target(parameters)} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`)
  return stream
}

/** Reads on from `place` to the end of what is due: by catching up, by long polls, or by another stream. */
async function readOn(table, place, due, way) {
  const end = placeOf(due.at(-1))
  const told = []
  const behind = () => compareOffsets(place.offset, end) < 0
  if (way === 'stream' && behind()) {
    const events = await openEvents(server, { table, ...place.parameters })
    assert.equal(events.head.status, 200)
    while (told.length === 0 || placeOf(told.at(-1)) !== end) told.push(...changesOf(await events.batch()))
    events.connection.destroy()
    return told
  }
  for (let step = 0; step < 100; step++) {
    const { handle, offset } = place
    const live = way === 'live' && behind() ? 'true' : undefined
    const response = await get(server, { table, handle, offset, live })
    assert.equal(response.status, 200, response.text)
    told.push(...changesOf(response.json))
    place.offset = response.header('electric-offset')
    if (!behind()) return told
  }
  throw new Error('not at the end after 100 answers')
}

const ways = ['catch up', 'live', 'stream']

/** All that is due has come, before the cut or after it, and nothing else. */
async function nothingLost(table, place, due, way, what) {
  const told = [...changesOf(place.messages), ...(await readOn(table, place, due, way))]
  const unique = new Map(told.map((message) => [placeOf(message), message]))
  const ordered = [...unique].sort(([a], [b]) => compareOffsets(a, b)).map(([, message]) => message)
  assert.deepEqual(ordered, due, `${what}, then ${way}`)
  // What was told twice is the rest of a transaction, as the client's own `<lsn>_0` asks for it.
  const again = told.filter((message, i) => told.findIndex((other) => placeOf(other) === placeOf(message)) < i)
  for (const message of again) assert.ok(message.headers.op_position > 0, `${what}: ${placeOf(message)} again`)
}

/** Runs `work(n)` for all n in [0, count), some at a time. */
async function forEach(count, work, width = 16) {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: width }, lane))
}

/** The length of the whole answer, from the head to the end of its first batch. */
async function lengthOf(table, start, due) {
  const cutter = await Cutter.start(server, () => undefined)
  const stream = ask(cutter, table, new Place(start))
  const { length } = await stream.complete(due.at(-1).headers.lsn)
  await cutter.stop()
  return length
}

scenario('I12: changes that are pending, the stream cut after every byte of head and batch', async ({ cleanup }) => {
  const { table, start, due } = await pending()
  const length = await lengthOf(table, start, due)
  assert.ok(length > 1_500, `${length} bytes`)
  let next = 0
  const cutter = await Cutter.start(server, () => next++)
  cleanup(() => cutter.stop())
  const places = new Set()
  const lengths = new Set()
  await forEach(length + 1, async (n) => {
    const place = new Place(start)
    const bytes = await ask(cutter, table, place).complete(due.at(-1).headers.lsn)
    place.take(bytes)
    lengths.add(bytes.length)
    places.add(place.offset)
    await nothingLost(table, place, due, ways[n % 3], `cut after ${bytes.length} of ${length} bytes`)
  })
  for (let n = 0; n < length; n++) assert.ok(lengths.has(n), `one was cut after ${n} bytes`)
  const end = `${due.at(-1).headers.lsn}_0`
  assert.deepEqual([...places].sort(compareOffsets), [start.offset, end])
  // A head with the offset of the batch's end, before the batch has come, would lose it.
  const promised = new Place({ ...start, offset: end })
  await assert.rejects(nothingLost(table, promised, due, 'catch up', 'a head ahead'), assert.AssertionError)
})

scenario('I12: changes that come while streams are open, each cut after another byte', async () => {
  // All streams of a lot are open when the transactions commit, which come as batches of their own.
  const measured = await pending()
  const length = (await lengthOf(measured.table, measured.start, measured.due)) + 300
  const lot = 500
  const places = new Set()
  for (let from = 0; from < length; from += lot) {
    const table = await makeTable()
    const start = await follow(server, { table })
    let next = from
    const cutter = await Cutter.start(server, () => next++)
    const streams = Array.from({ length: Math.min(lot, length - from) }, () => {
      const place = new Place(start)
      return Object.assign(ask(cutter, table, place), { place })
    })
    await until(() => streams.every(({ received, ended }) => ended || received.includes('\r\n\r\n')), 'the heads')
    // Each is in the log before the next is made: else they may come as one batch.
    await commit(table, () => changesAfter(table, start))
    const due = await changesAfter(table, start)
    const last = due.at(-1).headers.lsn
    await forEach(streams.length, async (n) => {
      const { place, complete } = streams[n]
      const bytes = await complete(last)
      place.take(bytes)
      const batches = [...new Set(due.map(({ headers }) => headers.lsn))]
      places.add(batches.indexOf(place.offset.split('_')[0]))
      await nothingLost(table, place, due, ways[n % 3], `open stream, cut after ${bytes.length} bytes`)
    })
    await cutter.stop()
  }
  assert.ok(places.size > 2, `some cuts came between batches: ${[...places]}`)
})

scenario('I12: a stream that begins inside the snapshot never speaks of LSN 0', async ({ cleanup }) => {
  // `0_0` would be the client's place then: inside the snapshot, whose rows it has.
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, repeat('s', 90) FROM generate_series(1, 20) i`)
  const { handle, responses } = await follow(server, { table })
  const events = await openEvents(server, { table, handle, offset: '0_0' })
  cleanup(() => events.connection.destroy())
  assert.equal(events.head.header('electric-offset'), '0_0')
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  const batch = await events.batch()
  const first = responses[0].json.length
  assert.equal(batch.filter(({ key, headers }) => key && !headers.lsn).length, 20 - first, 'the rest of the snapshot')
  const { lsn } = batch.at(-2).headers
  assert.equal(batch.at(-1).headers.global_last_seen_lsn, lsn)
  assert.deepEqual(
    changesOf(batch).map(({ headers }) => headers.operation),
    ['delete'],
  )
})

scenario(`I12: cut again and again, at random bytes, while changes come (seed ${seed})`, async ({ cleanup }) => {
  console.log(`cut: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
  const random = new Random(seed)
  const cutter = await Cutter.start(server, () => random.int(0, random.pick([600, 3_000, 100_000])))
  cleanup(() => cutter.stop())
  for (let round = 0; round < rounds; round++) {
    const table = await newTable(server, 'id int PRIMARY KEY, body text')
    const start = await follow(server, { table })
    const open = new Set()
    let last
    const read = async () => {
      const place = new Place(start)
      while (last === undefined || !place.offset.startsWith(`${last}_`)) {
        const stream = ask(cutter, table, place)
        open.add(stream)
        if (last) stream.complete(last)
        place.take(await stream.bytes)
        open.delete(stream)
      }
      return place
    }
    const reading = Promise.all(Array.from({ length: 30 }, read))
    reading.catch(() => {})
    const client = await server.client()
    for (let id = 0; id < 120; id += 10) {
      const rows = Array.from(
        { length: random.int(1, 6) },
        (_, row) => `(${id + row}, repeat('b', ${random.int(0, 120)}))`,
      )
      await client.query(`INSERT INTO ${table} VALUES ${rows}`)
      await client.query(`UPDATE ${table} SET body = body || '.', id = -id WHERE id = ${random.int(0, id)}`)
    }
    await client.end()
    const due = await changesAfter(table, start)
    last = due.at(-1).headers.lsn
    for (const stream of open) stream.complete(last)
    for (const place of await reading) await nothingLost(table, place, due, 'catch up', `round ${round}, many cuts`)
  }
  assert.ok(cutter.cuts > 30 * rounds, `${cutter.cuts} cuts`)
})

scenario('I12: @electric-sql/client loses nothing when its streams are cut', async ({ cleanup }) => {
  const random = new Random(seed + 1)
  const table = await makeTable()
  const start = await follow(server, { table })
  const clients = []
  for (let i = 0; i < 24; i++) {
    const cuts = [i * 90, random.int(0, 2_500)]
    const cutter = await Cutter.start(server, () => cuts.shift())
    cleanup(() => cutter.stop())
    const follower = new Follower(cutter.shapeUrl, { table }, { liveSse: true, name: `cut after ${cuts} bytes` })
    cleanup(() => follower.close())
    clients.push({ cutter, follower })
  }
  await until(() => clients.every(({ cutter }) => cutter.streams > 0), 'all to have asked for a stream')
  await commit(table)
  const due = await changesAfter(table, start)
  const rows = (await server.query(`SELECT id, body FROM ${table} ORDER BY id`)).map((row) => ({ ...row }))
  for (const { cutter, follower } of clients) {
    // Told again after `<lsn>_0` is no fault, so not reaches(), which is strict about it.
    await until(
      () =>
        follower.shape.isUpToDate &&
        new Set(follower.messages.filter(({ key }) => key).map(placeOf)).has(placeOf(due.at(-1))),
      () => `${follower.name}: the last change; errors ${follower.errors.map(String)}`,
    )
    const told = new Set(changesOf(follower.messages).map(placeOf))
    assert.deepEqual(
      due.map(placeOf).filter((place) => !told.has(place)),
      [],
      follower.name,
    )
    const found = follower.rows.map((row) => ({ ...row })).sort((a, b) => Number(a.id) - Number(b.id))
    assert.deepEqual(found, rows, follower.name)
    assert.ok(cutter.cuts > 0 || cutter.streams > 0)
    assert.equal(follower.refetches, 0, follower.name)
  }
  assert.ok(clients.filter(({ cutter }) => cutter.cuts > 0).length > 20)
})
