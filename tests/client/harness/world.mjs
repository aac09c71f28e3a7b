// harness/world.mjs: the tables of the engine's property test: shown ones with every common type and
// small domains, so that things collide, and asked ones for subqueries. A column knows its values.

/** A name as SQL has it. */
export function ident(name) {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

export function quoted(text) {
  return text === null ? 'NULL' : `'${text.replaceAll("'", "''")}'`
}

const tag = (digit) => `${digit.repeat(8)}-0000-4000-8000-${digit.repeat(12)}`
const among =
  (...values) =>
  (random) =>
    random.pick(values)
const number = (from, to) => (random) => String(random.int(from, to))

/** What columns of a type may have, but for NULL. Few of each, so that clauses and subqueries find some. */
const domains = {
  int4: number(0, 9),
  int8: among('3000000000', '7', '-1', '0', '2', '9007199254740993'),
  numeric: among('1', '1.0', '1.00', '2.5', '-3', '0', '7.25', '12', '12.000'),
  float8: among('0', '-0', '1.5', '0.1', 'Infinity', 'NaN', '-2'),
  bool: among('t', 'f'),
  text: among('alpha', 'Alpha', 'beta', "o'hara", '', 'ünï', 'x/y', 'a.b', '"q"', '\\', 'line\nbreak', 'a', 'b', 'open'),
  varchar: among('ab', 'abc', '', 'b', 'open'),
  bpchar: among('ab', 'abc', '', 'b'),
  uuid: (random) => tag(random.pick(['a', 'b', 'c', 'd'])),
  date: among('2024-01-01', '2024-02-29', '2023-12-31', '0044-03-15', '2024-06-30'),
  timestamp: among('2024-01-31 10:00:00.5', '2024-02-29 00:00:00', '2024-07-01 23:59:59.999999'),
  timestamptz: among('2024-01-31 10:00:00+00', '2024-01-31 12:00:00+02', '2024-03-01 00:00:00.25+00', '2024-06-01 00:00:00+00'),
  interval: among('1 day', '24 hours', '1 mon', '30 days', '-1 day 2 hours', '0'),
  mood: among('sad', 'ok', 'happy'),
  'int4[]': among('{1,2}', '{}', '{2,NULL}', '{3}', '{5,1,5}', '{0,9}'),
  'text[]': among('{a,b}', '{}', '{NULL,a}', '{alpha,"b c"}', '{open}'),
  jsonb: among('{"a": 1, "b": [1, "x"]}', '[]', '{"a": "1"}', 'null', '{"c": {"a": 2}}'),
  // Long enough to be stored out of line: an update that leaves it alone does not send it.
  large: (random) => `${random.pick(['p', 'q', 'r'])} ${random.int(0, 9)} bytes `.repeat(random.pick([1, 230, 260])),
}

/** "name type", with "!" behind the type if NOT NULL; `values` if not the type's. */
function columns(text, values = {}) {
  return text.split(',').map((part) => {
    const [, name, type, required] = /^\s*(.+) (\S+?)(!?)$/.exec(part)
    return { name, type, notNull: required === '!', draw: values[name] ?? domains[type] }
  })
}

const treeColumns = columns('id int4!,ref int4!,kind text,amount numeric,tag uuid', { id: number(0, 299) })
const leaf = (name, from, to, parent) => ({
  name,
  family: 'tree',
  columns: treeColumns.map((column) => (column.name === 'id' ? { ...column, draw: number(from, to) } : column)),
  key: ['id'],
  of: `${parent} FOR VALUES FROM (${from}) TO (${to + 1})`,
})

/** family: the tables whose rows are partly the same. */
const list = [
  {
    name: 'things',
    columns: columns(
      'id int4!,ref int4,n int4!,kind text,state text!,big int8,amount numeric,ratio float8,flag bool,day date,' +
        'seen_at timestamptz,local_at timestamp,span interval,tag uuid,feeling mood,ints int4[],words text[],' +
        'doc jsonb,code varchar,pad bpchar,body large',
      { id: number(1, 60), state: among('a', 'b', 'open', 'x/y', 'alpha') },
    ),
    key: ['id'],
  },
  {
    name: 'Odd "Pairs"',
    columns: columns('a/b text!,n int4,Select text!,note large', {
      'a/b': among('', 'x/y', 'x', '"', '//', '_', 'ü', 'a'),
      Select: among('', 'b', 'open', '/', '.', 'a'),
    }),
    key: ['a/b', 'Select'],
  },
  { name: 'loose', columns: columns('seq int8!,label text,val int4', { val: number(0, 30) }), key: [] },
  { name: 'tree', columns: treeColumns, key: ['id'] },
  leaf('tree_low', 0, 99, 'tree'),
  leaf('tree_high', 100, 199, 'tree'),
  { ...leaf('tree_sub', 200, 299, 'tree'), root: true },
  leaf('tree_deep', 200, 299, 'tree_sub'),
  {
    name: 'teams',
    columns: columns('id int4!,region text,rank int4!,lead int4,active bool!', { id: number(1, 6), region: among('eu', 'us', 'a') }),
    key: ['id'],
  },
  {
    name: 'projects',
    columns: columns('id int4!,team int4,kind text,price numeric,owner int4!,tag uuid,due timestamptz', {
      id: number(0, 11),
      team: number(1, 6),
      kind: among('a', 'b', 'open', 'alpha'),
    }),
    key: ['id'],
  },
  {
    name: 'blocked',
    columns: columns('id int4!,n int4!,state text!', { id: number(1, 9), state: among('a', 'b', 'open', 'x/y') }),
    key: ['id'],
  },
]

export const tables = new Map(list.map((table) => [table.name, { family: table.name, ...table }]))

function definition({ name, columns, key, of }) {
  if (of) return `CREATE TABLE ${name} PARTITION OF ${of}${name === 'tree_sub' ? ' PARTITION BY RANGE (id)' : ''};`
  const lines = columns.map((column) => {
    const type = { large: 'text', varchar: 'varchar(20)', bpchar: 'char(4)' }[column.type] ?? column.type
    const made = column.name === 'seq' ? 'bigserial' : `${type}${column.notNull ? ' NOT NULL' : ''}`
    return `${ident(column.name)} ${made}`
  })
  if (key.length > 0) lines.push(`PRIMARY KEY (${key.map(ident).join(', ')})`)
  const large = columns.filter(({ type }) => type === 'large')
  return [
    `CREATE TABLE ${ident(name)} (${lines.join(', ')})${name === 'tree' ? ' PARTITION BY RANGE (id)' : ''};`,
    ...large.map((column) => `ALTER TABLE ${ident(name)} ALTER ${ident(column.name)} SET STORAGE EXTERNAL;`),
  ].join('\n')
}

export const schema = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  ${list.map(definition).join('\n')}
  CREATE TABLE marker (n int PRIMARY KEY);
  INSERT INTO marker VALUES (0);
  INSERT INTO teams SELECT i, (ARRAY['eu','us',NULL])[1 + i % 3], i, i % 4, i % 2 = 0 FROM generate_series(1, 4) i;
  INSERT INTO projects SELECT i, i % 5, (ARRAY['a','b','open'])[1 + i % 3], i, i % 3 FROM generate_series(1, 6) i;
  INSERT INTO things (id, ref, n, kind, state, flag, ints)
    SELECT i, i % 8, i % 10, 'a', (ARRAY['a','b','open','alpha'])[1 + i % 4], i % 2 = 0, ARRAY[i % 3] FROM generate_series(1, 60) i;
  INSERT INTO tree SELECT i * 10, i % 6, (ARRAY['a','b',NULL])[1 + i % 3], i FROM generate_series(0, 25) i`

/** Text of one value of the column, or null. */
export function drawn(random, column) {
  return !column.notNull && random.chance(0.15) ? null : column.draw(random)
}

/** An array as PostgreSQL writes it; the npm client hands it over taken apart. */
function arrayText(value) {
  const item = (one) => {
    if (one === null) return 'NULL'
    if (Array.isArray(one)) return arrayText(one)
    return /^$|[\s{},"\\]|^null$/i.test(one) ? `"${one.replace(/["\\]/g, '\\$&')}"` : one
  }
  return `{${value.map(item).join(',')}}`
}

/** A row as clients may have it, in the texts that PostgreSQL selects. */
export function plainRow(table, row) {
  const copy = { ...row }
  for (const { name, type } of table.columns) {
    const value = copy[name]
    if (Array.isArray(value)) copy[name] = arrayText(value)
    else if (type === 'bool' && typeof value === 'string') copy[name] = value[0]
  }
  return copy
}
