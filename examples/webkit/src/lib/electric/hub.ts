// One follower of shapes for all tabs of a browser. It runs in a shared worker (hub.worker.ts), or in
// the page where there are none. Each shape is followed once, by the unmodified Electric client;
// every tab that asks for it gets its rows, and then what changes.
import { FetchError, ShapeStream, isChangeMessage, isControlMessage, snakeCamelMapper } from '@electric-sql/client'
import type { Message, Row } from '@electric-sql/client'
import { ConnectionBudget } from './budget'
import { shapes, type ShapeName } from './shapes'

export type Values = Row<Date>
export type Connection = 'connecting' | 'live' | 'paused' | 'signed-out'

export type ToHub =
  | { kind: 'hello'; lock?: string }
  | { kind: 'subscribe'; shape: ShapeName }
  | { kind: 'unsubscribe'; shape: ShapeName }
  | { kind: 'bye' }

export type FromHub =
  | { kind: 'rows'; shape: ShapeName; rows: [key: string, row: Values][] }
  | { kind: 'changes'; shape: ShapeName; set: [key: string, row: Values][]; gone: string[] }
  | { kind: 'connection'; connection: Connection }

export interface HubOptions {
  /** Where the proxy is; a shape's name is appended. */
  url: string
  /** The session whose pages ask: the proxy refuses if the cookie has become another's. */
  session: string
  /** How many connections all shapes may hold together. */
  connections: number
}

type Send = (message: FromHub) => void

/** PostgreSQL writes "2026-11-22 10:00:00.5+00"; the server's time zone is UTC on these sessions. */
const timestamptz = (text: string) => new Date(text.replace(' ', 'T').replace(/\+00$/, 'Z'))

/** A shape that nobody asks for is kept this long: people go from page to page and back. */
const lingerMs = 30_000

/** One shape: its rows, and the tabs that want them. */
class Feed {
  readonly audience = new Set<Send>()
  failing = false
  ready = false
  lingering: ReturnType<typeof setTimeout> | undefined
  #rows = new Map<string, Values>()
  #touched = new Set<string>()
  #stop = new AbortController()

  constructor(
    readonly name: ShapeName,
    readonly hub: Hub,
  ) {
    this.#start()
  }

  #start() {
    const stop = (this.#stop = new AbortController())
    this.#rows.clear()
    this.#touched.clear()
    this.ready = false
    const stream = new ShapeStream<Values>({
      url: new URL(`${this.hub.options.url}/${this.name}`, location.origin).href,
      params: { session: this.hub.options.session },
      columnMapper: snakeCamelMapper(),
      parser: { timestamptz },
      backoffOptions: { initialDelay: 250, maxDelay: 3_000, multiplier: 1.6 },
      fetchClient: this.#noticing(this.hub.budget.fetchFor(shapes[this.name].watched)),
      signal: stop.signal,
      warnOnHttp: false,
      onError: async (error) => {
        if (error instanceof FetchError && (error.status === 401 || error.status === 403)) {
          this.hub.signedOut()
          return
        }
        await new Promise((resolve) => setTimeout(resolve, 2_000))
        return stop.signal.aborted ? undefined : {}
      },
    })
    stream.subscribe(
      (messages) => this.#take(messages),
      () => setTimeout(() => stop.signal.aborted || this.hub.connection === 'signed-out' || this.#restart(), 10_000),
    )
  }

  #restart() {
    this.#stop.abort()
    this.#start()
  }

  /**
   * Requests tell how the connection is. The first one after a failure does not wait for news, so that
   * the answer, which brings what was missed, comes as soon as the server is back.
   */
  #noticing(ask: typeof fetch): typeof fetch {
    return async (input, init) => {
      const url = new URL(String(input))
      const cursor = url.searchParams.get('cursor') ?? ''
      const hurry = this.failing && url.searchParams.get('live') === 'true'
      if (hurry) for (const name of ['live', 'cursor']) url.searchParams.delete(name)
      try {
        const response = await ask(url, hurry ? { ...init, cache: 'no-store' } : init)
        if (response.status >= 500 || response.status === 429) this.#note(true)
        if (!hurry || !response.ok) return response
        const headers = new Headers(response.headers)
        headers.set('electric-cursor', cursor) // What the client asked for would have had one.
        return new Response(response.body, { status: response.status, headers })
      } catch (error) {
        if (!init?.signal?.aborted) this.#note(true)
        throw error
      }
    }
  }

  #note(failing: boolean) {
    if (this.failing === failing) return
    this.failing = failing
    this.hub.reconsider()
  }

  #take(messages: Message<Values>[]) {
    let complete = false
    for (const message of messages) {
      if (isControlMessage(message)) {
        if (message.headers.control === 'must-refetch') {
          this.#rows.clear()
          this.#touched.clear()
          this.ready = false // The tabs keep what they show until the new rows are complete.
        }
        complete = message.headers.control === 'up-to-date'
      } else if (isChangeMessage(message)) {
        const { key, value, headers } = message
        if (headers.operation === 'delete') this.#rows.delete(key)
        else if (headers.operation === 'insert') this.#rows.set(key, value)
        else this.#rows.set(key, { ...this.#rows.get(key), ...value })
        this.#touched.add(key)
      }
    }
    if (!complete) return
    if (!this.ready) {
      this.ready = true
      for (const send of this.audience) this.#sendRows(send)
      this.hub.reconsider()
    } else if (this.#touched.size > 0) {
      const set: [string, Values][] = []
      const gone: string[] = []
      for (const key of this.#touched) {
        const row = this.#rows.get(key)
        if (row) set.push([key, row])
        else gone.push(key)
      }
      for (const send of this.audience) send({ kind: 'changes', shape: this.name, set, gone })
    }
    this.#touched.clear()
    this.#note(false)
  }

  #sendRows(send: Send) {
    send({ kind: 'rows', shape: this.name, rows: [...this.#rows] })
  }

  join(send: Send) {
    clearTimeout(this.lingering)
    this.audience.add(send)
    if (this.ready) this.#sendRows(send)
  }

  leave(send: Send, ended: () => void) {
    if (!this.audience.delete(send) || this.audience.size > 0) return
    this.lingering = setTimeout(() => {
      this.#stop.abort()
      ended()
    }, lingerMs)
  }

  close() {
    clearTimeout(this.lingering)
    this.#stop.abort()
  }
}

export class Hub {
  readonly budget: ConnectionBudget
  connection: Connection = 'connecting'
  #feeds = new Map<ShapeName, Feed>()
  #tabs = new Set<Send>()

  constructor(readonly options: HubOptions) {
    this.budget = new ConnectionBudget({ connections: options.connections })
  }

  /** A tab: what it says goes to the function returned, what it is told to `send`. */
  attach(send: Send): (message: ToHub) => void {
    this.#tabs.add(send)
    send({ kind: 'connection', connection: this.connection })
    return (message) => {
      if (message.kind === 'subscribe') this.#feed(message.shape).join(send)
      if (message.kind === 'unsubscribe') this.#leave(message.shape, send)
      if (message.kind === 'bye') {
        this.#tabs.delete(send)
        for (const name of this.#feeds.keys()) this.#leave(name, send)
      }
    }
  }

  #feed(name: ShapeName): Feed {
    const feed = this.#feeds.get(name) ?? new Feed(name, this)
    this.#feeds.set(name, feed)
    return feed
  }

  #leave(name: ShapeName, send: Send) {
    const feed = this.#feeds.get(name)
    feed?.leave(send, () => {
      this.#feeds.delete(name)
      this.reconsider()
    })
  }

  /** Paused as soon as one shape fails; live when all have their rows. */
  reconsider() {
    if (this.connection === 'signed-out') return
    const feeds = [...this.#feeds.values()]
    const now = feeds.some((feed) => feed.failing)
      ? 'paused'
      : feeds.every((feed) => feed.ready)
        ? 'live'
        : 'connecting'
    // A shape that has just been asked for does not make the others less live.
    this.#say(now === 'connecting' && this.connection === 'live' ? 'live' : now)
  }

  /** The cookie is gone or another's. Nothing more may be asked or shown as live. */
  signedOut() {
    this.#say('signed-out')
    for (const feed of this.#feeds.values()) feed.close()
  }

  #say(connection: Connection) {
    if (connection === this.connection) return
    this.connection = connection
    for (const send of this.#tabs) send({ kind: 'connection', connection })
  }
}
