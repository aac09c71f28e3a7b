// harness/raw.mjs: a strict HTTP/1.1 client over a bare socket. It accepts only what RFC 9112 allows
// a server to send: every status line, header and byte of framing is checked, where fetch() forgives.
import { connect } from 'node:net'
import { within } from './processes.mjs'

export class FramingError extends Error {}

const statusLine = /^HTTP\/1\.([01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)$/
const headerLine =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[\t ]*$/
const chunkLine = /^[0-9a-fA-F]{1,8}$/
const mayRepeat = new Set(['vary', 'cache-control', 'set-cookie', 'connection', 'via'])

/** One response, complete unless read with readHead(). Header names are in lower case. */
export class RawResponse {
  constructor(status, reason, headers) {
    this.status = status
    this.reason = reason
    this.headers = headers
    this.body = Buffer.alloc(0)
    this.chunks = []
  }

  header(name) {
    return this.headers.get(name)
  }

  /** The body as UTF-8; malformed bytes are an error. */
  get text() {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.body)
  }

  get json() {
    return JSON.parse(this.text)
  }
}

/** One connection. send() what you like, then readResponse() as often as requests were sent. */
export class RawConnection {
  #buffer = Buffer.alloc(0)
  #ended = false
  #failure
  #wake = () => {}

  static async open(port, host = '127.0.0.1') {
    const connection = new RawConnection()
    const socket = connect({ port, host })
    connection.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes) => {
      connection.#buffer = Buffer.concat([connection.#buffer, bytes])
      connection.#wake()
    })
    socket.on('end', () => {
      connection.#ended = true
      connection.#wake()
    })
    socket.on('error', (error) => {
      connection.#failure = error
      connection.#ended = true
      connection.#wake()
    })
    socket.on('close', () => {
      connection.#ended = true
      connection.#wake()
    })
    await within(
      new Promise((resolve, reject) => {
        socket.once('connect', resolve)
        socket.once('error', reject)
      }),
      10_000,
      `a connection to port ${port}`,
    )
    return connection
  }

  send(data) {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
  }

  /** Sends one request. Header values are sent as given; no header is added but host. */
  request(method, target, headers = {}, body) {
    const lines = [`${method} ${target} HTTP/1.1`, 'host: localhost']
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
    if (body !== undefined) lines.push(`content-length: ${Buffer.byteLength(body)}`)
    this.send(`${lines.join('\r\n')}\r\n\r\n`)
    if (body !== undefined) this.send(Buffer.from(body))
  }

  get closedByPeer() {
    return this.#ended
  }

  get unread() {
    return this.#buffer
  }

  destroy() {
    this.socket.destroy()
  }

  async #more(deadline) {
    if (this.#ended) {
      const why = this.#failure ? `: ${this.#failure.message}` : ''
      throw new FramingError(
        `connection ended after ${JSON.stringify(this.#buffer.toString('latin1').slice(0, 200))}${why}`,
      )
    }
    await within(
      new Promise((resolve) => {
        this.#wake = resolve
      }),
      Math.max(1, deadline - Date.now()),
      `more bytes; so far ${JSON.stringify(this.#buffer.toString('latin1').slice(-200))}`,
    )
  }

  /** Resolves once the server has closed its side. */
  async closed(timeoutMs = 10_000) {
    const deadline = Date.now() + timeoutMs
    while (!this.#ended) await this.#more(deadline)
  }

  async #line(deadline) {
    for (;;) {
      const at = this.#buffer.indexOf('\n')
      if (at >= 0) {
        if (at === 0 || this.#buffer[at - 1] !== 0x0d) throw new FramingError('line ended by a bare line feed')
        const line = this.#buffer.subarray(0, at - 1).toString('latin1')
        this.#buffer = this.#buffer.subarray(at + 1)
        return line
      }
      await this.#more(deadline)
    }
  }

  async #bytes(count, deadline) {
    while (this.#buffer.length < count) await this.#more(deadline)
    const bytes = Buffer.from(this.#buffer.subarray(0, count))
    this.#buffer = this.#buffer.subarray(count)
    return bytes
  }

  /** Reads status line and headers. For a streamed body go on with readChunk(). */
  async readHead(timeoutMs = 30_000) {
    const deadline = Date.now() + timeoutMs
    const first = await this.#line(deadline)
    const parsed = statusLine.exec(first)
    if (!parsed) throw new FramingError(`bad status line ${JSON.stringify(first)}`)
    const headers = new Map()
    for (;;) {
      const line = await this.#line(deadline)
      if (line === '') break
      const header = headerLine.exec(line)
      if (!header) throw new FramingError(`bad header line ${JSON.stringify(line)}`)
      const name = header[1].toLowerCase()
      if (headers.has(name) && !mayRepeat.has(name)) throw new FramingError(`header ${name} twice`)
      headers.set(name, headers.has(name) ? `${headers.get(name)}, ${header[2]}` : header[2])
    }
    const response = new RawResponse(Number(parsed[2]), parsed[3], headers)
    response.version = `1.${parsed[1]}`
    return response
  }

  /** The next chunk of a chunked body, or undefined after the last one. */
  async readChunk(timeoutMs = 30_000) {
    const deadline = Date.now() + timeoutMs
    const size = await this.#line(deadline)
    if (!chunkLine.test(size)) throw new FramingError(`bad chunk size ${JSON.stringify(size)}`)
    const length = Number.parseInt(size, 16)
    const bytes = await this.#bytes(length, deadline)
    const end = await this.#line(deadline)
    if (end !== '') throw new FramingError(`after a chunk of ${length} bytes comes ${JSON.stringify(end)}`)
    return length === 0 ? undefined : bytes
  }

  /** Reads one whole response. `method` is that of the request: HEAD has no body. */
  async readResponse({ method = 'GET', timeoutMs = 30_000, version = '1.1' } = {}) {
    const deadline = Date.now() + timeoutMs
    const left = () => Math.max(1, deadline - Date.now())
    const response = await this.readHead(timeoutMs)
    // A server may answer HTTP/1.0 with either version (RFC 9110, 6.2).
    if (version === '1.1' && response.version !== '1.1') throw new FramingError(`HTTP/${response.version}`)
    const length = response.header('content-length')
    const coding = response.header('transfer-encoding')
    if (length !== undefined && coding !== undefined)
      throw new FramingError('both content-length and transfer-encoding')
    if (length !== undefined && !/^[0-9]+$/.test(length)) throw new FramingError(`content-length ${length}`)
    if (coding !== undefined && coding !== 'chunked') throw new FramingError(`transfer-encoding ${coding}`)
    if (response.status === 204 && (length !== undefined || coding !== undefined)) {
      throw new FramingError('204 with framing headers')
    }
    if (method === 'HEAD' || response.status === 204 || response.status === 304) return response
    if (coding === 'chunked') {
      for (;;) {
        const chunk = await this.readChunk(left())
        if (chunk === undefined) break
        response.chunks.push(chunk)
      }
      response.body = Buffer.concat(response.chunks)
    } else if (length !== undefined) {
      response.body = await this.#bytes(Number(length), deadline)
    } else {
      if (response.header('connection') !== 'close') throw new FramingError('body without length on a kept connection')
      while (!this.#ended) await this.#more(deadline)
      response.body = this.#buffer
      this.#buffer = Buffer.alloc(0)
    }
    return response
  }
}

/**
 * One request on a connection of its own; surplus bytes after the response are an error. With headers
 * that all requests to this server have, if it says so.
 */
export async function request(server, target, { method = 'GET', headers = {}, body, timeoutMs = 30_000 } = {}) {
  const connection = await RawConnection.open(server.port, server.host)
  try {
    connection.request(method, target, { ...server.headers, ...headers }, body)
    const response = await connection.readResponse({ method, timeoutMs })
    if (connection.unread.length > 0) {
      throw new FramingError(
        `after the response comes ${JSON.stringify(connection.unread.toString('latin1').slice(0, 200))}`,
      )
    }
    return response
  } finally {
    connection.destroy()
  }
}
