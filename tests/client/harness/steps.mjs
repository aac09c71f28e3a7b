// harness/steps.mjs: a road to PostgreSQL on which something can be done before a statement of one's
// choice goes on: so that what happens between two steps of Busbar's happens there, and not by chance.
import { connect, createServer } from 'node:net'

const sslRequest = 80877103
const gssRequest = 80877104

export class Steps {
  statements = [] // since arm()
  #armed
  #held
  #refused
  #sockets = new Set()

  /** Forwards loopback connections to `port`. */
  static async start(port) {
    const steps = new Steps()
    steps.listener = createServer((client) => steps.#forward(client, port))
    await new Promise((resolve) => steps.listener.listen(0, '127.0.0.1', resolve))
    steps.port = steps.listener.address().port
    return steps
  }

  /** `databaseUrl` by way of this road; what goes by must be readable. */
  through(databaseUrl) {
    const url = new URL(databaseUrl)
    url.port = this.port
    url.searchParams.set('sslmode', 'disable')
    url.searchParams.set('gssencmode', 'disable')
    return url.href
  }

  /** Before the n-th statement from now on (from 1), of all connections together, `act` is done. */
  arm(n, act) {
    this.statements = []
    this.#armed = { n, act, hit: false }
  }

  /** Whether it came to that. */
  get hit() {
    return this.#armed?.hit ?? false
  }

  disarm() {
    this.#armed = undefined
  }

  /** Statements of this form wait, from now on, until it is released; only of sessions of that name. */
  hold(pattern, application = '') {
    let resolve
    const released = new Promise((done) => (resolve = done))
    const held = {
      hit: false,
      release: () => {
        if (this.#held?.held === held) this.#held = undefined
        resolve()
      },
    }
    this.statements = []
    this.#held = { pattern, application, held, released }
    return held
  }

  /**
   * From now on PostgreSQL raises this SQLSTATE where a statement would come to what the pattern matches: for
   * the first `times` of them. What stands before it in the same message is done.
   */
  refuse(pattern, sqlstate, times = Infinity) {
    this.#refused = { pattern, sqlstate, times, met: [], allow: () => (this.#refused = undefined) }
    return this.#refused
  }

  /** The message of a simple query, as it goes on. */
  #replaced(message) {
    const text = message.toString('utf8', 5, message.length - 1)
    const found = this.#refused && this.#refused.met.length < this.#refused.times && this.#refused.pattern.exec(text)
    if (!found) return message
    this.#refused.met.push(text)
    const error = `RAISE EXCEPTION 'refused on the way' USING ERRCODE = '${this.#refused.sqlstate}'`
    const body = Buffer.from(`${text.slice(0, found.index)}DO $refused$ BEGIN ${error}; END $refused$\0`)
    const head = Buffer.alloc(5, 'Q')
    head.writeInt32BE(body.length + 4, 1)
    return Buffer.concat([head, body])
  }

  async #step(text, application) {
    this.statements.push(text)
    if (this.#held?.pattern.test(text) && application.includes(this.#held.application)) {
      this.#held.held.hit = true
      await this.#held.released
    }
    const armed = this.#armed
    if (!armed || armed.hit || this.statements.length < armed.n) return
    armed.hit = true
    await armed.act(text)
  }

  #forward(client, port) {
    const upstream = connect({ port, host: '127.0.0.1' })
    let waiting = Buffer.alloc(0)
    let greeted = false
    let application = ''
    let busy = false
    const flow = async () => {
      if (busy) return
      busy = true
      for (;;) {
        const head = greeted ? 1 : 0
        if (waiting.length < head + 4) break
        const length = head + waiting.readInt32BE(head)
        if (waiting.length < length) break
        const message = waiting.subarray(0, length)
        waiting = waiting.subarray(length)
        if (!greeted) {
          const code = message.readInt32BE(4)
          greeted = code !== sslRequest && code !== gssRequest
          const words = message.toString('utf8', 8, length).split('\0')
          if (greeted) application = words[words.indexOf('application_name') + 1]
        } else if (message[0] === 0x51 || message[0] === 0x50) {
          await this.#step(message.toString('utf8', 5, length - 1).split('\0').filter(Boolean)[0] ?? '', application)
        }
        if (upstream.writable) upstream.write(greeted && message[0] === 0x51 ? this.#replaced(message) : message)
      }
      busy = false
    }
    client.on('data', (bytes) => {
      waiting = Buffer.concat([waiting, bytes])
      flow()
    })
    upstream.on('data', (bytes) => client.write(bytes))
    const end = () => {
      for (const socket of [client, upstream]) {
        this.#sockets.delete(socket)
        socket.destroy()
      }
    }
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
