// conversion.test.mjs: a single node becomes a cluster without a client noticing more than a restart, a node is taken
// away for good, and the last one goes on alone.
import assert from 'node:assert/strict'
import { Busbar } from '../client/harness/busbar.mjs'
import { freePort, until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { Cluster, clusterSecret } from './harness/cluster.mjs'
import { Reader } from './harness/reader.mjs'

const postgres = await stagePostgres()
const sql = `CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL); INSERT INTO items SELECT i, 0 FROM generate_series(1, 20) i`

scenario('a single node becomes a cluster of two, and one again: its clients go on', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  await postgres.query(database, sql)
  const databaseUrl = postgres.url(database)
  const cluster = new Cluster()
  cleanup(() => cluster.discard())
  const streamId = `conversion${process.pid}`
  const addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  for (const clusterAddress of addresses) {
    const node = await Busbar.prepare({ databaseUrl, streamId, env: { BUSBAR_LONG_POLL_TIMEOUT: '2s' } })
    cluster.nodes.push(Object.assign(node, { clusterAddress }))
  }
  const [first, second] = cluster.nodes
  const join = (node, peers) =>
    Object.assign(node.environment, {
      BUSBAR_CLUSTER_PEERS: peers.join(','),
      BUSBAR_CLUSTER_ADDRESS: node.clusterAddress,
      BUSBAR_CLUSTER_SECRET: clusterSecret,
    })
  let n = 0
  const reader = new Reader(cluster, { table: 'items' })
  cleanup(() => reader.stop())
  const allIsWell = async () => {
    n++
    await postgres.query(database, `UPDATE items SET n = ${n} WHERE id = ${n}`)
    const expected = await postgres.query(database, 'SELECT id::text, n::text FROM items ORDER BY items.id')
    await reader.equals(expected.rows ?? expected)
  }

  await first.start()
  await reader.upToDate()
  await allIsWell()
  const { handle } = reader

  await first.terminate()
  join(first, [first.clusterAddress])
  await first.start()
  assert.equal((await cluster.view(first)).leader, first.clusterAddress, 'a cluster of one')
  await allIsWell()

  join(second, addresses)
  await second.start({ wait: false })
  await cluster.settled()
  await first.terminate()
  await cluster.settled()
  await allIsWell()
  join(first, addresses)
  await first.start({ wait: false })
  await cluster.settled()
  assert.equal((await cluster.view(first)).members.length, 2)
  await allIsWell()

  await second.terminate()
  await first.terminate()
  for (const name of Object.keys(first.environment)) if (name.startsWith('BUSBAR_CLUSTER_')) delete first.environment[name]
  await first.start()
  await until(async () => (await fetch(`${first.url}/v1/cluster`)).status === 404, 'it to be a single node')
  await allIsWell()
  assert.equal(reader.handle, handle, 'it is the shape that was there in the beginning')
  assert.equal(reader.refetches, 0, reader.why)
})
