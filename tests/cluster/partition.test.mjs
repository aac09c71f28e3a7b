// partition.test.mjs: networks that lose what is sent, both ways or one way, between members and between
// a member and PostgreSQL. While it lasts readers of the nodes that are left go on; afterwards there is
// one leader, every reader has what SELECT says, and none was told to begin anew.
import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Postgres } from '../client/harness/postgres.mjs'
import { until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { Cluster } from './harness/cluster.mjs'
import { databaseHost, inNamespace, makeNetwork, whyNoNetwork } from './harness/network.mjs'
import { scene, sceneSql } from './harness/scene.mjs'

const deadlineMs = 150_000

async function stage(cleanup, env) {
  const network = await makeNetwork(3)
  const postgres = await Postgres.prepare({
    settings: {
      listen_addresses: '*',
      // A session whose network is gone ends as soon as PostgreSQL notices, as it is set up for a cluster.
      wal_sender_timeout: '10s',
      tcp_user_timeout: '5s',
      tcp_keepalives_idle: '2',
      tcp_keepalives_interval: '1',
      tcp_keepalives_count: '3',
    },
  })
  cleanup(() => postgres.discard())
  appendFileSync(join(postgres.data, 'pg_hba.conf'), 'host all all 10.99.0.0/16 trust\n')
  await postgres.start()
  const database = await postgres.createDatabase()
  await postgres.query(database, sceneSql)
  const cluster = await Cluster.start({
    databaseUrl: postgres.url(database).replace('127.0.0.1', databaseHost),
    places: network.places,
    env,
  })
  cleanup(() => cluster.discard())
  Object.assign(cluster, { database, query: (text, values) => postgres.query(database, text, values) })
  return { network, postgres, cluster }
}

/** The node that leads, by the word of those that are asked. */
const leaderAmong = (cluster, nodes) =>
  until(
    async () => {
      for (const node of nodes) {
        const view = await cluster.view(node)
        if (view?.members.some((one) => one.self && one.role === 'leader')) return node
      }
      return undefined
    },
    'one of the others to lead',
    { deadlineMs: 90_000, everyMs: 50 },
  )

async function changesArrive(readers, wrote, how = 'every') {
  const before = readers.map((reader) => reader.changes)
  await wrote(10)
  const moved = () => readers[how]((reader, i) => reader.changes > before[i])
  await until(moved, `${how} reader to be told of changes`, { deadlineMs: 60_000, everyMs: 50 })
}

const partitions = {
  'the leader is cut from its followers': async ({ network, cluster, leader, others, wrote, readers }) => {
    for (const other of others) {
      network.cut(leader.host, other.host)
      network.cut(other.host, leader.host)
    }
    await wrote(60)
    // Who is cut off shows what it has; who reads on the side that leads goes on.
    await changesArrive(readers, wrote, 'some')
    const leading = []
    for (const node of cluster.nodes) {
      const view = await cluster.view(node)
      if (view?.members.some((one) => one.self && one.role === 'leader')) leading.push(node)
    }
    console.log(`partition: ${leading.length} lead, ${leading.includes(leader) ? 'the same' : 'another'}`)
  },
  'the leader is cut from PostgreSQL': async ({ network, cluster, leader, others, wrote, readers }) => {
    network.cut(leader.host, databaseHost)
    network.cut(databaseHost, leader.host)
    const began = Date.now()
    await leaderAmong(cluster, others)
    const tookMs = Date.now() - began
    console.log(`partition: another leads after ${tookMs} ms`)
    // PostgreSQL ends the session after 10 s; a leader that does not know it says for 30 s that it streams.
    assert.ok(tookMs < 28_000, `the others wait for the word of a leader that has lost the lock: ${tookMs} ms`)
    await changesArrive(readers, wrote)
  },
  'the leader is cut from PostgreSQL, notices first, and says so': async ({ network, cluster, leader, wrote, readers }) => {
    network.cut(leader.host, databaseHost)
    network.cut(databaseHost, leader.host)
    const began = Date.now()
    const self = await until(
      async () => {
        const one = (await cluster.view(leader))?.members.find(({ self }) => self)
        return one && (one.role !== 'leader' || one.without_postgres_since) && one
      },
      'the leader not to be called one without more',
      { deadlineMs: 20_000, everyMs: 50 },
    )
    console.log(`partition: after ${Date.now() - began} ms it says: ${self.role}, without PostgreSQL since ${self.without_postgres_since}`)
    await changesArrive(readers, wrote)
  },
  'the leader is cut from all others': async ({ network, cluster, leader, others, wrote, readers }) => {
    for (const host of [databaseHost, ...others.map((other) => other.host)]) {
      network.cut(leader.host, host)
      network.cut(host, leader.host)
    }
    const began = Date.now()
    await leaderAmong(cluster, others)
    console.log(`partition: another leads after ${Date.now() - began} ms`)
    const elsewhere = readers.filter((reader) => reader.node !== leader)
    await changesArrive(elsewhere, wrote)
  },
  'nothing that the leader sends arrives at a follower': async ({ network, leader, others, wrote, readers }) => {
    network.cut(leader.host, others[0].host)
    await wrote(60)
    await changesArrive(readers.filter((reader) => reader.node !== others[0]), wrote)
  },
  'nothing that a follower sends arrives at the leader': async ({ network, leader, others, wrote, readers }) => {
    network.cut(others[1].host, leader.host)
    await wrote(60)
    await changesArrive(readers.filter((reader) => reader.node !== others[1]), wrote)
  },
}

/** Settings of the nodes, where it matters. */
const environments = {
  'the leader is cut from PostgreSQL, notices first, and says so': {
    BUSBAR_DATABASE_TCP_USER_TIMEOUT: '2s',
    BUSBAR_DATABASE_TCP_KEEPALIVE_IDLE: '1s',
    BUSBAR_DATABASE_TCP_KEEPALIVE_INTERVAL: '1s',
    BUSBAR_DATABASE_TCP_KEEPALIVE_COUNT: '2',
  },
}

const chosen = process.env.BUSBAR_PARTITION
if (chosen === undefined) {
  // Each runs in a process of its own, whose network it may cut as it likes.
  const skip = whyNoNetwork()
  for (const name of Object.keys(partitions)) {
    test(name, { skip }, async () => {
      const { code, output } = await inNamespace(import.meta.url, { BUSBAR_PARTITION: name }, deadlineMs + 20_000)
      assert.equal(code, 0, output)
      for (const line of output.split('\n')) if (/partition:|longest pause/.test(line)) console.log(line)
    })
  }
} else {
  scenario(
    chosen,
    async ({ cleanup }) => {
      const { network, postgres, cluster } = await stage(cleanup, environments[chosen])
      await scene({ postgres, cluster, cleanup }, async ({ readers, wrote }) => {
        const leader = await cluster.leader()
        const others = cluster.nodes.filter((node) => node !== leader)
        await partitions[chosen]({ network, cluster, leader, others, readers, wrote })
        network.heal()
      })
    },
    { deadlineMs },
  )
}
