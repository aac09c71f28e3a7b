// harness/throttle.mjs: a slow road to PostgreSQL: a proxy that can let answers through in a trickle,
// and from a given number of bytes on hold them back until it is opened.
import { connect, createServer } from 'node:net'

export class Throttle {
  #open = true
  #bytesPerTick = 0
  #bytesLeft = 0
  #flows = new Set()
  #sockets = new Set()

  /** Forwards loopback connections to `port`, at first at once. */
  static async start(port) {
    const throttle = new Throttle()
    throttle.listener = createServer((client) => throttle.#forward(client, port))
    await new Promise((resolve) => throttle.listener.listen(0, '127.0.0.1', resolve))
    throttle.port = throttle.listener.address().port
    return throttle
  }

  /** From now on `bytesPerTick` pass every 20 ms, `bytesMax` and no more. */
  narrow({ bytesPerTick, bytesMax }) {
    this.#open = false
    this.#bytesPerTick = bytesPerTick
    this.#bytesLeft = bytesMax
  }

  /** From now on everything passes at once. */
  open() {
    this.#open = true
    for (const flow of this.#flows) flow()
  }

  /** Breaks all connections; what was held back is lost, as with a network that fails. */
  cut() {
    for (const socket of this.#sockets) socket.destroy()
  }

  #forward(client, port) {
    const upstream = connect({ port, host: '127.0.0.1' })
    let waiting = Buffer.alloc(0)
    const flow = () => {
      const room = this.#open ? waiting.length : Math.min(this.#bytesPerTick, this.#bytesLeft)
      const part = waiting.subarray(0, room)
      waiting = waiting.subarray(part.length)
      this.#bytesLeft -= part.length
      if (part.length > 0) client.write(part)
      if (waiting.length === 0) upstream.resume()
    }
    const timer = setInterval(flow, 20)
    const end = () => {
      clearInterval(timer)
      this.#flows.delete(flow)
      for (const socket of [client, upstream]) {
        this.#sockets.delete(socket)
        socket.destroy()
      }
    }
    this.#flows.add(flow)
    client.on('data', (bytes) => upstream.write(bytes))
    upstream.on('data', (bytes) => {
      waiting = Buffer.concat([waiting, bytes])
      if (this.#open) flow()
      else if (waiting.length > 4 * this.#bytesPerTick) upstream.pause()
    })
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', end)
      socket.on('close', end)
    }
  }

  async stop() {
    this.open()
    this.cut()
    await new Promise((resolve) => this.listener.close(resolve))
  }
}
