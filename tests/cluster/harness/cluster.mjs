// harness/cluster.mjs: several Busbars that are one service, as real processes on loopback.
import { after } from 'node:test'
import { Busbar } from '../../client/harness/busbar.mjs'
import { freePort, until } from '../../client/harness/processes.mjs'

export const clusterSecret = 'tests share this secret'
let clusters = 0

export class Cluster {
  nodes = []

  /** Prepares `size` nodes on one database; none is started. `places`: {host, launcher} of each. */
  static async prepare({ databaseUrl, size = 3, env = {}, places = [], ...options }) {
    const cluster = new Cluster()
    const streamId = `c${process.pid}_${++clusters}`
    const addresses = []
    for (let i = 0; i < size; i++) addresses.push(`${places[i]?.host ?? '127.0.0.1'}:${await freePort()}`)
    for (const [i, address] of addresses.entries()) {
      const node = await Busbar.prepare({
        databaseUrl,
        streamId,
        ...options,
        ...places[i],
        env: {
          BUSBAR_CLUSTER_PEERS: addresses.join(','),
          BUSBAR_CLUSTER_ADDRESS: address,
          BUSBAR_CLUSTER_SECRET: clusterSecret,
          BUSBAR_LONG_POLL_TIMEOUT: '2s',
          ...env,
        },
      })
      node.clusterAddress = address
      cluster.nodes.push(node)
    }
    return cluster
  }

  /** All nodes started and active: one leads, the others follow. */
  static async start(options) {
    const cluster = await Cluster.prepare(options)
    await Promise.all(cluster.nodes.map((node) => node.start({ wait: false })))
    await cluster.settled()
    return cluster
  }

  get running() {
    return this.nodes.filter((node) => node.running)
  }

  /** What the node says of the cluster, or undefined while it does not answer. */
  async view(node) {
    try {
      const secret = node.secret ? `?secret=${encodeURIComponent(node.secret)}` : ''
      const response = await fetch(`${node.url}/v1/cluster${secret}`, { signal: AbortSignal.timeout(3_000) })
      return response.ok ? await response.json() : undefined
    } catch {
      return undefined
    }
  }

  /** The node that leads, by its own word; undefined if none does. */
  async leader() {
    for (const node of this.running) {
      const view = await this.view(node)
      if (view?.members.some((one) => one.self && one.role === 'leader')) return node
    }
    return undefined
  }

  async followers() {
    const leader = await this.leader()
    return this.running.filter((node) => node !== leader)
  }

  /** Waits until one node leads and every other that runs follows it, in sync. Returns the leader. */
  async settled({ deadlineMs = 60_000 } = {}) {
    let last = []
    return until(
      async () => {
        if (this.running.length === 0) throw new Error(`no node runs:\n${this.nodes.map((node) => node.output(25)).join('\n')}`)
        last = await Promise.all(this.running.map((node) => this.view(node)))
        const selves = last.map((view) => view?.members.find((one) => one.self))
        const leading = selves.filter((self) => self?.role === 'leader')
        if (leading.length !== 1) return undefined
        const name = leading[0].name
        const fine = selves.every((self) => self && (self.name === name || (self.follows === name && self.in_sync)))
        const healths = await Promise.all(this.running.map((node) => node.health()))
        if (!fine || healths.some((health) => health?.status !== 'active')) return undefined
        return this.nodes.find((node) => node.clusterAddress === name)
      },
      () => `the cluster to settle: ${JSON.stringify(last)}\n${this.nodes.map((node) => node.output(25)).join('\n=====\n')}`,
      { deadlineMs, everyMs: 50 },
    )
  }

  async discard() {
    for (const node of this.nodes) await node.discard()
  }
}

/** A cluster on a new database of `postgres`, filled by `sql`; ended with the file's tests. */
export async function stageCluster(postgres, { sql, ...options } = {}) {
  const database = await postgres.createDatabase()
  if (sql) await postgres.query(database, sql)
  const cluster = await Cluster.start({ databaseUrl: postgres.url(database), ...options })
  cluster.database = database
  cluster.query = (text, values) => postgres.query(database, text, values)
  cluster.walPosition = () => postgres.walPosition(database)
  after(() => cluster.discard())
  return cluster
}
