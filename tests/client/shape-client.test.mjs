// shape-client.test.mjs: the unmodified @electric-sql/client in its own words: ShapeStream and Shape,
// long polling and server-sent events, through changes, restarts and refetches.
import assert from 'node:assert/strict'
import { FetchError, Shape, ShapeStream } from '@electric-sql/client'
import { Follower } from './harness/clients.mjs'
import { until, within } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { rowKey, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

// The client's SSE library expects a browser's window and document; Node has neither.
globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} }
globalThis.window ??= globalThis

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '2s',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
  },
})
const restarted = await stageBusbar(postgres)

function follow(cleanup, at, params, options) {
  const follower = new Follower(at.shapeUrl, params, options)
  cleanup(() => follower.close())
  return follower
}

const ids = (rows) =>
  rows
    .map((row) => row.id)
    .sort((a, b) => Number(a) - Number(b))
    .join()

scenario("initial sync, with the client's own parser", async ({ cleanup }) => {
  const table = await newTable(server, `${itemColumns}, big bigint, tags int[], data jsonb`)
  await server.query(`INSERT INTO ${table} VALUES (1, 'one', true, NULL, 9007199254740993, '{1,NULL,3}', '{"a":[1]}')`)
  const aborter = new AbortController()
  cleanup(() => aborter.abort())
  const shape = new Shape(new ShapeStream({ url: server.shapeUrl, params: { table }, signal: aborter.signal }))
  assert.deepEqual(await within(shape.rows, 15_000, 'the rows'), [
    { id: 1, title: 'one', done: true, note: null, big: 9007199254740993n, tags: [1, null, 3], data: { a: [1] } },
  ])
  assert.equal(shape.isUpToDate, true)
  assert.ok(shape.handle)
})

scenario('subscribe: false stops at the first up-to-date', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const follower = follow(cleanup, server, { table }, { subscribe: false })
  await follower.reaches((rows) => rows.length === 3, 'three rows')
  await until(() => !follower.stream.isConnected(), 'the stream to stop')
  assert.equal(follower.upToDates, 1)
})

scenario('inserts, updates and deletes arrive live', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const follower = follow(cleanup, server, { table })
  await follower.reaches((rows) => ids(rows) === '1,2,3', 'the initial rows')
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
  await follower.reaches((rows) => ids(rows) === '1,2,3,4', 'the insert')
  await server.query(`UPDATE ${table} SET done = true, note = NULL WHERE id IN (1, 4)`)
  await follower.reaches((rows) => rows.filter((row) => row.done === 't').length === 3, 'the update')
  assert.deepEqual(
    follower.rows.find((row) => row.id === '4'),
    { id: '4', title: 'four', done: 't', note: null },
  )
  await server.query(`DELETE FROM ${table} WHERE id < 4`)
  await follower.reaches((rows) => ids(rows) === '4', 'the delete')
  await server.query(`UPDATE ${table} SET id = 40 WHERE id = 4`)
  await follower.reaches((rows) => ids(rows) === '40', 'the changed key')
  assert.equal(follower.handles.size, 1)
  assert.equal(follower.refetches, 0)
})

scenario('columns, where with params, and replica full', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const some = follow(cleanup, server, {
    table,
    columns: ['id', 'title'],
    where: `done = $1 AND title <> $2`,
    params: ['false', 'Buy milk'],
  })
  const full = follow(cleanup, server, { table, replica: 'full' })
  await some.reaches((rows) => ids(rows) === '3', 'row 3')
  await full.reaches((rows) => rows.length === 3, 'three rows')
  assert.deepEqual(some.rows, [{ id: '3', title: 'Ünïcode' }])
  await server.query(`UPDATE ${table} SET title = 'Milk' WHERE id = 1`)
  await some.reaches((rows) => ids(rows) === '1,3', 'row 1 to move in')
  await full.reaches((rows) => rows.some((row) => row.title === 'Milk'), 'the update')
  const [update] = full.changes.slice(-1)
  assert.deepEqual(update.value, { id: '1', title: 'Milk', done: 'f', note: null })
  assert.deepEqual(update.old_value, { title: 'Buy milk' })
  await server.query(`UPDATE ${table} SET done = true WHERE id = 3`)
  await some.reaches((rows) => ids(rows) === '1', 'row 3 to move out')
})

scenario('a shape of many chunks arrives whole', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, rpad(i::text, 500, '.') FROM generate_series(1, 500) i`)
  const follower = follow(cleanup, server, { table })
  await follower.reaches((rows) => rows.length === 500, '500 rows')
  assert.ok(follower.batches > 20, `${follower.batches} chunks`)
  await server.query(`UPDATE ${table} SET body = rpad('new', 500, id::text)`)
  await follower.reaches((rows) => rows.every((row) => row.body.startsWith('new')), 'the update of all rows')
})

scenario('offset now with changes_only sees only what happens later', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const follower = follow(cleanup, server, { table }, { offset: 'now', log: 'changes_only' })
  await until(() => follower.stream.isUpToDate, 'up to date')
  assert.deepEqual(follower.rows, [])
  await server.query(
    `INSERT INTO ${table} VALUES (5, 'five', false, NULL); UPDATE ${table} SET note = 'old row' WHERE id = 1`,
  )
  await follower
    .reaches((rows) => ids(rows) === '5', 'the insert')
    .catch((error) => {
      // The log checker rightly objects to the update of a row that this log never inserted.
      assert.match(error.message, /update of an absent row/)
    })
  await until(() => ids(follower.rows) === '5', 'the insert')
})

scenario('a stream resumes from a stored handle and offset', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const first = follow(cleanup, server, { table })
  await first.reaches((rows) => rows.length === 3, 'three rows')
  const { lastOffset: offset, shapeHandle: handle } = first.stream
  first.close()
  await server.query(`INSERT INTO ${table} VALUES (6, 'while away', false, NULL)`)
  const second = follow(cleanup, server, { table }, { offset, handle })
  await second.reaches((rows) => ids(rows) === '6', 'only what came since')
  assert.equal(second.stream.shapeHandle, handle)
})

scenario('TRUNCATE makes the client refetch', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const follower = follow(cleanup, server, { table })
  await follower.reaches((rows) => rows.length === 3, 'three rows')
  await server.query(`TRUNCATE ${table}; INSERT INTO ${table} VALUES (8, 'fresh', true, NULL)`)
  await follower.reaches((rows) => ids(rows) === '8', 'the table after TRUNCATE')
  assert.ok(follower.refetches >= 1)
  assert.equal(follower.handles.size, 2)
})

scenario('deleting the shape makes every client refetch', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const followers = Array.from({ length: 5 }, () => follow(cleanup, server, { table }))
  for (const follower of followers) await follower.reaches((rows) => rows.length === 3, 'three rows')
  const response = await request(server, target({ handle: followers[0].stream.shapeHandle }), { method: 'DELETE' })
  assert.equal(response.status, 202)
  for (const follower of followers) {
    await until(() => follower.refetches === 1, 'the refetch')
    await follower.reaches((rows) => rows.length === 3, 'three rows again')
  }
  assert.equal(new Set(followers.map((follower) => follower.stream.shapeHandle)).size, 1)
})

scenario(
  'a restart in the middle: same handle, nothing lost, nothing twice',
  async ({ cleanup }) => {
    const table = await newTable(restarted, itemColumns, itemRows)
    const followers = [
      follow(cleanup, restarted, { table }),
      follow(cleanup, restarted, { table, where: 'id > 0', columns: ['id', 'title'] }, { name: 'filtered' }),
    ]
    for (const follower of followers) await follower.reaches((rows) => rows.length === 3, 'three rows')
    const insert = (from, to) =>
      restarted.query(`INSERT INTO ${table} SELECT i, 'row', false, NULL FROM generate_series(${from}, ${to}) i`)
    await insert(4, 10)
    await restarted.kill9()
    await insert(11, 20)
    await restarted.query(`DELETE FROM ${table} WHERE id = 2`)
    await restarted.start()
    await insert(21, 30)
    for (const follower of followers) {
      await follower.reaches((rows) => rows.length === 29, '29 rows', 30_000)
      assert.equal(follower.handles.size, 1)
      assert.equal(follower.refetches, 0)
      const places = follower.changes
        .filter((message) => message.headers.lsn)
        .map(({ headers }) => `${headers.lsn}_${headers.op_position}`)
      assert.equal(new Set(places).size, places.length)
      assert.equal(places.length, 28)
    }
    // An orderly end is no different.
    assert.equal((await restarted.terminate()).code, 0)
    await insert(31, 35)
    await restarted.start()
    for (const follower of followers) await follower.reaches((rows) => rows.length === 34, '34 rows', 30_000)
    assert.deepEqual(
      followers.map((follower) => follower.refetches),
      [0, 0],
    )
  },
  { deadlineMs: 120_000 },
)

scenario('live changes over server-sent events', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const kinds = []
  const follower = follow(
    cleanup,
    server,
    { table },
    {
      liveSse: true,
      fetchClient: async (...call) => {
        const response = await fetch(...call)
        kinds.push(response.headers.get('content-type'))
        return response
      },
    },
  )
  await follower.reaches((rows) => rows.length === 3, 'three rows')
  await until(
    () => kinds.includes('text/event-stream'),
    () => `an event stream; had ${kinds}`,
  )
  const requests = kinds.length
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
  await follower.reaches((rows) => ids(rows) === '1,2,3,4', 'the insert')
  await server.query(`BEGIN; UPDATE ${table} SET note = 'n'; DELETE FROM ${table} WHERE id = 1; COMMIT`)
  await follower.reaches((rows) => ids(rows) === '2,3,4' && rows.every((row) => row.note === 'n'), 'the transaction')
  assert.equal(kinds.length, requests, 'all over one stream')
  await server.query(`TRUNCATE ${table}`)
  await until(() => follower.refetches === 1, 'the refetch')
  await follower.reaches((rows) => rows.length === 0, 'the empty table')
})

scenario('an error of the request reaches the application and stops the stream', async ({ cleanup }) => {
  const follower = follow(cleanup, server, { table: 'no_such_table' })
  await until(() => follower.errors.length > 0, 'the error')
  const [error] = follower.errors
  assert.ok(error instanceof FetchError)
  assert.equal(error.status, 400)
  assert.equal(error.json.message, 'Invalid request')
  assert.ok(error.json.errors.table)
})

scenario(
  'many tables with nasty names and values',
  async ({ cleanup }) => {
    const names = [
      'select',
      'Mixed Case',
      'with"quote',
      'with.dot',
      'with/slash',
      'ünïcödé 🐘',
      `it's`,
      'a,b',
      'x'.repeat(63),
      '$1',
      'tab\there',
      '%41&b=c',
      'null',
    ]
    const texts = [
      '',
      ' ',
      'NULL',
      'null',
      '\\N',
      '"',
      '""',
      "'",
      '\\',
      '\\\\',
      '{',
      '}',
      '[]',
      ',',
      '/',
      '//',
      '.',
      '\n',
      '\r\n',
      '\t',
      '\u0001',
      '\u001f',
      '\u007f',
      '\u2028',
      'é',
      '日本語',
      '🐘🐘',
      '𝄞',
      '</script>',
      '&amp;',
      '%00',
      'data: x\n\ndata: y',
      'x'.repeat(20_000),
    ]
    const quote = (name) => `"${name.replaceAll('"', '""')}"`
    const client = await server.client()
    cleanup(() => client.end())
    const followers = []
    for (const name of names) {
      await client.query(
        `CREATE TABLE ${quote(name)} (${quote(name)} text PRIMARY KEY, "value" text, "key" int, "headers" bool)`,
      )
      for (const [index, text] of texts.slice(0, texts.length / 2).entries()) {
        await client.query(`INSERT INTO ${quote(name)} VALUES ($1, $1, $2, true)`, [text, index])
      }
      followers.push(follow(cleanup, server, { table: quote(name) }, { name }))
    }
    for (const follower of followers)
      await follower.reaches((rows) => rows.length === Math.floor(texts.length / 2), 'the first half')
    for (const name of names) {
      for (const [index, text] of texts.entries()) {
        await client.query(
          `INSERT INTO ${quote(name)} VALUES ($1, $1, $2, NULL) ON CONFLICT (${quote(name)}) DO UPDATE SET "value" = 'again ' || $1`,
          [text, index],
        )
      }
    }
    for (const [index, name] of names.entries()) {
      const follower = followers[index]
      const { rows } = await client.query(`SELECT * FROM ${quote(name)}`)
      const expected = new Map(rows.map((row) => [rowKey('public', name, [row[name]]), row]))
      await follower.reaches((present) => present.length === texts.length, 'all rows')
      await until(
        () => {
          try {
            assert.deepEqual(new Map([...follower.shape.currentValue].sort()), new Map([...expected].sort()))
            return true
          } catch {
            return false
          }
        },
        () => {
          assert.deepEqual(new Map([...follower.shape.currentValue].sort()), new Map([...expected].sort()))
        },
      )
    }
  },
  { deadlineMs: 120_000 },
)
