// harness/clauses.mjs: random where clauses over the tables of harness/world.mjs: every kind of leaf
// for every type, AND, OR and NOT of them, and subqueries at any depth. None can fail on a row.
import { ident, quoted, tables } from './world.mjs'

const askable = ['things', 'teams', 'projects', 'blocked', 'teams', 'projects', 'blocked', 'tree', 'loose', 'Odd "Pairs"']
const asSet = new Set(['int4', 'int8', 'numeric', 'text', 'uuid', 'bool', 'timestamptz', 'float8', 'date', 'mood'])

const order = ['<', '<=', '>', '>=']
const general = [
  (m, c) => `${c.sql} = ${m.value(c)}`,
  (m, c) => `${c.sql} = ${m.value(c)}`,
  (m, c) => `${c.sql} <> ${m.value(c)}`,
  (m, c) => `${c.sql} IN (${m.values(c)})`,
  (m, c) => `${c.sql} NOT IN (${m.values(c)})`,
  (m, c) => `${c.sql} IS NULL`,
  (m, c) => `${c.sql} IS NOT NULL`,
  (m, c) => `${c.sql} IS ${m.random.pick(['', 'NOT '])}DISTINCT FROM ${m.value(c)}`,
  (m, c) => `coalesce(${c.sql}, ${m.plain(c)}) = ${m.value(c)}`,
  (m, c) => `nullif(${c.sql}, ${m.plain(c)}) IS NULL`,
]
const ordered = [
  (m, c) => `${c.sql} ${m.random.pick(order)} ${m.value(c)}`,
  (m, c) => `${c.sql} ${m.random.pick(order)} ${m.value(c)}`,
  (m, c) => `${c.sql} BETWEEN ${m.value(c)} AND ${m.value(c)}`,
  (m, c) => `${c.sql} NOT BETWEEN ${m.plain(c)} AND ${m.plain(c)}`,
  (m, c) => `${c.sql} BETWEEN SYMMETRIC ${m.plain(c)} AND ${m.plain(c)}`,
  (m, c) => `${c.sql} > ${m.plain(c)} AND ${c.sql} <= ${m.plain(c)}`,
  (m, c) => `greatest(${c.sql}, ${m.plain(c)}) = ${m.plain(c)}`,
]
const ofNumbers = [
  (m, c) => `${c.sql} > ${m.random.int(0, 5)} - 1`,
  (m, c) => `${c.sql} + 1 > ${m.random.int(0, 9)}`,
  (m, c) => `abs(${c.sql}) <= ${m.random.int(0, 4)}`,
  (m, c) => `${c.sql} < 2.5`,
  (m, c) => `${c.sql} = ANY ('{1,2,7}')`,
  (m, c) => `${c.sql} <> ALL ('{0,3,5}')`,
  (m, c) => `${c.sql}::text LIKE '${m.random.int(0, 9)}%'`,
]
const ofWholeNumbers = [
  (m, c) => `${c.sql} % 3 = ${m.random.int(0, 2)}`,
  (m, c) => `${c.sql} & 1 = 1`,
  (m, c) => `mod(${c.sql}, 2) = 0`,
  (m, c) => `${c.sql} IN (1, 2.0, 5)`,
  (m, c) => `CASE WHEN ${c.sql} > 4 THEN ${c.sql} < 8 ELSE ${c.sql} = 2 END`,
]
const patterns = ['a%', 'al%', 'o%', 'x/%', 'line%', 'p%', 'open%', '', '%']
const ofStrings = [
  (m, c) => `${c.sql} LIKE ${m.literal(m.random.pick(patterns))}`,
  (m, c) => `${c.sql} LIKE '${m.random.pick(patterns)}' AND ${c.sql} <> ${m.plain(c)}`,
  (m, c) => `${c.sql} LIKE '%${m.random.pick(['a', 'b', '/', 'e'])}%'`,
  (m, c) => `${c.sql} NOT LIKE '${m.random.pick(patterns)}'`,
  (m, c) => `${c.sql} ILIKE '${m.random.pick(['A%', '%A', '%P%', 'OPEN'])}'`,
  (m, c) => `${c.sql} LIKE ANY (ARRAY['a%', '%b'])`,
  (m, c) => `lower(${c.sql}) = 'alpha'`,
  (m, c) => `upper(${c.sql}) LIKE 'A%'`,
  (m, c) => `${c.sql} || 'x' = 'ax'`,
  (m, c) => `concat(${c.sql}, '!') = ${m.literal('a!')}`,
  (m, c) => `length(${c.sql}) ${m.random.pick(order)} 3`,
  (m, c) => `substr(${c.sql}, 1, 1) = 'a'`,
  (m, c) => `starts_with(${c.sql}, 'o')`,
  (m, c) => `${c.sql} = ANY ('{a,alpha,open}')`,
  (m, c) => `${c.sql} ^@ 'a'`,
]
const ofMoments = [
  (m, c) => `${c.sql} + interval '1 day' > ${m.plain(c)}`,
  (m, c) => `date_trunc('month', ${c.sql}) = '2024-01-01'`,
  (m, c) => `extract(month FROM ${c.sql}) = 2`,
]
const ofArrays = [
  (m, c) => `${c.sql} = ${m.value(c)}`,
  (m, c) => `${c.sql} @> ${m.value(c)}`,
  (m, c) => `${c.sql} @> '{${m.element(c)}}'`,
  (m, c) => `${c.sql} @> '{${m.element(c)}}' AND ${c.sql} && '{${m.element(c)}}'`,
  (m, c) => `${c.sql} <@ '{${m.element(c)},${m.element(c)}}'`,
  (m, c) => `${c.sql} && '{${m.element(c)},${m.element(c)}}'`,
  (m, c) => `${m.literal(m.element(c))} = ANY (${c.sql})`,
  (m, c) => `'${m.element(c)}' <> ALL (${c.sql})`,
  (m, c) => `${c.sql}[1] = '${m.element(c)}'`,
  (m, c) => `cardinality(${c.sql}) ${m.random.pick(order)} 2`,
  (m, c) => `array_length(${c.sql}, 1) = 2`,
  (m, c) => `${c.sql} IS NULL`,
]

const leaves = {
  int4: [...general, ...ordered, ...ofNumbers, ...ofWholeNumbers],
  int8: [...general, ...ordered, ...ofNumbers, ...ofWholeNumbers],
  numeric: [...general, ...ordered, ...ofNumbers, (m, c) => `${c.sql} * 2 > 3`, (m, c) => `round(${c.sql}) = 2`],
  float8: [...general, ...ordered, ...ofNumbers],
  text: [...general, ...ordered, ...ofStrings],
  varchar: [...general, ...ordered, ...ofStrings],
  bpchar: [...general, (m, c) => `${c.sql}::text = 'ab'`, (m, c) => `${c.sql} LIKE 'ab%'`],
  large: [
    (m, c) => `${c.sql} IS NULL`,
    (m, c) => `${c.sql} LIKE '${m.random.pick(['p', 'q', 'r 1', '%9 bytes '])}%'`,
    (m, c) => `length(${c.sql}) > 100`,
    (m, c) => `${c.sql} ILIKE 'P%'`,
    (m, c) => `left(${c.sql}, 1) IN ('p', 'q')`,
  ],
  bool: [
    ...general,
    (m, c) => c.sql,
    (m, c) => `NOT ${c.sql}`,
    (m, c) => `${c.sql} IS ${m.random.pick(['', 'NOT '])}${m.random.pick(['TRUE', 'FALSE', 'UNKNOWN'])}`,
  ],
  date: [...general, ...ordered, (m, c) => `${c.sql} + 1 > ${m.plain(c)}`, (m, c) => `${c.sql} - date '2024-01-01' > 30`],
  timestamp: [...general, ...ordered, ...ofMoments],
  timestamptz: [...general, ...ordered, ...ofMoments],
  interval: [...general, ...ordered, (m, c) => `${c.sql} * 2 > '1 day'`, (m, c) => `justify_days(${c.sql}) = '1 mon'`],
  uuid: [...general, ...ordered, (m, c) => `${c.sql}::text LIKE 'a%'`],
  mood: [...general, ...ordered, (m, c) => `${c.sql}::text LIKE '%a%'`],
  'int4[]': ofArrays,
  'text[]': ofArrays,
  jsonb: [
    (m, c) => `${c.sql} ->> 'a' = '1'`,
    (m, c) => `${c.sql} @> '{"a": 1}'`,
    (m, c) => `${c.sql} ? '${m.random.pick(['a', 'c'])}'`,
    (m, c) => `${c.sql} -> 'a' = '1'`,
    (m, c) => `${c.sql} IS ${m.random.pick(['', 'NOT '])}NULL`,
    (m, c) => `${c.sql} = ${m.value(c)}`,
  ],
}

class Maker {
  params = []
  asked = new Set() // names of the tables that subqueries ask

  constructor(random, subqueries) {
    this.random = random
    this.subqueries = subqueries
    this.named = random.chance(0.3) // uses parameters
  }

  literal(text) {
    if (!this.named || this.random.chance(0.5)) return quoted(text)
    this.params.push(text)
    return `$${this.params.length}`
  }

  value({ type, draw }) {
    const text = draw(this.random)
    const bare = ['int4', 'int8', 'numeric', 'float8'].includes(type) && /^-?\d[\d.]*$/.test(text)
    return bare && this.random.chance(0.5) ? text : this.literal(text)
  }

  /** Not a parameter: where those would have no type of their own. */
  plain({ draw }) {
    return quoted(draw(this.random))
  }

  values(column) {
    return Array.from({ length: this.random.int(1, 4) }, () => this.value(column)).join(', ')
  }

  element({ type }) {
    return type === 'int4[]' ? String(this.random.int(0, 9)) : this.random.pick(['a', 'b', 'open', 'alpha'])
  }

  columnOf(column) {
    const sql = this.random.chance(0.05) ? `"${column.name.replaceAll('"', '""')}"` : ident(column.name)
    return { ...column, sql }
  }

  leaf(table) {
    if (this.random.chance(0.08)) return this.#twoColumns(table)
    const column = this.random.pick(table.columns)
    // A bool alone is a clause, as is what starts with NOT: without parentheses they would bind otherwise.
    return `(${this.random.pick(leaves[column.type])(this, this.columnOf(column))})`
  }

  #twoColumns(table) {
    const types = ['int4', 'text', 'numeric', 'uuid', 'timestamptz']
    const column = this.random.pick(table.columns.filter(({ type }) => types.includes(type)))
    const others = table.columns.filter(({ type, name }) => type === column.type && name !== column.name)
    const [a, b] = [column, this.random.pick(others.length > 0 ? others : table.columns.filter(({ type }) => types.includes(type)))]
    if (a.type === b.type && this.random.chance(0.6)) {
      return `(${ident(a.name)} ${this.random.pick(['=', '<>', 'IS DISTINCT FROM', '<'])} ${ident(b.name)})`
    }
    const pair = () => `(${this.plain(a)}, ${this.plain(b)})`
    const left = `(${ident(a.name)}, ${ident(b.name)})`
    return this.random.chance(0.5) ? `(${left} = ${pair()})` : `(${left} IN (${pair()}, ${pair()}))`
  }

  /** Columns (…) IN (SELECT …); undefined if the tables have nothing to compare. */
  membership(table, depth, negated) {
    const asked = tables.get(this.random.pick(askable))
    const fits = (type, list) => list.filter((column) => column.type === type && (!negated || column.notNull))
    const pairs = table.columns
      .filter((column) => asSet.has(column.type) && (!negated || column.notNull))
      .flatMap((column) => fits(column.type, asked.columns).map((other) => [column, other]))
    if (pairs.length === 0) return undefined
    const chosen = [this.random.pick(pairs)]
    if (this.random.chance(0.25)) {
      const more = pairs.filter(([a, b]) => a !== chosen[0][0] && b !== chosen[0][1])
      if (more.length > 0) chosen.push(this.random.pick(more))
    }
    this.subqueries--
    this.asked.add(asked.name)
    const left = chosen.map(([column]) => ident(column.name)).join(', ')
    const right = chosen.map(([, column]) => ident(column.name)).join(', ')
    const where = this.random.chance(0.12) ? '' : ` WHERE ${this.clause(asked, depth - 1, false, this.random.chance(0.3))}`
    return `${chosen.length > 1 ? `(${left})` : left} IN (SELECT ${right} FROM ${ident(asked.name)}${where})`
  }

  /** `asks`: with subqueries, as far as there may be more. `negated`: under an odd number of NOTs. */
  clause(table, depth, negated, asks) {
    const { random } = this
    const parts = (count) => {
      const asking = random.int(0, count - 1)
      return Array.from({ length: count }, (_, i) =>
        this.clause(table, depth - 1, negated, asks && (i === asking || random.chance(0.3))),
      )
    }
    if (depth > 0 && random.chance(0.55)) {
      const kind = random.int(0, 9)
      if (kind < 2) return `NOT (${this.clause(table, depth - 1, !negated, asks)})`
      return `(${parts(random.pick([2, 2, 3])).join(kind < 6 ? ' AND ' : ' OR ')})`
    }
    if (asks && this.subqueries > 0) {
      const not = random.chance(0.3)
      const negatedOne = not && this.membership(table, depth, !negated)
      if (negatedOne) return random.chance(0.5) ? `NOT ${negatedOne}` : negatedOne.replace(' IN (SELECT', ' NOT IN (SELECT')
      const made = this.membership(table, depth, negated)
      if (made) return made
    }
    return this.leaf(table)
  }
}

/** {where, params, asked: the names of the tables in its subqueries}. */
export function randomClause(random, table, { subqueries = 0, depth = 2 } = {}) {
  const maker = new Maker(random, subqueries)
  const where = maker.clause(table, depth, false, subqueries > 0)
  return { where, params: maker.params, asked: [...maker.asked] }
}

/** The clause with its parameters written out. */
export function written({ where, params = [] }) {
  return where.replace(/\$(\d+)/g, (_, n) => quoted(params[n - 1]))
}
