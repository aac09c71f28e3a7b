// harness/cutter.mjs: a proxy that lets a given number of bytes of an SSE answer through and then
// cuts the connection, as a network may; and what @electric-sql/client makes of bytes so cut.
import { connect, createServer } from 'node:net'

/**
 * Listens on loopback and forwards to `server`. `cutAfter()` is asked at each SSE request for the
 * number of bytes of its answer that get through; undefined lets all pass. Other answers pass.
 */
export class Cutter {
  cuts = 0
  streams = 0
  #sockets = new Set()

  static async start(server, cutAfter) {
    const cutter = new Cutter()
    cutter.listener = createServer({ noDelay: true }, (socket) => cutter.#forward(socket, server, cutAfter))
    await new Promise((resolve) => cutter.listener.listen(0, '127.0.0.1', 4096, resolve))
    cutter.port = cutter.listener.address().port
    cutter.shapeUrl = `http://127.0.0.1:${cutter.port}/v1/shape`
    return cutter
  }

  #forward(client, server, cutAfter) {
    const upstream = connect({ port: server.port, host: '127.0.0.1', noDelay: true })
    let left = Infinity
    const end = () => {
      for (const socket of [client, upstream]) {
        this.#sockets.delete(socket)
        socket.destroy()
      }
    }
    client.on('data', (bytes) => {
      // A request line comes whole: our clients write a head at once and do not pipeline.
      if (/^[A-Z]+ [^ ]*[?&]live_sse=true/.test(bytes.toString('latin1'))) {
        this.streams++
        left = cutAfter() ?? Infinity
      }
      upstream.write(bytes)
      if (left === 0) cut()
    })
    const cut = () => {
      this.cuts++
      client.end()
      client.destroySoon()
      upstream.destroy()
    }
    upstream.on('data', (bytes) => {
      const passed = bytes.subarray(0, Math.min(left, bytes.length))
      left -= passed.length
      client.write(passed)
      if (left <= 0) cut()
    })
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', end)
      socket.on('close', end)
    }
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.listener.close(resolve))
  }
}

/** A client's place in a log, moved as @electric-sql/client moves it by the bytes of an SSE answer. */
export class Place {
  messages = [] // those of complete batches

  constructor({ handle, offset }) {
    Object.assign(this, { handle, offset, cursor: '' })
  }

  get parameters() {
    return { handle: this.handle, offset: this.offset, cursor: this.cursor, live: 'true' }
  }

  /** Takes what came of an answer before it was cut; returns its status, undefined without a head. */
  take(bytes) {
    const headEnd = bytes.indexOf('\r\n\r\n')
    if (headEnd < 0) return undefined
    const [statusLine, ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
    const status = Number(statusLine.split(' ')[1])
    if (status !== 200) return status
    const headers = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    )
    // The head alone moves the place, before any event has come.
    this.handle = headers.get('electric-handle')
    this.offset = headers.get('electric-offset')
    this.cursor = headers.get('electric-cursor')
    this.#events(unchunked(bytes.subarray(headEnd + 4)))
    return status
  }

  #events(text) {
    let batch = []
    for (const event of text.split('\n\n').slice(0, -1)) {
      if (!event.startsWith('data: ')) continue
      const message = JSON.parse(event.slice('data: '.length))
      batch.push(message)
      if (message.headers.control !== 'up-to-date') continue
      // Only a complete batch counts; the rest is thrown away with the connection.
      this.messages.push(...batch)
      this.offset = `${message.headers.global_last_seen_lsn}_0`
      batch = []
    }
  }
}

/** The text of a chunked body, cut anywhere: also part of a chunk is handed on by fetch(). */
function unchunked(bytes) {
  const parts = []
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) break
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16)
    if (!(size > 0)) break
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
  return Buffer.concat(parts).toString('utf8')
}
