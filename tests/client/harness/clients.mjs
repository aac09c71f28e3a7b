// harness/clients.mjs: the unmodified @electric-sql/client, set up so that every value stays the
// text that the server sent, every message is checked, and broken connections are retried quickly.
import { Shape, ShapeStream } from '@electric-sql/client'
import { until } from './processes.mjs'
import { LogChecker } from './shapes.mjs'

// The client saves what it has seen on a timer of up to a minute; a finished test process need not
// wait for that. Deadlines of tests are no reason to stay alive either.
const plainSetTimeout = globalThis.setTimeout
globalThis.setTimeout = (callback, ms, ...rest) => {
  const timer = plainSetTimeout(callback, ms, ...rest)
  if (ms > 20_000) timer.unref()
  return timer
}

const asText = (text) => text
const asBoolean = (text) => (text === 'true' ? 't' : text === 'false' ? 'f' : text)

/** Overrides every conversion of the client's default parser. */
export const textParser = {
  int2: asText,
  int4: asText,
  int8: asText,
  float4: asText,
  float8: asText,
  json: asText,
  jsonb: asText,
  bool: asBoolean,
}

/** For backoffOptions: the server under test is killed on purpose, and soon there again. */
export const quickRetries = { initialDelay: 50, maxDelay: 500, multiplier: 1.5 }

/** A stream and its Shape, with the raw messages checked on the way. Call close() when done. */
export class Follower {
  messages = []
  batches = 0
  refetches = 0
  errors = []
  violation
  handles = new Set()

  constructor(url, params, settings = {}) {
    const { name = params.table, parser = textParser, materialize = true, checker, ...options } = settings
    this.name = name
    this.checker = checker ?? new LogChecker(name)
    this.#abort = new AbortController()
    this.stream = new ShapeStream({
      url,
      params,
      parser,
      signal: this.#abort.signal,
      backoffOptions: quickRetries,
      onError: (error) => {
        this.errors.push(error)
        // The server under test is killed on purpose; what a request itself did wrong is not retried.
        return error.status >= 400 && error.status < 500 ? undefined : {}
      },
      ...options,
    })
    this.stream.subscribe(
      (messages) => this.#receive(messages),
      (error) => this.errors.push(error),
    )
    if (materialize) this.shape = new Shape(this.stream)
  }

  #abort

  #receive(messages) {
    this.batches++
    // Between a 409 and the answer to its refetch the stream may have no handle.
    if (this.stream.shapeHandle) this.handles.add(this.stream.shapeHandle)
    for (const message of messages) {
      this.messages.push(message)
      if (message.headers.control === 'must-refetch') this.refetches++
    }
    try {
      this.checker.feed(messages)
    } catch (error) {
      this.violation ??= error
    }
  }

  /** Throws the first broken invariant, if there was one. */
  check() {
    if (this.violation) throw this.violation
  }

  get rows() {
    return this.shape.currentRows
  }

  get changes() {
    return this.messages.filter((message) => message.headers.operation !== undefined)
  }

  get upToDates() {
    return this.messages.filter((message) => message.headers.control === 'up-to-date').length
  }

  /** Waits until `condition` holds for the up-to-date rows. */
  async reaches(condition, what, deadlineMs = 15_000) {
    await until(
      () => {
        this.check()
        return this.shape.isUpToDate && condition(this.rows, this)
      },
      () =>
        `${this.name}: ${what}; rows ${JSON.stringify(this.shape.currentRows).slice(0, 2000)}, ` +
        `last messages ${JSON.stringify(this.messages.slice(-5))}, errors ${this.errors.map(String)}`,
      { deadlineMs },
    )
    this.check()
  }

  close() {
    this.#abort.abort()
  }
}
