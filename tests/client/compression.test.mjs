// compression.test.mjs: gzip and zstd bodies: the same text as without, made once, with tags that a
// cache can rely on, and never in the way of an event stream (spec §13.4, §18).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { gunzipSync } from 'node:zlib'
import { Shape, ShapeStream } from '@electric-sql/client'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })

function unzstd(bytes) {
  const tool = spawnSync('zstd', ['-d', '-c'], { input: bytes, maxBuffer: 1 << 28 })
  assert.equal(tool.status, 0, tool.error?.message ?? tool.stderr.toString())
  return tool.stdout
}
const codings = { gzip: gunzipSync, zstd: unzstd }

function accepting(coding, more = {}) {
  return { headers: { 'accept-encoding': coding, ...more } }
}

async function metric(name) {
  const text = await server.metrics()
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
}

/** A shape of so many rows of about 300 bytes of JSON, and the first answer for it. */
async function largeShape(rows) {
  const table = await newTable(server, 'id int8 PRIMARY KEY, title text NOT NULL')
  await server.query(
    `INSERT INTO ${table} SELECT i, 'row ' || i || repeat(' and more', 20) FROM generate_series(1, ${rows}) i`,
  )
  const first = await get(server, { table, offset: '-1' })
  assert.equal(first.status, 200)
  return { shape: { table }, handle: first.header('electric-handle'), first, table }
}

for (const [coding, decode] of Object.entries(codings)) {
  scenario(`a snapshot of many pieces is the same text in ${coding}`, async () => {
    const { shape, handle, first } = await largeShape(5_000)
    assert.ok(first.body.length > 1_000_000, 'several pieces of 256 KiB')
    const coded = await get(server, { ...shape, offset: '-1' }, accepting(coding))
    assert.equal(coded.status, 200)
    assert.equal(coded.header('content-encoding'), coding)
    assert.equal(coded.header('vary'), 'accept-encoding')
    assert.equal(coded.header('etag'), `W/"${handle}:-1:0_0"`)
    assert.equal(first.header('etag'), `"${handle}:-1:0_0"`)
    assert.equal(first.header('content-encoding'), undefined)
    assert.ok(coded.body.length < first.body.length / 5, `${coded.body.length} of ${first.body.length}`)
    assert.ok(decode(coded.body).equals(first.body))
    for (const name of ['cache-control', 'electric-schema', 'electric-offset', 'content-type'])
      assert.equal(coded.header(name), first.header(name), name)
  })

  scenario(`subsets come in ${coding}, by GET and by POST`, async () => {
    const { shape, first } = await largeShape(200)
    const rows = first.json.filter((message) => message.key).length
    const byGet = await get(server, { ...shape, offset: '-1', subset__where: 'id > 0' }, accepting(coding))
    const byPost = await request(server, target({ ...shape, offset: '-1' }), {
      method: 'POST',
      headers: { 'accept-encoding': coding },
      body: '{"where":"id > 0"}',
    })
    for (const answer of [byGet, byPost]) {
      assert.equal(answer.header('content-encoding'), coding)
      assert.equal(answer.header('content-length'), String(answer.body.length))
      assert.equal(JSON.parse(decode(answer.body)).data.length, rows)
    }
  })

  scenario(`waiting clients get a large transaction in ${coding}, the others as it is`, async () => {
    const { shape, handle, table } = await largeShape(1)
    const poll = { ...shape, handle, offset: '0_inf', live: 'true' }
    await get(server, { ...shape, handle, offset: '0_0' })
    const waiting = [accepting(coding), accepting(coding), {}].map((options) => get(server, poll, options))
    await until(async () => (await metric('busbar_waiting_readers')) >= 3, 'three parked polls')
    await server.query(
      `INSERT INTO ${table} SELECT i, 'row ' || i || repeat(' and more', 20) FROM generate_series(2, 40) i`,
    )
    const [one, two, plain] = await Promise.all(waiting)
    assert.equal(one.header('content-encoding'), coding)
    assert.ok(one.body.equals(two.body))
    assert.equal(plain.header('content-encoding'), undefined)
    assert.ok(decode(one.body).equals(plain.body))
    assert.equal(one.header('etag'), `W/${plain.header('etag')}`)
    assert.equal(plain.json.length, 40)
  })
}

scenario('a short body is sent as it is', async () => {
  const { shape, handle } = await largeShape(1)
  for (const offset of ['-1', '0_0', '0_inf']) {
    const answer = await get(server, { ...shape, handle, offset }, accepting('gzip, zstd'))
    assert.equal(answer.header('content-encoding'), undefined)
    assert.match(answer.header('etag'), /^"/)
    assert.ok(Array.isArray(answer.json))
  }
})

scenario('a cache revalidates a compressed body by its weak tag, a plain one by its strong tag', async () => {
  const { shape, handle } = await largeShape(200)
  for (const [options, tag] of [
    [accepting('gzip'), `W/"${handle}:-1:0_0"`],
    [{}, `"${handle}:-1:0_0"`],
  ]) {
    const full = await get(server, { ...shape, offset: '-1' }, options)
    assert.equal(full.header('etag'), tag)
    for (const sent of [tag, `"other", ${tag}`, `${tag}, W/"x"`]) {
      const again = await get(server, { ...shape, offset: '-1' }, { headers: { ...options.headers, 'if-none-match': sent } })
      assert.equal(again.status, 304, sent)
      assert.equal(again.header('etag'), tag)
      assert.equal(again.header('content-encoding'), undefined)
    }
  }
  const other = await get(server, { ...shape, offset: '-1' }, accepting('gzip', { 'if-none-match': `W/"${handle}:0_0:0_0"` }))
  assert.equal(other.status, 200)
})

scenario('HEAD tells of the same coding, and HTTP/1.0 gets it without chunks', async () => {
  const { shape, first } = await largeShape(5_000)
  const head = await get(server, { ...shape, offset: '-1' }, { method: 'HEAD', ...accepting('gzip') })
  assert.equal(head.header('content-encoding'), 'gzip')
  assert.equal(head.body.length, 0)
  const old = await RawConnection.open(server.port)
  old.send(`GET ${target({ ...shape, offset: '-1' })} HTTP/1.0\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n`)
  const answer = await old.readResponse({ version: '1.0' })
  assert.equal(answer.header('transfer-encoding'), undefined)
  assert.ok(gunzipSync(answer.body).equals(first.body))
})

scenario('an event stream is never compressed', async ({ cleanup }) => {
  const { shape, handle, table } = await largeShape(1)
  const stream = await RawConnection.open(server.port)
  cleanup(() => stream.destroy())
  const words = target({ ...shape, handle, offset: '0_inf', live: 'true', live_sse: 'true' })
  stream.send(`GET ${words} HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip, zstd\r\n\r\n`)
  const head = await stream.readHead()
  assert.equal(head.header('content-encoding'), undefined)
  assert.match(head.header('etag'), /^"/)
  await server.query(`INSERT INTO ${table} VALUES (2, repeat('x', 5000))`)
  const chunk = await stream.readChunk()
  assert.match(chunk.toString(), /^data: \{.*"2".*x{5000}/)
})

scenario('a catch-up after many transactions is compressed, and the client reads it', async () => {
  const { shape, handle, table } = await largeShape(1)
  for (let i = 2; i < 60; ++i) await server.query(`INSERT INTO ${table} VALUES (${i}, repeat('tail', 50))`)
  const plain = await until(async () => {
    const tail = await get(server, { ...shape, handle, offset: '0_inf' })
    return tail.json.length === 59 && tail
  }, 'all transactions')
  const coded = await get(server, { ...shape, handle, offset: '0_inf' }, accepting('gzip'))
  assert.equal(coded.header('content-encoding'), 'gzip')
  // What the last message promises may have grown meanwhile.
  assert.deepEqual(JSON.parse(gunzipSync(coded.body)).slice(0, -1), plain.json.slice(0, -1))
  const stream = new ShapeStream({ url: `${server.url}/v1/shape`, params: { table }, subscribe: false })
  assert.equal((await new Shape(stream).rows).length, 59)
})
