// harness/traffic.mjs: writers of random transactions (of whatever statements they are given), the
// random statements of harness/world.mjs, and rounds of writing in the middle of which things happen.
import assert from 'node:assert/strict'
import { randomClause, written } from './clauses.mjs'
import { until } from './processes.mjs'
import { drawn, ident, quoted, tables } from './world.mjs'

/** A duplicate key, no partition for a row, a row that moved on, a deadlock, a lock not obtained in time. */
const conflicts = /^(23505|23514|40001|40P01|55P03)$/
const gone = ({ code = '', message }) =>
  /^(57P0[123]|08...|ECONN.*|EPIPE)$/.test(code) || /onnection (terminated|ended)|not queryable/.test(message)

/**
 * Commits random transactions until `enough()`: several statements, savepoints, some left open while
 * others commit, some rolled back. A server that goes away is waited for. `progress` counts for all
 * writers: {commits, conflicts, waiting, writers}; `statement(random)` is a text or {text, values}.
 */
export async function write({ connect, statement, random, progress, enough, lockTimeout = '1s' }) {
  let client
  const reconnect = async () => {
    await client?.end().catch(() => {})
    const ready = async () => {
      const fresh = await connect()
      await fresh.query(`SET lock_timeout = '${lockTimeout}'`)
      return fresh
    }
    client = await until(() => ready().catch(() => undefined), 'PostgreSQL to be back', { deadlineMs: 60_000, everyMs: 20 })
  }
  const transaction = async () => {
    await client.query('BEGIN')
    const statements = random.pick([1, 1, 2, 4, 9])
    for (let i = 0; i < statements; i++) {
      const nested = random.chance(0.15)
      if (nested) await client.query('SAVEPOINT s')
      await client.query(statement(random))
      if (nested) await client.query(random.chance(0.5) ? 'ROLLBACK TO s' : 'RELEASE s')
    }
    if (random.chance(0.1)) {
      // Stays open while others commit: snapshots taken now must not see it, and then get it.
      const others = progress.commits + random.int(2, 12)
      progress.waiting++
      try {
        await until(
          () => progress.commits >= others || progress.waiting === progress.writers || enough(),
          'other commits',
          { deadlineMs: 60_000, everyMs: 2 },
        )
      } finally {
        progress.waiting--
      }
    }
    await client.query(random.chance(0.1) ? 'ROLLBACK' : 'COMMIT')
  }
  try {
    await reconnect()
    while (!enough()) {
      try {
        await transaction()
      } catch (error) {
        progress.conflicts++
        if (gone(error)) await reconnect()
        else {
          assert.match(error.code ?? '', conflicts, `${error.message}\n${error.where ?? ''}`)
          await client.query('ROLLBACK').catch(reconnect)
        }
      }
      progress.commits++
    }
  } finally {
    await client?.end().catch(() => {})
  }
}

/**
 * `writers` write until there are `commits` commits; meanwhile `events`, [commits, async function],
 * happen one after the other, each when there are as many commits. Returns the progress.
 */
export async function underLoad({ writers, commits, events, what }) {
  const progress = { commits: 0, conflicts: 0, waiting: 0, writers: writers.length }
  const enough = () => progress.commits >= commits || progress.error !== undefined
  const writing = writers.map((writer) => writer(progress, enough).catch((error) => (progress.error ??= error)))
  try {
    for (const [at, event] of [...events].sort(([a], [b]) => a - b)) {
      await until(
        () => progress.commits >= at || progress.error,
        () => `${at} commits in ${what}; there are ${progress.commits}`,
        { deadlineMs: 60_000, everyMs: 2 },
      )
      if (progress.error) break
      await event()
    }
  } catch (error) {
    progress.error ??= error
  }
  await Promise.all(writing)
  if (progress.error) throw progress.error
  return progress
}

const writable = [
  ...['things', 'things', 'things', 'things', 'things', 'things', 'Odd "Pairs"', 'Odd "Pairs"', 'loose'],
  ...['tree', 'tree', 'tree_low', 'tree_sub'],
  ...['teams', 'teams', 'projects', 'projects', 'projects', 'blocked'],
]

/** A condition that few rows meet, often on the key. */
function condition(random, table) {
  const kind = random.int(0, 9)
  if (kind < 6 && table.key.length > 0) {
    const first = table.columns.find(({ name }) => name === table.key[0])
    if (kind < 2 && first.type === 'int4') return `${ident(first.name)} BETWEEN ${first.draw(random)} AND ${first.draw(random)}`
    return `${ident(first.name)} = ${quoted(first.draw(random))}`
  }
  const some = `abs(hashtext(${ident(table.name)}::text)) % 4 = ${random.int(0, 3)}`
  return `${written(randomClause(random, table, { depth: 1 }))} AND ${some}`
}

/** One random statement for the world. It may meet conflicts; the writer copes. */
export function statement(random) {
  const table = tables.get(random.pick(writable))
  const name = ident(table.name)
  const columns = table.columns.filter((column) => column.name !== 'seq')
  const free = columns.filter((column) => !table.key.includes(column.name))
  const value = (column) => quoted(drawn(random, column))
  const given = (column) => `excluded.${ident(column.name)}`
  const kind = random.int(0, 99)
  if (kind < 38) {
    const rows = Array.from({ length: random.pick([1, 1, 1, 2, 5]) }, () => `(${columns.map(value).join(', ')})`)
    const conflict =
      table.key.length === 0 || random.chance(0.1)
        ? ''
        : random.chance(0.5) || rows.length > 1 // which could meet the same row twice
          ? ' ON CONFLICT DO NOTHING'
          : ` ON CONFLICT (${table.key.map(ident).join(', ')}) DO UPDATE SET ${assignments(random, free, 0.3, given)}`
    return `INSERT INTO ${name} (${columns.map((column) => ident(column.name)).join(', ')}) VALUES ${rows.join(', ')}${conflict}`
  }
  if (kind < 72) return `UPDATE ${name} SET ${assignments(random, free, 0.25, value)} WHERE ${condition(random, table)}`
  if (kind < 82 && table.key.length > 0) {
    const keys = columns.filter((column) => table.key.includes(column.name))
    const same = keys.map((column) => `${ident(column.name)} = ${value(column)}`).join(' AND ')
    return `UPDATE ${name} SET ${assignments(random, keys, 0.7, value)} WHERE ${same}`
  }
  if (kind < 86) return bulk(random)
  return `DELETE FROM ${name} WHERE ${condition(random, table)}`
}

function assignments(random, columns, share, value) {
  const chosen = columns.filter(() => random.chance(share))
  if (chosen.length === 0) chosen.push(random.pick(columns))
  return chosen.map((column) => `${ident(column.name)} = ${value(column)}`).join(', ')
}

/** Statements that change many rows at once. */
function bulk(random) {
  const n = random.int(0, 9)
  return random.pick([
    `INSERT INTO things (id, ref, n, state, kind) SELECT i, i % 10, ${n}, 'open', 'b'
       FROM generate_series(1000, ${1050 + 20 * n}) i ON CONFLICT DO NOTHING`,
    `UPDATE things SET n = (n + 1) % 10`,
    `UPDATE things SET ref = ${n}, kind = kind WHERE id >= 1000`,
    `DELETE FROM things WHERE id >= ${1000 + 10 * n}`,
    `DELETE FROM things WHERE id >= 1000`,
    `UPDATE projects SET owner = (owner + 1) % 10`,
    `UPDATE teams SET active = NOT active`,
    `UPDATE tree SET ref = (ref + 1) % 10 WHERE id % 3 = ${n % 3}`,
    `UPDATE tree SET id = 299 - id WHERE id = ${n * 30} AND NOT EXISTS (SELECT FROM tree t WHERE t.id = 299 - tree.id)`,
    `DELETE FROM loose WHERE val < ${2 * n}`,
    `DELETE FROM tree WHERE id % 7 = ${n % 7}`,
  ])
}
