// reading.test.mjs: how a log is read: positions, chunks, conditional requests, the headers of every
// answer, HEAD, and handles that do not fit (spec shape-protocol §6-§8, §13, §14).
import assert from 'node:assert/strict'
import { expectCommonHeaders, expectMustRefetch, expectOnlyUpToDate } from './harness/expect.mjs'
import { request } from './harness/raw.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const chunkBytes = 10_000
const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: String(chunkBytes) },
})

const changesOf = (messages) => messages.filter((message) => message.headers.operation !== undefined)

scenario('the snapshot and its end are revalidated with 304 too', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table })
  for (const [index, offset] of ['-1', '0_0'].entries()) {
    const etag = state.responses[index].header('etag')
    const response = await get(server, { table, offset, handle: state.handle }, { headers: { 'if-none-match': etag } })
    assert.equal(response.status, 304, `offset ${offset}, etag ${etag}`)
    assert.equal(response.header('etag'), etag)
    assert.equal(response.header('cache-control'), state.responses[index].header('cache-control'))
  }
})

scenario('now skips the past; changes_only has no rows', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const response = await get(server, { table, offset: 'now', log: 'changes_only', handle: 'ignored' })
  const page = checkLogResponse(response, { offset: 'now' })
  expectOnlyUpToDate(response)
  assert.equal(page.offset, '0_inf')
  assert.equal(response.header('electric-has-data'), 'false')
  assert.equal(response.header('cache-control'), 'public, max-age=60, stale-while-revalidate=300')
  assert.match(response.header('etag'), new RegExp(`^"${page.handle}:now:0_inf:.+"$`))
  const start = checkLogResponse(await get(server, { table, offset: '-1', log: 'changes_only' }), { offset: '-1' })
  assert.equal(start.handle, page.handle)
  assert.deepEqual(
    start.messages.map((message) => message.headers.control),
    ['snapshot-end'],
  )
  const full = checkLogResponse(await get(server, { table, offset: '-1' }), { offset: '-1' })
  assert.notEqual(full.handle, page.handle, 'the log mode is part of the identity')
  await server.query(`INSERT INTO ${table} VALUES (7, 'later', true, NULL)`)
  const later = await get(server, {
    table,
    offset: page.offset,
    handle: page.handle,
    log: 'changes_only',
    live: 'true',
  })
  assert.deepEqual(
    changesOf(checkLogResponse(later, { offset: page.offset, live: true }).messages).map((m) => m.value.id),
    ['7'],
  )
  const now = checkLogResponse(await get(server, { table, offset: 'now', log: 'changes_only' }))
  assert.equal(now.offset, later.header('electric-offset'))
})

scenario('a snapshot above the threshold comes in chunks 0_0, 0_1, … of stable sizes', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, rpad(i::text, 900, 'x') FROM generate_series(1, 30) i`)
  const state = await follow(server, { table })
  const offsets = state.responses.map((response) => response.header('electric-offset'))
  const counts = state.responses.map((response) => changesOf(response.json).length)
  assert.equal(
    counts.reduce((a, b) => a + b),
    30,
  )
  assert.deepEqual(offsets, [...offsets.slice(0, -1).map((_, index) => `0_${index}`), '0_inf'])
  assert.ok(offsets.length >= 4, `${offsets}`)
  assert.equal(state.messages.filter((message) => message.headers.control === 'snapshot-end').length, 1)
  assert.equal(state.responses.at(-2).json.at(-1).headers.control, 'snapshot-end')
  // Each chunk ends with the row that brings it to the threshold: all but the last are just above.
  for (const response of state.responses.slice(0, -2)) {
    const sizes = changesOf(response.json).map((message) => Buffer.byteLength(JSON.stringify(message)) + 1)
    const total = sizes.reduce((a, b) => a + b, 0)
    assert.ok(total >= chunkBytes && total - sizes.at(-1) < chunkBytes, `chunk of ${total} bytes`)
  }
  // The same request brings the same bytes.
  for (const [index, offset] of ['-1', ...offsets.slice(0, -2)].entries()) {
    const again = await get(server, { table, offset, handle: state.handle })
    assert.ok(again.body.equals(state.responses[index].body), `the chunk after ${offset} is the same again`)
  }
  // A live request inside the snapshot is answered at once with the next chunk.
  const live = await get(
    server,
    { table, offset: '0_0', handle: state.handle, live: 'true', cursor: '' },
    { timeoutMs: 900 },
  )
  assert.equal(live.header('electric-offset'), '0_1')
  assert.ok(live.body.equals(state.responses[1].body))
})

scenario('one row above the threshold closes its chunk; snapshot-end follows alone', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} VALUES (1, rpad('', ${chunkBytes + 5000}, 'y'))`)
  const state = await follow(server, { table })
  assert.deepEqual(
    state.responses.map((response) => response.header('electric-offset')),
    ['0_0', '0_1', '0_inf'],
  )
  assert.equal(state.responses[0].json.length, 1)
  assert.deepEqual(
    state.responses[1].json.map((message) => message.headers.control),
    ['snapshot-end'],
  )
})

scenario('catch-up is cut at stable chunk ends, also inside a transaction', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, 'a' FROM generate_series(1, 30) i`)
  const shape = { table }
  const state = await follow(server, shape)
  const from = state.offset
  await server.query(`UPDATE ${table} SET body = rpad(id::text, 1000, 'z')`)
  // Each live poll brings one piece; only the last is up to date.
  const pieces = []
  for (let offset = from; pieces.length < 20;) {
    const response = await get(server, { ...shape, offset, handle: state.handle, live: 'true', cursor: '' })
    const page = checkLogResponse(response, { offset, live: true })
    if (changesOf(page.messages).length === 0) continue // timed out before the commit
    pieces.push({ from: offset, page, response })
    offset = page.offset
    if (page.upToDate) break
  }
  assert.ok(pieces.length >= 3, `${pieces.length} pieces`)
  for (const { page } of pieces.slice(0, -1)) {
    const sizes = page.messages.map((message) => Buffer.byteLength(JSON.stringify(message)))
    const total = sizes.reduce((a, b) => a + b, 0)
    // A byte more or less an entry, as the separator may count.
    assert.ok(total + sizes.length >= chunkBytes && total - sizes.at(-1) < chunkBytes, `piece of ${total} bytes`)
  }
  const entries = pieces.flatMap(({ page }) => changesOf(page.messages))
  assert.equal(entries.length, 30)
  assert.equal(new Set(entries.map((entry) => entry.headers.lsn)).size, 1)
  assert.deepEqual(
    entries.map((entry) => entry.headers.op_position),
    entries.map((_, index) => index * 2),
  )
  assert.deepEqual(
    entries.filter((entry) => entry.headers.last),
    [entries.at(-1)],
  )
  // A plain catch-up finds the same ends, and complete chunks are the same bytes, also after more writes.
  await server.query(`UPDATE ${table} SET body = 'short' WHERE id = 1`)
  for (const { from, page, response } of pieces.slice(0, -1)) {
    const again = await get(server, { ...shape, offset: from, handle: state.handle })
    assert.equal(again.header('electric-offset'), page.offset)
    assert.equal(again.header('electric-up-to-date'), undefined)
    assert.ok(again.body.equals(response.body))
  }
  // From the middle of a piece one reaches the same end.
  const inside = `${entries[2].headers.lsn}_${entries[2].headers.op_position}`
  const rest = checkLogResponse(await get(server, { ...shape, offset: inside, handle: state.handle }), {
    offset: inside,
  })
  assert.equal(rest.offset, pieces[0].page.offset)
  assert.equal(rest.messages.length, pieces[0].page.messages.length - 3)
})

scenario('HEAD is GET without the body', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const head = await request(server, target({ table, offset: '-1' }), { method: 'HEAD' })
  const got = await request(server, target({ table, offset: '-1' }))
  assert.equal(head.status, 200)
  assert.equal(head.body.length, 0)
  for (const name of [
    'electric-handle',
    'electric-offset',
    'electric-schema',
    'electric-has-data',
    'etag',
    'cache-control',
    'content-type',
  ]) {
    assert.equal(head.header(name), got.header(name), name)
  }
  expectCommonHeaders(head)
})

scenario('an unknown or foreign handle is answered 409 with a handle that works', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const fresh = await get(server, { table, offset: '0_0', handle: '12345-67890' })
  const handle = expectMustRefetch(fresh, { handle: true })
  expectCommonHeaders(fresh)
  const state = await follow(server, { table })
  assert.equal(state.handle, handle, 'the 409 named the shape that exists now')
  const other = await follow(server, { table, where: 'id > 1' })
  assert.equal(expectMustRefetch(await get(server, { table, offset: '0_0', handle: other.handle })), handle)
  assert.equal(
    expectMustRefetch(await get(server, { table, offset: '0_inf', handle: 'nonsense', live: 'true' })),
    handle,
  )
  // -1 and now ignore the handle.
  for (const offset of ['-1', 'now']) {
    const response = await get(server, { table, offset, handle: 'nonsense' })
    assert.equal(response.status, 200)
    assert.equal(response.header('electric-handle'), handle)
  }
})

scenario('HEAD waits as GET does, and refuses as GET does, without a body', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle, offset } = await follow(server, { table })
  const head = (params) => request(server, target({ table, handle, ...params }), { method: 'HEAD' })
  const started = Date.now()
  const waited = await head({ offset, live: 'true', cursor: '' })
  assert.ok(Date.now() - started >= 900, 'a live HEAD waits')
  assert.equal(waited.status, 200)
  assert.match(waited.header('electric-cursor'), /^[0-9]+$/)
  const wrong = await head({ offset: 'nowhere' })
  assert.equal(wrong.status, 400)
  assert.ok(Number(wrong.header('content-length')) > 0)
  const gone = await head({ offset: '0_0', handle: 'nobody-1' })
  assert.equal(gone.status, 409)
  assert.equal(gone.header('electric-handle'), handle)
})

scenario('If-None-Match is a list of tags, compared weakly and otherwise exactly; no star', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle } = await follow(server, { table })
  const tag = `${handle}:0_0:0_inf`
  const ask = async (match, offset = '0_0') =>
    (await get(server, { table, offset, handle }, { headers: { 'if-none-match': match } })).status
  for (const same of [`"${tag}"`, tag, `"x","${tag}"`, ` "x" , "${tag}" ,"y"`, `W/"x", "${tag}"`, `W/"${tag}"`]) {
    assert.equal(await ask(same), 304, same)
  }
  for (const other of ['*', `W/"${tag}x"`, `"${tag}x"`, '""', `"${handle}:-1:0_0"`, `"${handle}"`]) {
    assert.equal(await ask(other), 200, other)
  }
  assert.equal(await ask(`"x"\t,\t"${tag}"\t`), 304, 'tabs count as spaces')
  const lines = (...values) => {
    const spellings = ['if-none-match', 'If-None-Match', 'IF-NONE-MATCH']
    return { headers: Object.fromEntries(values.map((value, index) => [spellings[index], value])) }
  }
  const at = { table, offset: '0_0', handle }
  assert.equal((await get(server, at, lines(`"${tag}"`, '"x"'))).status, 304, 'lines are one list')
  assert.equal((await get(server, at, lines('"x"', `"y", "${tag}"`, '"z"'))).status, 304)
  assert.equal((await get(server, at, lines('"x"', '"y"', '"z"'))).status, 200)
  assert.equal(await ask(`"${tag}"`, '0_00'), 304, 'the tag has the canonical offset')
  assert.equal(await ask(`"${handle}:now:0_inf"`, 'now'), 200)
})

scenario('F64, F68: every answer has the headers of its situation, and no others', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle, offset } = await follow(server, { table })
  const tag = `"${handle}:0_0:0_inf"`
  const catchUp = 'public, max-age=60, stale-while-revalidate=300'
  const live = 'public, max-age=5, stale-while-revalidate=5'
  const log = ['electric-handle', 'electric-offset', 'electric-has-data', 'etag']
  const situations = {
    start: [{ offset: '-1' }, {}, 200, [...log, 'electric-schema'], /^public, max-age=604800, s-maxage=3600, /],
    'up to date': [{ offset: '0_0', handle }, {}, 200, [...log, 'electric-schema', 'electric-up-to-date'], catchUp],
    now: [{ offset: 'now' }, {}, 200, [...log, 'electric-schema', 'electric-up-to-date'], catchUp],
    'live, no change': [
      { offset, handle, live: 'true' },
      {},
      200,
      [...log, 'electric-cursor', 'electric-up-to-date'],
      live,
    ],
    'not modified': [
      { offset: '0_0', handle },
      { headers: { 'if-none-match': tag } },
      304,
      [...log, 'electric-up-to-date'],
      catchUp,
    ],
    'not modified, live': [
      { offset, handle, live: 'true' },
      { headers: { 'if-none-match': `"${handle}:${offset}:${offset}"` } },
      304,
      [...log, 'electric-cursor', 'electric-up-to-date'],
      live,
    ],
    'another handle': [
      { offset: '0_0', handle: 'nobody-1' },
      {},
      409,
      ['electric-handle', 'etag'],
      'public, max-age=60, must-revalidate',
    ],
    'another handle, posted': [
      { offset: '0_0', handle: 'nobody-1' },
      { method: 'POST' },
      409,
      ['electric-handle', 'etag'],
      'no-cache',
    ],
    wrong: [{ offset: 'x' }, {}, 400, ['surrogate-control'], 'no-store'],
    'wrong, posted': [{ offset: 'x' }, { method: 'POST' }, 400, [], 'no-cache'],
    posted: [
      { offset: '0_0', handle },
      { method: 'POST' },
      200,
      [...log, 'electric-schema', 'electric-up-to-date'],
      'no-cache',
    ],
    subset: [
      { offset: '0_0', handle, subset__where: 'id = 1' },
      {},
      200,
      ['electric-handle', 'electric-offset', 'electric-schema', 'electric-snapshot'],
      'no-cache',
    ],
    'deletion that is not enabled': [{ handle }, { method: 'DELETE' }, 405, [], 'no-cache'],
  }
  const always = [
    'date',
    'vary',
    'x-request-id',
    'electric-server',
    'access-control-allow-origin',
    'access-control-expose-headers',
    'access-control-allow-methods',
    'cache-control',
    'content-type',
  ]
  for (const [what, [params, options, status, names, caching]] of Object.entries(situations)) {
    const response = await get(server, { table, ...params }, options)
    assert.equal(response.status, status, what)
    const framing = status === 304 ? [] : ['content-length']
    assert.deepEqual([...response.headers.keys()].sort(), [...always, ...framing, ...names].sort(), what)
    if (caching instanceof RegExp) assert.match(response.header('cache-control'), caching, what)
    else assert.equal(response.header('cache-control'), caching, what)
    assert.equal(response.header('content-type'), 'application/json; charset=utf-8', what)
    if (names.includes('surrogate-control')) assert.equal(response.header('surrogate-control'), 'no-store', what)
    if (names.includes('electric-has-data')) {
      const unchanged = what === 'now' || what === 'live, no change'
      assert.equal(response.header('electric-has-data'), String(!unchanged), what)
    }
  }
})
