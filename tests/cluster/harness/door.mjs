// harness/door.mjs: what one client takes for the server, for clients that know of one only: a node of
// the cluster, and another one when that fails it.
import { impatientFetch } from '../../client/harness/audience.mjs'

export class Door {
  moves = 0
  #at

  /** `at`: the number of the node to begin with. */
  constructor(cluster, at) {
    this.cluster = cluster
    this.#at = at
    // The npm client has one URL for good: it is rewritten for each request.
    this.fetchClient = async (url, options) => {
      const from = this.#at
      const there = new URL(url)
      there.port = String(this.port)
      let response
      try {
        response = await impatientFetch(there, options)
      } catch (error) {
        if (!options?.signal?.aborted && from === this.#at) this.moveOn()
        throw error
      }
      if (response.status >= 500 && from === this.#at) this.moveOn()
      return response
    }
  }

  get node() {
    return this.cluster.nodes[this.#at % this.cluster.nodes.length]
  }

  get host() {
    return this.node.host
  }

  get port() {
    return this.node.port
  }

  get secret() {
    return this.node.secret
  }

  get shapeUrl() {
    return this.node.shapeUrl
  }

  moveOn() {
    this.#at++
    this.moves++
    this.onMove?.()
  }
}
