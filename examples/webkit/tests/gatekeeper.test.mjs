// gatekeeper.test.mjs: what a signed-in user of one agency gets by editing the addresses, bodies and
// headers of the proxy: never a row, a name, a count or a hint of another agency, nor a column that
// the shape does not have. And that the proxy streams, keeps caching private and leaves nothing behind.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { until } from '../../../tests/client/harness/processes.mjs'
import { scenario } from '../../../tests/client/harness/scenario.mjs'
import { Person, people, stageWebkit } from './stage.mjs'

const site = await stageWebkit()
const [mara, ines, jonas] = await Promise.all(
  [people.mara, people.ines, people.jonas].map((email) => Person.signIn(site.app, email)),
)
const theirs = mara.agency
const tables = [
  'agencies',
  'users',
  'consultations',
  'proposals',
  'proposal_items',
  'contracts',
  'invoices',
  'activity',
  'notifications',
]
const shapes = ['proposals', 'contracts', 'invoices', 'activity', 'notifications', 'consultations', 'team']

/** Whatever betrays the other agency, and what no browser may see of its own. */
async function secrets() {
  const words = new Set()
  for (const table of tables) {
    const owner = table === 'agencies' ? 'id' : 'agency_id'
    for (const { id } of await site.query(`SELECT id FROM ${table} WHERE ${owner} = $1`, [theirs])) words.add(id)
  }
  const texts = await site.query(
    `SELECT unnest(ARRAY[slug, title, client_name, contact_name]) AS text FROM proposals WHERE agency_id = $1
     UNION SELECT unnest(ARRAY[name, email]) FROM users WHERE agency_id = $1
     UNION SELECT password_hash FROM users
     UNION SELECT id::text FROM notifications WHERE user_id = $2`,
    [theirs, jonas.sub],
  )
  for (const { text } of texts) words.add(text)
  words.add(site.busbar.secret)
  return [...words].filter((word) => word.length > 3)
}
const forbidden = await secrets()

/** Nothing forbidden in status, headers or body; rows only of the shape's table. Returns the body. */
async function expectNothingForeign(response, what) {
  const body = await response.text()
  const all = `${[...response.headers].join('\n')}\n${body}`
  for (const word of forbidden) assert.ok(!all.includes(word), `${what}: “${word}” in ${all.slice(0, 600)}`)
  assert.ok(response.status < 500 || response.status === 503, `${what}: ${response.status} ${body.slice(0, 300)}`)
  return body
}

/** The ids of the rows in a body of either kind. */
function rowsIn(body) {
  const parsed = JSON.parse(body)
  return (Array.isArray(parsed) ? parsed : parsed.data).filter(({ value }) => value).map(({ value }) => value)
}

const own = Object.fromEntries(
  await Promise.all(
    shapes.map(async (name) => {
      const response = await ines.shape(name)
      assert.equal(response.status, 200, name)
      return [name, rowsIn(await expectNothingForeign(response, name))]
    }),
  ),
)
const ids = (rows) => rows.map(({ id }) => id).sort()

test('an honest request brings exactly the rows of the agency, and the notifications of the user', async () => {
  const expected = {
    team: 'SELECT id FROM users WHERE agency_id = $1',
    notifications: 'SELECT id FROM notifications WHERE user_id = $1',
  }
  for (const name of shapes) {
    const value = name === 'notifications' ? ines.sub : ines.agency
    const rows = await site.query(expected[name] ?? `SELECT id FROM ${name} WHERE agency_id = $1`, [value])
    assert.deepEqual(ids(own[name]), ids(rows), name)
    assert.ok(rows.length > 0, name)
  }
  assert.deepEqual(Object.keys(own.team[0]).sort(), ['id', 'name', 'role'])
  for (const rows of Object.values(own))
    for (const row of rows) assert.ok(!('agency_id' in row) && !('password_hash' in row))
})

// Each is [what, query]; the offset is -1 unless it says otherwise. What they try to say must not be heard.
const definitions = [
  ['another table', 'table=users'],
  ['a quoted table', 'table=%22users%22'],
  ['a qualified table', 'table=public.agencies'],
  ['a quoted, qualified table', 'table=%22public%22.%22users%22'],
  ['a catalog table', 'table=pg_catalog.pg_authid'],
  ['a table as a list', 'table[]=users&table%5B%5D=agencies'],
  ['the table twice', 'table=proposals&table=users'],
  ['the table in capitals', 'TABLE=users&Table=agencies'],
  ['no condition', 'where='],
  ['a true condition', 'where=true'],
  ['a wide condition', 'where=1%3D1'],
  ["the other agency's condition", `where=agency_id%20%3D%20'${theirs}'`],
  ['a comment', 'where=true%20--%20'],
  ['the condition twice', `where=true&where=agency_id%20%3D%20'${theirs}'`],
  ['another parameter', `params[1]=${theirs}`],
  ['another parameter, encoded', `params%5B1%5D=${theirs}`],
  ['another parameter, encoded twice', `params%255B1%255D=${theirs}`],
  ['two parameters', `params[1]=${theirs}&params[1]=${theirs}&params[2]=x`],
  ['parameters as JSON', `params=${encodeURIComponent(JSON.stringify({ 1: theirs }))}`],
  ['a parameter with a zero byte', `params[1]%00=${theirs}`],
  ['all columns', 'columns='],
  ['a hidden column', 'columns=id,password_hash'],
  ['a quoted hidden column', 'columns=%22id%22,%22password_hash%22'],
  ['columns as a list', 'columns[]=id&columns[]=password_hash'],
  ['columns twice', 'columns=id&columns=password_hash'],
  ['more columns to ask', 'queryable_columns=id,password_hash,agency_id'],
  ['full replicas', 'replica=full'],
  ['a secret', 'secret=guessed&api_secret=guessed'],
  ['an empty secret', 'secret='],
  ['all at once', `table=users&where=true&columns=password_hash&params[1]=${theirs}&replica=full&secret=x`],
  ['a fragment', 'x=%23&table=users'],
  ['a semicolon', 'a=1;table=users;where=true'],
  ['a line break', 'cursor=1%0d%0atable:%20users'],
  ['an ampersand in a value', 'cursor=1%26table%3Dusers%26where%3Dtrue'],
  ['an ampersand in the handle', 'handle=1-1%26table%3Dusers%26where%3Dtrue'],
  ['an ampersand in the log', 'log=full%26table%3Dusers'],
  ['the agency as a parameter', `agency=${theirs}&agency_id=${theirs}&user_id=${mara.sub}`],
]

test('parameters that define a shape are not heard', async () => {
  for (const name of shapes)
    for (const [what, words] of definitions) {
      const response = await ines.shape(name, new URLSearchParams(`session=${ines.session}&offset=-1`), undefined)
      const plain = await expectNothingForeign(response, `${name}, honest`)
      const attack = await ines.get(`/api/electric/${name}?session=${ines.session}&offset=-1&${words}`)
      const body = await expectNothingForeign(attack, `${name}, ${what}`)
      // `log` is the protocol's own, so nonsense in it is refused; all else changes nothing.
      if (what !== 'an ampersand in the log') assert.equal(attack.status, 200, `${name}, ${what}: ${body}`)
      else assert.equal(attack.status, 400, body)
      if (attack.status === 200) assert.deepEqual(ids(rowsIn(body)), ids(rowsIn(plain)), `${name}, ${what}`)
    }
})

test('names that are no shapes lead nowhere', async () => {
  const paths = [
    ...['users', 'agencies', 'proposal_items', 'pg_authid', '%22users%22', 'public.users', 'v1/shape', 'PROPOSALS'],
    ...[
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '',
      'proposals/',
      'proposals/..%2fusers',
      'proposals%2fx',
    ],
    ...[
      'proposals%00',
      'proposals%3Ftable=users',
      'proposals;table=users',
      'proposals%23',
      '..%2f..%2fv1%2fshape',
      '%2e%2e/users',
    ],
    ...['proposals%253Ftable=users', 'http:%2f%2f127.0.0.1', 'proposals,users', 'team%20', '%00'],
  ]
  for (const path of paths) {
    const response = await ines.get(`/api/electric/${path}?session=${ines.session}&offset=-1&table=users`)
    const body = await expectNothingForeign(response, path)
    // A slash at the end is taken away by a redirect to the honest address.
    assert.ok([400, 404].includes(response.status) || response.status === 308, `${path}: ${response.status} ${body}`)
  }
})

const conditions = [
  ["the other agency's rows", `"agency_id" = '${theirs}'`],
  ['everything', 'true'],
  ['closing the parenthesis', '1=1) OR (1=1'],
  ['closing it with a comment', 'true) OR true --'],
  ['a block comment', 'true /* */ OR true'],
  ['a subquery', '"id" IN (SELECT id FROM users)'],
  ['an EXISTS', 'EXISTS (SELECT 1 FROM users)'],
  ['a second statement', 'true; SELECT * FROM users'],
  ['a union', 'true UNION SELECT * FROM users'],
  ['a hidden column', `"password_hash" LIKE '%'`],
  ['a function that reads files', "pg_read_file('/etc/passwd') IS NOT NULL"],
  ['a function that waits', 'pg_sleep(10) IS NULL'],
  ['a setting', "current_setting('data_directory') <> ''"],
  ['a cast that fails with the value', `cast("agency_id" AS text)::int > 0`],
]

test('a part of a shape is a part of the own rows, by GET and by POST', async () => {
  for (const name of ['proposals', 'team', 'notifications', 'activity'])
    for (const [what, where] of conditions) {
      const address = `/api/electric/${name}?session=${ines.session}&offset=-1`
      const tries = [
        ines.get(`${address}&subset__where=${encodeURIComponent(where)}`),
        ines.get(`${address}&subset[where]=${encodeURIComponent(where)}`),
        ines.get(`${address}&subset__where=true&subset__where=${encodeURIComponent(where)}`),
        ines.get(`${address}&subset__order_by=${encodeURIComponent(where)}&subset__limit=10`),
        ines.get(address, { method: 'POST', body: JSON.stringify({ where }) }),
        ines.get(address, {
          method: 'POST',
          body: JSON.stringify({ where, table: 'users', columns: 'password_hash' }),
        }),
        ines.get(address, {
          method: 'POST',
          body: JSON.stringify({ subset: { where }, where: 'true', params: { 1: theirs } }),
        }),
      ]
      for (const [i, response] of (await Promise.all(tries)).entries()) {
        const body = await expectNothingForeign(response, `${name}, ${what}, way ${i}`)
        assert.ok([200, 400].includes(response.status), `${name}, ${what}, way ${i}: ${response.status} ${body}`)
        if (response.status !== 200) continue
        const mine = new Set(ids(own[name]))
        for (const { id } of rowsIn(body)) assert.ok(mine.has(id), `${name}, ${what}, way ${i}: ${id}`)
      }
    }
  // The honest use of the same works, and hidden columns cannot be asked.
  const part = await ines.shape('team', { subset__where: `"name" LIKE 'Ines%'` })
  assert.deepEqual(ids(rowsIn(await part.text())), [ines.sub])
  const posted = await ines.shape(
    'team',
    {},
    { method: 'POST', body: JSON.stringify({ where: '"name" LIKE $1', params: { 1: 'Ines%' } }) },
  )
  assert.deepEqual(ids(rowsIn(await posted.text())), [ines.sub])
  for (const column of ['password_hash', 'email', 'agency_id']) {
    const words = { subset__where: `"${column}" IS NOT NULL` }
    assert.equal((await ines.shape('team', words)).status, 400, column)
    const order = { subset__order_by: `"${column}"`, subset__limit: '1' }
    assert.equal((await ines.shape('team', order)).status, 400, column)
  }
})

test('bodies that are not parts of a shape are refused', async () => {
  const bodies = [
    ...[
      '',
      '{}',
      '[]',
      'null',
      '"users"',
      '1',
      '{',
      '{"table":"users"}',
      '{"columns":"password_hash"}',
      '{"secret":"x"}',
    ],
    ...[
      'table=users&where=true',
      '{"subset":{"where":"true"}}',
      '{"__proto__":{"where":"true"}}',
      '{"replica":"full","log":"full"}',
    ],
    ...[JSON.stringify({ offset2: '-1', handle: 'x', params2: { 1: theirs } })],
  ]
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain'])
    for (const body of bodies) {
      const headers = { 'content-type': type, origin: site.app.url }
      const response = await ines.shape('team', {}, { method: 'POST', body, headers })
      const said = await expectNothingForeign(response, `${type} ${body}`)
      assert.equal(response.status, 400, `${type} ${body}: ${said}`)
    }
  const large = await ines.shape('team', {}, { method: 'POST', body: JSON.stringify({ where: 'x'.repeat(100_000) }) })
  assert.equal(large.status, 413)
})

test("another agency's handle is worth nothing", async () => {
  for (const name of shapes) {
    const response = await mara.shape(name)
    await response.text()
    const handle = response.headers.get('electric-handle')
    assert.ok(handle)
    assert.notEqual(handle, (await ines.shape(name)).headers.get('electric-handle'))
    for (const place of [
      { offset: '0_0' },
      { offset: '0_inf' },
      { offset: '0_inf', live: 'true' },
      { offset: '0_inf', live: 'true', live_sse: 'true' },
      { offset: response.headers.get('electric-offset'), log: 'changes_only' },
      { offset: '-1', expired_handle: handle },
      { offset: '-1', 'cache-buster': '1' },
      { offset: 'now' },
    ]) {
      const asked = await ines.shape(name, { ...place, handle })
      const what = `${name} ${JSON.stringify(place)}`
      await expectNothingForeign(asked, what)
      // Told to begin anew with the own shape; the two that begin at the beginning get just that.
      assert.equal(asked.status, ['-1', 'now'].includes(place.offset) ? 200 : 409, what)
      assert.notEqual(asked.headers.get('electric-handle'), handle, what)
    }
    const etag = response.headers.get('etag')
    const tagged = await ines.shape(name, {}, { headers: { 'if-none-match': etag } })
    assert.equal(tagged.status, 200, 'another shape’s tag does not match')
    await expectNothingForeign(tagged, `${name}, tag`)
  }
})

test('only GET, HEAD and POST go through, and headers do not', async () => {
  for (const method of ['DELETE', 'PUT', 'PATCH']) {
    const response = await ines.shape('proposals', {}, { method, headers: { origin: site.app.url } })
    assert.equal(response.status, 405, method)
  }
  for (const headers of [
    { 'x-http-method-override': 'DELETE' },
    { authorization: 'Bearer x', 'x-agency-id': theirs, 'x-user-id': mara.sub },
    { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': 'busbar', forwarded: 'for=127.0.0.1' },
    { 'x-original-url': '/v1/shape?table=users', 'x-rewrite-url': '/v1/shape?table=users' },
    { range: 'bytes=0-100000', accept: 'text/event-stream' },
    { 'transfer-encoding-x': 'chunked', 'content-type': 'application/json', te: 'trailers' },
  ]) {
    const response = await ines.shape('team', {}, { headers })
    const body = await expectNothingForeign(response, JSON.stringify(headers))
    assert.equal(response.status, 200)
    assert.deepEqual(ids(rowsIn(body)), ids(own.team))
  }
  assert.equal(await site.one('SELECT count(*) FROM users'), '5')
})

test('without a valid session of its own a request gets nothing', async () => {
  const [head, body, sign] = ines.cookie.split('=')[1].split('.')
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { ...JSON.parse(Buffer.from(body, 'base64url')), agency: theirs, sub: mara.sub }
  const signed = (h, b, key) => `${h}.${b}.${createHmac('sha256', key).update(`${h}.${b}`).digest('base64url')}`
  const tokens = {
    'no cookie': undefined,
    'an empty one': '',
    'claims of another agency': `${head}.${encode(claims)}.${sign}`,
    'no algorithm': `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims)}.`,
    'no algorithm, signed': `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims)}.${sign}`,
    'an empty key': signed(head, encode(claims), ''),
    'a guessed key': signed(head, encode(claims), 'secret'),
    'another header': signed(encode({ alg: 'HS512', typ: 'JWT' }), encode(claims), 'for the tests only'),
    expired: signed(head, encode({ ...claims, exp: Math.floor(Date.now() / 1000) - 1 }), 'for the tests only'),
    'a part too many': `${head}.${body}.${sign}.x`,
    'half a signature': `${head}.${body}.${sign.slice(0, 20)}`,
  }
  for (const [what, token] of Object.entries(tokens)) {
    const headers = token === undefined ? {} : { cookie: `webkit_session=${token}` }
    const response = await fetch(`${site.app.url}/api/electric/proposals?offset=-1&session=${ines.session}`, {
      headers,
    })
    await expectNothingForeign(response, what)
    assert.equal(response.status, 401, what)
  }
  for (const session of [mara.session, jonas.session, '', 'x', `${ines.session}x`]) {
    const response = await ines.get(`/api/electric/proposals?offset=-1&session=${session}`)
    await expectNothingForeign(response, `session ${session}`)
    assert.equal(response.status, 403, session)
  }
  assert.equal((await ines.get(`/api/electric/proposals?offset=-1&session=x&session=${ines.session}`)).status, 403)
})

test("another agency's pages and forms are not there", async () => {
  const [proposal] = await site.query(`SELECT id FROM proposals WHERE agency_id = $1 AND status = 'draft'`, [theirs])
  const [contract] = await site.query(`SELECT id FROM contracts WHERE agency_id = $1 AND status = 'active'`, [theirs])
  const [invoice] = await site.query(`SELECT id FROM invoices WHERE agency_id = $1 AND status = 'outstanding'`, [
    theirs,
  ])
  const before = await site.query('SELECT status::text FROM proposals UNION ALL SELECT status::text FROM invoices')
  const page = await ines.get(`/proposals/${proposal.id}`)
  const missing = await ines.get('/proposals/00000000-0000-4000-8000-000000000000')
  assert.equal(page.status, 404)
  const shown = await page.text()
  for (const word of forbidden) if (word !== proposal.id) assert.ok(!shown.includes(word), word)
  assert.equal(missing.status, 404)
  assert.equal((await ines.post(`/proposals/${proposal.id}?/send`, {})).status, 404)
  assert.equal((await ines.post('/contracts?/complete', { id: contract.id })).status, 409)
  assert.equal((await ines.post('/invoices?/paid', { id: invoice.id })).status, 409)
  assert.equal((await ines.post('/invoices?/paid', { id: `${invoice.id}' OR true --` })).status, 409)
  for (const path of ['/', '/proposals', '/contracts', '/invoices', '/activity']) {
    const response = await ines.get(path)
    assert.equal(response.status, 200, path)
    await expectNothingForeign(response, path)
    const stranger = await fetch(site.app.url + path, { redirect: 'manual' })
    assert.equal(stranger.status, 303, path)
    await expectNothingForeign(stranger, path)
  }
  const data = await fetch(`${site.app.url}/proposals/__data.json`, { redirect: 'manual' })
  assert.match(await data.text(), /redirect/)
  assert.deepEqual(
    await site.query('SELECT status::text FROM proposals UNION ALL SELECT status::text FROM invoices'),
    before,
  )
})

test('what the browser may keep is its own, and only for this session', async () => {
  const first = await ines.shape('proposals')
  assert.match(first.headers.get('cache-control'), /^private, max-age=\d+/)
  assert.doesNotMatch(first.headers.get('cache-control'), /public|s-maxage/)
  assert.equal(first.headers.get('vary'), 'cookie')
  assert.equal(first.headers.get('access-control-allow-origin'), null)
  await first.text()
  const again = await ines.shape('proposals', {}, { headers: { 'if-none-match': first.headers.get('etag') } })
  assert.equal(again.status, 304)
  assert.equal(await again.text(), '')
  for (const bad of [
    await ines.shape('users'),
    await ines.get('/api/electric/proposals?offset=-1'),
    await ines.shape('proposals', { offset: 'x' }),
  ])
    assert.doesNotMatch(bad.headers.get('cache-control') ?? '', /public|max-age=[1-9]/)
  const page = await ines.get('/proposals')
  assert.equal(page.headers.get('cache-control'), 'private, no-store')
})

/** Follows a shape to its end by ordinary requests; returns where a live one goes on. */
async function readToEnd(person, name) {
  let place = { offset: '-1' }
  for (let i = 0; i < 50; i++) {
    const response = await person.shape(name, place)
    await response.text()
    place = { handle: response.headers.get('electric-handle'), offset: response.headers.get('electric-offset') }
    if (response.headers.has('electric-up-to-date')) return place
  }
  throw new Error('the log does not end')
}

const waiting = async () => Number(/^busbar_waiting_readers (\d+)/m.exec(await site.busbar.metrics())?.[1])

scenario('events go through one by one, the head at once', async ({ cleanup }) => {
  const place = await readToEnd(jonas, 'activity')
  const stop = new AbortController()
  cleanup(() => stop.abort())
  const begun = Date.now()
  const response = await jonas.shape('activity', { ...place, live: 'true', live_sse: 'true' }, { signal: stop.signal })
  assert.ok(Date.now() - begun < 15_000, 'the head does not wait for an event')
  assert.match(response.headers.get('content-type'), /^text\/event-stream/)
  assert.match(response.headers.get('cache-control'), /^private/)
  assert.equal(response.headers.get('content-encoding'), null)
  let told = ''
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      told += value
    }
  })().catch(() => {})
  for (const name of ['First', 'Second', 'Third']) {
    await ines.post('/?/consultation', { client: `${name} of the stream` })
    // It is told while the stream is open, before the next one is even written.
    await until(
      () => told.includes(`${name} of the stream`),
      () => `${name} in ${told}`,
    )
  }
  stop.abort()
  await reading
})

scenario('a browser that goes away leaves no request behind', async () => {
  const place = await readToEnd(mara, 'invoices')
  const before = await waiting()
  const stops = Array.from({ length: 8 }, (_, i) => {
    const stop = new AbortController()
    mara
      .shape('invoices', { ...place, live: 'true', ...(i % 2 ? { live_sse: 'true' } : {}) }, { signal: stop.signal })
      .catch(() => {})
    return stop
  })
  await until(async () => (await waiting()) === before + 8, 'eight readers to wait')
  for (const stop of stops) stop.abort()
  await until(async () => (await waiting()) === before, 'all of them to be gone')
})
