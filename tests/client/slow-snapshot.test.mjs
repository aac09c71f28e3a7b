// slow-snapshot.test.mjs: first rows that take their time are served while they are being written, in
// bodies that are the same for whoever comes later (spec §8.3, §13.3, §18).
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { until } from './harness/processes.mjs'
import { FramingError, RawConnection } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { Throttle } from './harness/throttle.mjs'

const postgres = await stagePostgres()
const throttle = await Throttle.start(postgres.port)
after(() => throttle.stop())
const database = await postgres.createDatabase()
const url = new URL(postgres.url(database))
url.port = throttle.port
const server = await stageBusbar(postgres, {
  databaseUrl: postgres.url(database),
  env: {
    BUSBAR_POOLED_DATABASE_URL: url.href,
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    BUSBAR_LONG_POLL_TIMEOUT: '1s',
  },
})
server.query = (text, values) => postgres.query(database, text, values)

const rows = 4_000
const newLargeTable = async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, text text NOT NULL')
  await server.query(`INSERT INTO ${table} SELECT n, repeat(chr(97 + n % 26), 1000) FROM generate_series(1, ${rows}) n`)
  return table
}

/** Two and a half of four megabytes come, in three seconds at least; the rest not before open(). */
const narrow = () => throttle.narrow({ bytesPerTick: 16_384, bytesMax: 2_500_000 })

/** A request whose answer is read piece by piece. */
async function begin(cleanup, params, headers = {}) {
  const connection = await RawConnection.open(server.port)
  cleanup(() => connection.destroy())
  connection.request('GET', target(params), headers)
  return connection
}

/** Head and first chunk of an answer that is still being written. */
async function beginning(connection) {
  const head = await connection.readHead()
  assert.equal(head.status, 200)
  assert.equal(head.header('transfer-encoding'), 'chunked')
  return { head, chunks: [await connection.readChunk()] }
}

async function rest(connection, { head, chunks }) {
  for (;;) {
    const chunk = await connection.readChunk()
    if (chunk === undefined) break
    chunks.push(chunk)
  }
  head.body = Buffer.concat(chunks)
  return head
}

scenario('a snapshot is sent while it is being written, and ends as if it had been there', async ({ cleanup }) => {
  const table = await newLargeTable()
  cleanup(() => throttle.open())
  narrow()
  const first = { table, offset: '-1' }
  const readers = [await begin(cleanup, first), await begin(cleanup, first, { 'accept-encoding': 'gzip' })]
  const begun = await Promise.all(readers.map(beginning))
  const { head, chunks } = begun[0]
  assert.equal(head.header('electric-offset'), '0_0')
  assert.equal(head.header('electric-up-to-date'), undefined)
  assert.ok(chunks[0].toString().startsWith('[{"key":'))
  // Who comes now is given the same, and a poll behind it waits for the end.
  const later = await begin(cleanup, first)
  begun.push(await beginning(later))
  const handle = head.header('electric-handle')
  const behind = await begin(cleanup, { table, handle, offset: '0_0' })
  const live = await begin(cleanup, { table, handle, offset: '0_0', live: 'true' })
  await server.query(`UPDATE ${table} SET text = 'changed' WHERE id = 1`)
  throttle.open()
  const bodies = []
  for (const [index, connection] of [...readers, later].entries()) {
    const response = await rest(connection, begun[index])
    if (response.header('content-encoding') === 'gzip') response.body = gunzipSync(response.body)
    assert.equal(checkLogResponse(response, { offset: '-1' }).messages.length, rows + 1)
    bodies.push(response.text)
  }
  const whole = await get(server, first)
  for (const [index, body] of bodies.entries()) assert.ok(body === whole.text, `reader ${index}`)
  assert.equal(whole.header('etag'), head.header('etag'))
  const same = await get(server, first, { headers: { 'if-none-match': head.header('etag') } })
  assert.equal(same.status, 304)
  for (const connection of [behind, live]) {
    const response = await connection.readResponse()
    assert.equal(response.status, 200)
    assert.match(response.text, /"value":\{[^}]*"changed"/)
  }
  assert.equal((await follow(server, { table })).checker.rows.size, rows)
})

scenario('chunks end where they would have, however slowly they come', async ({ cleanup }) => {
  const small = await stageBusbar(postgres, {
    databaseUrl: postgres.url(database),
    env: { BUSBAR_POOLED_DATABASE_URL: url.href, BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '1500000' },
  })
  const table = await newLargeTable()
  cleanup(() => throttle.open())
  // The first chunk is whole and the second open when all is held.
  narrow()
  const at = (offset, handle) => ({ table, offset, handle })
  const first = await get(small, at('-1'))
  const { handle } = checkLogResponse(first, { offset: '-1' })
  const connection = await RawConnection.open(small.port)
  cleanup(() => connection.destroy())
  connection.request('GET', target(at('0_0', handle)))
  const begun = await beginning(connection)
  assert.equal(begun.head.header('electric-offset'), '0_1')
  throttle.open()
  const second = await rest(connection, begun)
  const slow = checkLogResponse(second, { offset: '0_0' }).messages.length
  const all = await follow(small, { table })
  assert.equal(all.handle, handle)
  assert.ok(all.responses[0].text === first.text && all.responses[1].text === second.text)
  const quick = await follow(small, { table, where: 'id > 0' })
  const lengths = (followed) => followed.responses.map((response) => response.json.length)
  assert.deepEqual(lengths(quick), lengths(all), 'a quick snapshot has the same chunks')
  assert.equal(lengths(all)[1], slow)
})

scenario('a body whose snapshot fails or whose shape goes is cut, never ended', async ({ cleanup }) => {
  const table = await newLargeTable()
  cleanup(() => throttle.open())
  const ends = [
    // The session that reads the rows is lost, whether or not it has handed all to the network.
    () =>
      server.query(
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = '${database}' AND application_name = 'busbar snapshot'`,
      ),
    (handle) => fetch(`${server.shapeUrl}?handle=${handle}`, { method: 'DELETE' }),
  ]
  for (const [round, end] of ends.entries()) {
    narrow()
    const connection = await begin(cleanup, { table, offset: '-1' })
    const begun = await beginning(connection)
    const handle = begun.head.header('electric-handle')
    await end(handle)
    await assert.rejects(async () => {
      throttle.open()
      await rest(connection, begun)
    }, FramingError)
    const next = await until(async () => {
      const answer = await get(server, { table, offset: '-1' })
      return answer.status === 200 && answer
    }, `an answer after round ${round}`)
    assert.notEqual(next.header('electric-handle'), handle)
    assert.equal(next.json.length, rows + 1)
    await fetch(`${server.shapeUrl}?table=${table}`, { method: 'DELETE' })
  }
})
