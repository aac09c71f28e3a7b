// harness/scene.mjs: a cluster with readers at all nodes and a writer, in the middle of which something
// happens; afterwards every reader has what SELECT says, and none was told to begin anew.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../client/harness/processes.mjs'
import { Reader } from './reader.mjs'

export const sceneSql = `
  CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL);
  INSERT INTO items SELECT i, 0 FROM generate_series(1, 20) i;
  CREATE TABLE unseen (n int)`

/** Commits small changes, about 50 a second, until stopped; PostgreSQL may go and come. */
export function writer(postgres, cluster) {
  let stopped = false
  let commits = 0
  const done = (async () => {
    let client
    while (!stopped) {
      try {
        client ??= await postgres.client(cluster.database)
        await client.query(`UPDATE items SET n = n + 1 WHERE id = ${1 + (commits % 20)}`)
        if (commits % 10 === 0) await client.query(`DELETE FROM items WHERE id = 100; INSERT INTO items VALUES (100, ${commits})`)
        commits++
      } catch {
        await client?.end().catch(() => {})
        client = undefined
      }
      await delay(20)
    }
    await client?.end().catch(() => {})
  })()
  return { stop: () => ((stopped = true), done), commits: () => commits }
}

/** `trouble(scene)` happens under load; the scene has cluster, readers, wrote(n). Settles and compares. */
export async function scene({ postgres, cluster, cleanup, readers: count = 6 }, trouble) {
  await cluster.settled()
  const readers = []
  cleanup(() => readers.forEach((reader) => reader.stop()))
  const addReader = (at) => {
    const reader = new Reader(cluster, { table: 'items' }, { prefers: at })
    readers.push(reader)
    return reader
  }
  for (let i = 0; i < count; i++) addReader(i % 3)
  await Promise.all(readers.map((reader) => reader.upToDate()))
  const writing = writer(postgres, cluster)
  cleanup(() => writing.stop())
  const wrote = async (commits) => {
    const enough = writing.commits() + commits
    await until(() => writing.commits() >= enough, () => `${enough} commits; there are ${writing.commits()}`, { deadlineMs: 30_000 })
  }
  await wrote(15)
  const began = Date.now()
  await trouble({ cluster, readers, addReader, wrote })
  await cluster.settled()
  const settledMs = Date.now() - began
  await wrote(10)
  await writing.stop()
  const expected = await cluster.query('SELECT id::text, n::text FROM items ORDER BY items.id')
  for (const reader of readers) await reader.equals(expected)
  const gap = Math.max(...readers.map((reader) => reader.longestGapMs))
  console.log(`# over and settled after ${settledMs} ms; the longest pause of a live reader was ${gap} ms`)
  assert.equal(new Set(readers.map((reader) => reader.handle)).size, 1, 'one handle')
  return readers[0].handle
}
