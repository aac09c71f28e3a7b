// takeover.test.mjs: a node dies, is stopped or pauses under load: no client refetches, every client
// ends up with what SELECT says.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { scenario } from '../client/harness/scenario.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { stageCluster } from './harness/cluster.mjs'
import { Reader } from './harness/reader.mjs'

const postgres = await stagePostgres()
const sql = `CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL); INSERT INTO items SELECT i, 0 FROM generate_series(1, 20) i`

/** Commits about 50 small changes a second until stopped; returns how many. */
function load(cluster) {
  let stopped = false
  const done = (async () => {
    let n = 0
    while (!stopped) {
      n++
      await cluster.query(`UPDATE items SET n = ${n} WHERE id = ${1 + (n % 20)}`)
      await delay(20)
    }
    return n
  })()
  return { stop: () => ((stopped = true), done) }
}

async function staged(cleanup, trouble) {
  const cluster = await stageCluster(postgres, { sql })
  cleanup(() => cluster.discard())
  const readers = []
  for (let i = 0; i < 6; i++) readers.push(new Reader(cluster, { table: 'items' }, { prefers: i % 3 }))
  cleanup(() => readers.forEach((reader) => reader.stop()))
  await Promise.all(readers.map((reader) => reader.upToDate()))
  const writing = load(cluster)
  await delay(500)
  const began = Date.now()
  await trouble(cluster)
  await cluster.settled()
  const settledMs = Date.now() - began
  await delay(500)
  await writing.stop()
  const expected = await cluster.query('SELECT id::text, n::text FROM items ORDER BY items.id')
  for (const reader of readers) await reader.equals(expected.rows ?? expected)
  const gap = Math.max(...readers.map((reader) => reader.longestGapMs))
  const refetches = readers.reduce((sum, reader) => sum + reader.refetches, 0)
  console.log(`# settled after ${settledMs} ms, longest pause of a live reader ${gap} ms`)
  assert.equal(refetches, 0)
}

scenario('the leader is killed', async ({ cleanup }) => {
  await staged(cleanup, async (cluster) => (await cluster.leader()).kill9())
})

scenario('a follower is killed and comes back', async ({ cleanup }) => {
  await staged(cleanup, async (cluster) => {
    const [follower] = await cluster.followers()
    await follower.kill9()
    await delay(500)
    await follower.start({ wait: false })
  })
})

scenario('the leader is stopped and comes back', async ({ cleanup }) => {
  await staged(cleanup, async (cluster) => {
    const leader = await cluster.leader()
    const { code } = await leader.terminate()
    assert.equal(code, 0)
    await cluster.settled()
    await leader.start({ wait: false })
  })
})

scenario('each leader in turn is killed and comes back', async ({ cleanup }) => {
  await staged(cleanup, async (cluster) => {
    for (let i = 0; i < 3; i++) {
      const leader = await cluster.leader()
      await leader.kill9()
      await cluster.settled()
      await leader.start({ wait: false })
      await cluster.settled()
    }
  })
}, { deadlineMs: 120_000 })
