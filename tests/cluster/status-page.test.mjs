// status-page.test.mjs: the data of every node's status page names all members, and who leads.
import assert from 'node:assert/strict'
import { until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { stageCluster } from './harness/cluster.mjs'

const postgres = await stagePostgres()
const cluster = await stageCluster(postgres, { sql: 'CREATE TABLE items (id int PRIMARY KEY)' })

const nodesAt = async (node) =>
  (await (await fetch(`http://127.0.0.1:${node.metricsPort}/status.json`, { headers: { connection: 'close' } })).json()).nodes

scenario('each node shows all three, itself among them, and one leader', async () => {
  for (const node of cluster.nodes)
    await until(
      async () => {
        const nodes = await nodesAt(node)
        const [self] = nodes.filter((one) => one.self)
        return (
          nodes.length === 3 &&
          self.name === node.clusterAddress &&
          nodes.filter((one) => one.role === 'leader').length === 1 &&
          nodes.filter((one) => one.role === 'follower').length === 2
        )
      },
      async () => `the page of ${node.clusterAddress}: ${JSON.stringify(await nodesAt(node))}`,
    )
})

scenario('a member that dies is shown as away', async () => {
  const [gone, other] = await cluster.followers()
  await gone.kill9()
  await until(
    async () => (await nodesAt(other)).some((one) => one.name === gone.clusterAddress && one.role === 'away'),
    async () => JSON.stringify(await nodesAt(other)),
  )
  const nodes = await nodesAt(other)
  assert.match(nodes.find((one) => one.name === gone.clusterAddress).reason, /not heard for/)
})
