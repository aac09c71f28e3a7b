// harness/audience.mjs: the clients of the engine's property test. Each is the npm client or a strict
// raw reader, of a random shape, and can say whether it holds what PostgreSQL selects.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { randomClause, written } from './clauses.mjs'
import { Follower } from './clients.mjs'
import { LogChecker, rowKey } from './shapes.mjs'
import { bravely } from './subqueries.mjs'
import { TaggedFollower, TaggedRows } from './tagged.mjs'
import { ident, plainRow, tables } from './world.mjs'

const shown = [
  ...['things', 'things', 'things', 'things', 'things', 'Odd "Pairs"', 'Odd "Pairs"', 'loose'],
  ...['tree', 'tree', 'tree_low', 'tree_sub', 'tree_deep', 'projects', 'teams', 'blocked'],
]

/** A random shape: {table, where, params, asked, columns, replica, log}. */
export function randomShape(random) {
  const table = tables.get(random.pick(shown))
  const shape = { table: table.name, params: [], asked: [] }
  if (random.chance(0.93)) Object.assign(shape, randomClause(random, table, { subqueries: random.pick([0, 0, 1, 1, 2, 3]) }))
  if (random.chance(0.3) && table.key.length > 0) {
    shape.columns = table.columns
      .map(({ name }) => name)
      .filter((name) => table.key.includes(name) || random.chance(0.4))
  }
  if (random.chance(0.3)) shape.replica = random.pick(['full', 'default'])
  if (shape.asked.length === 0 && random.chance(0.08)) shape.log = 'changes_only'
  return shape
}

function describe({ table, where = 'all', params, columns, replica, log }) {
  const rest = [params.length > 0 && `$ ${JSON.stringify(params)}`, columns, replica, log]
  return [`${ident(table)} WHERE ${where}`, ...rest].filter(Boolean).join(' | ')
}

/** The rows that PostgreSQL selects: key → row of texts. */
export async function selected(query, shape) {
  const table = tables.get(shape.table)
  const rows = await query(`SELECT * FROM ${ident(table.name)} WHERE ${shape.where ? written(shape) : 'true'}`)
  const key = table.key.length > 0 ? table.key : table.columns.map(({ name }) => name)
  const chosen = shape.columns ?? table.columns.map(({ name }) => name)
  return new Map(
    rows.map((row) => [
      rowKey('public', table.name, key.map((name) => row[name])),
      Object.fromEntries(chosen.map((name) => [name, row[name]])),
    ]),
  )
}

/** What log=changes_only tells: rows are known from their first whole image on. */
class ChangesOnly {
  rows = new Map()
  seen = -1n

  feed(messages) {
    for (const { headers, key, value } of messages) {
      if (headers.control === 'must-refetch') this.rows.clear()
      if (headers.control === 'up-to-date') this.seen = BigInt(headers.global_last_seen_lsn)
      if (headers.operation === 'insert') {
        assert.ok(!this.rows.has(key), `${key} is inserted twice`)
        this.rows.set(key, { ...value })
      }
      if (headers.operation === 'delete') this.rows.delete(key)
      if (headers.operation === 'update' && this.rows.has(key)) Object.assign(this.rows.get(key), value)
    }
  }

  get values() {
    return this.rows
  }
}

/**
 * For streams: the client goes on behind the last LSN it was told, at position 0 of it, so after a
 * cut the server has to repeat what came with that LSN, and may.
 */
class Unrepeated extends LogChecker {
  #last = [0n, -1]

  feed(messages) {
    for (const message of messages) {
      const { lsn, op_position: op, control } = message.headers
      if (control === 'must-refetch') this.#last = [0n, -1]
      if (lsn !== undefined) {
        const here = [BigInt(lsn), op]
        if (here[0] === this.#last[0] && here[1] <= this.#last[1]) continue
        this.#last = here
      }
      super.feed([message])
    }
  }
}

/** What checks the messages of a shape and keeps its rows. */
function checkerFor(shape, name) {
  if (shape.log) return new ChangesOnly()
  return shape.asked.length > 0 ? new TaggedRows(name) : new LogChecker(name)
}

/** The parameters of raw requests for the shape. */
function parametersOf({ table, where, params, columns, replica, log }) {
  const numbered = params.map((value, index) => [`params[${index + 1}]`, value])
  return { table: ident(table), where, columns: columns?.map(ident).join(','), replica, log, ...Object.fromEntries(numbered) }
}

/** Long values are long only to be stored out of line. */
const short = (text) => text.replace(/([pqr] \d bytes )\1{2,}/g, '$1…')
export const brief = ({ headers, key, value }) => short(JSON.stringify({ ...headers, key, value }))

/** What is wrong with `values` (key → row), line by line; nothing if PostgreSQL selects the same. */
export function differences(shape, values, expected) {
  const table = tables.get(shape.table)
  const lines = []
  const text = (row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))
  const found = new Map([...values].map(([key, row]) => [key, plainRow(table, row)]))
  for (const [key, row] of expected) {
    const has = found.get(key)
    if (!has && !shape.log) lines.push(`lacks ${key}: ${text(row)}`)
    if (has && text(has) !== text(row)) lines.push(`has ${key} as ${text(has)}, PostgreSQL as ${text(row)}`)
  }
  for (const [key, row] of found) if (!expected.has(key)) lines.push(`has ${key}, which is not selected: ${text(row)}`)
  return lines.map(short)
}

/** A raw reader of the whole log of a shape. */
export function newcomer(server, shape) {
  const name = `a newcomer: ${describe(shape)}`
  return new TaggedFollower(server, parametersOf(shape), name, () => checkerFor(shape, name))
}

class Member {
  refetchesAllowed = 0
  tellsPosition = true

  constructor(server, shape, number, way) {
    // Another node of a cluster may promise less at first.
    if (server.moveOn) server.onMove = () => {
      if (this.checker) this.checker.mayFall = true
    }
    this.shape = shape
    this.name = `client ${number} (${way}): ${describe(shape)}`
    this.families = new Set([shape.table, ...shape.asked].map((name) => tables.get(name).family))
  }

  differences(expected) {
    return differences(this.shape, this.checker.values, expected)
  }

  /** Throws what went wrong on the way. A refused clause is `refused` instead. */
  check() {
    if (this.failure && !this.refused) {
      const { stack } = this.failure
      throw new Error(`${short(stack)}\nIt had been told: ${this.follower.messages.slice(-12).map(brief).join('\n')}`)
    }
    const allowed = this.refetchesAllowed
    assert.ok(this.refetches <= allowed, `${this.name}: ${this.refetches} refetches, of which ${allowed} had a reason`)
  }
}

/** The server under test is soon there again, so nobody waits as long as a 503 asks for. */
export async function impatientFetch(...request) {
  const response = await fetch(...request)
  if (response.status !== 503) return response
  const headers = new Headers(response.headers)
  headers.delete('retry-after')
  return new Response(response.body, { status: 503, headers })
}

/** Refusals that random clauses meet for good reasons, and only these. */
const refusals = /cannot be used both with and without NOT|more than \d+ (alternatives|conditions)/

export class NpmMember extends Member {
  constructor(server, shape, number, random) {
    const sse = shape.asked.length === 0 && !shape.log && random.chance(0.2)
    super(server, shape, number, sse ? 'npm, SSE' : 'npm')
    this.tellsPosition = !sse // A stream promises only what the shape itself has.
    const { table, asked, params, log, ...rest } = shape
    const given = { table: ident(table), ...rest, ...(params.length > 0 ? { params } : {}) }
    this.follower = new Follower(server.shapeUrl, given, {
      name: this.name,
      checker: sse ? new Unrepeated(this.name) : checkerFor(shape, this.name),
      materialize: asked.length === 0 && !log, // Its Shape knows nothing of moves.
      liveSse: sse,
      fetchClient: server.fetchClient ?? impatientFetch,
      log,
    })
  }

  get checker() {
    return this.follower?.checker
  }

  get refetches() {
    return this.follower.refetches
  }

  get handle() {
    return this.follower.stream.shapeHandle
  }

  get upToDate() {
    return this.follower.stream.isUpToDate
  }

  get refused() {
    return this.follower.errors.some((error) => error.status === 400 && refusals.test(JSON.stringify(error.json)))
  }

  get failure() {
    const wrong = this.follower.errors.find(({ status }) => status >= 400 && status < 500 && status !== 409)
    return this.follower.violation ?? (wrong && new Error(`${this.name}: ${wrong.status} ${JSON.stringify(wrong.json)}`))
  }

  state() {
    const { stream, errors } = this.follower
    return `${this.checker.seen}, offset ${stream.lastOffset}, ${errors.slice(-3).map(String)}`
  }

  differences(expected) {
    const lines = super.differences(expected)
    if (!this.follower.shape || lines.length > 0) return lines
    // What the client's own Shape shows, too.
    const found = this.follower.shape.currentValue
    return found.size === expected.size ? [] : [`the Shape has ${found.size} rows of ${expected.size}`]
  }

  async close() {
    this.follower.close()
  }
}

/** Reads live or plain, and sometimes looks away for a while. */
export class RawMember extends Member {
  #stopped = false
  #done

  constructor(server, shape, number, random) {
    super(server, shape, number, 'raw')
    this.server = server
    this.follower = new TaggedFollower(server, parametersOf(shape), this.name, () => checkerFor(shape, this.name))
    this.#done = this.#run(random).catch((error) => {
      this.failure = error
    })
  }

  async #run(random) {
    while (!this.#stopped) {
      await bravely(this.follower, random.chance(0.8))
      if (random.chance(0.05)) await delay(random.int(10, 400))
      else if (this.server.moveOn && random.chance(0.05)) this.server.moveOn()
      else if (this.follower.upToDate) await delay(5)
    }
  }

  get checker() {
    return this.follower?.rows
  }

  get refetches() {
    return this.follower.refetches
  }

  get handle() {
    return this.follower.handle
  }

  get upToDate() {
    return this.follower.upToDate
  }

  get refused() {
    return / 400 /.test(this.failure?.message ?? '') && refusals.test(this.failure.message)
  }

  state() {
    return `${this.checker.seen}, offset ${this.follower.offset}`
  }

  async close() {
    this.#stopped = true
    await this.#done
  }
}
