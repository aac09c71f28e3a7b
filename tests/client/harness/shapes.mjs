// harness/shapes.mjs: the Shape protocol seen by a reader: targets, keys, following a log, and the
// checks that hold for every log whatever its data (spec §7, §11, §19).
import assert from 'node:assert/strict'
import { request } from './raw.mjs'

/** `/v1/shape?…` with form encoding; `undefined` leaves a parameter out. */
export function target(params) {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.append(name, value)
  return `/v1/shape?${query}`
}

export async function get(server, params, options) {
  const secret = server.secret === undefined ? {} : { secret: server.secret }
  return request(server, target({ ...secret, ...params }), options)
}

/** The key of a row, §11.2. `values` are the primary key's texts in key order. */
export function rowKey(schema, table, values) {
  const name = (text) => `"${text.replaceAll('/', '//').replaceAll('.', '..')}"`
  const part = (value) => (value === null ? '_' : `"${value.replaceAll('/', '//')}"`)
  return [`${name(schema)}.${name(table)}`, ...values.map(part)].join('/')
}

/** Both spellings of a boolean are allowed (§22 Q1); tests compare the output function's. */
export function plainBooleans(row, booleans) {
  const copy = { ...row }
  for (const column of booleans) {
    if (copy[column] === 'true') copy[column] = 't'
    if (copy[column] === 'false') copy[column] = 'f'
  }
  return copy
}

export function parseOffset(text) {
  if (text === '-1') return { tx: -1n, op: 0n }
  const match = /^(0|[1-9][0-9]*)_(0|[1-9][0-9]*|inf)$/.exec(text)
  assert.ok(match, `offset ${text} is not canonical`)
  return { tx: BigInt(match[1]), op: match[2] === 'inf' ? 2n ** 63n : BigInt(match[2]) }
}

export function compareOffsets(left, right) {
  const a = parseOffset(left)
  const b = parseOffset(right)
  if (a.tx !== b.tx) return a.tx < b.tx ? -1 : 1
  return a.op === b.op ? 0 : a.op < b.op ? -1 : 1
}

export function isUpToDate(message) {
  return message?.headers?.control === 'up-to-date'
}

/**
 * Applies the messages of one shape, as a client would, and checks on the way what must hold for
 * every log: positions ascend, each transaction ends in exactly one `last`, no key is inserted
 * twice or changed when absent.
 */
export class LogChecker {
  rows = new Map()
  entries = 0
  seen = -1n // the highest LSN promised by an up-to-date
  mayFall = false // To be set while a killed server comes back: it may promise less at first.
  #position
  #open // the LSN whose `last` has not come yet
  #name

  constructor(name) {
    this.#name = name
  }

  /** key → row. */
  get values() {
    return this.rows
  }

  #fail(what, message) {
    assert.fail(`${this.#name}: ${what}: ${JSON.stringify(message)}`)
  }

  reset() {
    this.rows.clear()
    this.entries = 0
    this.seen = -1n
    this.#position = undefined
    this.#open = undefined
  }

  feed(messages) {
    for (const message of messages) this.#one(message)
  }

  #one(message) {
    const { headers } = message
    if (headers.control === 'must-refetch') return this.reset()
    if (headers.control !== undefined) {
      if ('key' in message) this.#fail('a control message with a key', message)
      if (isUpToDate(message)) {
        if (this.#open !== undefined) this.#fail(`up-to-date, but LSN ${this.#open} has had no last entry`, message)
        if (typeof headers.global_last_seen_lsn !== 'string') this.#fail('no global_last_seen_lsn', message)
        const lsn = BigInt(headers.global_last_seen_lsn)
        if (lsn < this.seen && !this.mayFall) this.#fail(`global_last_seen_lsn fell from ${this.seen}`, message)
        if (lsn < this.seen) return
        this.seen = lsn
      } else if (headers.control !== 'snapshot-end') {
        this.#fail('an unknown control message', message)
      }
      return
    }
    if (typeof message.key !== 'string') this.#fail('neither control nor key', message)
    this.#place(message)
    switch (headers.operation) {
      case 'insert':
        if (this.rows.has(message.key)) this.#fail('a second insert without delete between', message)
        this.rows.set(message.key, { ...message.value })
        break
      case 'update':
        if (!this.rows.has(message.key)) this.#fail('an update of an absent row', message)
        Object.assign(this.rows.get(message.key), message.value)
        break
      case 'delete':
        if (!this.rows.delete(message.key)) this.#fail('a delete of an absent row', message)
        break
      default:
        this.#fail('an unknown operation', message)
    }
    this.entries++
  }

  #place(message) {
    const { headers } = message
    if (headers.lsn === undefined) {
      if (this.#position !== undefined) this.#fail('a snapshot row after replicated changes', message)
      if (headers.operation !== 'insert') this.#fail('a snapshot row that is no insert', message)
      return
    }
    if (!/^[1-9][0-9]*$/.test(headers.lsn)) this.#fail('an LSN that is not decimal', message)
    if (!Number.isSafeInteger(headers.op_position)) this.#fail('a position that is no integer', message)
    if (!Array.isArray(headers.txids) || headers.txids.length !== 1) this.#fail('not exactly one txid', message)
    const here = { lsn: BigInt(headers.lsn), op: headers.op_position }
    const before = this.#position
    if (before && (here.lsn < before.lsn || (here.lsn === before.lsn && here.op <= before.op))) {
      this.#fail(`position does not ascend after (${before.lsn}, ${before.op})`, message)
    }
    if (before && here.lsn === before.lsn && this.#open === undefined) this.#fail('an entry after last', message)
    if (this.#open !== undefined && this.#open !== here.lsn) this.#fail(`LSN ${this.#open} had no last entry`, message)
    if (here.lsn <= this.seen) this.#fail(`an LSN that up-to-date ${this.seen} had covered`, message)
    if ('last' in headers && headers.last !== true) this.#fail('last that is not true', message)
    this.#position = here
    this.#open = headers.last ? undefined : here.lsn
  }
}

/** Checks a 200 answer to a log request against itself: headers, offsets, up-to-date (§8.3, §13). */
export function checkLogResponse(response, { offset, live = false } = {}) {
  assert.equal(response.status, 200, response.text)
  assert.equal(response.header('content-type'), 'application/json; charset=utf-8')
  const messages = response.json
  assert.ok(Array.isArray(messages), 'the body is an array')
  const upToDate = isUpToDate(messages.at(-1))
  assert.equal(messages.filter(isUpToDate).length, upToDate ? 1 : 0, 'up-to-date only at the end')
  assert.equal(response.header('electric-up-to-date'), upToDate ? '' : undefined, 'up-to-date header and message agree')
  assert.ok(response.header('electric-handle'), 'electric-handle')
  const next = response.header('electric-offset')
  assert.ok(next, 'electric-offset')
  parseOffset(next)
  if (live) {
    assert.match(response.header('electric-cursor') ?? '', /^[0-9]+$/)
    assert.equal(response.header('electric-schema'), undefined)
  } else {
    assert.equal(response.header('electric-cursor'), undefined)
    assert.ok(response.header('electric-schema'), 'electric-schema')
  }
  if (offset !== undefined && offset !== 'now') {
    const order = compareOffsets(next, offset)
    assert.ok(order > 0 || (order === 0 && upToDate), `offset ${offset} → ${next} neither advances nor is up to date`)
  }
  return { messages, upToDate, handle: response.header('electric-handle'), offset: next }
}

/**
 * Follows a shape from `offset` (default: from nothing) until it is up to date.
 * Returns {handle, offset, messages, responses, schema, checker}.
 */
export async function follow(server, shape, { offset = '-1', handle, checker = new LogChecker('follow') } = {}) {
  const all = { handle, offset, messages: [], responses: [], checker }
  for (let step = 0; step < 10_000; step++) {
    const response = await get(server, { ...shape, offset: all.offset, handle: all.handle })
    const page = checkLogResponse(response, { offset: all.offset })
    if (all.handle !== undefined) assert.equal(page.handle, all.handle, 'the handle stays')
    all.handle = page.handle
    all.offset = page.offset
    all.responses.push(response)
    all.messages.push(...page.messages)
    all.schema = JSON.parse(response.header('electric-schema'))
    checker.feed(page.messages)
    if (page.upToDate) return all
  }
  throw new Error('not up to date after 10000 responses')
}

/** Follows until an up-to-date covers `lsn`, polling live; returns the state after it. */
export async function followTo(server, shape, state, lsn, { deadlineMs = 20_000 } = {}) {
  const deadline = Date.now() + deadlineMs
  while (state.checker.seen < lsn) {
    assert.ok(Date.now() < deadline, `up to date only to ${state.checker.seen}, not to ${lsn}`)
    const response = await get(server, {
      ...shape,
      offset: state.offset,
      handle: state.handle,
      live: 'true',
      cursor: state.cursor ?? '',
    })
    const page = checkLogResponse(response, { offset: state.offset, live: true })
    state.cursor = response.header('electric-cursor')
    state.offset = page.offset
    state.messages.push(...page.messages)
    state.checker.feed(page.messages)
  }
  return state
}
