// serving.test.mjs: any node answers any request with the same status, headers, handle, offset and bytes.
import assert from 'node:assert/strict'
import { Follower } from '../client/harness/clients.mjs'
import { until } from '../client/harness/processes.mjs'
import { Random, chosenSeed } from '../client/harness/random.mjs'
import { request } from '../client/harness/raw.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { LogChecker, follow, get, target } from '../client/harness/shapes.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { openEvents, poll } from '../client/harness/waiting.mjs'
import { stageCluster } from './harness/cluster.mjs'
import { Door } from './harness/door.mjs'

const seed = chosenSeed()
const postgres = await stagePostgres()
const cluster = await stageCluster(postgres, {
  sql: `CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL, team int);
    CREATE TABLE teams (id int PRIMARY KEY, open bool NOT NULL);
    INSERT INTO teams SELECT i, i % 2 = 0 FROM generate_series(1, 6) i;
    INSERT INTO items SELECT i, 'title ' || i, 1 + i % 6 FROM generate_series(1, 400) i`,
  env: { BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000', BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' },
})
const { nodes } = cluster

/** A response without what differs from one answer of a single server to its next. */
function comparable(response) {
  const headers = Object.fromEntries(response.headers)
  // Where no row is told of, the tag is one that was never given before.
  if (headers['electric-has-data'] === 'false') headers.etag = headers.etag?.replace(/:[0-9]+"$/, ':any"')
  for (const name of ['date', 'x-request-id', 'electric-cursor']) if (name in headers) headers[name] = 'any'
  const body = response.body.toString('latin1').replace(/"request_id":"[^"]*"/, '"request_id":"any"')
  return { status: response.status, headers, body }
}

/** What a subset tells of its snapshot is its own: snapshots differ, and marks are drawn. */
function withoutSnapshot({ status, headers, body }) {
  const json = JSON.parse(Buffer.from(body, 'latin1').toString())
  if (!json.metadata) return { status, headers, body: json }
  const { 'content-length': length, ...rest } = headers
  const metadata = Object.keys(json.metadata)
  const data = json.data.map((row) => ({ ...row, headers: { ...row.headers, snapshot_mark: 0 } }))
  return { status, headers: { ...rest, length: typeof length }, body: { metadata, data } }
}

/** All nodes answer alike; a follower may know a little later how far the WAL is. Returns that answer. */
async function alike(what, ask, shown = (answer) => answer) {
  let answers
  const same = async () => {
    answers = await Promise.all(nodes.map(async (node) => shown(comparable(await ask(node)))))
    const texts = answers.map((answer) => JSON.stringify(answer))
    return texts.every((text) => text === texts[0])
  }
  await until(same, () => '', { deadlineMs: 10_000, everyMs: 50 }).catch(() => {
    for (const answer of answers) assert.deepEqual(answer, answers[0], what)
  })
  return answers[0]
}

const kinds = {
  'a whole table': { table: 'items' },
  columns: { table: 'items', columns: 'id,title' },
  'a clause with parameters': { table: 'items', where: 'id > $1 AND title LIKE $2', 'params[1]': '20', 'params[2]': 'title 2%' },
  'whole rows of changes': { table: 'items', where: 'id < 50', replica: 'full' },
  'a subquery': { table: 'items', where: 'team IN (SELECT id FROM teams WHERE open)' },
  'two subqueries': { table: 'items', where: 'team IN (SELECT id FROM teams WHERE open) OR team IN (SELECT id FROM teams WHERE id = 3)' },
  'changes only': { table: 'items', where: 'id < 300', log: 'changes_only' },
}

scenario('every kind of shape, made at any node, has the same log at every node, page by page', async () => {
  for (const [number, [kind, shape]] of Object.entries(kinds).entries()) {
    const first = await get(nodes[number % 3], { ...shape, offset: '-1' })
    assert.equal(first.status, 200, `${kind}: ${first.text}`)
    await cluster.query(`UPDATE items SET title = title || '.' WHERE id IN (1, 2, 25, 200)`)
    await cluster.query('UPDATE teams SET open = NOT open WHERE id = 3')
    const handle = first.header('electric-handle')
    let offset = '-1'
    for (let page = 1, upToDate = false; !upToDate; page++) {
      assert.ok(page < 100, `${kind}: an end`)
      const answer = await alike(`${kind}, page ${page}`, (node) => get(node, { ...shape, offset, handle: offset === '-1' ? undefined : handle }))
      assert.equal(answer.status, 200, answer.body)
      assert.equal(answer.headers['electric-handle'], handle, kind)
      offset = answer.headers['electric-offset']
      upToDate = 'electric-up-to-date' in answer.headers
    }
    await alike(`${kind}, from now on`, (node) => get(node, { ...shape, offset: 'now' }))
    await alike(`${kind}, HEAD`, (node) => request(node, target({ ...shape, offset: '-1' }), { method: 'HEAD' }))
    const headers = { 'accept-encoding': 'gzip' }
    await alike(`${kind}, compressed`, (node) => request(node, target({ ...shape, offset: '-1' }), { headers }))
  }
})

scenario('an entity tag from one node is good for a 304 at every other', async () => {
  const shape = { table: 'items', where: 'id < 30' }
  for (const node of nodes) {
    const tag = (await get(node, { ...shape, offset: '-1' })).header('etag')
    assert.ok(tag)
    const answer = await alike('304', (other) => request(other, target({ ...shape, offset: '-1' }), { headers: { 'if-none-match': tag } }))
    assert.equal(answer.status, 304)
  }
})

scenario('live requests and streams hear the same of a change at every node', async () => {
  for (const [kind, shape] of Object.entries(kinds)) {
    const state = await follow(nodes[1], shape, { checker: { feed() {} } })
    const at = { ...shape, handle: state.handle, offset: state.offset }
    const polls = await Promise.all(nodes.map((node) => poll(node, at)))
    const streams = kind.includes('subquer') || shape.log ? [] : await Promise.all(nodes.map((node) => openEvents(node, at)))
    for (let i = 0; i < 2; i++) await cluster.query(`UPDATE items SET title = title || '!' WHERE id = 25`)
    const answers = await Promise.all(polls.map(({ answer }) => answer))
    for (const answer of answers) {
      assert.equal(answer.status, 200, `${kind}: ${answer.text}`)
      assert.equal(answer.header('electric-handle'), state.handle)
    }
    const changes = []
    for (const stream of streams) {
      assert.equal(stream.head.header('electric-handle'), state.handle)
      const heard = []
      await until(async () => heard.push(...(await stream.batch())) && heard.filter(({ headers }) => headers.operation).length === 2, `${kind}: two changes`)
      changes.push(heard.filter(({ headers }) => headers.operation))
      stream.connection.destroy()
    }
    for (const one of changes) assert.deepEqual(one, changes[0], kind)
    await alike(`${kind}, live but behind`, (node) => get(node, { ...at, live: 'true', cursor: '' }))
  }
})

scenario('a live request for which nothing comes ends alike at every node', async () => {
  const shape = { table: 'items', where: 'id = -7' }
  const state = await follow(nodes[2], shape)
  const at = { ...shape, handle: state.handle, offset: state.offset, live: 'true', cursor: '' }
  const answer = await alike('nothing new', (node) => get(node, at))
  assert.equal(answer.status, 200)
})

scenario('subsets are the same at every node, by GET and by POST', async () => {
  const shape = { table: 'items', where: 'id > 10' }
  const first = await get(nodes[0], { ...shape, offset: '-1' })
  const handle = first.header('electric-handle')
  const subset = { subset__where: 'id < 40', subset__order_by: 'id', subset__limit: '7' }
  await alike('by GET', (node) => get(node, { ...shape, offset: first.header('electric-offset'), handle, ...subset }), withoutSnapshot)
  const post = (node) =>
    request(node, target({ ...shape, offset: first.header('electric-offset'), handle }), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ where: 'id < 40', order_by: 'id', limit: 7 }),
    })
  const answer = await alike('by POST', post, withoutSnapshot)
  assert.equal(answer.body.data?.length, 7, JSON.stringify(answer.body))
  await alike('a wrong one', (node) => get(node, { ...shape, offset: '-1', subset__where: 'nothing = 1' }), withoutSnapshot)
})

scenario('what is refused is refused alike at every node', async () => {
  const shape = { table: 'items' }
  const { handle } = await follow(nodes[0], shape, { checker: { feed() {} } })
  const refused = [
    [400, { offset: '-1' }],
    [400, { table: 'nothing', offset: '-1' }],
    [400, { table: 'items', offset: 'x' }],
    [400, { table: 'items', offset: '0_0' }],
    [400, { table: 'items', offset: '-1', live: 'true' }],
    [400, { table: 'items', offset: '-1', where: 'nothing = 1' }],
    [400, { table: 'items', offset: '-1', where: 'id = $1' }],
    [400, { table: 'items', offset: '-1', columns: 'title' }],
    [400, { table: 'items', offset: '999999999999999_0', handle }],
    [409, { table: 'items', offset: '0_0', handle: `${handle}9` }],
    [409, { table: 'teams', offset: '0_0', handle }],
  ]
  for (const [status, params] of refused) {
    const words = JSON.stringify(params)
    const answer = await alike(words, (node) => get(node, params))
    assert.equal(answer.status, status, `${words}: ${answer.body}`)
  }
  await alike('no such path', (node) => request(node, '/v1/nothing'))
  await alike('no such method', (node) => request(node, target(shape), { method: 'PUT' }))
  await alike('OPTIONS', (node) => request(node, target(shape), { method: 'OPTIONS' }))
  const gone = await alike('DELETE of nothing', (node) => request(node, target({ handle: '1-1' }), { method: 'DELETE' }))
  assert.equal(gone.status, 404)
})

scenario('a handle is good at every node as soon as a client has it', async () => {
  const tried = async (i) => {
    const shape = { table: 'items', where: `id > ${1000 + i}` }
    const made = await get(nodes[i % 3], { ...shape, offset: '-1' })
    assert.equal(made.status, 200, made.text)
    const at = { ...shape, handle: made.header('electric-handle'), offset: made.header('electric-offset') }
    for (const answer of await Promise.all(nodes.map((node) => get(node, at)))) {
      assert.equal(answer.status, 200, `shape ${i}: ${answer.text}`)
      assert.equal(answer.header('electric-handle'), at.handle)
    }
  }
  for (let i = 0; i < 100; i += 4) await Promise.all([i, i + 1, i + 2, i + 3].map(tried))
})

scenario('an offset is good at every node as soon as a client has it', async () => {
  const shape = { table: 'items', where: 'id = 3' }
  const state = await follow(nodes[0], shape)
  for (let i = 0; i < 40; i++) {
    const at = { ...shape, handle: state.handle, offset: state.offset }
    const live = await poll(nodes[i % 3], at)
    await cluster.query(`UPDATE items SET title = 'turn ${i}' WHERE id = 3`)
    const answer = await live.answer
    assert.equal(answer.status, 200, answer.text)
    state.offset = answer.header('electric-offset')
    const now = { ...at, offset: state.offset }
    for (const other of await Promise.all(nodes.map((node) => get(node, now)))) {
      assert.equal(other.status, 200, `turn ${i}: ${other.text}`)
      assert.equal(other.header('electric-offset'), state.offset)
    }
  }
})

scenario('DELETE at any node removes a shape everywhere', async () => {
  const shape = { table: 'items', where: 'id BETWEEN 5 AND 8' }
  const handles = new Set()
  for (const node of nodes) {
    const { handle, offset } = await follow(node, shape)
    handles.add(handle)
    const waiting = await Promise.all(nodes.map((other) => poll(other, { ...shape, handle, offset })))
    const removed = await request(node, target({ handle }), { method: 'DELETE' })
    assert.equal(removed.status, 202, removed.text)
    assert.equal((await get(node, { ...shape, handle, offset })).status, 409, 'it is gone where it was removed')
    for (const { answer } of waiting) assert.equal((await answer).status, 409, 'who waited hears of it')
    for (const other of nodes) {
      const gone = async () => (await get(other, { ...shape, handle, offset })).status === 409
      await until(gone, 'it to be gone at every node')
      const again = await request(other, target({ handle }), { method: 'DELETE' })
      assert.equal(again.status, 404, again.text)
    }
  }
  assert.equal(handles.size, 3)
})

scenario('two hundred shapes asked for at all nodes at once have one handle each', async () => {
  console.log(`serving test: BUSBAR_SEED=${seed}`)
  const random = new Random(seed)
  const wheres = Array.from({ length: 200 }, (_, i) => `id > ${i} AND id < 2000`)
  const asked = wheres.flatMap((where) => [random.pick(nodes), random.pick(nodes)].map((node) => ({ where, node })))
  const found = new Map()
  await Promise.all(
    asked.map(async ({ where, node }) => {
      const answer = await get(node, { table: 'items', where, offset: '-1' }, { timeoutMs: 50_000 })
      assert.equal(answer.status, 200, answer.text)
      const handle = answer.header('electric-handle')
      assert.equal(found.get(where) ?? handle, handle, where)
      found.set(where, handle)
    }),
  )
  assert.equal(new Set(found.values()).size, 200)
  for (const [where, handle] of found) {
    const answers = await Promise.all(nodes.map((node) => get(node, { table: 'items', where, offset: '-1' })))
    for (const answer of answers) assert.equal(answer.header('electric-handle'), handle, where)
  }
})

scenario('the npm client goes on at another node with every request', async ({ cleanup }) => {
  const followers = nodes.map((_, at) => {
    const door = new Door(cluster, at)
    const fetchClient = (...words) => {
      door.moveOn()
      return door.fetchClient(...words)
    }
    const name = `client ${at}`
    const checker = new LogChecker(name)
    checker.mayFall = true // Each node promises for itself.
    const follower = new Follower(door.shapeUrl, { table: 'items' }, { name, checker, fetchClient })
    cleanup(() => follower.close())
    return follower
  })
  for (let i = 0; i < 30; i++) {
    await cluster.query(`UPDATE items SET title = 'step ${i}' WHERE id % 7 = ${i % 7}`)
    await cluster.query(`DELETE FROM items WHERE id = 300 + ${i}; INSERT INTO items VALUES (3000 + ${i}, 'new', 1)`)
  }
  const sorted = (rows) => JSON.stringify([...rows].map((row) => [row.id, row.title, row.team]).sort((a, b) => a[0] - b[0]))
  const expected = sorted(await cluster.query('SELECT id, title, team FROM items'))
  for (const follower of followers) {
    await follower.reaches((rows) => sorted(rows) === expected, 'what PostgreSQL selects')
    assert.equal(follower.refetches, 0)
    assert.equal(follower.handles.size, 1)
  }
})
