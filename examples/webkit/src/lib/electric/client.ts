// A tab's side of the hub: one per page load, made by the layout of the signed-in pages.
import { Hub, type Connection, type FromHub, type ToHub, type Values } from './hub'
import type { Shape, ShapeName } from './shapes'

export type { Connection }

interface Listener {
  rows: (rows: Map<string, Values>) => void
}

/**
 * Follows shapes for this tab, through the worker that all tabs of the session share. Life: made in
 * the browser only, close() when the user leaves. Rows of a shape come to every listener as one map,
 * which is never changed afterwards.
 */
export class LiveClient {
  connection: Connection = 'connecting'
  /** `which` is "worker" where tabs share one hub, "page" where the browser has no shared workers. */
  readonly where: 'worker' | 'page'
  #send: (message: ToHub) => void = () => {}
  #listeners = new Map<ShapeName, Set<Listener>>()
  #rows = new Map<ShapeName, Map<string, Values>>()
  #onConnection = new Set<(connection: Connection) => void>()
  #closed: () => void = () => {}

  constructor(session: string) {
    this.where = typeof SharedWorker === 'function' && 'locks' in navigator ? 'worker' : 'page'
    if (this.where === 'worker') this.#useWorker(session)
    else this.#useOwnHub(session)
    // A page that comes back from the back-forward cache has been told nothing meanwhile.
    addEventListener('pagehide', () => this.#send({ kind: 'bye' }))
    addEventListener('pageshow', (event) => event.persisted && location.reload())
  }

  #useWorker(session: string) {
    const worker = new SharedWorker(new URL('./hub.worker.ts', import.meta.url), {
      type: 'module',
      name: `live ${session} ${multiplexed() ? 32 : 4}`,
    })
    const lock = `tab ${crypto.randomUUID?.() ?? Math.random()}`
    worker.port.onmessage = ({ data }: MessageEvent<FromHub>) => this.#take(data)
    this.#send = (message) => worker.port.postMessage(message)
    // Held until this tab is gone, however it goes; only then is the worker told to wait for it.
    void navigator.locks.request(lock, () => {
      this.#send({ kind: 'hello', lock })
      return new Promise<void>((resolve) => (this.#closed = resolve))
    })
  }

  /** Without a shared worker each tab follows for itself, with fewer connections; hidden tabs rest. */
  #useOwnHub(session: string) {
    const hub = new Hub({ url: '/api/electric', session, connections: multiplexed() ? 32 : 2 })
    this.#send = hub.attach((message) => this.#take(message))
  }

  #take(message: FromHub) {
    if (message.kind === 'connection') {
      this.connection = message.connection
      for (const tell of this.#onConnection) tell(message.connection)
      return
    }
    const rows = message.kind === 'rows' ? new Map(message.rows) : new Map(this.#rows.get(message.shape))
    if (message.kind === 'changes') {
      for (const [key, row] of message.set) rows.set(key, row)
      for (const key of message.gone) rows.delete(key)
    }
    this.#rows.set(message.shape, rows)
    for (const listener of this.#listeners.get(message.shape) ?? []) listener.rows(rows)
  }

  /** Calls back with all rows, at once if they are known, and after each change. Returns how to stop. */
  follow<Row>(shape: Shape<Row>, rows: (rows: Row[]) => void): () => void {
    const listener: Listener = { rows: (map) => rows([...map.values()] as Row[]) }
    const listeners = this.#listeners.get(shape.name) ?? new Set()
    this.#listeners.set(shape.name, listeners)
    listeners.add(listener)
    if (listeners.size === 1) this.#send({ kind: 'subscribe', shape: shape.name })
    const known = this.#rows.get(shape.name)
    if (known) listener.rows(known)
    return () => {
      listeners.delete(listener)
      if (listeners.size > 0) return
      this.#rows.delete(shape.name)
      this.#send({ kind: 'unsubscribe', shape: shape.name })
    }
  }

  onConnection(tell: (connection: Connection) => void): () => void {
    this.#onConnection.add(tell)
    tell(this.connection)
    return () => this.#onConnection.delete(tell)
  }

  close() {
    this.#send({ kind: 'bye' })
    this.#closed()
  }
}

/** Over HTTP/2 and 3 all requests share one connection, so nobody needs to take turns. */
function multiplexed(): boolean {
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  return /^h[23]/.test(page?.nextHopProtocol ?? '')
}
