// parameters.test.mjs: what a request may ask for: bad parameters and their 400s, the identity of
// shapes, where clauses against PostgreSQL itself, types and their texts (spec §5, §6, §11.2, §11.3,
// §12, §17). How requests are spelt stands in spelling.test.mjs.
import assert from 'node:assert/strict'
import { expectCommonHeaders, expectInvalid } from './harness/expect.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get, rowKey } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const sql = `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows};
  CREATE VIEW item_view AS SELECT * FROM items;
  CREATE TABLE marker (id serial PRIMARY KEY)`
const server = await stageBusbar(postgres, { sql, env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })
await follow(server, { table: 'marker' })

async function markPosition() {
  const position = await server.walPosition()
  await server.query('INSERT INTO marker DEFAULT VALUES')
  return position
}

const table = 'items'
const invalid = [
  ['offset', 'absent', { table }],
  ['offset', 'empty', { table, offset: '' }],
  ['offset', 'a word', { table, offset: 'latest' }],
  ['offset', 'no position', { table, offset: '10' }],
  ['offset', 'three parts', { table, offset: '1_2_3' }],
  ['offset', 'a negative position', { table, offset: '0_-1' }],
  ['offset', 'whitespace', { table, offset: ' 0_0' }],
  ['offset', 'too large', { table, offset: '18446744073709551616_0', handle: 'x' }],
  ['offset', 'a position too large', { table, offset: '1_99999999999999999999', handle: 'x' }],
  ['handle', 'absent', { table, offset: '0_0' }],
  ['handle', 'empty', { table, offset: '0_inf', handle: ' ' }],
  ['live', 'with offset -1', { table, offset: '-1', live: 'true' }],
  ['live', 'with offset now', { table, offset: 'now', live: '' }],
  ['live_sse', 'without live', { table, offset: '0_0', handle: 'x', live_sse: 'true' }],
  ['live_sse', 'the old name without live', { table, offset: '0_0', handle: 'x', experimental_live_sse: 'true' }],
  ['table', 'absent', { offset: '-1' }],
  ['table', 'empty', { table: '', offset: '-1' }],
  ['table', 'unknown', { table: 'nothing_here', offset: '-1' }],
  ['table', 'unknown schema', { table: 'nowhere.items', offset: '-1' }],
  ['table', 'a view', { table: 'item_view', offset: '-1' }],
  ['table', 'too many parts', { table: 'a.b.c', offset: '-1' }],
  ['table', 'not an identifier', { table: '1items', offset: '-1' }],
  ['table', 'a lone quote', { table: '"it"ems"', offset: '-1' }],
  ['table', 'too long', { table: 'x'.repeat(64), offset: '-1' }],
  ['table', 'case-folded wrongly', { table: '"Items"', offset: '-1' }],
  ['columns', 'unknown', { table, offset: '-1', columns: 'id,nothing' }],
  ['columns', 'without the primary key', { table, offset: '-1', columns: 'title' }],
  ['columns', 'with whitespace', { table, offset: '-1', columns: 'id, title' }],
  ['columns', 'with an empty item', { table, offset: '-1', columns: 'id,,title' }],
  ['replica', 'unknown', { table, offset: '-1', replica: 'FULL' }],
  ['log', 'unknown', { table, offset: '-1', log: 'some' }],
  ['params', 'not an object', { table, offset: '-1', where: 'id = $1', params: '["1"]' }],
  ['params', 'not numeric', { table, offset: '-1', where: 'id = $1', 'params[a]': '1' }],
  ['params', 'with a gap', { table, offset: '-1', where: 'id = $1', 'params[1]': '1', 'params[3]': '1' }],
  ['where', 'unknown column', { table, offset: '-1', where: 'nothing = 1' }],
  ['where', 'not boolean', { table, offset: '-1', where: 'id' }],
  ['where', 'wrong types', { table, offset: '-1', where: `id = 'abc'` }],
  ['where', 'incomparable', { table, offset: '-1', where: 'done = 1' }],
  ['where', 'a syntax error', { table, offset: '-1', where: 'id = = 1' }],
  ['where', 'two statements', { table, offset: '-1', where: 'true; DROP TABLE items' }],
  ['where', 'more than a condition', { table, offset: '-1', where: 'true ORDER BY id' }],
  ['where', 'an aggregate', { table, offset: '-1', where: 'count(*) > 1' }],
  ['where', 'a volatile function', { table, offset: '-1', where: 'random() > 0.5' }],
]

for (const [field, what, params] of invalid) {
  scenario(`F66: 400 on ${field}: ${what}`, async () => {
    const response = await get(server, params)
    for (const text of expectInvalid(response, field)) assert.ok(!text.includes('undefined'))
    expectCommonHeaders(response)
  })
}

scenario('a syntax error in where names its position, byte for byte as the client tests expect', async () => {
  const response = await get(server, { table, offset: '-1', where: '1 x 1' })
  assert.equal(
    response.text,
    '{"message":"Invalid request","errors":{"where":["At location 17: syntax error at or near \\"x\\""]}}',
  )
  expectInvalid(response, 'where')
})

scenario('a construct that is not supported is refused with its position', async () => {
  for (const where of ['id = abs(id)', "title ~ 'x'", 'EXISTS (SELECT 1)']) {
    const response = await get(server, { table, offset: '-1', where })
    if (response.status === 200) continue // The language may grow.
    assert.match(expectInvalid(response, 'where')[0], /^At location \d+: /, where)
  }
})

scenario('type errors of several parameters are reported together', async () => {
  const response = await get(server, { table, replica: 'x', log: 'y' })
  assert.equal(response.status, 400)
  assert.deepEqual(Object.keys(response.json.errors).sort(), ['log', 'offset', 'replica'])
})

scenario('bytes that are not UTF-8 are a 400 without body; a malformed escape is taken literally', async () => {
  const bad = await request(server, '/v1/shape?table=%ff&offset=-1')
  assert.equal(bad.status, 400)
  assert.equal(bad.body.length, 0)
  expectInvalid(await request(server, '/v1/shape?table=%zz&offset=-1'), 'table')
  expectInvalid(await request(server, '/v1/shape?table=items&offset=-1&where=%00'), 'where')
})

scenario('the last of repeated parameters counts, unknown ones are ignored, + is a space', async () => {
  const one = await get(server, { table, offset: '-1' })
  const handle = one.header('electric-handle')
  for (const query of [
    'table=nothing&table=items&offset=now&offset=-1',
    'table=items&offset=-1&cache-buster=1-2&expired_handle=x&source_id=q&custom=%F0%9F%90%98&database_id',
    'table=public.items&offset=-1&where=&columns=+&replica=default&log=full',
    'table=%22public%22.%22items%22&offset=-1_0&handle=whatever',
    'table=ITEMS&offset=-1',
  ]) {
    const response = await request(server, `/v1/shape?${query}`)
    assert.equal(response.status, 200, `${query}: ${response.text}`)
    assert.equal(response.header('electric-handle'), handle, query)
  }
})

scenario('identity: order of columns is nothing, listing all of them is something', async () => {
  const handleOf = async (params) => {
    const response = await get(server, { table, offset: '-1', ...params })
    assert.equal(response.status, 200, response.text)
    return response.header('electric-handle')
  }
  const all = await handleOf({})
  const some = await handleOf({ columns: 'id,title' })
  assert.equal(await handleOf({ columns: '"title","id"' }), some)
  assert.equal(await handleOf({ columns: 'id,title,id' }), some)
  assert.notEqual(await handleOf({ columns: 'id,title,done,note' }), all)
  assert.notEqual(await handleOf({ replica: 'full' }), all)
  const five = await handleOf({ where: 'id = $1', 'params[1]': '5' })
  assert.equal(await handleOf({ where: 'id = 5' }), five)
  assert.notEqual(await handleOf({ where: 'id = $1', 'params[1]': '6' }), five)
  assert.equal(await handleOf({ 'params[1]': '6' }), all, 'params without where are ignored')
})

scenario('F52: many first requests at once get one handle', async () => {
  const fresh = await newTable(server, itemColumns, itemRows)
  const responses = await Promise.all(Array.from({ length: 30 }, () => get(server, { table: fresh, offset: '-1' })))
  assert.deepEqual([...new Set(responses.map((response) => response.status))], [200])
  assert.equal(new Set(responses.map((response) => response.header('electric-handle'))).size, 1)
  assert.equal(new Set(responses.map((response) => response.text)).size, 1)
})

const measures = `id int PRIMARY KEY, n int, big bigint, small smallint, name text, label varchar(20), flag bool,
  tag uuid, amount numeric(20,6), day date, at timestamp, atz timestamptz`
const uuid = (digit) =>
  `${digit.repeat(8)}-${digit.repeat(4)}-4${digit.repeat(3)}-8${digit.repeat(3)}-${digit.repeat(12)}`
const names = ['ann', 'Bob', "o''hara", 'ünï/code', '']

/** Row `id` of the table `measures`: every type, small domains, each ninth row all NULL. */
function measureRow(id) {
  if (id % 9 === 0) return `(${[id, ...Array(11).fill('NULL')].join(', ')})`
  const month = 1 + (id % 9)
  return `(${[
    id,
    ((id * 7) % 11) - 5,
    (id % 2 ? 1n : -1n) * (9007199254740990n + BigInt(id % 5)),
    id % 4,
    `'${names[id % 5]}'`,
    `'${'xyz'[id % 3]}'`,
    id % 3 === 0,
    `'${uuid('abc123'[id % 6])}'`,
    `${(id % 13) - 6}.${String(id % 7).repeat(3)}`,
    `'2024-0${month}-15'`,
    `'2024-0${month}-15 12:00:00.${id % 4}'`,
    `'2024-06-15 0${id % 10}:00:00+0${id % 3}'`,
  ].join(', ')})`
}

const clauses = [
  'n = 3',
  'n <> 3',
  'n != 3',
  '3 < n',
  'n <= 3',
  'n > -2 AND n < 4',
  'NOT (n > 0)',
  'n = 1 OR n = 2 OR n IS NULL',
  'n IN (1, 2, -3)',
  'n NOT IN (1, 2)',
  'n NOT IN (1, NULL)',
  'n IN (1, NULL)',
  'n IS NULL',
  'n IS NOT NULL',
  'NOT (n IS NULL)',
  'n = NULL',
  'n = small',
  'big = 9007199254740993',
  'big > 9007199254740991',
  'big = -9007199254740992',
  'small IN (0, 3)',
  `name = 'Bob'`,
  `name <> ''`,
  `name = ''`,
  `name IN ('ann', 'o''hara')`,
  `name = 'ünï/code'`,
  `label = 'x'`,
  `label IN ('y','z')`,
  'flag',
  'NOT flag',
  'flag = true',
  'flag = false',
  'flag IS NULL',
  'flag OR n > 2',
  'flag AND NOT n = 1',
  'true',
  'false',
  `tag = '${uuid('a')}'`,
  `tag IN ('${uuid('b').toUpperCase()}', '${uuid('1')}')`,
  `tag <> '${uuid('a')}'`,
  'amount > 0',
  'amount = 1.111',
  'amount = 1.1110000',
  'amount >= -2.5',
  'amount < 1e0',
  'amount IN (0.000, -6)',
  `day >= '2024-05-01'`,
  `day = '2024-03-15'`,
  `at < '2024-04-15 12:00:00.25'`,
  `at = '2024-02-15 12:00:00.1'`,
  `atz >= '2024-06-15 03:00:00+00'`,
  `atz = '2024-06-15 05:00:00+02'`,
  `atz < '2024-06-15T04:30:00Z' AND n > 0`,
  `(n > 0 AND (name = 'ann' OR flag)) OR (n IS NULL AND id > 50)`,
  `NOT (n > 0 OR flag)`,
]

scenario(
  'F08: every where clause holds the rows that PostgreSQL selects, from snapshot and from stream',
  async () => {
    const values = (from, to) => Array.from({ length: to - from }, (_, i) => measureRow(from + i)).join(', ')
    const name = await newTable(server, measures, values(1, 60))
    const states = []
    for (const where of clauses) {
      const shape = { table: name, where, columns: 'id' }
      const first = await get(server, { ...shape, offset: '-1' })
      assert.equal(first.status, 200, `${where}: ${first.text}`)
      states.push({ where, shape, state: await follow(server, shape) })
    }
    const compare = async (when) => {
      for (const { where, state } of states) {
        const rows = await server.query(`SELECT id FROM ${name} WHERE ${where} ORDER BY id`)
        const ids = [...state.checker.rows.values()].map((row) => row.id).sort((a, b) => a - b)
        assert.deepEqual(
          ids,
          rows.map((row) => row.id),
          `${when}: ${where}`,
        )
      }
    }
    await compare('snapshot')
    await server.query(`INSERT INTO ${name} VALUES ${values(60, 90)}`)
    await server.query(
      `UPDATE ${name} SET n = n + 1, flag = NOT flag, amount = -amount, atz = atz + interval '1 hour' WHERE id % 2 = 0`,
    )
    await server.query(
      `UPDATE ${name} SET name = NULL, n = NULL WHERE id % 5 = 0; DELETE FROM ${name} WHERE id % 7 = 0`,
    )
    const position = await markPosition()
    await Promise.all(states.map(({ shape, state }) => followTo(server, shape, state, position)))
    await compare('stream')
  },
  { deadlineMs: 120_000 },
)

scenario('F65: twenty-five parameters keep their numbers', async () => {
  const params = Object.fromEntries(
    Array.from({ length: 25 }, (_, i) => [`params[${i + 1}]`, String(i === 10 ? 2 : 100 + i)]),
  )
  const where = Array.from({ length: 25 }, (_, i) => `id = $${i + 1}`).join(' OR ')
  const state = await follow(server, { table, where, ...params })
  assert.deepEqual(
    [...state.checker.rows.values()].map((row) => row.id),
    ['2'],
  )
})

scenario('F15: every type has one text in snapshot and stream, and its place in electric-schema', async () => {
  const columns = `id int8 PRIMARY KEY, b bool, i2 int2, f4 float4, f8 float8, num numeric(10,2), bare numeric, c char(5), v varchar(7),
    js json, jb jsonb, bytes bytea, ts timestamp(3), tz timestamptz NOT NULL, d date, ti time, iv interval, u uuid, ai int[],
    at text[][], ip inet`
  const row = (
    id,
  ) => `(${id}, true, -3, 0.1, 1e300, 12.5, 'NaN', 'ab', 'vee', '{"a": [1, null]}', '{"b":  2}', '\\x00ff', '2024-01-02 03:04:05.678',
    '2024-01-02 03:04:05+02', '2024-02-29', '23:59:59.5', '1 year 2 days 03:00', '${uuid('a')}', '{1,NULL,3}', '{{"a,b","c\\"d"},{"",NULL}}', '10.0.0.0/8')`
  const name = await newTable(server, columns, row(1))
  const state = await follow(server, { table: name })
  await server.query(`INSERT INTO ${name} VALUES ${row(2)}`)
  await followTo(server, { table: name }, state, await markPosition())
  const expected = await server.query(`SELECT * FROM ${name} ORDER BY id`)
  for (const [index, want] of expected.entries()) {
    const got = state.checker.rows.get(rowKey('public', name, [want.id]))
    assert.ok(got, `row ${want.id}`)
    assert.deepEqual(got, want, index === 0 ? 'snapshot' : 'stream')
  }
  assert.deepEqual(state.schema, {
    id: { type: 'int8', not_null: true, pk_index: 0 },
    b: { type: 'bool' },
    i2: { type: 'int2' },
    f4: { type: 'float4' },
    f8: { type: 'float8' },
    num: { type: 'numeric', precision: 10, scale: 2 },
    bare: { type: 'numeric' },
    c: { type: 'bpchar', length: 5 },
    v: { type: 'varchar', max_length: 7 },
    js: { type: 'json' },
    jb: { type: 'jsonb' },
    bytes: { type: 'bytea' },
    ts: { type: 'timestamp', precision: 3 },
    tz: { type: 'timestamptz', not_null: true },
    d: { type: 'date' },
    ti: { type: 'time' },
    iv: { type: 'interval' },
    u: { type: 'uuid' },
    ai: { type: 'int4', dims: 1 },
    at: { type: 'text', dims: 2 },
    ip: { type: 'inet' },
  })
})

scenario('F09: keys are the same from snapshot and stream, whatever the names and values', async () => {
  const nasty = ['plain', 'a/b', 'a//b', '"quoted"', 'dot.dot', '', 'ü €🐘', '\\back\\', 'tab\tand\nline', `it's`]
  await server.query(
    `CREATE SCHEMA "we/ird.schema"; CREATE TABLE "we/ird.schema"."ta/b.le ""x""" ("k.1" text, "k/2" int, "v""al" text, PRIMARY KEY ("k/2", "k.1"))`,
  )
  const client = await server.client()
  const insert = 'INSERT INTO "we/ird.schema"."ta/b.le ""x""" VALUES ($1, $2, $3)'
  for (const value of nasty) await client.query(insert, [value, 1, value])
  const shape = { table: '"we/ird.schema"."ta/b.le ""x"""' }
  const state = await follow(server, shape)
  for (const value of nasty) await client.query(insert, [value, 2, value])
  await client.end()
  await followTo(server, shape, state, await markPosition())
  const relation = ['we/ird.schema', 'ta/b.le "x"']
  const expected = [1, 2].flatMap((n) =>
    nasty.map((value) => [rowKey(...relation, [String(n), value]), { 'k.1': value, 'k/2': String(n), 'v"al': value }]),
  )
  assert.deepEqual(new Map([...state.checker.rows].sort()), new Map(expected.sort()))
  for (const message of state.messages) if (message.key) assert.deepEqual(message.headers.relation, relation)
  assert.deepEqual(state.schema, {
    'k.1': { type: 'text', not_null: true, pk_index: 1 },
    'k/2': { type: 'int4', not_null: true, pk_index: 0 },
    'v"al': { type: 'text' },
  })
})

scenario('a non-ASCII column name travels escaped in electric-schema', async () => {
  const name = await newTable(server, 'id int PRIMARY KEY, "größe" text', `(1, 'x')`)
  const response = await get(server, { table: name, offset: '-1' })
  assert.match(response.header('electric-schema'), /^[\x20-\x7e]*$/)
  assert.deepEqual(Object.keys(JSON.parse(response.header('electric-schema'))).sort(), ['größe', 'id'])
  const chosen = await get(server, { table: name, offset: '-1', columns: '"id","größe"' })
  assert.equal(chosen.status, 200, chosen.text)
  assert.deepEqual(chosen.json[0].value, { id: '1', größe: 'x' })
})

scenario('F08: a table without primary key uses all columns as key, with _ for NULL', async () => {
  const name = await newTable(server, 'a int, b text', `(1, NULL), (2, 'x/y')`)
  const state = await follow(server, { table: name })
  await server.query(`UPDATE ${name} SET b = 'now' WHERE a = 1; DELETE FROM ${name} WHERE a = 2`)
  const seen = state.messages.length
  await followTo(server, { table: name }, state, await markPosition())
  assert.deepEqual(
    state.messages
      .slice(0, 2)
      .map((message) => message.key)
      .sort(),
    [rowKey('public', name, ['1', null]), rowKey('public', name, ['2', 'x/y'])].sort(),
  )
  const [before, after] = [rowKey('public', name, ['1', null]), rowKey('public', name, ['1', 'now'])]
  assert.deepEqual(
    state.messages
      .slice(seen)
      .filter((m) => m.key)
      .map(({ key, value, headers }) => [
        headers.operation,
        key,
        value,
        headers.key_change_to ?? headers.key_change_from,
      ]),
    [
      ['delete', before, { a: '1', b: null }, after],
      ['insert', after, { a: '1', b: 'now' }, before],
      ['delete', rowKey('public', name, ['2', 'x/y']), { a: '2', b: 'x/y' }, undefined],
    ],
  )
})
