// spelling.test.mjs: how requests are spelt: names, lists and params, which error is told first, and
// paths and secrets that try to get past (spec §1-§3, §5).
import assert from 'node:assert/strict'
import { expectCommonHeaders, expectInvalid } from './harness/expect.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, target } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const sql = `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`
const server = await stageBusbar(postgres, { sql })
const guarded = await stageBusbar(postgres, {
  sql,
  secret: 'open sesame+/=&ü',
})

scenario('errors are told stage by stage, never with those of a later stage', async () => {
  const fields = async (params) => Object.keys((await get(server, params)).json.errors ?? {}).sort()
  let params = {
    offset: 'bad',
    live_sse: 'true',
    table: 'nothing_here',
    columns: 'a,',
    queryable_columns: 'b,',
    where: 'id = = 1',
    'params[2]': 'x',
    subset__limit: 'x',
  }
  // Each step mends what was complained of.
  const steps = [
    [{ replica: 'x', log: 'y', experimental_compaction: 'z' }, ['experimental_compaction', 'log', 'replica']],
    [{ replica: undefined, log: undefined, experimental_compaction: undefined }, ['offset']],
    [{ offset: '0_0' }, ['handle']],
    [{ offset: '-1', live: 'true' }, ['live']],
    [{ live: 'false' }, ['live_sse']],
    [{ live_sse: 'false', table: undefined }, ['table']],
    [{ table: 'a.b.c' }, ['table']],
    [{ table: 'nothing_here' }, ['table']],
    [{ table: 'items' }, ['columns']],
    [{ columns: 'id,title' }, ['queryable_columns']],
    [{ queryable_columns: 'id,title' }, ['params']],
    [{ 'params[2]': undefined }, ['where']],
    [{ where: 'id = 1' }, ['subset']],
  ]
  for (const [change, expected] of steps) {
    params = { ...params, ...change }
    assert.deepEqual(await fields(params), expected, JSON.stringify(params))
  }
  assert.equal((await get(server, { ...params, subset__limit: undefined })).status, 200)
})

scenario('names: quoted and not, capitals, Unicode, dots, quotes, 63 bytes', async () => {
  const long = 'n'.repeat(63)
  const names = [
    ['plain', 'plain', 'PLAIN', '"plain"', 'public.plain', '"public".plain'],
    ['Capital', '"Capital"', 'public."Capital"'],
    ['größe', '"größe"', 'größe', 'GRößE'],
    ['日本', '"日本"', '日本'],
    ['dot.ted', '"dot.ted"', '"public"."dot.ted"'],
    ['quo"ted', '"quo""ted"'],
    ['com,ma space', '"com,ma space"'],
    ['_under$1', '_under$1', '_UNDER$1'],
    ['elephant🐘', '"elephant🐘"'],
    [long, long, `"${long}"`],
  ]
  const quoted = (name) => `"${name.replaceAll('"', '""')}"`
  for (const [name, ...spellings] of names) {
    const column = `c${name}`.slice(0, 63)
    await server.query(
      `CREATE TABLE ${quoted(name)} (id int PRIMARY KEY, ${quoted(column)} int); INSERT INTO ${quoted(name)} VALUES (1, 2)`,
    )
    const handles = new Set()
    for (const spelling of spellings) {
      const response = await get(server, { table: spelling, offset: '-1', columns: `id,${quoted(column)}` })
      assert.equal(response.status, 200, `${spelling}: ${response.text}`)
      assert.deepEqual(response.json[0].value, { id: '1', [column]: '2' })
      assert.deepEqual(response.json[0].headers.relation, ['public', name])
      handles.add(response.header('electric-handle'))
    }
    assert.equal(handles.size, 1, `${name}: all spellings are one shape`)
  }
  for (const wrong of ['Capital', '"PLAIN"', 'dot.ted', 'quo"ted', `${long}n`, ' plain', '"plain" ', '"public.plain"']) {
    expectInvalid(await get(server, { table: wrong, offset: '-1' }), 'table')
  }
})

scenario('columns as a list are names as they are, in any number of parameters', async () => {
  const name = await newTable(server, 'id int PRIMARY KEY, "A,b" int, "q""" int', '(1, 2, 3)')
  const ask = (query) => request(server, `/v1/shape?table=${name}&offset=-1&${query}`)
  const listed = await ask('columns[]=A,b&columns%5B%5D=id&columns[]=q%22')
  assert.equal(listed.status, 200, listed.text)
  assert.deepEqual(listed.json[0].value, { id: '1', 'A,b': '2', 'q"': '3' })
  const text = await ask('columns=id,%22A,b%22,%22q%22%22%22')
  assert.equal(text.header('electric-handle'), listed.header('electric-handle'))
  for (const wrong of ['columns[]=id&columns[]=%22A,b%22', 'columns[]=ID', 'columns[]=id&columns[]=', 'columns[a]=id']) {
    expectInvalid(await ask(wrong), 'columns')
  }
  const limited = await ask('queryable_columns[]=id&queryable_columns[]=A,b')
  assert.deepEqual(limited.json[0].value, { id: '1', 'A,b': '2' })
  expectInvalid(await ask('queryable_columns[]=id&columns[]=id&columns[]=A,b'), 'columns')
})

scenario('params are nested texts 1 to k, the last of each number', async () => {
  const ask = (query) => request(server, `/v1/shape?table=items&offset=-1&where=id+%3D+%241&${query}`)
  for (const right of ['params[1]=2', 'params%5B1%5D=2', 'params[1]=1&params[1]=2', 'params=x&params[1]=2']) {
    const response = await ask(right)
    assert.equal(response.status, 200, `${right}: ${response.text}`)
    assert.equal(response.json[0].value.id, '2', right)
  }
  for (const wrong of [
    'params=2',
    'params=%7B%221%22%3A%222%22%7D',
    'params[]=2',
    'params[1][a]=2',
    'params[1][]=2',
    'params[0]=2',
    'params[one]=2',
    'params[1.0]=2',
    'params[-1]=2',
    'params[1]=2&params[3]=2',
    'params[99999999999999999999]=2',
    'params[1]=2&params=x',
  ]) {
    expectInvalid(await ask(wrong), 'params')
  }
  const unused = await request(server, '/v1/shape?table=items&offset=-1&params[7]=a')
  assert.equal(unused.status, 200, 'without where they mean nothing')
})

scenario('F61: without the secret nothing of the shape route answers, however the path is spelt', async () => {
  const encoded = encodeURIComponent(guarded.secret)
  for (const path of [
    '/v1/shape',
    '/v1/shape/',
    '/v1//shape',
    '//v1/shape',
    '/v1/%73hape',
    '/%76%31/shape',
    '/v1/shape//',
  ]) {
    for (const method of ['GET', 'HEAD', 'DELETE', 'POST']) {
      for (const credentials of [
        '',
        '&secret=wrong',
        '&secret=',
        `&secret=x&api_secret=${encoded}`,
        `&secret=${encoded}x`,
      ]) {
        const response = await request(guarded, `${path}?table=items&offset=-1${credentials}`, { method })
        assert.equal(response.status, 401, `${method} ${path} ${credentials}`)
        if (method !== 'HEAD') assert.equal(typeof response.json.message, 'string')
        assert.equal(response.header('www-authenticate'), undefined)
        assert.equal(response.header('electric-handle'), undefined)
      }
    }
    const opened = await request(guarded, `${path}?table=items&offset=-1&secret=${encoded}`)
    assert.equal(opened.status, 200, path)
  }
  assert.equal((await request(guarded, `/v1/shape?table=items&offset=-1&api_secret=${encoded}`)).status, 200)
  const header = await request(guarded, target({ table: 'items', offset: '-1' }), {
    headers: { authorization: 'Bearer wrong', 'x-secret': guarded.secret.slice(0, 5) },
  })
  assert.equal(header.status, 401)
  // Before the secret is checked nothing else is: a bad parameter does not change the answer.
  assert.equal((await request(guarded, '/v1/shape?offset=bad')).status, 401)
  // These are open.
  assert.equal((await request(guarded, '/v1/shape', { method: 'OPTIONS' })).status, 204)
  assert.equal((await request(guarded, '/v1/health')).status, 200)
  assert.equal((await request(guarded, '/')).status, 200)
  assert.ok(!guarded.output(400).includes('sesame'), 'the secret is in no log line')
})

scenario('F61: no spelling of the path gets past the secret', async () => {
  const query = '?table=items&offset=-1&handle=x'
  const shapes = [
    'http://localhost/v1/shape',
    'HTTP://localhost:1/v1//shape/',
    'https://user@localhost/v1/%73hape',
    'http:///v1/shape',
    '///v1///shape///',
    '/%76%31/%73%68%61%70%65',
  ]
  const others = [
    '/v1/./shape',
    '/v1/%2e/shape',
    '/v1/../v1/shape',
    '/v1/%2e%2e/v1/shape',
    '/v1/..;/v1/shape',
    '/v1/shape;x=y',
    '/v1/shape/.',
    '/v1/shape%2f',
    '/v1%2fshape',
    '/%2fv1/shape',
    '/v1%5cshape',
    '/v1\\shape',
    '/v1/shape%00',
    '/v1/shape%20',
    '/v1/%2573hape',
    '/V1/shape',
    '/v1/Shape',
    '/v1/shape#x',
    'ftp://localhost/v1/shape',
    '*',
    'v1/shape',
    'localhost:3000',
  ]
  const secret = `&secret=${encodeURIComponent(guarded.secret)}`
  for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) {
    for (const path of shapes) {
      assert.equal((await request(guarded, path + query, { method })).status, 401, `${method} ${path}`)
      const opened = (await request(guarded, path + query + secret, { method })).status
      assert.equal(opened, method === 'DELETE' ? 405 : 200, `${method} ${path}`)
    }
    for (const path of others) {
      for (const target of [path + query, path + query + secret]) {
        const response = await request(guarded, target, { method })
        assert.equal(response.status, 404, `${method} ${path}`)
        if (method !== 'HEAD') assert.equal(response.text, 'Not found')
      }
    }
  }
  assert.equal((await request(guarded, '*', { method: 'OPTIONS' })).status, 404)
  assert.equal((await request(guarded, 'http://localhost/v1/shape', { method: 'OPTIONS' })).status, 204)
  for (const method of ['PUT', 'PATCH', 'TRACE', 'CONNECT', 'get', 'PROPFIND']) {
    assert.equal((await request(guarded, `/v1/shape${query}${secret}`, { method })).status, 404, method)
  }
})

scenario('F61: the secret is taken from the query alone, and the last one counts', async () => {
  const secret = encodeURIComponent(guarded.secret)
  const base = '/v1/shape?table=items&offset=-1'
  const status = async (query, options) => (await request(guarded, base + query, options)).status
  assert.equal(await status(`&secret=x&secret=${secret}`), 200)
  assert.equal(await status(`&secret=${secret}&secret=x`), 401)
  assert.equal(await status(`&secret&api_secret=${secret}`), 401, 'secret is there, if empty')
  assert.equal(await status(`&api_secret=${secret}&api_secret=x`), 401)
  assert.equal(await status(`&secret[]=${secret}`), 401)
  assert.equal(await status(`&secret[a]=${secret}`), 401)
  assert.equal(await status(`&Secret=${secret}`), 401)
  const body = JSON.stringify({ secret: guarded.secret, api_secret: guarded.secret })
  assert.equal(await status('', { method: 'POST', body }), 401)
  assert.equal(await status(`&secret=${secret}`, { method: 'POST', body: '{"secret":"x"}' }), 200)
  const headers = { authorization: `Bearer ${secret}`, secret, cookie: `secret=${secret}` }
  assert.equal(await status('', { headers }), 401)
  const refused = await request(guarded, base, { headers: { origin: 'https://app.example' } })
  assert.equal(refused.header('content-type'), 'application/json; charset=utf-8')
  assert.equal(refused.header('cache-control'), 'max-age=0, private, must-revalidate')
  expectCommonHeaders(refused, { origin: 'https://app.example' })
})
