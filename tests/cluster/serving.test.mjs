// serving.test.mjs: any node answers any request with the same handle, offset and bytes.
import assert from 'node:assert/strict'
import { until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { stageCluster } from './harness/cluster.mjs'

const postgres = await stagePostgres()
const cluster = await stageCluster(postgres, {
  sql: `CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL); INSERT INTO items SELECT i, 'title ' || i FROM generate_series(1, 100) i`,
})

const read = async (node, query) => {
  const response = await fetch(`${node.shapeUrl}?${query}`)
  return {
    status: response.status,
    handle: response.headers.get('electric-handle'),
    offset: response.headers.get('electric-offset'),
    body: await response.text(),
  }
}

scenario('a shape that is asked for at a follower is the same at every node', async () => {
  const [follower] = await cluster.followers()
  const first = await read(follower, 'table=items&offset=-1')
  assert.equal(first.status, 200, first.body)
  for (const node of cluster.nodes) assert.deepEqual(await read(node, 'table=items&offset=-1'), first)
})

scenario('a change reaches the live readers of every node', async () => {
  const first = await read(cluster.nodes[0], 'table=items&offset=-1')
  const live = cluster.nodes.map((node) => read(node, `table=items&handle=${first.handle}&offset=${first.offset}&live=true`))
  await cluster.query(`INSERT INTO items VALUES (1000, 'new')`)
  const answers = await Promise.all(live)
  for (const answer of answers) {
    assert.equal(answer.status, 200)
    assert.match(answer.body, /"id":"1000"/)
    assert.equal(answer.offset, answers[0].offset)
  }
})
