// Over HTTP/1.1 a browser opens six connections to one origin, for all its tabs together, and a long
// poll occupies one of them for as long as nothing happens. Seven live shapes would leave none for
// the next page or form. So all shapes of a browser share a few connections: the watched ones keep
// theirs, the others take turns. Whoever's turn ends is told what the server says when a poll ends
// without news, and asks again; what happened meanwhile is then waiting and comes at once.

interface Turn {
  readonly live: boolean
  readonly watched: boolean
  begin: () => void
  end?: () => void
  since: number
}

export interface BudgetOptions {
  /** Connections that may be held at once. Six minus two, which remain for pages and forms. */
  connections?: number
  /** How long a live request may stay while others wait. */
  turnMs?: number
  fetch?: typeof fetch
}

export class ConnectionBudget {
  readonly #connections: number
  readonly #turnMs: number
  readonly #fetch: typeof fetch
  #holding = new Set<Turn>()
  #waiting: Turn[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor({ connections = 4, turnMs = 700, fetch: use = (...args) => fetch(...args) }: BudgetOptions = {}) {
    this.#connections = connections
    this.#turnMs = turnMs
    this.#fetch = use
  }

  /** A fetch for the requests of one shape. */
  fetchFor(watched: boolean): typeof fetch {
    return async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : String(input))
      const outer = init?.signal
      const turn: Turn = {
        live: url.searchParams.get('live') === 'true',
        watched,
        begin: () => {},
        since: 0,
      }
      await this.#begin(turn, outer)
      const inner = new AbortController()
      const pass = () => inner.abort(outer?.reason)
      outer?.addEventListener('abort', pass, { once: true })
      if (outer?.aborted) pass()
      let ended = false
      turn.end = () => {
        ended = true
        inner.abort()
      }
      try {
        return await this.#fetch(input, { ...init, signal: inner.signal })
      } catch (error) {
        if (ended && !outer?.aborted) return noNews(url)
        throw error
      } finally {
        // Once there is a head, nothing more is waited for. Ending the turn now would lose the body.
        turn.end = undefined
        // A caller who gives up while the body comes must still reach it, so `pass` stays.
        this.#holding.delete(turn)
        this.#next()
      }
    }
  }

  /** Resolves when the request may be sent; rejects when its caller gives up before that. */
  #begin(turn: Turn, outer: AbortSignal | null | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting = this.#waiting.filter((other) => other !== turn)
        reject(outer?.reason ?? new DOMException('aborted', 'AbortError'))
      }
      if (outer?.aborted) return giveUp()
      outer?.addEventListener('abort', giveUp, { once: true })
      turn.begin = () => {
        outer?.removeEventListener('abort', giveUp)
        turn.since = Date.now()
        this.#holding.add(turn)
        resolve()
      }
      this.#waiting.push(turn)
      this.#next()
    })
  }

  /** Lets in who may come in, and sees to it that somebody leaves while others wait. */
  #next() {
    while (this.#waiting.length > 0 && this.#holding.size < this.#connections) {
      const first = this.#waiting.findIndex((turn) => turn.watched || !turn.live)
      const [turn] = this.#waiting.splice(Math.max(first, 0), 1)
      turn?.begin()
    }
    clearTimeout(this.#timer)
    if (this.#waiting.length === 0) return
    const live = [...this.#holding].filter((turn) => turn.live)
    const calm = live.filter((turn) => !turn.watched)
    const oldest = (calm.length > 0 ? calm : live).sort((a, b) => a.since - b.since)[0]
    if (!oldest) return // Whoever holds a connection will be done by itself.
    this.#timer = setTimeout(
      () => {
        if (this.#waiting.length > 0) oldest.end?.()
        else this.#next()
      },
      Math.max(0, oldest.since + this.#turnMs - Date.now()),
    )
  }
}

/** What a long poll is answered when its time is up, as far as the client can tell. */
function noNews(url: URL): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'electric-handle': url.searchParams.get('handle') ?? '',
      'electric-offset': url.searchParams.get('offset') ?? '',
      'electric-cursor': url.searchParams.get('cursor') ?? '',
      'electric-up-to-date': '',
    },
  })
}
