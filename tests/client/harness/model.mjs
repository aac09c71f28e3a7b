// harness/model.mjs: the world of the invariants: four tables with small domains, so that things
// collide; random statements on them; and the shapes that are watched.
import assert from 'node:assert/strict'
import { rowKey } from './shapes.mjs'

export const schema = `
  CREATE TABLE numbers (
    id int PRIMARY KEY, grp int, name text, flag bool, amount numeric(12,3), at timestamptz, tag uuid, day date NOT NULL DEFAULT '2024-01-01');
  CREATE TABLE pairs (a text, n int, b text, note text, PRIMARY KEY (a, b));
  CREATE TABLE loose (seq bigserial, label text, val int);
  CREATE TABLE bulky (id int PRIMARY KEY, title text, body text, n int);
  ALTER TABLE bulky ALTER COLUMN body SET STORAGE EXTERNAL;
  CREATE TABLE marker (id int PRIMARY KEY, n int);
  INSERT INTO marker VALUES (1, 0)`

/** The columns in table order; a key has the primary key's values, or all where there is none. */
export const tables = {
  numbers: { columns: ['id', 'grp', 'name', 'flag', 'amount', 'at', 'tag', 'day'], key: ['id'] },
  pairs: { columns: ['a', 'n', 'b', 'note'], key: ['a', 'b'] },
  loose: { columns: ['seq', 'label', 'val'], key: ['seq', 'label', 'val'] },
  bulky: { columns: ['id', 'title', 'body', 'n'], key: ['id'] },
}

const tag = (digit) => `${digit.repeat(8)}-0000-4000-8000-${digit.repeat(12)}`

export const shapes = [
  { table: 'numbers' },
  { table: 'numbers', replica: 'full' },
  { table: 'numbers', where: 'grp >= 3 AND grp < 7' },
  { table: 'numbers', where: `name = 'alpha' OR name IN ('beta', 'o''hara')` },
  { table: 'numbers', where: 'name IS NULL OR grp = 1', columns: ['id', 'name', 'flag'] },
  { table: 'numbers', where: 'flag = true AND NOT (grp IN (1, 2))', replica: 'full' },
  { table: 'numbers', where: 'amount > 10.5', columns: ['id', 'amount'] },
  { table: 'numbers', where: `at >= '2024-03-01 00:00:00+00'`, columns: ['id', 'at', 'day'] },
  { table: 'numbers', where: `tag = '${tag('a')}'` },
  { table: 'numbers', where: `grp = $1 OR name = $2`, params: ['5', 'gamma'] },
  { table: 'pairs' },
  { table: 'pairs', where: `n IS NOT NULL AND a <> 'x/y'`, columns: ['a', 'b', 'n'] },
  { table: 'pairs', where: `b = ''`, replica: 'full' },
  { table: 'loose' },
  { table: 'loose', where: 'val < 50' },
  { table: 'bulky' },
  { table: 'bulky', where: 'n > 2', replica: 'full' },
  { table: 'bulky', where: 'n < 4', columns: ['id', 'n'] },
]

export function describe(shape) {
  return Object.values(shape).map(String).join(' | ')
}

/** The parameters of a request for the shape, but for its place in the log. */
export function parametersOf({ columns, params = [], ...shape }) {
  const numbered = params.map((value, index) => [`params[${index + 1}]`, value])
  return { ...shape, columns: columns?.join(','), ...Object.fromEntries(numbered) }
}

/** The rows that PostgreSQL says the shape has: key → row of texts, as a client should hold them. */
export async function truth(client, shape) {
  const { columns, key } = tables[shape.table]
  let where = shape.where ?? 'true'
  for (const [index, value] of (shape.params ?? []).entries()) where = where.replaceAll(`$${index + 1}`, `'${value}'`)
  const { rows } = await client.query(`SELECT ${columns.join(', ')} FROM ${shape.table} WHERE ${where}`)
  const chosen = shape.columns ?? columns
  return new Map(
    rows.map((row) => [
      rowKey(
        'public',
        shape.table,
        key.map((column) => row[column]),
      ),
      Object.fromEntries(chosen.map((column) => [column, row[column]])),
    ]),
  )
}

const texts = ['alpha', 'beta', `o'hara`, 'gamma', '', 'ünï', 'x/y', 'a.b', '"q"', '\\', 'line\nbreak', null]
const words = ['', 'x/y', 'x', '"', '//', '_', 'ü', 'NULL', ' ', 'p.q']
const days = ['2024-01-01', '2024-02-29', '2023-12-31', '0044-03-15', '2024-06-30']

const values = {
  id: (random) => random.int(1, 120),
  grp: (random) => (random.chance(0.1) ? null : random.int(0, 9)),
  name: (random) => random.pick(texts),
  flag: (random) => random.pick([true, false, null]),
  amount: (random) => (random.chance(0.1) ? null : (random.int(-30_000, 30_000) / 1000).toFixed(3)),
  at: (random) =>
    random.chance(0.1)
      ? null
      : `2024-0${random.int(1, 6)}-01 0${random.int(0, 9)}:00:00.${random.int(0, 3)}+0${random.int(0, 2)}`,
  tag: (random) => (random.chance(0.2) ? null : tag(random.pick(['a', 'b', 'c']))),
  day: (random) => random.pick(days),
  a: (random) => random.pick(words),
  b: (random) => random.pick(words),
  n: (random) => (random.chance(0.3) ? null : random.int(0, 5)),
  note: (random) => (random.chance(0.3) ? null : 'note '.repeat(random.pick([1, 3, 600]))),
  // Long enough to be stored out of line: an update that leaves it alone does not send it.
  body: (random) => (random.chance(0.1) ? null : `${random.int(0, 99)} bytes `.repeat(random.pick([1, 230, 260]))),
  title: (random) => random.pick(texts),
  label: (random) => random.pick(texts),
  val: (random) => (random.chance(0.1) ? null : random.int(0, 99)),
}

function drawn(random, columns) {
  return columns.map((column) => values[column](random))
}

const placeholders = (count, from = 1) => Array.from({ length: count }, (_, index) => `$${from + index}`).join(', ')

/** An id of the few rows of `bulky` that are written to. */
const few = (random) => random.int(1, 15)

const conditions = {
  numbers: [
    (random) => ['id = $1', [values.id(random)]],
    (random) => ['id BETWEEN $1 AND $1 + 8', [values.id(random)]],
    (random) => ['grp = $1', [random.int(0, 9)]],
    () => ['name IS NULL', []],
  ],
  pairs: [
    (random) => ['a = $1', [values.a(random)]],
    (random) => ['b = $1 AND n > 2', [values.b(random)]],
    () => ['n IS NULL', []],
  ],
  loose: [
    (random) => ['val = $1', [random.int(0, 99)]],
    (random) => ['val < $1', [random.int(0, 20)]],
    () => ['label IS NULL', []],
  ],
  bulky: [(random) => ['id = $1', [few(random)]], (random) => ['n = $1 AND id < 100', [values.n(random) ?? 0]]],
}

/** One random statement: {text, values}. It may fail on a duplicate key; the writer copes. */
export function statement(random) {
  const table = random.pick(['numbers', 'numbers', 'numbers', 'pairs', 'pairs', 'loose', 'loose', 'bulky'])
  const insertable = tables[table].columns.filter((column) => column !== 'seq')
  const condition = (offset) => {
    const [text, bound] = random.pick(conditions[table])(random)
    return [text.replace(/\$(\d+)/g, (_, n) => `$${Number(n) + offset}`), bound]
  }
  const kind = random.int(0, 99)
  if (kind < 40) {
    const rows = random.pick([1, 1, 1, 2, 5])
    const bound = Array.from({ length: rows }, () => drawn(random, insertable))
    if (table === 'bulky') for (const row of bound) row[0] = few(random)
    const tuples = bound.map((_, row) => `(${placeholders(insertable.length, row * insertable.length + 1)})`).join(', ')
    const conflict = table === 'loose' || random.chance(0.2) ? '' : ' ON CONFLICT DO NOTHING'
    return { text: `INSERT INTO ${table} (${insertable.join(', ')}) VALUES ${tuples}${conflict}`, values: bound.flat() }
  }
  if (kind < 70) {
    const free = insertable.filter((column) => !(tables[table].key.includes(column) && table !== 'loose'))
    const changed = free.filter(() => random.chance(0.4))
    if (changed.length === 0) changed.push(free[0])
    const [where, bound] = condition(changed.length)
    const set = changed.map((column, index) => `${column} = $${index + 1}`).join(', ')
    return { text: `UPDATE ${table} SET ${set} WHERE ${where}`, values: [...drawn(random, changed), ...bound] }
  }
  if (kind < 82) {
    if (table === 'numbers')
      return { text: 'UPDATE numbers SET id = $1 WHERE id = $2', values: [values.id(random), values.id(random)] }
    if (table === 'pairs')
      return {
        text: 'UPDATE pairs SET a = $1, n = $2 WHERE a = $3 AND b = $4',
        values: drawn(random, ['a', 'n', 'a', 'b']),
      }
    if (table === 'bulky') return { text: 'UPDATE bulky SET id = $1 WHERE id = $2', values: [few(random), few(random)] }
    return { text: 'UPDATE loose SET val = val + 1 WHERE val = $1', values: [values.val(random) ?? 0] }
  }
  const [where, bound] = condition(0)
  return { text: `DELETE FROM ${table} WHERE ${where}`, values: bound }
}

/** What is wrong with `found` (key → row), line by line; nothing if it equals `expected`. */
export function differences(found, expected) {
  const lines = []
  for (const [key, row] of expected) {
    if (!found.has(key)) lines.push(`missing ${key}: ${JSON.stringify(row)}`)
    else {
      try {
        assert.deepEqual({ ...found.get(key) }, { ...row })
      } catch {
        lines.push(`differs ${key}: has ${JSON.stringify(found.get(key))}, PostgreSQL ${JSON.stringify(row)}`)
      }
    }
  }
  for (const key of found.keys())
    if (!expected.has(key)) lines.push(`surplus ${key}: ${JSON.stringify(found.get(key))}`)
  return lines
}
