// hostile.test.mjs: the transport: routes, preflights, keep-alive, pipelining, and senders of garbage,
// half requests and oversized heads, who must harm nobody but themselves (spec §1, §4, §18).
import assert from 'node:assert/strict'
import { expectCommonHeaders } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`,
})
const elsewhere = { methods: 'GET, HEAD' }

scenario('health, root and unknown routes', async () => {
  const health = await request(server, '/v1/health')
  assert.equal(health.status, 200)
  assert.equal(health.text, '{"status":"active"}')
  assert.equal(health.header('content-type'), 'application/json; charset=utf-8')
  assert.equal(health.header('cache-control'), 'no-cache, no-store, must-revalidate')
  expectCommonHeaders(health, elsewhere)
  const head = await request(server, '/v1/health', { method: 'HEAD' })
  assert.equal(head.status, 200)
  for (const method of ['GET', 'HEAD']) {
    const root = await request(server, '/', { method })
    assert.equal(root.status, 200)
    assert.equal(root.body.length, 0)
  }
  for (const [method, path] of [
    ['GET', '/nothing'],
    ['GET', '/v1'],
    ['GET', '/v1/shapes'],
    ['GET', '/v1/shape/x'],
    ['PUT', '/v1/shape'],
    ['PATCH', '/v1/shape'],
    ['OPTIONS', '/other'],
    ['POST', '/v1/health'],
    ['GET', '/v1%2fshape'],
    ['GET', '/v1/../v1/nothing'],
  ]) {
    const response = await request(server, path, { method })
    assert.equal(response.status, 404, `${method} ${path}`)
    assert.equal(response.text, 'Not found')
    assert.equal(response.header('content-type'), undefined)
    assert.equal(response.header('cache-control'), 'max-age=0, private, must-revalidate')
    expectCommonHeaders(response, elsewhere)
  }
})

scenario('the shape route is found however its path is spelt', async () => {
  for (const path of ['/v1/shape/', '/v1//shape', '//v1/shape', '/v1/%73hape', '/%76%31/shape']) {
    const response = await request(server, `${path}?table=items&offset=-1`)
    assert.equal(response.status, 200, path)
  }
})

scenario('preflight: 204, the headers that clients send are allowed', async () => {
  const plain = await request(server, '/v1/shape', { method: 'OPTIONS', headers: { origin: 'https://app.example' } })
  assert.equal(plain.status, 204)
  assert.equal(plain.body.length, 0)
  assert.equal(plain.header('access-control-max-age'), '86400')
  assert.equal(plain.header('cache-control'), undefined)
  expectCommonHeaders(plain, { origin: 'https://app.example' })
  for (const asked of ['if-none-match', 'Traceparent', 'content-type', 'authorization', 'x-custom']) {
    const response = await request(server, '/v1/shape', {
      method: 'OPTIONS',
      headers: { 'access-control-request-headers': asked },
    })
    const allowed = (response.header('access-control-allow-headers') ?? '')
      .toLowerCase()
      .split(',')
      .map((name) => name.trim())
    assert.ok(allowed.includes(asked.toLowerCase()), `${asked}: ${allowed}`)
  }
})

scenario('origin and x-request-id are echoed', async () => {
  const headers = { origin: 'http://localhost:5173', 'x-request-id': 'abcdefghijklmnopqrstuvwxyz' }
  const response = await request(server, target({ table: 'items', offset: '-1' }), { headers })
  expectCommonHeaders(response, { origin: headers.origin })
  assert.equal(response.header('x-request-id'), headers['x-request-id'])
  const short = await request(server, '/v1/health', { headers: { 'x-request-id': 'short' } })
  assert.notEqual(short.header('x-request-id'), 'short')
})

scenario('one connection serves many requests, and pipelined ones in order', async ({ cleanup }) => {
  const connection = await RawConnection.open(server.port)
  cleanup(() => connection.destroy())
  for (let turn = 0; turn < 60; turn++) {
    connection.request('GET', target({ table: 'items', offset: '-1' }))
    const response = await connection.readResponse()
    assert.equal(response.status, 200)
    assert.notEqual(response.header('connection'), 'close')
  }
  connection.request('GET', '/v1/health')
  connection.request('GET', target({ table: 'items', offset: '-1' }))
  connection.request('GET', '/nothing')
  connection.request('GET', target({ table: 'nothing', offset: '-1' }))
  const statuses = []
  for (let turn = 0; turn < 4; turn++) statuses.push((await connection.readResponse()).status)
  assert.deepEqual(statuses, [200, 200, 404, 400])
  connection.request('GET', '/v1/health', { connection: 'close' })
  assert.equal((await connection.readResponse()).header('connection'), 'close')
  await connection.closed()
})

scenario('HTTP/1.0 is answered without chunks and the connection closed', async ({ cleanup }) => {
  const connection = await RawConnection.open(server.port)
  cleanup(() => connection.destroy())
  connection.send(`GET ${target({ table: 'items', offset: '-1' })} HTTP/1.0\r\n\r\n`)
  const response = await connection.readResponse({ version: '1.0' })
  assert.equal(response.status, 200)
  assert.equal(response.header('transfer-encoding'), undefined)
  assert.equal(checkLogResponse(response, { offset: '-1' }).messages.length, 4)
  await connection.closed()
})

scenario('a request that arrives byte by byte is answered', async ({ cleanup }) => {
  const connection = await RawConnection.open(server.port)
  cleanup(() => connection.destroy())
  for (const byte of 'GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n') {
    connection.send(byte)
    await new Promise(setImmediate)
  }
  assert.equal((await connection.readResponse()).status, 200)
})

const garbage = {
  'random bytes': Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919 + 13) % 256)),
  'a TLS hello': Buffer.from('16030100c8010000c40303', 'hex'),
  'a bare line': 'HELLO\r\n\r\n',
  'no version': 'GET /v1/health\r\n\r\n',
  'an unknown version': 'GET /v1/health HTTP/9.9\r\nhost: x\r\n\r\n',
  'a header without colon': 'GET /v1/health HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n',
  'a space before the colon': 'GET /v1/health HTTP/1.1\r\nhost : x\r\n\r\n',
  'a NUL in a header': 'GET /v1/health HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n',
  'a bad content-length': 'POST /v1/shape HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n',
  'two content-lengths': 'POST /v1/shape HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
  'length and chunks':
    'POST /v1/shape HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'a bad chunk size': 'POST /v1/shape HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  'a header of 64 kB': `GET /v1/health HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(65_536)}\r\n\r\n`,
  'two hundred headers': `GET /v1/health HTTP/1.1\r\nhost: x\r\n${Array.from({ length: 200 }, (_, i) => `h${i}: v\r\n`).join('')}\r\n`,
  'a body far too large': `POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000000\r\n\r\n`,
}

for (const [what, bytes] of Object.entries(garbage)) {
  scenario(`${what}: an error or a closed connection, and only for its sender`, async ({ cleanup }) => {
    const connection = await RawConnection.open(server.port)
    cleanup(() => connection.destroy())
    connection.send(bytes)
    const status = await connection.readResponse({ timeoutMs: 12_000 }).then(
      (response) => response.status,
      (error) => {
        assert.match(error.message, /connection ended/)
        return undefined
      },
    )
    if (status !== undefined) assert.ok(status >= 400 && status < 600, `status ${status}`)
    await connection.closed(12_000)
    assert.equal((await get(server, { table: 'items', offset: '-1' })).status, 200)
  })
}

scenario('a request line above 10000 bytes is a 414; one below is fine', async () => {
  const long = await request(server, `/v1/shape?table=items&offset=-1&x=${'y'.repeat(12_000)}`)
  assert.equal(long.status, 414)
  const fine = await request(server, `/v1/shape?table=items&offset=-1&x=${'y'.repeat(9_000)}`)
  assert.equal(fine.status, 200)
  const header = await request(server, target({ table: 'items', offset: '-1' }), {
    headers: { 'x-long': 'z'.repeat(9_000) },
  })
  assert.equal(header.status, 200)
})

scenario('F48: half requests, abandoned bodies and stalled readers do not delay anybody', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, rpad('', 2000, 'b') FROM generate_series(1, 5000) i`)
  const state = await follow(server, { table })
  const waiting = get(server, { table, offset: state.offset, handle: state.handle, live: 'true' })
  const open = async () => {
    const connection = await RawConnection.open(server.port)
    cleanup(() => connection.destroy())
    return connection
  }
  for (let turn = 0; turn < 100; turn++) {
    const half = await open()
    half.send(
      [
        'GET /v1/sha',
        'GET /v1/health HTTP/1.1\r\nhos',
        '',
        'POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\ncontent-length: 100\r\n\r\n{',
      ][turn % 4],
    )
    if (turn % 3 === 0) half.destroy()
    if (turn % 3 === 1) half.socket.end()
  }
  for (let turn = 0; turn < 30; turn++) {
    const reader = await open()
    reader.request('GET', target({ table, offset: '-1' })) // 10 MB each
    reader.socket.pause()
    if (turn % 2 === 0) reader.socket.resetAndDestroy()
  }
  const started = Date.now()
  assert.equal((await request(server, '/v1/health', { timeoutMs: 5_000 })).text, '{"status":"active"}')
  assert.equal((await get(server, { table: 'items', offset: '-1' }, { timeoutMs: 5_000 })).status, 200)
  assert.ok(Date.now() - started < 4_000)
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  assert.equal((await waiting).json[0].headers.operation, 'delete')
})

scenario(
  'an unfinished head is given up after a while',
  async ({ cleanup }) => {
    const connection = await RawConnection.open(server.port)
    cleanup(() => connection.destroy())
    connection.send('GET /v1/health HTTP/1.1\r\n')
    await connection.closed(30_000)
  },
  { deadlineMs: 45_000 },
)

scenario('forged and replayed control messages in the WAL are ignored', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const spy = 'spy_slot'
  const publication = `busbar_publication_${server.streamId}`
  await server.query(`SELECT pg_create_logical_replication_slot('${spy}', 'pgoutput')`)
  cleanup(() => server.query(`SELECT pg_drop_replication_slot('${spy}')`))
  const state = await follow(server, { table })
  // pgoutput's message: 'M', flags, LSN, prefix ended by NUL, length, content.
  const seen =
    await server.query(`SELECT encode(data, 'hex') AS hex FROM pg_logical_slot_peek_binary_changes('${spy}', NULL, NULL,
    'proto_version', '1', 'publication_names', '${publication}', 'messages', 'true') WHERE get_byte(data, 0) = ascii('M')`)
  const genuine = seen.map(({ hex }) => {
    const bytes = Buffer.from(hex, 'hex')
    const end = bytes.indexOf(0, 10)
    return { prefix: bytes.toString('utf8', 10, end), content: bytes.subarray(end + 5) }
  })
  assert.ok(genuine.length > 0, 'the creation of the shape was a message')
  const emit = (transactional, prefix, content) =>
    server.query('SELECT pg_logical_emit_message($1, $2, $3::bytea)', [transactional, prefix, content])
  for (const transactional of [true, false]) {
    for (const { prefix, content } of [...genuine, ...genuine]) {
      await emit(transactional, prefix, content)
      for (const at of [0, 8, content.length >> 1, content.length - 1]) {
        const flipped = Buffer.from(content)
        flipped[at] ^= 0x40
        await emit(transactional, prefix, flipped)
        await emit(transactional, prefix, content.subarray(0, at))
      }
      await emit(transactional, prefix, Buffer.alloc(100_000, 0xff))
      await emit(transactional, prefix.slice(0, -1), content)
      await emit(transactional, `${prefix}x`, content)
    }
  }
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', true, NULL)`)
  const rest = await until(async () => {
    const all = await follow(server, { table }, { offset: state.offset, handle: state.handle })
    return all.messages.length > 1 && all
  }, 'the change after the forgeries')
  assert.deepEqual(
    rest.messages.filter((message) => message.key).map((message) => message.value.id),
    ['4'],
  )
  assert.equal((await follow(server, { table })).checker.rows.size, 4)
  assert.deepEqual(await server.health(), { code: 200, status: 'active' })
})

scenario('metrics are on their own port', async () => {
  const response = await until(
    () => fetch(`http://127.0.0.1:${server.metricsPort}/metrics`).catch(() => undefined),
    'the metrics port',
  )
  assert.equal(response.status, 200)
  assert.match(await response.text(), /^# (HELP|TYPE) /m)
  assert.equal((await request(server, '/metrics')).status, 404, 'and not on the service port')
})
