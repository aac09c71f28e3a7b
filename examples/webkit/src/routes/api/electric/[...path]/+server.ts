// The proxy between browsers and Busbar. The path is the name of a shape; what may be asked of it is
// decided in lib/server/gatekeeper.ts. Bodies go through as they come, streams of events too.
import { error } from '@sveltejs/kit'
import { isShapeName, upstreamBody, upstreamUrl } from '$lib/server/gatekeeper'
import { currentSession } from '$lib/server/session'
import type { RequestHandler } from './$types'

/** What the protocol's clients and the browser's cache need to know. Nothing else goes through. */
const shown = /^(electric-.*|content-type|etag|retry-after|date)$/

const largestBody = 64 * 1024

/** A long poll ends after 20 s, and first rows may take their time. Whoever says nothing longer hangs. */
const patienceMs = (asked: URLSearchParams) =>
  asked.get('live') === 'true' || asked.get('offset') === '-1' ? 30_000 : 10_000

const answer: RequestHandler = async ({ request, params, url, cookies }) => {
  const session = currentSession(cookies)
  if (!session) error(401, 'Not signed in')
  // A page that was left open must not be fed with the rows of whoever has signed in since.
  if (url.searchParams.get('session') !== session.id) error(403, 'This page belongs to another session')
  if (!isShapeName(params.path)) error(404, 'No such shape')

  let body: string | undefined
  if (request.method === 'POST') {
    const text = await request.text()
    if (text.length > largestBody) error(413, 'Too large')
    body = upstreamBody(text)
    if (body === undefined) error(400, 'A POST asks for part of a shape: where, params, order_by, limit, offset')
  }

  // A new object: not one header of the browser's goes on, but for the two that are named.
  const headers = new Headers({ 'accept-encoding': 'identity' })
  const known = request.headers.get('if-none-match')
  if (known) headers.set('if-none-match', known)
  if (body !== undefined) headers.set('content-type', 'application/json')

  // A browser that goes away, or gives up waiting, must not leave a request behind.
  const stop = new AbortController()
  const leave = () => stop.abort()
  request.signal.addEventListener('abort', leave)
  if (request.signal.aborted) leave()
  const timer = setTimeout(leave, patienceMs(url.searchParams))
  let upstream: Response
  try {
    upstream = await fetch(upstreamUrl(params.path, session, url.searchParams), {
      method: request.method,
      headers,
      body,
      signal: stop.signal,
      redirect: 'error',
    })
  } catch {
    return new Response(JSON.stringify({ message: 'Live updates are not available' }), {
      status: 503,
      headers: { 'content-type': 'application/json', 'retry-after': '1', 'cache-control': 'no-store' },
    })
  } finally {
    clearTimeout(timer) // From here on the body may take as long as it likes.
  }

  if (upstream.status === 401) error(502, 'The sync service does not accept our secret')
  const headersOut = new Headers()
  for (const [name, value] of upstream.headers) if (shown.test(name)) headersOut.set(name, value)
  headersOut.set('cache-control', privately(upstream.headers.get('cache-control')))
  // Shared caches keep nothing of this, and a browser's own cache asks anew after another sign-in.
  headersOut.set('vary', 'cookie')
  headersOut.set('x-accel-buffering', 'no')
  return new Response(eventStream(upstream) ?? upstream.body, { status: upstream.status, headers: headersOut })
}

export const GET = answer
export const POST = answer

function privately(control: string | null): string {
  if (!control || /no-store|no-cache/.test(control)) return 'no-store'
  const kept = control.split(',').map((part) => part.trim())
  return ['private', ...kept.filter((part) => !/^(public|private|s-maxage=.*)$/.test(part))].join(', ')
}

/** The head of an answer is sent with the first byte of its body, so a stream begins with a comment. */
function eventStream(upstream: Response): ReadableStream<Uint8Array> | undefined {
  if (!upstream.body || !upstream.headers.get('content-type')?.startsWith('text/event-stream')) return undefined
  const opening = new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(': open\n\n')),
  })
  return upstream.body.pipeThrough(opening)
}
