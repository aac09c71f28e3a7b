// where.test.mjs: clauses over all types, from the request to the last change: the snapshot comes
// from PostgreSQL, what follows from our own evaluation, and together they must be what PostgreSQL
// selects in the end. (That single verdicts agree is what tests/integration/where_property_test asks.)
//   BUSBAR_SEED=n  repeats the choices of a run (it prints its seed)
import assert from 'node:assert/strict'
import { Random, chosenSeed } from './harness/random.mjs'
import { expectInvalid } from './harness/expect.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const seed = chosenSeed()

const values = {
  a: ['0', '1', '2', '5', '-7', '100'],
  l: ['3000000000', '7', '-1'],
  n: ['1.0', '1.10', '0.30', 'NaN', '-2.5'],
  f: ['0.1', '-0', 'Infinity', '1.5'],
  b: ['t', 'f'],
  t: ['abc', 'ABC', 'école', 'a%b', "it's", 'back\\slash', ''],
  c: ['ab', 'abc', ''],
  u: ['550e8400-e29b-41d4-a716-446655440000', '00000000-0000-0000-0000-000000000000'],
  d: ['2024-01-31', '2024-02-29', 'infinity', '0044-03-15 BC'],
  ts: ['2024-01-31 10:00:00.5', '2024-07-01 10:00:00'],
  tz: ['2024-01-01 10:00:00+00', '2024-07-01 14:00:00+00'],
  i: ['1 day', '24 hours', '1 mon', '-1 day 2 hours'],
  j: ['{"a": 1, "b": [1, "x"]}', '[]', '{"a": "1"}', 'null'],
  y: ['\\x01', '\\xdeadbeef'],
  m: ['sad', 'meh', 'ok', 'happy'],
  p: ['1', '5'],
  ia: ['{1,2}', '{}', '{2,NULL}', '{{1,2},{3,4}}', '[0:1]={5,1}'],
  ta: ['{a,"b c"}', '{NULL}', '{abc}'],
}

const schema = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok';
  CREATE DOMAIN positive AS int4 CHECK (VALUE > 0);
  CREATE COLLATION letters (provider = libc, locale = 'C.UTF-8');
  CREATE TABLE things (id int4 PRIMARY KEY, a int4, l int8, n numeric, f float8, b bool,
    t text COLLATE letters, c char(4), u uuid, d date, ts timestamp, tz timestamptz, i interval,
    j jsonb, y bytea, m mood, p positive, ia int4[], ta text[])`

const clauses = [
  'a + 1 > 2',
  'a % 2 = 1 OR a & 4 = 4',
  'l = 3000000000',
  'n = 1.1 OR n > 1000',
  'n * 3 = 0.9',
  'f = 0 OR f > 1e308',
  'NOT b',
  "lower(t) = 'abc'",
  "t ILIKE 'É%'",
  String.raw`t LIKE 'a\%b' OR t = 'back\slash'`,
  "t || 'x' = 'abcx'",
  "c = 'ab'",
  "u::text LIKE '550e%'",
  "d + 1 = '2024-02-01' OR d < '0001-01-01'",
  "ts + interval '1 month' = '2024-02-29 10:00:00.5'",
  "ts AT TIME ZONE 'America/New_York' = tz",
  "i = '1 day' OR i * 30 = '1 month'",
  "i::text = 'P-1DT2H'",
  "j ->> 'a' = '1'",
  `j @> '{"b": ["x"]}' OR j ? 'zzz'`,
  String.raw`y = '\x01'`,
  "m > 'sad' AND m < 'happy'",
  'p = 5',
  '1 = ANY (ia)',
  "ia @> '{2}'",
  'ia[1] = 1 OR cardinality(ia) = 0',
  "ta && '{abc,z}' OR ta[2] = 'b c'",
  'coalesce(a, -1) = -1',
  'CASE WHEN a > 1 THEN b ELSE t IS NULL END',
  '(a, l) IN ((1, 7), (2, 7))',
  "greatest(d, '2024-02-01') = '2024-02-29'",
  'a IS DISTINCT FROM nullif(l, 7)',
]

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { sql: schema, env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })

function literal(random, column) {
  return random.chance(0.15) ? 'NULL' : `'${random.pick(values[column]).replaceAll("'", "''")}'`
}

function change(random) {
  const id = random.int(1, 60)
  const columns = Object.keys(values)
  if (random.chance(0.2)) return `DELETE FROM things WHERE id = ${id}`
  if (random.chance(0.5)) {
    const column = random.pick(columns)
    return `UPDATE things SET ${column} = ${literal(random, column)} WHERE id = ${id}`
  }
  const row = columns.map((column) => literal(random, column)).join(', ')
  const updates = columns.map((column) => `${column} = excluded.${column}`).join(', ')
  return `INSERT INTO things VALUES (${id}, ${row}) ON CONFLICT (id) DO UPDATE SET ${updates}`
}

async function idsOf(client, where) {
  const found = await client.query(`SELECT id FROM things WHERE (${where}\n)`)
  return found.rows.map((row) => Number(row.id)).sort((x, y) => x - y)
}

function idsIn(state) {
  return [...state.checker.rows.values()].map((row) => Number(row.id)).sort((x, y) => x - y)
}

scenario(`shapes with clauses over all types equal what PostgreSQL selects (seed ${seed})`, async () => {
  console.log(`where test: BUSBAR_SEED=${seed}`)
  const random = new Random(seed)
  const client = await server.client()
  // Literals are read, and values written, as in Busbar's sessions.
  await client.query(`SET TimeZone = 'UTC'; SET DateStyle = 'ISO, DMY'; SET IntervalStyle = 'iso_8601'`)
  for (let i = 0; i < 60; i++) await client.query(change(random))
  const followed = []
  for (const where of clauses) {
    const shape = { table: 'things', where }
    const state = await follow(server, shape)
    assert.deepEqual(idsIn(state), await idsOf(client, where), `snapshot of ${where}`)
    followed.push({ where, shape, state })
  }
  let hits = 0
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 80; i++) await client.query(change(random))
    const position = await server.walPosition()
    await client.query(`INSERT INTO things (id) VALUES (${1000 + round})`)
    await Promise.all(followed.map(({ shape, state }) => followTo(server, shape, state, position)))
    for (const { where, state } of followed) {
      const expected = await idsOf(client, where)
      assert.deepEqual(
        idsIn(state).filter((id) => id < 1000),
        expected.filter((id) => id < 1000),
        `round ${round}: ${where}`,
      )
      hits += expected.length
    }
  }
  assert.ok(hits > 500, `only ${hits} rows in all shapes`)
  await client.end()
})

scenario('what cannot be evaluated exactly is refused with its position and the reason', async () => {
  for (const [where, reason] of [
    ["a = 1 AND t ~ 'x'", /At location 12: operator ~ is not supported/],
    ['a IN (SELECT 1)', /At location 2: a subquery selects from exactly one table/],
    ['now() > ts', /At location 0: function now is not supported/],
    ["d < 'today'", /means something else every time/],
    ['a / 0 = 1 AND 1 / 0 = 1', /error for every row/],
  ]) {
    const response = await get(server, { table: 'things', offset: '-1', where })
    assert.match(expectInvalid(response, 'where')[0], reason, where)
  }
})
