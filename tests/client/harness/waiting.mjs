// harness/waiting.mjs: requests that wait: a long poll that can be looked at before it is answered,
// and a stream of server-sent events, read event by event.
import assert from 'node:assert/strict'
import { RawConnection } from './raw.mjs'
import { isUpToDate, target } from './shapes.mjs'

/** Sends a live request on a connection of its own, so that the test can see when it is answered. */
export async function poll(server, params) {
  const connection = await RawConnection.open(server.port, server.host)
  const started = Date.now()
  connection.request('GET', target({ live: 'true', cursor: '', ...params }))
  const answer = connection.readResponse({ timeoutMs: 40_000 }).then((response) => {
    connection.destroy()
    response.ms = Date.now() - started
    return response
  })
  answer.catch(() => {}) // Awaited later, if at all.
  return { connection, answer, pending: () => connection.unread.length === 0 && !connection.closedByPeer }
}

/** An SSE stream: head read, events as they come. */
export async function openEvents(server, params) {
  const connection = await RawConnection.open(server.port, server.host)
  connection.request(
    'GET',
    target({ live: 'true', cursor: '', ...params, experimental_live_sse: 'true', live_sse: 'true' }),
    { accept: 'text/event-stream' },
  )
  const head = await connection.readHead(10_000)
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  return {
    connection,
    head,
    /** The next event or comment without its empty line; undefined at a clean end. */
    async next(timeoutMs = 10_000) {
      for (;;) {
        const end = text.indexOf('\n\n')
        if (end >= 0) {
          const event = text.slice(0, end)
          text = text.slice(end + 2)
          return event
        }
        const chunk = await connection.readChunk(timeoutMs)
        if (chunk === undefined) {
          assert.equal(text, '', 'the stream ends between events')
          return undefined
        }
        text += decoder.decode(chunk, { stream: true })
      }
    },
    /** Events until an up-to-date; each is checked to be one line of data. */
    async batch(timeoutMs = 10_000) {
      const messages = []
      for (;;) {
        const event = await this.next(timeoutMs)
        assert.ok(event !== undefined, 'the stream goes on')
        if (event === ': keep-alive') continue
        assert.match(event, /^data: \{[^\n]*\}$/)
        messages.push(JSON.parse(event.slice('data: '.length)))
        if (isUpToDate(messages.at(-1))) return messages
      }
    },
  }
}
