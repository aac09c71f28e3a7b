// Shapes as Svelte's state. A page loads its rows by ordinary queries and hands them over; once
// Busbar has told all rows, those are shown instead, and while updates are paused whichever is newer.
import { browser } from '$app/environment'
import { getContext, onDestroy, setContext, untrack } from 'svelte'
import { LiveClient, type Connection } from './client'
import type { Shape } from './shapes'

const context = Symbol('live')

/** The connection of the signed-in pages. On the server there is none, and no `client`. */
class Live {
  connection = $state<Connection>('connecting')
  readonly client: LiveClient | undefined

  constructor(session: string) {
    if (!browser) return
    const client = (this.client = new LiveClient(session))
    const stop = client.onConnection((connection) => (this.connection = connection))
    onDestroy(() => {
      stop()
      client.close()
    })
  }
}

/** Called once, by the layout of the signed-in pages. */
export function provideLive(session: string): Live {
  return setContext(context, new Live(session))
}

export function useLive(): Live {
  return getContext<Live>(context)
}

export interface ShapeState<Row> {
  /** Never undefined; empty while loading. */
  readonly rows: Row[]
  /** Neither the page's load nor Busbar has told any rows yet. */
  readonly isLoading: boolean
  /** Why `rows` may be old, in words for people. */
  readonly error: string | undefined
  readonly connection: Connection
}

/**
 * Follows a shape as long as the component lives. `initial` returns what the page's load function
 * found; it is asked again whenever that changes, for example after a form was sent.
 */
export function useShape<Row>(shape: Shape<Row>, initial?: () => Row[]): ShapeState<Row> {
  const live = useLive()
  let followed = $state.raw<Row[]>()
  let isNewer = $state(false) // than `initial()`

  $effect(() =>
    live.client?.follow(shape, (rows) => {
      followed = rows
      // What the hub has kept from before an outage is older than what this page was loaded with.
      if (untrack(() => live.connection) !== 'paused' || !initial) isNewer = true
    }),
  )

  $effect(() => {
    if (live.connection === 'live') isNewer = true
  })

  let loaded = initial?.()
  $effect(() => {
    const now = initial?.()
    if (now === loaded) return
    loaded = now
    if (untrack(() => live.connection) !== 'live') isNewer = false
  })

  const rows = $derived(followed && (isNewer || !initial) ? followed : initial?.())
  return {
    get rows() {
      return rows ?? []
    },
    get isLoading() {
      return rows === undefined
    },
    get error() {
      if (live.connection === 'paused') return 'Live updates are paused; reload to see what is new.'
      if (live.connection === 'signed-out') return 'You were signed out.'
      return undefined
    },
    get connection() {
      return live.connection
    },
  }
}
