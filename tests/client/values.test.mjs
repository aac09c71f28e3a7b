// values.test.mjs: what a row looks like: its type in electric-schema (spec §12), its text (§11.3),
// its key (§11.2), and which of its columns an operation shows (§11.3–11.5).
import assert from 'node:assert/strict'
import { expectInvalid } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, rowKey } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { sql: 'CREATE TABLE marker (n int)', env: { BUSBAR_LONG_POLL_TIMEOUT: '2s' } })
await follow(server, { table: 'marker' })

/** Follows until all that has been committed by now is there; returns the changes since `state`. */
async function changesSince(shape, state) {
  const from = state.messages.length
  const position = await server.walPosition()
  await server.query('INSERT INTO marker VALUES (1)') // so that the stream passes that position
  await until(async () => {
    const page = await follow(server, shape, state)
    Object.assign(state, { offset: page.offset, messages: [...state.messages, ...page.messages] })
    return state.checker.seen >= position
  }, `the log to reach ${position}`)
  return state.messages.slice(from).filter((message) => message.key)
}

/** Operation, key without the table, value, old value, key change: what a change shows. */
const inShort = (changes) =>
  changes.map(({ headers, key, value, old_value }) => {
    const short = [headers.operation, key.split('/').slice(1).join('/'), value]
    const other = headers.key_change_to ?? headers.key_change_from
    if (old_value) short.push(old_value)
    if (other) short.push(`${headers.key_change_to ? 'to' : 'from'} ${other.split('/').slice(1).join('/')}`)
    return short
  })

const modifiers = {
  'bool': { type: 'bool' },
  'int8': { type: 'int8' },
  'varchar': { type: 'varchar' },
  'varchar(7)': { type: 'varchar', max_length: 7 },
  'text': { type: 'text' },
  'char(5)': { type: 'bpchar', length: 5 },
  'char': { type: 'bpchar', length: 1 },
  'bpchar': { type: 'bpchar' },
  '"char"': { type: 'char' },
  'name': { type: 'name' },
  'bit': { type: 'bit', length: 1 },
  'bit(9)': { type: 'bit', length: 9 },
  'varbit': { type: 'varbit' },
  'varbit(4)': { type: 'varbit', length: 4 },
  'numeric': { type: 'numeric' },
  'numeric(10)': { type: 'numeric', precision: 10, scale: 0 },
  'numeric(10,2)': { type: 'numeric', precision: 10, scale: 2 },
  'numeric(5,-3)': { type: 'numeric', precision: 5, scale: -3 },
  'numeric(3,7)': { type: 'numeric', precision: 3, scale: 7 },
  'numeric(1000,1000)': { type: 'numeric', precision: 1000, scale: 1000 },
  'time': { type: 'time' },
  'time(0)': { type: 'time', type_mod: 0 },
  'time(2)': { type: 'time', precision: 2 },
  'timetz(3)': { type: 'timetz', precision: 3 },
  'timestamp(0)': { type: 'timestamp', type_mod: 0 },
  'timestamp(6)': { type: 'timestamp', precision: 6 },
  'timestamptz': { type: 'timestamptz' },
  'timestamptz(1)': { type: 'timestamptz', precision: 1 },
  'interval': { type: 'interval' },
  'interval(3)': { type: 'interval', precision: 3 },
  'interval(0)': { type: 'interval', precision: 0 },
  'interval year': { type: 'interval', fields: 'YEAR' },
  'interval month': { type: 'interval', fields: 'MONTH' },
  'interval day': { type: 'interval', fields: 'DAY' },
  'interval hour': { type: 'interval', fields: 'HOUR' },
  'interval minute': { type: 'interval', fields: 'MINUTE' },
  'interval second': { type: 'interval', fields: 'SECOND' },
  'interval second(2)': { type: 'interval', fields: 'SECOND', precision: 2 },
  'interval year to month': { type: 'interval', fields: 'YEAR TO MONTH' },
  'interval day to hour': { type: 'interval', fields: 'DAY TO HOUR' },
  'interval day to minute': { type: 'interval', fields: 'DAY TO MINUTE' },
  'interval day to second(4)': { type: 'interval', fields: 'DAY TO SECOND', precision: 4 },
  'interval hour to minute': { type: 'interval', fields: 'HOUR TO MINUTE' },
  'interval hour to second': { type: 'interval', fields: 'HOUR TO SECOND' },
  'interval minute to second': { type: 'interval', fields: 'MINUTE TO SECOND' },
  'int4[]': { type: 'int4', dims: 1 },
  'int4[3][4]': { type: 'int4', dims: 2 },
  'varchar(3)[]': { type: 'varchar', dims: 1, max_length: 3 },
  'numeric(4,1)[][]': { type: 'numeric', dims: 2, precision: 4, scale: 1 },
  'interval day to second(1)[]': { type: 'interval', dims: 1, fields: 'DAY TO SECOND', precision: 1 },
  'mood': { type: 'mood' },
  'mood[]': { type: 'mood', dims: 1 },
  'word': { type: 'word' },
  'word[]': { type: 'word', dims: 1 },
  'pair': { type: 'pair' },
  'pair[]': { type: 'pair', dims: 1 },
  'int4range': { type: 'int4range' },
  'json': { type: 'json' },
  'jsonb': { type: 'jsonb' },
  'uuid': { type: 'uuid' },
  'point': { type: 'point' },
  'int2vector': { type: 'int2vector' },
  'money': { type: 'money' },
}

scenario('electric-schema tells every type and modifier', async () => {
  await server.query(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN word AS varchar(9); CREATE TYPE pair AS (a int, b text)`)
  const names = Object.keys(modifiers)
  const table = await newTable(server, `id int2 PRIMARY KEY, ${names.map((type, i) => `c${i} ${type}`).join(', ')}`)
  const response = await get(server, { table, offset: '-1' })
  assert.equal(response.status, 200, response.text)
  const { id, ...others } = JSON.parse(response.header('electric-schema'))
  assert.deepEqual(id, { type: 'int2', not_null: true, pk_index: 0 })
  assert.deepEqual(Object.fromEntries(names.map((type, i) => [type, others[`c${i}`]])), modifiers)
})

scenario('electric-schema is ASCII whatever the columns are called', async () => {
  const names = ['größe', '数量', '🐘 elephant', 'tab\there', 'quo"te', 'back\\slash', 'a.b/c', '\u007f', '\u0080']
  const quoted = names.map((name) => `"${name.replaceAll('"', '""')}"`)
  const table = await newTable(server, `${quoted.map((name) => `${name} int`).join(', ')}, PRIMARY KEY (${quoted[1]}, ${quoted[0]})`)
  const response = await get(server, { table, offset: '-1' })
  const header = response.header('electric-schema')
  assert.match(header, /^[\x20-\x7e]*$/)
  const schema = JSON.parse(header)
  assert.deepEqual(Object.keys(schema).sort(), [...names].sort())
  assert.deepEqual([schema['数量'].pk_index, schema['größe'].pk_index], [0, 1])
  const rows = names.map((_, i) => i)
  await server.query(`INSERT INTO ${table} VALUES (${rows})`)
  const state = await follow(server, { table })
  await changesSince({ table }, state)
  assert.deepEqual([...state.checker.rows.values()], [Object.fromEntries(names.map((name, i) => [name, String(i)]))])
})

const texts = {
  bool: ['true', 'false'],
  inet: [`'10.0.0.1'`, `'10.0.0.0/8'`, `'::1'`, `'fe80::/10'`],
  cidr: [`'10.0.0.0/8'`, `'10.1.2.3/32'`],
  'char(4)': [`'ab'`, `''`, `'abcd'`],
  '"char"': [`'x'`, `'/'`],
  timestamptz: [`'2024-07-01 12:00:00+02'`, `'infinity'`, `'0044-03-15 12:00:00+00 BC'`],
  date: [`'2024-02-29'`, `'-infinity'`],
  interval: [`'1 year 2 mons -3 days 04:05:06.7'`, `'0'`],
  bytea: [`'\\x00ff2f'`, `'\\x'`],
  float8: ['0.1', `'NaN'`, `'-Infinity'`, '1e300', `'-0'`],
  float4: ['0.1', '16777217'],
  numeric: ['1.10', `'NaN'`, '1e20'],
  money: ['12.34', `'-1'`],
  'bool[]': [`'{t,f,NULL}'`],
  'text[]': [`'{"a/b","c,d","e\\"f",NULL,""}'`, `'[2:3]={x,y}'`],
  pair: [`'(1,"a ""b"" /c")'`, `'(,)'`],
  jsonb: [`'{"b": [1, null], "a": "/"}'`],
  int4range: [`'[1,5)'`, `'empty'`],
  text: [`'a/b//c'`, `''`, `'"q" . ö🐘'`, `E'tab\\tline\\nback\\\\slash'`, `'\\N'`, `'NULL'`],
}

scenario('F15: a value has one text and one key from snapshot, subset and stream', async () => {
  const nameless = []
  for (const [type, values] of Object.entries(texts)) {
    const rows = values.map((value, i) => `(${i}, ${value}::${type})`).join(', ')
    const table = await newTable(server, `n int, v ${type}`, rows) // without a key all columns are the key
    const shape = { table }
    const state = await follow(server, shape)
    const fromSnapshot = new Map([...state.checker.rows])
    assert.equal(fromSnapshot.size, values.length)
    const subset = await get(server, { ...shape, offset: state.offset, handle: state.handle, subset__limit: '9', subset__order_by: 'n' })
    assert.equal(subset.status, 200, subset.text)
    const fromSubset = new Map(subset.json.data.map(({ key, value }) => [key, value]))
    assert.deepEqual([...fromSubset].sort(), [...fromSnapshot].sort(), `${type}: subset and snapshot`)
    await server.query(`DELETE FROM ${table}; INSERT INTO ${table} VALUES ${rows}`)
    const changes = await changesSince(shape, state) // the checker refuses a delete of a key that is not there
    assert.equal(changes.length, 2 * values.length, type)
    assert.deepEqual([...state.checker.rows].sort(), [...fromSnapshot].sort(), `${type}: stream and snapshot`)
    for (const [key, { n, v }] of fromSnapshot) assert.equal(key, rowKey('public', table, [n, v]))
    nameless.push(...[...fromSnapshot.values()].map(({ v }) => v))
  }
  assert.ok(['t', 'f', '10.0.0.1', '10.0.0.0/8', 'ab  ', '{t,f,NULL}', '\\x00ff2f', 'P1Y2M-3DT4H5M6.7S'].every((v) => nameless.includes(v)), nameless)
})

scenario('F26: generated columns are refused when asked for, also by not choosing, and can be left out', async () => {
  const table = await newTable(
    server,
    'id int PRIMARY KEY, title text, loud text GENERATED ALWAYS AS (upper(title)) STORED, n int GENERATED ALWAYS AS IDENTITY',
    `(1, 'a')`,
  )
  expectInvalid(await get(server, { table, offset: '-1' }), 'columns')
  expectInvalid(await get(server, { table, offset: '-1', columns: 'id,loud' }), 'columns')
  expectInvalid(await get(server, { table, offset: '-1', queryable_columns: 'id,loud' }), 'queryable_columns')
  const shape = { table, columns: 'id,title,n' }
  const state = await follow(server, shape)
  await server.query(`INSERT INTO ${table} VALUES (2, 'b'); UPDATE ${table} SET title = 'c' WHERE id = 1`)
  assert.deepEqual(inShort(await changesSince(shape, state)), [
    ['insert', '"2"', { id: '2', title: 'b', n: '2' }],
    ['update', '"1"', { id: '1', title: 'c' }],
  ])
})

scenario('F16, F17: what an operation shows: rows that move in and out, keys that change, default and full', async () => {
  const table = await newTable(server, 'a int, b int, title text, done bool, PRIMARY KEY (b, a)', `(1, 1, 'in', true), (2, 1, 'out', false)`)
  const shapes = [
    { table, where: 'done = true', columns: 'a,b,title' },
    { table, where: 'done = true', columns: 'a,b,title', replica: 'full' },
  ]
  const states = await Promise.all(shapes.map((shape) => follow(server, shape)))
  const seen = async (statement) => {
    await server.query(statement)
    return Promise.all(shapes.map(async (shape, i) => inShort(await changesSince(shape, states[i]))))
  }
  const [one, two, nine] = ['"1"/"1"', '"1"/"2"', '"1"/"9"']
  const whole = (a, title) => ({ a, b: '1', title })
  const cases = [
    ['a column that is not selected', `UPDATE ${table} SET done = true WHERE a = 1`, [], []],
    ['a row comes in', `UPDATE ${table} SET done = true WHERE a = 2`, [['insert', two, whole('2', 'out')]]],
    [
      'a selected column changes',
      `UPDATE ${table} SET title = 'new' WHERE a = 2`,
      [['update', two, whole('2', 'new')]],
      [['update', two, whole('2', 'new'), { title: 'out' }]],
    ],
    [
      'a row goes out, and changes',
      `UPDATE ${table} SET done = false, title = 'gone' WHERE a = 2`,
      [['delete', two, { a: '2', b: '1' }]],
      [['delete', two, whole('2', 'new')]],
    ],
    [
      'a key changes',
      `UPDATE ${table} SET a = 9 WHERE a = 1`,
      [
        ['delete', one, { a: '1', b: '1' }, `to ${nine}`],
        ['insert', nine, whole('9', 'in'), `from ${one}`],
      ],
      [
        ['delete', one, whole('1', 'in'), `to ${nine}`],
        ['insert', nine, whole('9', 'in'), `from ${one}`],
      ],
    ],
    [
      'a key changes on the way out',
      `UPDATE ${table} SET a = 1, done = false WHERE a = 9`,
      [['delete', nine, { a: '9', b: '1' }]],
      [['delete', nine, whole('9', 'in')]],
    ],
    ['a key changes on the way in', `UPDATE ${table} SET a = 9, done = NULL; UPDATE ${table} SET done = false`, [], [], `DELETE FROM ${table} WHERE a = 2`],
    ['a NULL to nothing', `UPDATE ${table} SET a = 1, done = true, title = NULL`, [['insert', one, whole('1', null)]]],
    [
      'NULL becomes empty',
      `UPDATE ${table} SET title = ''`,
      [['update', one, whole('1', '')]],
      [['update', one, whole('1', ''), { title: null }]],
    ],
    ['a row of the shape goes', `DELETE FROM ${table}`, [['delete', one, { a: '1', b: '1' }]], [['delete', one, whole('1', '')]]],
  ]
  for (const [what, statement, standard, full = standard, before] of cases) {
    if (before) await seen(before)
    const [inDefault, inFull] = await seen(statement)
    // An update shows the key and what changed, nothing else.
    assert.deepEqual(inDefault, standard, what)
    assert.deepEqual(inFull, full, `${what}, replica=full`)
  }
})

scenario('F10: long values that an update leaves alone are not lost', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY, small int, big text')
  await server.query(`ALTER TABLE ${table} ALTER big SET STORAGE EXTERNAL; INSERT INTO ${table} VALUES (1, 1, repeat('x', 100000))`)
  const big = 'x'.repeat(100_000)
  const shapes = [{ table }, { table, replica: 'full' }, { table, where: 'small > 1' }]
  const states = await Promise.all(shapes.map((shape) => follow(server, shape)))
  await server.query(`UPDATE ${table} SET small = 2; UPDATE ${table} SET id = 2`)
  const changes = await Promise.all(shapes.map(async (shape, i) => inShort(await changesSince(shape, states[i]))))
  const row = (id) => ({ id, small: '2', big })
  assert.deepEqual(changes[0], [
    ['update', '"1"', { id: '1', small: '2' }],
    ['delete', '"1"', { id: '1' }, 'to "2"'],
    ['insert', '"2"', row('2'), 'from "1"'],
  ])
  assert.deepEqual(changes[1][0], ['update', '"1"', row('1'), { small: '1' }])
  assert.deepEqual(changes[2][0], ['insert', '"1"', row('1')])
})

scenario('a transaction that truncates shows nothing of itself', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY', '(1)')
  const state = await follow(server, { table })
  const waiting = get(server, { table, offset: state.offset, handle: state.handle, live: 'true' })
  await server.query(`BEGIN; INSERT INTO ${table} VALUES (2); TRUNCATE ${table}; INSERT INTO ${table} VALUES (3); COMMIT`)
  assert.equal((await waiting).status, 409)
  assert.deepEqual([...(await follow(server, { table })).checker.rows.keys()], [rowKey('public', table, ['3'])])
})
