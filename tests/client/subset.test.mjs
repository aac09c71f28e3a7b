// subset.test.mjs: subset snapshots, GET and POST, raw and by the client: rows against SELECT, what
// must never be seen, errors, and changes that happen at the same time (spec §5.4, §15).
import assert from 'node:assert/strict'
import { textParser } from './harness/clients.mjs'
import { expectCommonHeaders, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, rowKey, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, itemSchema, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })

/** A subset by GET: `subset` has the names of the body's members. */
function getSubset(shape, subset, at = { offset: '-1' }) {
  const words = Object.entries(subset).map(([name, value]) => [
    `subset__${name}`,
    typeof value === 'object' ? JSON.stringify(value) : value,
  ])
  return get(server, { ...shape, ...at, ...Object.fromEntries(words) })
}

function postSubset(shape, body, at = { offset: '-1' }, headers = {}) {
  return request(server, target({ ...shape, ...at }), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const bothForms = { GET: getSubset, POST: postSubset }

/** Checks an answer against itself; returns its rows' values. */
function checkSubset(response, table) {
  assert.equal(response.status, 200, response.text)
  expectCommonHeaders(response)
  assert.equal(response.header('cache-control'), 'no-cache')
  assert.equal(response.header('electric-snapshot'), 'true')
  assert.equal(response.header('content-type'), 'application/json; charset=utf-8')
  assert.ok(response.header('electric-handle'))
  for (const absent of ['etag', 'electric-up-to-date', 'electric-cursor', 'electric-has-data']) {
    assert.equal(response.header(absent), undefined, absent)
  }
  const { metadata, data } = response.json
  assert.deepEqual(Object.keys(response.json).sort(), ['data', 'metadata'])
  assert.match(metadata.xmin, /^[0-9]+$/)
  assert.match(metadata.xmax, /^[0-9]+$/)
  assert.ok(Array.isArray(metadata.xip_list))
  assert.match(metadata.database_lsn, /^[0-9]+$/)
  assert.ok(Number.isInteger(metadata.snapshot_mark) && metadata.snapshot_mark >= 0)
  assert.ok(metadata.snapshot_mark < 2 ** 31)
  for (const row of data) {
    assert.deepEqual(row.headers, {
      operation: 'insert',
      relation: ['public', table],
      snapshot_mark: metadata.snapshot_mark,
    })
    assert.equal(row.key, rowKey('public', table, [row.value.id]))
  }
  return data.map((row) => row.value)
}

function expectSubsetInvalid(response, field, method = 'GET') {
  assert.equal(response.status, 400, `${response.status} ${response.text}`)
  assert.equal(response.header('cache-control'), method === 'GET' ? 'no-store' : 'no-cache')
  const { message, errors } = response.json
  assert.equal(message, 'Invalid request')
  assert.deepEqual(Object.keys(errors), ['subset'], response.text)
  assert.deepEqual(Object.keys(errors.subset), [field], response.text)
  assert.ok(Array.isArray(errors.subset[field]) && errors.subset[field].length > 0, response.text)
  return errors.subset[field]
}

/** `count` different uuids, the n-th always the same. */
const uuids = (count) =>
  Array.from({ length: count }, (_, n) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`)

const ids = (rows) => rows.map((row) => row.id).join()

scenario('POST: a list as long as a body can hold is no error, with the tree of it beside', async () => {
  const table = await newTable(server, 'id uuid PRIMARY KEY')
  const all = uuids(100_000)
  await server.query(`INSERT INTO ${table} SELECT unnest($1::uuid[])`, [all.slice(0, 7)])
  const tree = (list) => ({
    type: 'func',
    name: 'in',
    args: [
      { type: 'ref', path: ['id'] },
      { type: 'val', value: list },
    ],
  })
  for (const count of [5_000, 60_000]) {
    const body = {
      where: '"id" = ANY($1)',
      where_expr: tree(all.slice(0, count)),
      params: { 1: `{${all.slice(5, count).join()}}` },
    }
    const rows = checkSubset(await postSubset({ table }, body), table)
    assert.equal(ids(rows), all.slice(5, 7).join(), `${count} uuids`)
  }
  // Without the tree twice as many fit, and then the body is what is too large.
  const params = { 1: `{${all.join()}}` }
  assert.equal(checkSubset(await postSubset({ table }, { where: '"id" = ANY($1)', params }), table).length, 7)
  const shape = { table, where: '"id" = ANY($1)', 'params[1]': params[1] }
  const more = await postSubset({ table }, { subset: { limit: 1, order_by: 'id' }, where: shape.where, params })
  assert.deepEqual(Object.keys(more.json.errors), ['params'], 'what is kept as a shape is held to less')
})

for (const [form, ask] of Object.entries(bothForms)) {
  scenario(`${form}: rows, order, limit and offset are those of SELECT`, async () => {
    const table = await newTable(server, `${itemColumns}, n int`)
    await server.query(
      `INSERT INTO ${table} SELECT i, 't' || i % 7, i % 3 = 0, CASE WHEN i % 5 > 0 THEN 'n' || i END,
         CASE WHEN i % 4 > 0 THEN i % 11 END FROM generate_series(1, 60) i`,
    )
    const subsets = [
      { where: 'true' },
      { where: 'id < 10', order_by: 'id' },
      { where: '"done" = $1', params: { 1: 'true' }, limit: 3, order_by: '"id" DESC' },
      { where: 'n > $1 OR note IS NULL', params: { 1: '5' }, limit: 7, offset: 2, order_by: 'n DESC NULLS LAST, id' },
      { order_by: 'n ASC NULLS FIRST, title DESC, id', limit: 20, offset: 0 },
      { order_by: 'n desc, id asc', limit: 60, offset: 55 },
      { where: 'id = 1 OR id = 2', order_by: 'id', offset: 1 },
    ]
    for (const subset of subsets) {
      const response = await ask({ table, log: 'changes_only' }, subset)
      const text = (subset.where ?? 'true').replace(/\$1/, `'${subset.params?.[1]}'`)
      const order = subset.order_by ? `ORDER BY ${subset.order_by}` : ''
      const wanted = await server.query(
        `SELECT id FROM ${table} WHERE ${text} ${order} LIMIT ${subset.limit ?? 'ALL'} OFFSET ${subset.offset ?? 0}`,
      )
      const found = ids(checkSubset(response, table))
      const sorted = (list) => (order ? list : list.split(',').sort().join())
      assert.equal(sorted(found), sorted(wanted.map((row) => row.id).join()), JSON.stringify(subset))
    }
  })

  scenario(`F62: ${form}: the shape's condition holds beside the subset's, whatever stands in them`, async () => {
    const table = await newTable(server, itemColumns, itemRows)
    const shape = { table, where: 'id = 1 OR id = 2' }
    assert.equal(ids(checkSubset(await ask(shape, { where: 'id = 3' }), table)), '')
    assert.equal(ids(checkSubset(await ask(shape, { where: 'id = 3 OR true', order_by: 'id' }), table)), '1,2')
    assert.equal(ids(checkSubset(await ask(shape, { where: 'id = 2' }), table)), '2')
    for (const where of ['true) OR (true', "true) OR id IN (SELECT 3", 'true -- ', 'true) UNION SELECT (1']) {
      const response = await ask(shape, { where })
      if (response.status === 200) assert.doesNotMatch(response.text, /"id":"3"/, where)
      else expectSubsetInvalid(response, 'where', form)
    }
  })

  scenario(`F62: ${form}: nothing but column names gets through order_by`, async () => {
    const table = await newTable(server, itemColumns, itemRows)
    for (const order_by of [
      'id; DROP TABLE items',
      '1',
      'id + 1',
      "(SELECT pg_sleep(1))",
      'id LIMIT 1',
      'id) TO STDOUT; SELECT (1',
      'id USING >',
      'id COLLATE "C"',
      'id::text',
      'length(title)',
      `${table}.id`,
      'nothing',
      '"id" DESC NULLS LAST, $1',
      'id FOR UPDATE',
      'id -- x\n, nothing',
      '',
    ]) {
      const response = await ask({ table }, { order_by, where: 'true' })
      if (order_by === '') assert.equal(response.status, 200)
      else expectSubsetInvalid(response, 'order_by', form)
    }
    assert.equal(ids(checkSubset(await ask({ table }, { order_by: 'id -- the end' }), table)), '1,2,3')
  })

  scenario(`${form}: wrong parameters are named inside errors.subset`, async () => {
    const table = await newTable(server, itemColumns, itemRows)
    for (const [field, subset] of [
      ['where', { where: 'nothing = 1' }],
      ['where', { where: 'id = = 1' }],
      ['where', { where: 'id' }],
      ['where', { where: 'id IN (SELECT 1)' }],
      ['params', { where: 'id = $1', params: { 2: '1' } }],
      ['params', { where: 'id = $1', params: { a: '1' } }],
      ['params', { where: 'id = $1', params: { 1: [1] } }],
      ['limit', { limit: 5 }],
      ['offset', { offset: 5 }],
      ['limit', { limit: 0, order_by: 'id' }],
      ['limit', { limit: 'many', order_by: 'id' }],
      ['limit', { limit: '9223372036854775808', order_by: 'id' }],
      ['offset', { offset: -1, order_by: 'id' }],
    ]) {
      expectSubsetInvalid(await ask({ table }, subset), field, form)
    }
    const limited = { table, columns: 'id,title', queryable_columns: 'id,title' }
    expectSubsetInvalid(await ask(limited, { where: "note = 'x'" }), 'where', form)
    expectSubsetInvalid(await ask(limited, { order_by: 'note' }), 'order_by', form)
    assert.equal(ids(checkSubset(await ask(limited, { where: "title < 'C'" }), table)), '1')
  })
}

scenario('a type without an order is the order_by being wrong', async () => {
  const table = await newTable(server, `${itemColumns}, doc json`, `(1, 'a', true, NULL, '{}')`)
  expectSubsetInvalid(await getSubset({ table }, { order_by: 'doc' }), 'order_by')
})

scenario('parameters: numbers, booleans and null are texts', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  for (const ask of Object.values(bothForms)) {
    const rows = async (where, params) => ids(checkSubset(await ask({ table }, { where, params, order_by: 'id' }), table))
    assert.equal(await rows('id = $1', { 1: 2 }), '2')
    assert.equal(await rows('done = $1', { 1: true }), '2')
    assert.equal(await rows('note = $1', { 1: null }), '3')
    assert.equal(await rows('id > $1 AND title <> $2', { 2: "x' OR 'x'='x", 1: '1' }), '2,3')
    assert.equal(await rows('id > 1', {}), '2,3')
  }
})

scenario('a subset of the wrong type is refused in words that fit', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  for (const response of [
    await postSubset({ table }, { subset: [] }),
    await postSubset({ table }, { subset: [{ where: 'id = 1' }] }),
    await get(server, { table, offset: '-1', 'subset[]': 'x' }),
  ]) {
    assert.equal(response.status, 400, response.text)
    assert.deepEqual(response.json.errors, { subset: ['must be an object'] })
  }
  const refused = async (member, field) => expectSubsetInvalid(await postSubset({ table }, member), field, 'POST')
  assert.deepEqual(await refused({ limit: true, order_by: 'id' }, 'limit'), ['must be a whole number'])
  assert.deepEqual(await refused({ offset: [1], order_by: 'id' }, 'offset'), ['must be a whole number'])
  assert.deepEqual(await refused({ where: 'id = $1', params: [1] }, 'params'), ['must be a JSON object'])
  assert.deepEqual(await refused({ where: {} }, 'where'), ['must be a text'])
})

scenario('subset[…] in the query, and its members join those of the body', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const nested = await get(server, { table, offset: '-1', 'subset[where]': 'id > 1', 'subset[order_by]': 'id DESC' })
  const filled = { table, offset: '-1', 'subset[where]': 'id = $1 OR id = $2', 'subset[params][2]': '3' }
  const found = checkSubset(await get(server, { ...filled, 'subset[params][1]': '2' }), table)
  assert.deepEqual(found.map((row) => row.id).sort(), ['2', '3'])
  assert.match(expectSubsetInvalid(await get(server, filled), 'params')[0], /count up from 1/)
  assert.match(expectSubsetInvalid(await get(server, { ...filled, 'subset[params][x]': '2' }), 'params')[0], /numbers/)
  assert.equal(ids(checkSubset(nested, table)), '3,2')
  const query = { table, subset__where: 'id > 1', subset__order_by: 'id' }
  assert.equal(ids(checkSubset(await postSubset(query, { order_by: 'id DESC' }), table)), '3,2')
  const joined = await postSubset({ ...query, where: 'id > 0' }, { subset: { limit: 1 }, where: 'id > 2' })
  assert.equal(ids(checkSubset(joined, table)), '3', "beside `subset`, `where` is the shape's own")
  const expressions = { where: 'id = 1', where_expr: { a: { b: { c: { d: [1] } } } }, order_by_expr: [] }
  assert.equal(ids(checkSubset(await postSubset({ table }, expressions), table)), '1')
  assert.equal(checkSubset(await get(server, { table, offset: '-1', subset__unknown: '' }), table).length, 3)
})

scenario('a POST without a subset reads the log, and its body counts as parameters', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  for (const body of ['', '{}', `{"table":"${table}"}`]) {
    const response = await postSubset({ table: body.includes('table') ? undefined : table }, body)
    assert.equal(response.status, 200, response.text)
    assert.equal(response.header('cache-control'), 'no-cache')
    assert.equal(response.header('electric-offset'), '0_0')
    assert.equal(response.json.length, 4)
  }
  const at = { offset: state.offset, handle: state.handle }
  const started = Date.now()
  const quick = await postSubset({ table }, { live: false }, at)
  assert.ok(Date.now() - started < 900, 'live: false does not wait')
  assert.equal(quick.header('electric-cursor'), undefined)
  const waited = await postSubset({ table }, { live: true }, at)
  assert.match(waited.header('electric-cursor'), /^[0-9]+$/)
})

scenario('bodies: no JSON, no object, too large, in chunks, with Expect', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  for (const body of ['{', '[]', '"x"', 'null', '\xff', '{"a":1} x']) {
    const response = await postSubset({ table }, body)
    assert.equal(response.status, 400, body)
    assert.equal(typeof response.json.error, 'string')
    expectCommonHeaders(response)
  }
  const open = async () => {
    const connection = await RawConnection.open(server.port)
    cleanup(() => connection.destroy())
    return connection
  }
  const path = target({ table, offset: '-1' })
  const head = (more) => `POST ${path} HTTP/1.1\r\nhost: x\r\n${more}\r\n\r\n`

  const large = await open()
  large.send(head('content-length: 8000001'))
  const refused = await large.readResponse()
  assert.equal(refused.status, 413)
  assert.equal(typeof refused.json.error, 'string')
  expectCommonHeaders(refused)

  const chunked = await open()
  const subset = '{"where":"id = 2"}'
  const parts = [subset.slice(0, 5), subset.slice(5)].map((part) => `${part.length.toString(16)};x=y\r\n${part}\r\n`)
  chunked.send(head('transfer-encoding: chunked'))
  for (const byte of `${parts.join('')}0\r\ntrailer: x\r\n\r\n`) chunked.send(byte)
  chunked.request('GET', '/v1/health') // behind it, on the same connection
  assert.equal(ids(checkSubset(await chunked.readResponse(), table)), '2')
  assert.equal((await chunked.readResponse()).text, '{"status":"active"}')

  const expecting = await open()
  expecting.send(head(`expect: 100-continue\r\ncontent-length: ${subset.length}`))
  const go = await expecting.readHead()
  assert.equal(go.status, 100)
  expecting.send(subset)
  assert.equal(ids(checkSubset(await expecting.readResponse(), table)), '2')

  const filler = 'x'.repeat(7_900_000)
  const full = await postSubset({ table }, { where: 'id = 1', order_by_expr: filler })
  assert.equal(ids(checkSubset(full, table)), '1')
  const endless = await open()
  endless.send(head('transfer-encoding: chunked') + `7a1201\r\n`)
  assert.equal((await endless.readResponse()).status, 413)
})

scenario('the offset is the requested one; now is the last one; -1 begins the log', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const shape = { table, log: 'changes_only' }
  const state = await follow(server, shape)
  const at = { offset: state.offset, handle: state.handle }
  await server.query(`UPDATE ${table} SET note = 'y' WHERE id = 1`)
  await until(
    async () => (await get(server, { ...shape, offset: 'now' })).header('electric-offset') !== at.offset,
    'the change to be in the log',
  )
  const subset = { where: 'id = 1' }
  const offsetOf = async (where) => (await getSubset(shape, subset, where)).header('electric-offset')
  assert.equal(await offsetOf(at), at.offset)
  assert.equal(await offsetOf({ offset: '-1' }), '0_0')
  assert.equal(await offsetOf({ offset: 'now' }), (await get(server, { ...shape, offset: 'now' })).header('electric-offset'))
  const response = await getSubset(shape, subset, at)
  assert.equal(response.header('electric-handle'), state.handle)
  assert.deepEqual(JSON.parse(response.header('electric-schema')), itemSchema)
  const live = await getSubset({ ...shape, live: 'true', live_sse: 'true' }, subset, at)
  assert.equal(ids(checkSubset(live, table)), '1')
  assert.equal(live.header('electric-schema'), undefined)
  const head = await request(server, target({ ...shape, ...at, subset__where: 'id = 1' }), { method: 'HEAD' })
  assert.equal(head.header('electric-snapshot'), 'true')
})

scenario('a wrong handle is a 409 with the right one, also before the shape exists', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const wrong = { offset: '0_inf', handle: 'nobody-1' }
  const next = expectMustRefetch(await getSubset({ table }, { where: 'id = 1' }, wrong), { handle: true })
  const right = await getSubset({ table }, { where: 'id = 1' }, { offset: '0_inf', handle: next })
  assert.equal(ids(checkSubset(right, table)), '1')
  const posted = await postSubset({ table }, { where: 'id = 1' }, wrong)
  assert.equal(expectMustRefetch(posted, { handle: true, method: 'POST' }), next)
  // What the client asked wrongly is told before the handle is looked at.
  expectSubsetInvalid(await getSubset({ table }, { where: 'nothing' }, wrong), 'where')
})

for (const method of ['GET', 'POST']) {
  scenario(`the client's requestSnapshot by ${method}: no change is lost or doubled`, async ({ cleanup }) => {
    const table = await newTable(server, 'id int PRIMARY KEY, n int NOT NULL, part int NOT NULL')
    await server.query(`INSERT INTO ${table} SELECT i, 0, i % 5 FROM generate_series(1, 50) i`)
    let stop = false
    const writers = [1, 2, 3].map(async (writer) => {
      for (let turn = 0; !stop; turn++) {
        const id = 1 + ((turn * 7 + writer * 13) % 50)
        if (turn % 6 === writer) {
          await server.query(`DELETE FROM ${table} WHERE id = $1`, [id])
          await server.query(`INSERT INTO ${table} VALUES ($1, $2, $1::int % 5) ON CONFLICT DO NOTHING`, [id, turn])
        } else {
          await server.query(`UPDATE ${table} SET n = n + 1 WHERE id = $1`, [id])
        }
      }
    })
    cleanup(async () => {
      stop = true
      await Promise.all(writers)
    })
    const rows = new Map()
    const wrongs = []
    const aborter = new AbortController()
    cleanup(() => aborter.abort())
    const { ShapeStream } = await import('@electric-sql/client')
    const stream = new ShapeStream({
      url: server.shapeUrl,
      params: { table, replica: 'full' },
      log: 'changes_only',
      offset: 'now',
      parser: textParser,
      subsetMethod: method,
      signal: aborter.signal,
    })
    stream.subscribe(
      (messages) => {
        for (const { key, value, headers } of messages) {
          if (key === undefined) continue
          const known = rows.has(key)
          if (headers.operation === 'insert') {
            if (known && headers.snapshot_mark === undefined) wrongs.push(`${key} is inserted twice`)
            rows.set(key, value)
          } else if (headers.operation === 'update') {
            if (known && Number(value.n) !== Number(rows.get(key).n) + 1)
              wrongs.push(`${key}: ${rows.get(key).n} is followed by ${value.n}`)
            if (known) rows.set(key, value)
          } else if (headers.operation === 'delete') {
            rows.delete(key)
          }
        }
      },
      (error) => wrongs.push(String(error)),
    )
    for (let turn = 0; turn < 15; turn++) {
      const { data } = await stream.requestSnapshot({
        where: '"part" = $1',
        params: { 1: String(turn % 5) },
        orderBy: '"id" ASC NULLS LAST',
        limit: 100,
      })
      assert.ok(data.length > 0)
      // The client takes five requests at one offset in half a second for a loop.
      const offset = stream.lastOffset
      await until(() => stream.lastOffset !== offset, 'the log to move on')
    }
    stop = true
    await Promise.all(writers)
    const wanted = JSON.stringify(
      (await server.query(`SELECT id::text, n::text, part::text FROM ${table} t ORDER BY t.id`)).map((row) => ({ ...row })),
    )
    const found = () =>
      JSON.stringify(
        [...rows.values()].sort((a, b) => a.id - b.id).map(({ id, n, part }) => ({ id, n, part })),
      )
    await until(() => found() === wanted, () => `all rows:\n${found()}\nwanted\n${wanted}\n${wrongs}`)
    assert.deepEqual(wrongs, [])
  })
}

scenario('without PostgreSQL a subset is a 503 with retry-after, and the log goes on being served', async ({ cleanup }) => {
  const other = await stagePostgres()
  const lonely = await stageBusbar(other, { sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}` })
  cleanup(() => lonely.discard())
  const state = await follow(lonely, { table: 'items' })
  const at = { table: 'items', offset: state.offset, handle: state.handle }
  assert.equal((await get(lonely, { ...at, subset__where: 'id = 1' })).json.data.length, 1)
  await other.stop()
  const response = await get(lonely, { ...at, subset__where: 'id = 1' })
  assert.equal(response.status, 503, response.text)
  assert.equal(response.header('retry-after'), '10')
  assert.equal(response.header('cache-control'), 'no-store')
  assert.equal(response.json.code, 'database_unreachable')
  assert.equal(typeof response.json.error, 'string')
  assert.doesNotMatch(response.text, /127\.0\.0\.1|localhost|socket/, 'no word of where the database is')
  assert.equal((await get(lonely, at)).status, 200)
  await other.start()
  await until(async () => (await get(lonely, { ...at, subset__where: 'id = 1' })).status === 200, 'subsets again')
})

scenario('while subsets of a locked table are refused, those of other tables are read', async ({ cleanup }) => {
  const locked = await newTable(server, itemColumns, itemRows)
  const free = await newTable(server, itemColumns, itemRows)
  await follow(server, { table: locked })
  await follow(server, { table: free })
  const locker = await server.client()
  cleanup(() => locker.end())
  await locker.query(`BEGIN; LOCK TABLE ${locked} IN ACCESS EXCLUSIVE MODE`)
  const waiting = Array.from({ length: 2 }, () => postSubset({ table: locked }, { where: 'true' }))
  await until(
    async () =>
      (await server.query(`SELECT 1 FROM pg_locks WHERE relation = '${locked}'::regclass AND NOT granted`)).length === 2,
    'both readers to wait for the lock',
  )
  // The lock is not given back before all have their answers.
  const rows = checkSubset(await postSubset({ table: free }, { order_by: 'id' }), free)
  assert.equal(ids(rows), '1,2,3')
  for (const response of await Promise.all(waiting)) {
    assert.equal(response.status, 503, response.text)
    assert.ok(response.header('retry-after'))
    assert.match(response.text, /locked/)
  }
  await locker.query('COMMIT')
  assert.equal(ids(checkSubset(await postSubset({ table: locked }, { order_by: 'id' }), locked)), '1,2,3')
})
