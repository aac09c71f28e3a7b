// transport.test.mjs: HTTP/1.1 as RFC 9112 has it: what could be read as two different requests is
// refused, bodies in chunks, Expect, pipelining behind a wait, and what readers cost that take nothing
// (spec §2, §4, §18).
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { expectCommonHeaders } from './harness/expect.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { checkLogResponse, follow, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`,
})
const path = target({ table: 'items', offset: '-1' })

/** A connection that the test's end closes. */
async function open(cleanup) {
  const connection = await RawConnection.open(server.port)
  cleanup(() => connection.destroy())
  return connection
}

const behind = 'GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n'
const chunks = '5\r\nhello\r\n0\r\n\r\n'
const heads = {
  'length and chunks': ['content-length: 5', 'transfer-encoding: chunked'],
  'chunks and length': ['transfer-encoding: chunked', 'content-length: 5'],
  'two equal lengths': ['content-length: 5', 'content-length: 5'],
  'two lengths': ['content-length: 5', 'content-length: 6'],
  'a list of lengths': ['content-length: 5, 5'],
  'a signed length': ['content-length: +5'],
  'a hexadecimal length': ['content-length: 0x5'],
  'no length': ['content-length:'],
  'a length beyond all numbers': ['content-length: 18446744073709551617'],
  'a list of codings': ['transfer-encoding: gzip, chunked'],
  'chunked and identity': ['transfer-encoding: chunked, identity'],
  'identity': ['transfer-encoding: identity'],
  'chunked twice': ['transfer-encoding: chunked', 'transfer-encoding: chunked'],
  'almost chunked': ['transfer-encoding: xchunked'],
  'chunked behind a vertical tab': ['transfer-encoding:\x0bchunked'],
  'a space before the colon': ['transfer-encoding : chunked'],
  'a tab before the name': ['\ttransfer-encoding: chunked'],
  'a folded line': ['x: y', ' transfer-encoding: chunked'],
  'a bare line feed': ['x: y\ntransfer-encoding: chunked'],
  'a bare carriage return': ['x: y\rtransfer-encoding: chunked'],
  'a zero byte': ['x: y\0'],
  'a name of two words': ['transfer encoding: chunked'],
  'no name': [': chunked'],
  'no colon': ['transfer-encoding'],
  'two hosts': ['host: y'],
}

for (const [what, lines] of Object.entries(heads)) {
  scenario(`refused, and nothing behind it is looked at: ${what}`, async ({ cleanup }) => {
    const connection = await open(cleanup)
    connection.send(`POST ${path} HTTP/1.1\r\nhost: x\r\n${lines.join('\r\n')}\r\n\r\n${chunks}${behind}`)
    const response = await connection.readResponse()
    assert.equal(response.status, 400)
    assert.equal(response.header('connection'), 'close')
    await connection.closed()
    assert.equal(connection.unread.length, 0, 'one answer')
  })
}

const bodies = {
  'a size with a sign': '+5\r\nhello\r\n0\r\n\r\n',
  'a size with a prefix': '0x5\r\nhello\r\n0\r\n\r\n',
  'a size with a space': '5 \r\nhello\r\n0\r\n\r\n',
  'a size of nine digits': '000000005\r\nhello\r\n0\r\n\r\n',
  'no size': ';x=y\r\nhello\r\n0\r\n\r\n',
  'a chunk longer than its size': '4\r\nhello\r\n0\r\n\r\n',
  'a chunk that ends with a bare line feed': '5\r\nhello\n0\r\n\r\n',
  'a size that ends with a bare line feed': '5\nhello\r\n0\r\n\r\n',
  'an extension with a line feed': '5;x=\ny\r\nhello\r\n0\r\n\r\n',
  'a trailer with a bare line feed': '5\r\nhello\r\n0\r\nx: y\n\r\n',
}

for (const [what, body] of Object.entries(bodies)) {
  scenario(`a malformed body is a 400, and nothing behind it is looked at: ${what}`, async ({ cleanup }) => {
    const connection = await open(cleanup)
    connection.send(`POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${body}${behind}`)
    const response = await connection.readResponse()
    assert.equal(response.status, 400)
    assert.equal(typeof response.json.error, 'string')
    assert.equal(response.header('connection'), 'close')
    expectCommonHeaders(response)
    await connection.closed()
    assert.equal(connection.unread.length, 0, 'one answer')
  })
}

scenario('HTTP/1.0 has no chunks, and HTTP/2 is another protocol', async ({ cleanup }) => {
  for (const [bytes, status] of [
    [`POST ${path} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`, 400],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    [`GET ${path} HTTP/1.1\r\n\r\n`, 400], // without host
  ]) {
    const connection = await open(cleanup)
    connection.send(bytes)
    assert.equal((await connection.readResponse()).status, status, bytes)
    await connection.closed()
  }
})

scenario('a chunked body with extensions and trailers, in any pieces, with requests behind it', async ({ cleanup }) => {
  const connection = await open(cleanup)
  const bytes =
    `POST ${path} HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: Chunked\r\n\r\n` +
    `6;a="b;c"\r\n{"repl\r\n0000010\r\nica":"default"} \r\n0;last\r\nx-trailer: content-length\r\n\r\n${behind}`
  for (const size of [1, 2, 7, bytes.length]) {
    for (let at = 0; at < bytes.length; at += size) {
      connection.send(bytes.slice(at, at + size))
      if (size < 10) await new Promise(setImmediate)
    }
    assert.equal(checkLogResponse(await connection.readResponse(), { offset: '-1' }).messages.length, 4)
    assert.equal((await connection.readResponse()).text, '{"status":"active"}')
  }
})

scenario('a body is 8000000 bytes at most, whatever its framing', async () => {
  const body = (bytes) => `{"x":"${'y'.repeat(bytes - 8)}"}`
  assert.equal((await request(server, path, { method: 'POST', body: body(8_000_000) })).status, 200)
  const larger = await request(server, path, { method: 'POST', body: body(8_000_001) })
  assert.equal(larger.status, 413)
  assert.equal(larger.header('cache-control'), 'max-age=0, private, must-revalidate')
  assert.equal(typeof larger.json.error, 'string')
})

scenario('Expect: 100-continue is answered before the body, and not for what is refused anyway', async ({ cleanup }) => {
  const head = (more) => `POST ${path} HTTP/1.1\r\nhost: x\r\n${more}\r\n\r\n`
  const asked = await open(cleanup)
  asked.send(head('expect: 100-Continue\r\ncontent-length: 2'))
  assert.equal((await asked.readHead()).status, 100)
  asked.send('{}')
  assert.equal((await asked.readResponse()).status, 200)
  const refused = await open(cleanup)
  refused.send(head('expect: 100-continue\r\ncontent-length: 9000000'))
  assert.equal((await refused.readResponse()).status, 413)
  const unknown = await open(cleanup)
  unknown.send(`${head('expect: miracles\r\ncontent-length: 2')}{}`)
  assert.equal((await unknown.readResponse()).status, 200)
})

scenario('requests behind a long poll wait for it, and are answered in their order', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle, offset } = await follow(server, { table })
  const connection = await open(cleanup)
  connection.request('GET', target({ table, handle, offset, live: 'true' }))
  connection.request('GET', '/v1/health')
  connection.request('POST', path, {}, '{}')
  connection.request('HEAD', path)
  connection.request('GET', '/nothing')
  await request(server, '/v1/health') // by now the poll has been read
  assert.equal(connection.unread.length, 0)
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  const poll = checkLogResponse(await connection.readResponse(), { offset, live: true })
  assert.equal(poll.messages[0].headers.operation, 'delete')
  assert.equal((await connection.readResponse()).text, '{"status":"active"}')
  assert.equal((await connection.readResponse()).header('cache-control'), 'no-cache')
  assert.equal((await connection.readResponse({ method: 'HEAD' })).status, 200)
  assert.equal((await connection.readResponse()).status, 404)
})

scenario('a stream on a kept connection ends, and the connection goes on', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { handle, offset } = await follow(server, { table })
  const connection = await open(cleanup)
  connection.request('GET', target({ table, handle, offset, live: 'true', live_sse: 'true' }))
  assert.equal((await connection.readHead()).header('content-type'), 'text/event-stream')
  connection.request('GET', '/v1/health')
  await server.query(`TRUNCATE ${table}`)
  assert.equal(await connection.readChunk(), undefined)
  assert.equal((await connection.readResponse()).text, '{"status":"active"}')
})

scenario('x-request-id is echoed from 20 to 200 bytes, else made', async () => {
  for (const length of [19, 20, 200, 201]) {
    const id = 'r'.repeat(length)
    const response = await request(server, path, { headers: { 'x-request-id': id } })
    const kept = length >= 20 && length <= 200
    assert.equal(response.header('x-request-id') === id, kept, `${length} bytes`)
    expectCommonHeaders(response)
  }
})

const memoryOf = (pid) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

scenario('F55: readers that take nothing pin little memory', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, body text')
  await server.query(`INSERT INTO ${table} SELECT i, md5(i::text) || rpad('', 3000, 'b') FROM generate_series(1, 3000) i`)
  const { handle } = await follow(server, { table }) // 9 MB in one chunk
  const whole = target({ table, offset: '-1', handle })
  const one = await open(cleanup)
  one.request('GET', whole)
  await one.readHead()
  const before = memoryOf(server.pid)
  const stalled = await Promise.all(Array.from({ length: 1_000 }, () => open(cleanup)))
  for (const reader of stalled) {
    reader.socket.pause()
    reader.request('GET', whole)
  }
  // Who is served now comes after them all.
  assert.equal((await request(server, whole)).status, 200)
  const grown = (memoryOf(server.pid) - before) / 1024
  assert.ok(grown < 60, `1,000 stalled readers of 9 MB pin ${grown} MB`)
  stalled[7].socket.resume()
  assert.equal(checkLogResponse(await stalled[7].readResponse(), { offset: '-1' }).messages.length, 3001)
})
