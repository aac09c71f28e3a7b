// electric-client.test.mjs: what applications do with the unmodified @electric-sql/client beyond
// following a shape: pause, hide, refresh, give up, retry, map columns, ask for subsets.
import assert from 'node:assert/strict'
import { Shape, ShapeStream, createColumnMapper, snakeCamelMapper } from '@electric-sql/client'
import { Follower, quickRetries, textParser } from './harness/clients.mjs'
import { until, within } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { canonical } from './harness/tail.mjs'

// The client's SSE library expects a browser's window and document; Node has neither.
globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} }
globalThis.window ??= globalThis

// The long poll keeps its 20 s: what does not end by itself when it should fails its test.
const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000' } })
const guarded = await stageBusbar(postgres, { secret: 'a long enough secret' })

/** A fetch that remembers its requests: {url, live, events, offset, method, body, status, done}. */
function recorder(fetchClient = fetch) {
  const requests = []
  const recording = async (url, init) => {
    const query = new URL(url).searchParams
    const request = {
      query,
      live: query.has('live'),
      events: query.has('live_sse'),
      offset: query.get('offset'),
      method: init?.method ?? 'GET',
      body: init?.body,
    }
    requests.push(request)
    try {
      const response = await fetchClient(url, init)
      request.status = response.status
      return response
    } catch (error) {
      request.error = error
      throw error
    } finally {
      request.done = true
    }
  }
  return { requests, fetchClient: recording }
}

function follow(cleanup, at, params, options) {
  const recorded = recorder(options?.fetchClient)
  const follower = new Follower(at.shapeUrl, params, { ...options, fetchClient: recorded.fetchClient })
  follower.requests = recorded.requests
  cleanup(() => follower.close())
  return follower
}

const same = (rows, expected) => rows.map(canonical).sort().join() === expected.map(canonical).sort().join()

/** A subset can be loaded while other changes go on; this waits for the table and the shape to agree. */
async function equalsTable(shape, at, table, what, where = 'true') {
  const expected = await at.query(`SELECT * FROM ${table} WHERE ${where}`)
  await until(
    () => same(shape.currentRows, expected),
    () =>
      `${what}: ${JSON.stringify(shape.currentRows).slice(0, 1000)}, not ${JSON.stringify(expected).slice(0, 1000)}`,
  )
}

async function gauge(at, name) {
  const text = await at.metrics()
  return Number(new RegExp(`^${name} ([0-9]+)$`, 'm').exec(text)?.[1])
}

const waiting = (at, count) =>
  until(async () => (await gauge(at, 'busbar_waiting_readers')) === count, `${count} waiting readers`)

const kinds = [
  { kind: 'long polling', liveSse: false },
  { kind: 'server-sent events', liveSse: true },
]

for (const { kind, liveSse } of kinds) {
  scenario(`${kind}: aborting ends the request here and its reader at the server`, async ({ cleanup }) => {
    const table = await newTable(server, itemColumns, itemRows)
    const aborter = new AbortController()
    const follower = follow(cleanup, server, { table }, { liveSse, signal: aborter.signal })
    await follower.reaches((rows) => rows.length === 3, 'three rows')
    await waiting(server, 1)
    aborter.abort()
    await waiting(server, 0)
    assert.equal(follower.stream.isConnected(), false)
    const before = follower.requests.length
    await server.query(`DELETE FROM ${table}`)
    // Another stream goes on from where the aborted one was.
    const { lastOffset: offset, shapeHandle: handle } = follower.stream
    const next = follow(cleanup, server, { table }, { offset, handle, liveSse })
    await until(() => next.changes.length === 3, 'the three deletes')
    assert.equal(next.requests[0].offset, offset)
    assert.equal(follower.requests.length, before)
    next.close()
    await waiting(server, 0)
  })

  scenario(`${kind}: a hidden application does not ask, and catches up when it is back`, async ({ cleanup }) => {
    const table = await newTable(server, itemColumns, itemRows)
    let change
    const runtimeVisibility = {
      getCurrentState: () => 'visible',
      subscribe: (callback) => {
        change = callback
        return () => {}
      },
    }
    const follower = follow(cleanup, server, { table }, { runtimeVisibility, liveSse })
    await follower.reaches((rows) => rows.length === 3, 'three rows')
    for (const round of [1, 2, 3]) {
      await waiting(server, 1)
      change('hidden')
      await waiting(server, 0)
      const before = follower.requests.length
      // Transactions of one row, because an event stream that begins again repeats the rows after the first.
      for (const id of [1, 2, 3]) await server.query(`UPDATE ${table} SET note = 'round ${round}' WHERE id = ${id}`)
      await server.query(`DELETE FROM ${table} WHERE id = ${9 + round}`)
      await server.query(`INSERT INTO ${table} VALUES (${10 + round}, 'new', false, 'round ${round}')`)
      assert.equal(follower.stream.isPaused(), true)
      assert.equal(follower.requests.length, before)
      change('visible')
      await follower.reaches(
        (rows) => rows.length === 4 && rows.every((row) => row.note === `round ${round}`),
        'what happened meanwhile',
      )
      const [first] = follower.requests.slice(before)
      assert.equal(first.live, false, 'it asks first for what it missed')
      assert.notEqual(first.offset, '-1')
    }
    assert.equal(follower.handles.size, 1)
    assert.equal(follower.refetches, 0)
  })

  scenario(`${kind}: forceDisconnectAndRefresh answers at once with the present`, async ({ cleanup }) => {
    const table = await newTable(server, itemColumns, itemRows)
    const follower = follow(cleanup, server, { table }, { liveSse })
    await follower.reaches((rows) => rows.length === 3, 'three rows')
    for (let round = 0; round < 5; round++) {
      await waiting(server, 1)
      const before = follower.requests.length
      await server.query(`INSERT INTO ${table} VALUES (${100 + round}, 'new', false, NULL)`)
      // Far below the 20 s of the poll that it interrupts; several at once share one request or two.
      const refreshes = [1, 2, 3].map(() => follower.stream.forceDisconnectAndRefresh())
      await within(Promise.all(refreshes), 10_000, 'the refresh')
      await follower.reaches((rows) => rows.length === 4 + round, 'the row')
      const plain = follower.requests.slice(before).filter(({ live, status }) => !live && status === 200)
      assert.ok(plain.length >= 1)
    }
    assert.equal(follower.refetches, 0)
  })
}

scenario(
  'server-sent events: one stream carries all transactions, and a new one follows a killed server',
  async ({ cleanup }) => {
    const at = await stageBusbar(postgres)
    const table = await newTable(at, itemColumns, itemRows)
    const aborter = new AbortController()
    cleanup(() => aborter.abort())
    const { requests, fetchClient } = recorder()
    // Not a Follower: after a break the stream may repeat a part of the last transaction.
    const shape = new Shape(
      new ShapeStream({
        url: at.shapeUrl,
        params: { table },
        parser: textParser,
        liveSse: true,
        signal: aborter.signal,
        backoffOptions: quickRetries,
        fetchClient,
      }),
    )
    const streams = () => requests.filter(({ events, status }) => events && status === 200).length
    const change = (from) =>
      at.query(
        `BEGIN; UPDATE ${table} SET note = 'n${from}'; INSERT INTO ${table} SELECT i, 'r', false, NULL FROM generate_series(${from}, ${from + 4}) i; COMMIT`,
      )
    await equalsTable(shape, at, table, 'the first rows')
    await until(() => streams() === 1, 'the event stream')
    for (let round = 1; round <= 5; round++) {
      await change(10 * round)
      await equalsTable(shape, at, table, `round ${round}`)
    }
    assert.equal(streams(), 1)
    // (Three streams in a row that live less than a second would make the client poll from then on.)
    await at.kill9()
    await change(60)
    await at.start()
    await equalsTable(shape, at, table, 'what happened meanwhile')
    await until(() => streams() === 2, 'another event stream, not polling')
    await change(70)
    await equalsTable(shape, at, table, 'what happened since')
    assert.equal(requests.filter(({ offset }) => offset === '-1').length, 1)
  },
)

scenario('subscribe: false reads a log of many chunks to its end, and no further', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, rpad(i::text, 500, '.') FROM generate_series(1, 200) i`)
  const first = follow(cleanup, server, { table }, { subscribe: false })
  await first.reaches((rows) => rows.length === 200, 'all rows')
  await server.query(`UPDATE ${table} SET body = rpad('new', 500, id::text)`)
  const allNew = (rows) => rows.length === 200 && rows.every((row) => row.body.startsWith('new'))
  // Who does not subscribe stops where the log ends now, which may be before the update.
  await follow(cleanup, server, { table }).reaches(allNew, 'the update')
  const second = follow(cleanup, server, { table }, { subscribe: false })
  await second.reaches(allNew, 'all rows')
  for (const follower of [first, second]) {
    await until(() => !follower.stream.isConnected(), 'the stream to stop')
    assert.equal(follower.upToDates, 1)
    assert.ok(follower.requests.length > 5)
    assert.ok(follower.requests.every(({ live }) => !live))
  }
})

scenario('changes_only gives what changed since the shape began, not the rows that were there', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const first = follow(cleanup, server, { table }, { log: 'changes_only' })
  await first.reaches((rows) => rows.length === 0, 'nothing')
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
  await first.reaches((rows) => rows.length === 1, 'the insert')
  const second = follow(cleanup, server, { table }, { log: 'changes_only' })
  await second.reaches((rows) => rows.length === 1, 'the same insert, later')
  await server.query(
    `UPDATE ${table} SET note = 'new' WHERE id = 4; INSERT INTO ${table} VALUES (5, 'five', false, NULL)`,
  )
  for (const follower of [first, second]) {
    await follower.reaches((rows) => rows.length === 2 && rows.some(({ note }) => note === 'new'), 'what follows')
    assert.ok(follower.requests.every(({ query }) => query.get('log') === 'changes_only'))
  }
})

scenario('a live request that hangs is given up after liveRequestTimeoutMs, without loss', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const follower = follow(cleanup, server, { table }, { liveRequestTimeoutMs: 200 })
  await follower.reaches((rows) => rows.length === 3, 'three rows')
  await until(() => follower.requests.filter(({ live, error }) => live && error).length >= 3, 'three requests given up')
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  await follower.reaches((rows) => rows.length === 2, 'the delete')
  follower.close()
  await waiting(server, 0)
})

for (const mapping of ['snakeCamelMapper', 'createColumnMapper']) {
  scenario(`column names are mapped both ways by ${mapping}`, async ({ cleanup }) => {
    const table = await newTable(
      server,
      'user_id int PRIMARY KEY, full_name text, is_admin bool, _hidden_note text, "order" int',
      `(1, 'Ann', true, 'a', 3), (2, 'Bob', false, 'b', 2), (3, 'Cyd', true, 'c', 1)`,
    )
    const columnMapper =
      mapping === 'snakeCamelMapper'
        ? snakeCamelMapper()
        : createColumnMapper({ user_id: 'userId', full_name: 'fullName', is_admin: 'isAdmin', order: 'order' })
    const stream = follow(
      cleanup,
      server,
      {
        table,
        columns: ['userId', 'fullName', 'isAdmin', 'order'],
        where: `isAdmin = true AND fullName <> 'userId'`,
        replica: 'full',
      },
      { columnMapper, parser: {}, transformer: (row) => ({ ...row, fullName: `<${row.fullName}>` }) },
    )
    const ann = { userId: 1, fullName: '<Ann>', isAdmin: true, order: 3 }
    const cyd = { userId: 3, fullName: '<Cyd>', isAdmin: true, order: 1 }
    await stream.reaches((rows) => same(rows, [ann, cyd]), 'the admins')
    await server.query(`UPDATE ${table} SET is_admin = NOT is_admin WHERE user_id > 1`)
    await stream.reaches(
      (rows) => same(rows, [ann, { userId: 2, fullName: '<Bob>', isAdmin: true, order: 2 }]),
      'the others',
    )

    const { ShapeStream } = await import('@electric-sql/client')
    const aborter = new AbortController()
    cleanup(() => aborter.abort())
    const subsets = new ShapeStream({
      url: server.shapeUrl,
      params: { table },
      log: 'changes_only',
      offset: 'now',
      columnMapper,
      signal: aborter.signal,
    })
    for (const method of ['GET', 'POST']) {
      const { data } = await subsets.fetchSnapshot({
        method,
        where: 'userId >= $1',
        params: { 1: '2' },
        orderBy: 'userId DESC',
        limit: 2,
      })
      assert.deepEqual(
        data.map(({ value }) => value.fullName),
        ['Cyd', 'Bob'],
      )
    }
  })
}

for (const subsetMethod of ['GET', 'POST']) {
  scenario(
    `subsets by ${subsetMethod}: several at once while rows change, and again after TRUNCATE`,
    async ({ cleanup }) => {
      const table = await newTable(server, 'id int PRIMARY KEY, part int NOT NULL, n bigint NOT NULL')
      const fill = `INSERT INTO ${table} SELECT i, i % 10, 9007199254740993 FROM generate_series(1, 200) i`
      await server.query(fill)
      const { requests, fetchClient } = recorder()
      const aborter = new AbortController()
      cleanup(() => aborter.abort())
      const stream = new ShapeStream({
        url: server.shapeUrl,
        params: { table, replica: 'full' },
        log: 'changes_only',
        offset: 'now',
        parser: textParser,
        subsetMethod,
        signal: aborter.signal,
        fetchClient,
      })
      const shape = new Shape(stream)
      let writing = true
      const writer = (async () => {
        const client = await server.client()
        try {
          // Not more than a slow machine catches up with in time.
          for (let turn = 0; writing && turn < 600; turn++) {
            const id = 1 + ((turn * 7) % 200)
            await client.query(`UPDATE ${table} SET n = n + 1 WHERE id % 20 = ${turn % 20}`)
            if (turn % 9 === 0) await client.query(`DELETE FROM ${table} WHERE id = ${id}`)
            if (turn % 11 === 0) {
              await client.query(`INSERT INTO ${table} VALUES (${id}, ${id % 10}, ${turn}) ON CONFLICT DO NOTHING`)
            }
          }
        } finally {
          await client.end()
        }
      })()
      // Each row belongs to one subset only: the client cannot order two that share rows.
      const subset = (part) => ({ where: '"part" = $1', params: { 1: String(part) }, orderBy: '"id" DESC', limit: 100 })
      try {
        for (let part = 0; part < 10; part += 5) {
          const parts = [0, 1, 2, 3, 4].map((offset) => part + offset)
          await within(Promise.all(parts.map((each) => shape.requestSnapshot(subset(each)))), 20_000, 'five subsets')
        }
      } finally {
        writing = false
        await writer
      }
      await equalsTable(shape, server, table, 'all parts')
      const asked = requests.filter(({ method, query }) => method === 'POST' || query.has('subset__where'))
      assert.ok(asked.length >= 10)
      assert.ok(asked.every(({ method }) => method === subsetMethod))
      if (subsetMethod === 'POST') assert.deepEqual(JSON.parse(asked[0].body).params, { 1: '0' })

      await server.query(`TRUNCATE ${table}; ${fill}`)
      // The shape asks for all its subsets again by itself.
      await equalsTable(shape, server, table, 'after TRUNCATE')
      await server.query(`UPDATE ${table} SET n = 0 WHERE part < 5; DELETE FROM ${table} WHERE id < 20`)
      await equalsTable(shape, server, table, 'changes after TRUNCATE')
    },
  )
}

scenario('subsets of a POST may be longer than any URL', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY')
  await server.query(`INSERT INTO ${table} SELECT generate_series(1, 5000)`)
  const aborter = new AbortController()
  cleanup(() => aborter.abort())
  const stream = new ShapeStream({
    url: server.shapeUrl,
    params: { table },
    log: 'changes_only',
    offset: 'now',
    subsetMethod: 'POST',
    signal: aborter.signal,
  })
  const wanted = Array.from({ length: 3000 }, (_, index) => 2 * index + 1)
  const where = `id IN (${wanted.map((_, index) => `$${index + 1}`).join()})`
  const params = Object.fromEntries(wanted.map((id, index) => [index + 1, BigInt(id)]))
  const { data } = await within(stream.fetchSnapshot({ where, params }), 15_000, 'the subset')
  assert.deepEqual(
    data.map(({ value }) => value.id).sort((a, b) => a - b),
    wanted.filter((id) => id <= 5000),
  )
})

scenario('onError may correct what the request did wrong: a secret, a table', async ({ cleanup }) => {
  const table = await newTable(guarded, itemColumns, itemRows)
  const statuses = []
  const follower = follow(
    cleanup,
    guarded,
    { table: 'no_such_table', secret: 'wrong' },
    {
      onError: (error) => {
        statuses.push(error.status)
        return { params: error.status === 401 ? { secret: guarded.secret } : { table } }
      },
    },
  )
  await follower.reaches((rows) => rows.length === 3, 'three rows')
  assert.deepEqual(statuses, [401, 400])
  await guarded.query(`DELETE FROM ${table} WHERE id = 1`)
  await follower.reaches((rows) => rows.length === 2, 'the delete')
})

scenario('a network that cuts responses anywhere costs neither rows nor order', async ({ cleanup }) => {
  const seed = chosenSeed()
  const random = new Random(seed)
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, rpad(i::text, 500, '.') FROM generate_series(1, 100) i`)
  let cuts = 0
  const cutting = async (url, init) => {
    const response = await fetch(url, init)
    if (response.status !== 200 || random.chance(0.6)) return response
    const body = new Uint8Array(await response.arrayBuffer())
    const length = random.int(0, body.length - 1)
    cuts++
    const torn = new ReadableStream({
      start(controller) {
        controller.enqueue(body.slice(0, length))
        controller.error(new TypeError('terminated'))
      },
    })
    return new Response(torn, { status: 200, headers: response.headers })
  }
  const follower = follow(cleanup, server, { table }, { fetchClient: cutting, onError: () => ({}) })
  const settled = (what) => follower.reaches((rows) => same(rows, expected), `seed ${seed}: ${what}`, 30_000)
  let expected = await server.query(`SELECT * FROM ${table}`)
  await settled('the first rows')
  for (let round = 0; round < 8; round++) {
    await server.query(
      `BEGIN; UPDATE ${table} SET body = rpad('${round}', 600, id::text) WHERE id % 8 = ${round};
       INSERT INTO ${table} VALUES (${200 + round}, 'new'); COMMIT; DELETE FROM ${table} WHERE id = ${1 + 10 * round}`,
    )
    expected = await server.query(`SELECT * FROM ${table}`)
    await settled(`round ${round}, ${cuts} cuts`)
  }
  assert.ok(cuts > 0)
  assert.equal(follower.handles.size, 1)
})

scenario(
  'without PostgreSQL a new shape is a 503 that the client retries, by itself or through onError',
  async ({ cleanup }) => {
    const at = await stageBusbar(postgres)
    const table = await newTable(at, itemColumns, itemRows)
    await postgres.stop()
    const errors = []
    const patient = follow(cleanup, at, { table }, { onError: (error) => errors.push(error) })
    // This one leaves retrying to its application.
    const asking = []
    const eager = follow(
      cleanup,
      at,
      { table, where: 'id > 1' },
      {
        backoffOptions: { ...quickRetries, maxRetries: 0 },
        onError: (error) => {
          asking.push(error.status)
          return {}
        },
      },
    )
    await until(
      () => asking.includes(503) && patient.requests.some(({ status }) => status === 503),
      () => `503; had ${asking} and ${patient.requests.map(({ status }) => status)}`,
    )
    await postgres.start()
    await patient.reaches((rows) => rows.length === 3, 'three rows', 30_000)
    await eager.reaches((rows) => rows.length === 2, 'two rows', 30_000)
    assert.deepEqual(errors, [])
  },
  { deadlineMs: 90_000 },
)
