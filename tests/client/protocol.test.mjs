// protocol.test.mjs: what a shape's log says, message by message, byte by byte (spec shape-protocol §8,
// §11, §23). How it is read stands in reading.test.mjs.
import assert from 'node:assert/strict'
import { expectCommonHeaders, expectOnlyUpToDate } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import {
  LogChecker,
  checkLogResponse,
  compareOffsets,
  follow,
  followTo,
  get,
  plainBooleans,
  rowKey,
} from './harness/shapes.mjs'
import { itemColumns, itemRows, itemSchema, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres({ settings: { max_prepared_transactions: 10 } })
const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })

/** A WAL position that every shape will soon report: a published change follows it. */
async function markPosition() {
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${marker} DEFAULT VALUES`)
  return position
}
const marker = await newTable(server, 'id serial PRIMARY KEY')
await follow(server, { table: marker }) // From here on its changes are published.

const key = (table, ...values) => rowKey('public', table, values)
const changesOf = (messages) => messages.filter((message) => message.headers.operation !== undefined)

scenario('an empty table answers -1 with snapshot-end alone, and 0_0 with up-to-date alone', async () => {
  const table = await newTable(server, itemColumns)
  const first = await get(server, { table, offset: '-1', log: 'full' })
  expectCommonHeaders(first)
  const start = checkLogResponse(first, { offset: '-1' })
  assert.equal(start.offset, '0_0')
  assert.equal(start.upToDate, false)
  assert.equal(start.messages.length, 1)
  const { control, xmin, xmax, xip_list: running } = start.messages[0].headers
  assert.equal(control, 'snapshot-end')
  assert.match(xmin, /^[0-9]+$/)
  assert.match(xmax, /^[0-9]+$/)
  assert.ok(BigInt(xmin) <= BigInt(xmax))
  assert.ok(Array.isArray(running) && running.every((xid) => /^[0-9]+$/.test(xid)))
  assert.match(start.handle, /^[A-Za-z0-9._~-]+$/)
  assert.equal(first.header('electric-has-data'), 'true')
  assert.equal(first.header('etag'), `"${start.handle}:-1:0_0"`)
  assert.equal(first.header('cache-control'), 'public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746')
  assert.deepEqual(JSON.parse(first.header('electric-schema')), itemSchema)

  const second = await get(server, { table, offset: '0_0', handle: start.handle, log: 'full' })
  expectCommonHeaders(second)
  const end = checkLogResponse(second, { offset: '0_0' })
  assert.equal(end.offset, '0_inf')
  assert.equal(end.handle, start.handle)
  expectOnlyUpToDate(second)
  assert.equal(second.header('electric-has-data'), 'true')
  assert.equal(second.header('etag'), `"${start.handle}:0_0:0_inf"`)
  assert.equal(second.header('cache-control'), 'public, max-age=60, stale-while-revalidate=300')
})

scenario('the snapshot holds every row with its key and its texts', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const response = await get(server, { table, offset: '-1' })
  const { messages } = checkLogResponse(response, { offset: '-1' })
  assert.equal(messages.at(-1).headers.control, 'snapshot-end')
  const headers = { operation: 'insert', relation: ['public', table] }
  const rows = messages.slice(0, -1).map((row) => ({ ...row, value: plainBooleans(row.value, ['done']) }))
  assert.deepEqual(
    new Map(rows.map((row) => [row.key, row])),
    new Map(
      [
        { key: key(table, '1'), value: { done: 'f', id: '1', note: null, title: 'Buy milk' }, headers },
        { key: key(table, '2'), value: { done: 't', id: '2', note: 'a/b', title: 'Call "Bob"' }, headers },
        { key: key(table, '3'), value: { done: 'f', id: '3', note: '', title: 'Ünïcode' }, headers },
      ].map((row) => [row.key, row]),
    ),
  )
  assert.equal(rows.length, 3)
})

scenario('insert, update and delete arrive as the log entries of the transcripts', async () => {
  const table = await newTable(server, itemColumns)
  const state = await follow(server, { table })
  const poll = async (statement) => {
    const answer = get(
      server,
      { table, offset: state.offset, handle: state.handle, live: 'true', cursor: state.cursor ?? '' },
      { timeoutMs: 20_000 },
    )
    const before = await server.walPosition()
    const [row] = await server.query(`${statement} RETURNING pg_current_xact_id()::xid::text AS xid`)
    let response = await answer
    // The poll may have ended just before the change was committed; the next one brings it.
    for (let again = 0; again < 20 && response.header('electric-has-data') === 'false'; again++) {
      response = await get(server, { table, offset: state.offset, handle: state.handle, live: 'true' })
    }
    const page = checkLogResponse(response, { offset: state.offset, live: true })
    assert.equal(page.messages.length, 2, response.text)
    const [entry, upToDate] = page.messages
    const { lsn } = entry.headers
    assert.ok(BigInt(lsn) >= before)
    assert.deepEqual(entry.headers.txids, [Number(row.xid)])
    assert.equal(page.offset, `${lsn}_0`)
    assert.equal(upToDate.headers.global_last_seen_lsn, lsn)
    assert.equal(response.header('etag'), `"${state.handle}:${state.offset}:${page.offset}"`)
    assert.equal(response.header('cache-control'), 'public, max-age=5, stale-while-revalidate=5')
    assert.equal(response.header('electric-has-data'), 'true')
    expectCommonHeaders(response)
    state.offset = page.offset
    state.cursor = response.header('electric-cursor')
    return { ...entry, headers: { ...entry.headers, txids: 'X', lsn: 'L' } }
  }
  const headers = (operation) => ({
    operation,
    relation: ['public', table],
    lsn: 'L',
    op_position: 0,
    txids: 'X',
    last: true,
  })
  assert.deepEqual(await poll(`INSERT INTO ${table} VALUES (4,'New',false,NULL)`), {
    key: key(table, '4'),
    value: { done: 'f', id: '4', note: null, title: 'New' },
    headers: headers('insert'),
  })
  assert.deepEqual(await poll(`UPDATE ${table} SET done = true WHERE id = 4`), {
    key: key(table, '4'),
    value: { done: 't', id: '4' },
    headers: headers('update'),
  })
  assert.deepEqual(await poll(`DELETE FROM ${table} WHERE id = 4`), {
    key: key(table, '4'),
    value: { id: '4' },
    headers: headers('delete'),
  })
})

scenario('a primary key change is a delete and an insert, and positions grow by two per change', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const other = await newTable(server, 'id int PRIMARY KEY, x int', '(1, 0)')
  const state = await follow(server, { table })
  await follow(server, { table: other })
  await server.query(
    `BEGIN; UPDATE ${other} SET x = 1; UPDATE ${table} SET title = 'Milk!' WHERE id = 1; ` +
      `UPDATE ${table} SET id = 30 WHERE id = 3; COMMIT`,
  )
  const from = state.offset
  const response = await until(async () => {
    const answer = await get(server, { table, offset: from, handle: state.handle })
    return answer.json.length > 1 && answer
  }, 'the transaction to arrive')
  const page = checkLogResponse(response, { offset: from })
  const { lsn, txids } = page.messages[0].headers
  const common = { relation: ['public', table], lsn, txids }
  assert.deepEqual(page.messages, [
    {
      key: key(table, '1'),
      value: { id: '1', title: 'Milk!' },
      headers: { ...common, operation: 'update', op_position: 2 },
    },
    {
      key: key(table, '3'),
      value: { id: '3' },
      headers: { ...common, operation: 'delete', op_position: 4, key_change_to: key(table, '30') },
    },
    {
      key: key(table, '30'),
      value: { done: 'f', id: '30', note: '', title: 'Ünïcode' },
      headers: { ...common, operation: 'insert', op_position: 5, key_change_from: key(table, '3'), last: true },
    },
    { headers: { control: 'up-to-date', global_last_seen_lsn: page.messages[3].headers.global_last_seen_lsn } },
  ])
  assert.ok(BigInt(page.messages[3].headers.global_last_seen_lsn) >= BigInt(lsn))
  assert.equal(page.offset, `${lsn}_5`)

  const etag = response.header('etag')
  assert.equal(etag, `"${state.handle}:${from}:${lsn}_5"`)
  const again = await get(
    server,
    { table, offset: from, handle: state.handle },
    { headers: { 'if-none-match': `"other", ${etag}` } },
  )
  assert.equal(again.status, 304)
  expectCommonHeaders(again)
  assert.equal(again.header('etag'), etag)
  assert.equal(again.header('electric-handle'), state.handle)
  assert.equal(again.header('electric-offset'), page.offset)
  assert.equal(again.header('electric-up-to-date'), '')
  assert.equal(again.header('electric-schema'), undefined)
  assert.equal(again.header('cache-control'), 'public, max-age=60, stale-while-revalidate=300')
  const changed = await get(
    server,
    { table, offset: from, handle: state.handle },
    { headers: { 'if-none-match': `"${state.handle}:${from}:1_0"` } },
  )
  assert.equal(changed.status, 200)
})

scenario('positions count every table that a TRUNCATE names, if it is published', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY')
  const others = []
  for (let index = 0; index < 3; index++) {
    others.push(await newTable(server, 'id int PRIMARY KEY', '(1)'))
    if (index < 2) await follow(server, { table: others[index] })
  }
  const state = await follow(server, { table })
  await server.query(`BEGIN; INSERT INTO ${table} VALUES (1); TRUNCATE ${others}; INSERT INTO ${table} VALUES (2); COMMIT`)
  const entries = []
  await until(async () => {
    const page = checkLogResponse(await get(server, { table, offset: state.offset, handle: state.handle }))
    entries.splice(0, entries.length, ...changesOf(page.messages))
    return entries.length > 0
  }, 'the transaction to arrive')
  assert.deepEqual(
    entries.map(({ value, headers }) => [value.id, headers.op_position, headers.last]),
    [
      ['1', 0, undefined],
      ['2', 6, true],
    ],
  )
})

scenario('a prepared transaction counts from its COMMIT PREPARED, also over a crash of ours', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY')
  const state = await follow(server, { table })
  const prepare = (id) =>
    server.query(`BEGIN; INSERT INTO ${table} VALUES (${id}), (${id + 1}); PREPARE TRANSACTION '${table}_${id}'`)
  for (const id of [1, 11, 21]) await prepare(id)
  const [{ xid }] = await server.query(`SELECT transaction AS xid FROM pg_prepared_xacts WHERE gid = '${table}_11'`)
  await server.query(`INSERT INTO ${table} VALUES (100)`)
  await followTo(server, { table }, state, await markPosition())
  assert.deepEqual([...state.checker.rows.values()], [{ id: '100' }], 'what is only prepared is not there')
  await server.query(`COMMIT PREPARED '${table}_1'`)
  await server.restart()
  await server.query(`ROLLBACK PREPARED '${table}_21'`)
  const before = await server.walPosition()
  await server.query(`COMMIT PREPARED '${table}_11'`)
  await followTo(server, { table }, state, await markPosition())
  const ids = [...state.checker.rows.values()].map((row) => row.id)
  assert.deepEqual(ids, ['100', '1', '2', '11', '12'], 'in the order of their commits')
  const entries = changesOf(state.messages).filter((message) => message.value.id.startsWith('1') && message.value.id < 100)
  const last = entries.at(-1)
  assert.equal(last.value.id, '12')
  assert.deepEqual(last.headers.txids, [Number(xid)])
  assert.ok(BigInt(last.headers.lsn) >= before)
  const fresh = await follow(server, { table })
  assert.deepEqual(fresh.checker.rows, state.checker.rows)
})

scenario('columns and where decide what a shape holds, and rows move in and out of it', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const shape = { table, columns: '"id","title"', where: 'done = $1', 'params[1]': 'true' }
  const state = await follow(server, shape)
  assert.deepEqual(state.schema, { id: itemSchema.id, title: itemSchema.title })
  assert.deepEqual(
    changesOf(state.messages).map(({ key, value }) => ({ key, value })),
    [{ key: key(table, '2'), value: { id: '2', title: 'Call "Bob"' } }],
  )
  for (const statement of [
    `INSERT INTO ${table} VALUES (4,'New',false,NULL)`, // never visible
    `UPDATE ${table} SET done = true WHERE id = 4`, // moves in
    `DELETE FROM ${table} WHERE id = 4`,
    `UPDATE ${table} SET done = true WHERE id = 1`,
    `UPDATE ${table} SET note = 'x' WHERE id = 1`, // an unselected column
    `UPDATE ${table} SET done = false WHERE id = 1`, // moves out
  ])
    await server.query(statement)
  const seen = state.messages.length
  await followTo(server, shape, state, await markPosition())
  assert.deepEqual(
    changesOf(state.messages.slice(seen)).map(({ key, value, headers }) => [
      headers.operation,
      key,
      value,
      headers.last,
    ]),
    [
      ['insert', key(table, '4'), { id: '4', title: 'New' }, true],
      ['delete', key(table, '4'), { id: '4' }, true],
      ['insert', key(table, '1'), { id: '1', title: 'Buy milk' }, true],
      ['delete', key(table, '1'), { id: '1' }, true],
    ],
  )
})

scenario('replica=full sends whole rows and the old values of what changed', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const shape = { table, replica: 'full' }
  const state = await follow(server, shape)
  await server.query(`UPDATE ${table} SET title = 'Oat milk', note = 'x' WHERE id = 1`)
  await server.query(`UPDATE ${table} SET id = 20 WHERE id = 2`)
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  const seen = state.messages.length
  await followTo(server, shape, state, await markPosition())
  const changes = changesOf(state.messages.slice(seen))
  const full = { done: 'f', id: '1', note: 'x', title: 'Oat milk' }
  const bob = { done: 't', note: 'a/b', title: 'Call "Bob"' }
  assert.deepEqual(
    changes.map(({ value, old_value: old, headers }) => ({ operation: headers.operation, value, old })),
    [
      { operation: 'update', value: full, old: { title: 'Buy milk', note: null } },
      { operation: 'delete', value: { id: '2', ...bob }, old: undefined },
      { operation: 'insert', value: { id: '20', ...bob }, old: undefined },
      { operation: 'delete', value: full, old: undefined },
    ],
  )
})

scenario('F10: a large value that an update leaves alone is still known', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, big text, n int')
  await server.query(
    `ALTER TABLE ${table} ALTER big SET STORAGE EXTERNAL; INSERT INTO ${table} VALUES (1, repeat('toast', 40000), 1)`,
  )
  const shapes = [{ table }, { table, replica: 'full' }, { table, where: 'n > 1' }]
  const states = await Promise.all(shapes.map((shape) => follow(server, shape)))
  await server.query(`UPDATE ${table} SET n = 2`)
  const position = await markPosition()
  await Promise.all(shapes.map((shape, index) => followTo(server, shape, states[index], position)))
  const big = 'toast'.repeat(40_000)
  const changes = states.map((state) => changesOf(state.messages).at(-1))
  assert.deepEqual(
    changes.map(({ value, headers }) => [headers.operation, value]),
    [
      ['update', { id: '1', n: '2' }],
      ['update', { id: '1', big, n: '2' }],
      ['insert', { id: '1', big, n: '2' }],
    ],
  )
  assert.deepEqual(changes[1].old_value, { n: '1' })
})

scenario('F17: an update of unselected columns only is not an entry', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const state = await follow(server, { table, columns: 'id,title' })
  await server.query(`UPDATE ${table} SET note = 'unseen'`)
  await server.query(`UPDATE ${table} SET title = title || '!' WHERE id = 2`)
  const seen = state.messages.length
  await followTo(server, { table, columns: 'id,title' }, state, await markPosition())
  assert.deepEqual(
    changesOf(state.messages.slice(seen)).map((entry) => entry.value),
    [{ id: '2', title: 'Call "Bob"!' }],
  )
})

scenario('following the log from nothing ends in the table, with every entry once and in order', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, n int, body text')
  const shape = { table }
  await follow(server, shape)
  await server.query(`INSERT INTO ${table} SELECT i, 0, rpad('', 300, 'b') FROM generate_series(1, 100) i`)
  for (let round = 1; round <= 5; round++) {
    await server.query(
      `UPDATE ${table} SET n = n + ${round} WHERE id % ${round + 1} = 0; DELETE FROM ${table} WHERE id % 17 = ${round}`,
    )
  }
  const position = await server.walPosition()
  await server.query(`INSERT INTO ${table} VALUES (1000, 1000, '')`)
  const state = await until(async () => {
    const all = await follow(server, shape, { checker: new LogChecker(table) })
    return all.checker.seen >= position && all
  }, 'all entries to arrive')
  let last = '-1'
  for (const response of state.responses) {
    const offset = response.header('electric-offset')
    assert.ok(compareOffsets(offset, last) > 0)
    last = offset
  }
  const expected = await server.query(`SELECT * FROM ${table} ORDER BY id`)
  const found = [...state.checker.rows.values()].sort((a, b) => Number(a.id) - Number(b.id))
  assert.deepEqual(found, expected)
})

scenario('an untouched shape soon reports the LSN that another shape delivered', async () => {
  const touched = await newTable(server, 'id int PRIMARY KEY')
  const still = await newTable(server, 'id int PRIMARY KEY')
  const one = await follow(server, { table: touched })
  const two = await follow(server, { table: still })
  await server.query(`INSERT INTO ${touched} VALUES (1)`)
  const page = await until(async () => {
    const response = await get(server, { table: touched, offset: one.offset, handle: one.handle, live: 'true' })
    return changesOf(response.json).length === 1 && response.json
  }, 'the insert to arrive')
  const lsn = BigInt(page[0].headers.lsn)
  await until(
    async () => {
      const response = await get(server, { table: still, offset: two.offset, handle: two.handle })
      assert.equal(response.header('electric-offset'), two.offset)
      return expectOnlyUpToDate(response) >= lsn
    },
    `the untouched shape to report ${lsn}`,
    { deadlineMs: 3_000 },
  )
})
