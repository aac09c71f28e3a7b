// gate-attacks.test.mjs: what a tenant may try to see of others. Each request is made twice: where
// another tenant has rows, and a table and a column are there that the policy does not list; and where
// they are not. Both answers must be the same to the last letter, so that not a row, a count, a column
// or a hint of their existence comes out.
import assert from 'node:assert/strict'
import { Issuer, stageGate } from './harness/gate.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { target } from './harness/shapes.mjs'
import { stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const issuer = new Issuer('ES256')

const common = `
  CREATE TABLE proposals (id int PRIMARY KEY, agency text, title text, amount int, day date);
  INSERT INTO proposals VALUES (1, 'a', 'own one', 10, '2026-01-01'), (3, 'a', 'own three', 30, '2026-01-03');
  CREATE TABLE deals AS SELECT * FROM proposals;
  ALTER TABLE deals ADD PRIMARY KEY (id);
  CREATE TABLE members (id int PRIMARY KEY, agency text NOT NULL, proposal int NOT NULL, seat text);
  INSERT INTO members VALUES (1, 'a', 1, 'left');
  CREATE TABLE plans (id int PRIMARY KEY, word text);
  INSERT INTO plans VALUES (1, 'for all');`
const foreign = `
  ALTER TABLE proposals ADD COLUMN margin int DEFAULT 777;
  ALTER TABLE deals ADD COLUMN margin int DEFAULT 777;
  INSERT INTO proposals VALUES (2, 'b', 'kiwi two', 20, '2026-01-02'), (4, 'b', 'kiwi\\', 0, 'infinity'),
    (6, 'b', 'kiwi', 2147483647, '0001-01-01 BC');
  INSERT INTO deals SELECT * FROM proposals WHERE agency = 'b';
  INSERT INTO members VALUES (2, 'b', 3, 'kiwi'), (4, 'b', 2, 'kiwi');
  CREATE TABLE vault (id int PRIMARY KEY, proposal int NOT NULL, word text);
  INSERT INTO vault VALUES (1, 1, 'kiwi');
  CREATE SCHEMA other;
  CREATE TABLE other.proposals (LIKE proposals INCLUDING ALL);
  INSERT INTO other.proposals VALUES (9, 'a', 'kiwi', 1);`
const policy = `
version: 1
tenant: agency
tables:
  proposals:
    columns: [id, agency, title, amount, day]
    where: agency = \${claim.agency}
  deals: # Costs PostgreSQL more than what a client may write, so that this would be looked at first.
    columns: [id, agency, title, amount, day]
    where: agency || 'x' = \${claim.agency} || 'x' OR agency || 'y' = 'shared' OR agency || 'z' = 'common'
  members:
    columns: [id, agency, proposal]
    where: agency = \${claim.agency}
  plans: {where: true}
`
const env = { BUSBAR_ENABLE_INTEGRATION_TESTING: 'true', BUSBAR_SECRET: 'the operator', BUSBAR_SECRETS: 'another one' }
const [crowded, alone] = await Promise.all(
  [common + foreign, common].map((sql) => stageGate(postgres, { sql, issuer, policy, env })),
)
const a = issuer.token({ agency: 'a' }, { exp: Math.floor(Date.now() / 1000) + 600 })
const b = issuer.token({ agency: 'b' }, { exp: Math.floor(Date.now() / 1000) + 600 })
const all = { table: 'proposals', offset: '-1' }

const own = { proposals: new Set(['1', '3']), deals: new Set(['1', '3']), members: new Set(['1']), plans: new Set(['1']) }

/** What of an answer may depend on more than the moment. */
function essence(response) {
  const stable = (text) =>
    text
      .replace(/"(global_last_seen_lsn|database_lsn|xmin|xmax|lsn)":"[0-9]+"/g, '"$1":"#"')
      .replace(/"snapshot_mark":[0-9]+/g, '"snapshot_mark":#')
      .replace(/"xip_list":\[[^\]]*\]/g, '"xip_list":[]')
      .replace(/[0-9]+-[0-9]{16}/g, 'HANDLE')
      .replace(/\b[1-9][0-9]{5,}_[0-9]+/g, 'OFFSET')
      .replace(/"tags":\[[^\]]*\]/g, '"tags":[]')
  const headers = [...response.headers]
    .filter(([name]) => !['date', 'x-request-id', 'electric-cursor'].includes(name))
    .map(([name, value]) => `${name}: ${stable(value).replace(/:[0-9]+"$/, '"')}`)
    .filter((line) => !line.startsWith('content-length'))
  return `${response.status}\n${headers.join('\n')}\n\n${stable(response.text)}`
}

/** No row but the tenant's own, and nothing that only other rows have in them. */
function expectOnlyOwn(response, what) {
  if (response.status !== 200 || response.text === '') return 0 // An error may repeat what was asked.
  const text = `${response.header('electric-schema')}\n${response.text}`
  assert.ok(!/kiwi|"777"|margin|vault/i.test(text), `${what}: ${text}`)
  const messages = Array.isArray(response.json) ? response.json : response.json.data
  let rows = 0
  for (const message of messages) {
    if (!message.key) continue
    const [, table] = /^"public"\."(\w+)"/.exec(message.key)
    assert.ok(own[table].has(message.value.id), `${what}: ${JSON.stringify(message)}`)
    rows++
  }
  return rows
}

/** Makes the request in both worlds; returns the answer. */
async function same(what, params, options = {}) {
  const ask = (server, at) => {
    const given = typeof params === 'function' ? params(at) : params
    return server.as(options.token ?? a, typeof given === 'string' ? given : target(given), {
      ...options,
      headers: { ...(typeof options.headers === 'function' ? options.headers(at) : options.headers) },
    })
  }
  const [one, other] = await Promise.all([ask(crowded, foreignShape.crowded), ask(alone, foreignShape.alone)])
  expectOnlyOwn(one, what)
  assert.equal(essence(one), essence(other), what)
  return one
}

const post = (body) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

/** Where tenant b's shape is known, and a handle and offset that were never given out. */
const foreignShape = {}
{
  const theirs = await crowded.as(b, all)
  assert.equal(theirs.json.filter((message) => message.value).length, 3)
  foreignShape.crowded = {
    handle: theirs.header('electric-handle'),
    offset: theirs.header('electric-offset'),
    etag: theirs.header('etag'),
  }
  foreignShape.alone = {
    handle: '1234567-1700000000000000',
    offset: theirs.header('electric-offset'),
    etag: '"1234567-1700000000000000:-1:0_0"',
  }
}

const clauses = {
  'everything': 'true',
  'or true': "id = 1 OR true",
  'or the other': "agency = 'a' OR agency = 'b'",
  'the other': "agency = 'b'",
  'not mine': "agency <> 'a'",
  'closes a bracket': "id = 1) OR (true",
  'closes brackets and comments': "id = 1)) OR true --",
  'a comment at the end': 'id > 0 --',
  'a comment that swallows': 'id > 0 /* ',
  'a comment that closes': 'id > 0 */ OR true /*',
  'nested comments': 'id > 0 /* /* */ */ OR true',
  'a semicolon': 'true; SELECT * FROM proposals',
  'a union': 'true UNION SELECT 1',
  'precedence': 'id = 1 AND true OR true',
  'negation': 'NOT (agency = $1)',
  'is distinct': "agency IS DISTINCT FROM 'a'",
  'unicode escapes': `U&"agency" = 'b'`,
  'escape strings': `agency = E'\\x62'`,
  'dollar quotes': 'agency = $$b$$',
  'a quoted name': `"agency" = 'b'`,
  'another case': `AGENCY = 'b'`,
  'a qualified name': `proposals.agency = 'b'`,
  'a whole row': `proposals IS NOT NULL`,
  'a row value': `ROW(agency, id) = ROW('b', 2)`,
  'a hidden column': 'margin = 777',
  'a hidden column, quoted': '"margin" IS NOT NULL',
  'a column that is not there': 'nothing_of_that_name = 777',
  'a system column': 'xmin IS NOT NULL',
  'another system column': `tableoid = 'proposals'::regclass`,
  'a hidden column in a case': 'CASE WHEN id = 1 THEN true ELSE margin = 777 END',
  'a hidden column in a list': '777 IN (id, margin)',
  'a hidden column in a function': 'coalesce(margin, 0) = 777',
  'a subquery on a hidden table': 'id IN (SELECT proposal FROM vault)',
  'a subquery on no table': 'id IN (SELECT proposal FROM nowhere)',
  'a subquery on a schema': 'id IN (SELECT id FROM other.proposals)',
  'a subquery on a catalog': 'id IN (SELECT oid FROM pg_catalog.pg_class)',
  'a subquery on a hidden column': "id IN (SELECT proposal FROM members WHERE seat = 'kiwi')",
  'a subquery that selects a hidden column': 'title IN (SELECT seat FROM members)',
  'a subquery on their rows': "id IN (SELECT proposal FROM members WHERE agency = 'b')",
  'a subquery on all rows': 'id IN (SELECT proposal FROM members)',
  'a subquery or true': 'id IN (SELECT proposal FROM members WHERE true OR true)',
  'a negated subquery': 'id NOT IN (SELECT proposal FROM members)',
  'a nested subquery': 'id IN (SELECT proposal FROM members WHERE id IN (SELECT id FROM vault))',
  'a nested subquery on their rows': "id IN (SELECT proposal FROM members WHERE proposal IN (SELECT id FROM proposals WHERE agency = 'b'))",
  'a subquery with an alias': "id IN (SELECT m.proposal FROM members m WHERE m.agency = 'b')",
  'exists': 'EXISTS (SELECT 1 FROM vault)',
  'a scalar subquery': 'id = (SELECT max(id) FROM proposals)',
  'the guard as a parameter': 'agency = $2',
  'a parameter far away': 'agency = $9',
  'a division that fails on their row': '100 / amount > 0',
  'a division that fails on their row, or true': '100 / amount > 0 OR true',
  'a sum that overflows on their row': 'amount + 1 > 0',
  'a cast that fails on their row': 'CAST(title AS int) > 0',
  'a cast that fails on their row, not asked of mine': "title LIKE 'own%' OR CAST(title AS int) > 0",
  'a pattern that fails on their row': `title LIKE 'kiwi\\'`,
  'a pattern that is their row': "'kiwi' LIKE title",
  'a pattern in a function': `like_escape(title, 'kk') = 'x'`,
  'an array out of their row': 'CAST(title AS int[]) IS NOT NULL',
  'a negated failure': 'NOT (100 / amount > 0)',
  'a failure in a subquery': 'id IN (SELECT proposal FROM members WHERE 1 / (id - 2) > 5)',
  'a date that fails': "day + 1 > '2026-01-01'",
  'a function of a session': "current_setting('server_version') = '15'",
  'sleeping': 'pg_sleep(1) IS NULL',
  'reading files': "pg_read_file('/etc/passwd') IS NOT NULL",
}

scenario('no where clause shows more than the policy', async () => {
  let answered = 0
  for (const table of ['proposals', 'deals'])
    for (const [what, where] of Object.entries(clauses)) {
      const response = await same(`${table}: ${what}`, { ...all, table, where, 'params[1]': 'a' })
      assert.ok([200, 400, 403].includes(response.status), `${what}: ${response.status} ${response.text}`)
      if (response.status === 200) answered++
    }
  assert.ok(answered > 40, `${answered} were answered with rows`)
})

scenario('no subset shows more than the policy, neither by GET nor by POST', async () => {
  for (const table of ['proposals', 'deals'])
    for (const [what, where] of Object.entries(clauses)) {
      await same(`subset of ${table}: ${what}`, { ...all, table, subset__where: where, subset__params: '{"1":"a"}' })
      await same(`posted subset of ${table}: ${what}`, { ...all, table }, post({ where, params: { 1: 'a' } }))
    }
})

scenario('orders, limits and lists of columns tell of nothing', async () => {
  for (const order of ['margin', 'nothing_of_that_name', '"margin" DESC', 'seat', '1', 'amount, margin', 'random()', 'agency; SELECT 1', 'proposals.margin'])
    for (const [what, answer] of [
      [`order ${order}`, await same(`order ${order}`, { ...all, subset__order_by: order, subset__limit: '10' })],
      [`posted order ${order}`, await same(`posted ${order}`, all, post({ subset: { order_by: order, limit: 10, offset: 0 } }))],
    ])
      assert.ok([400, 403].includes(answer.status), what)
  const pages = []
  for (const offset of [0, 1, 2, 3]) {
    const page = await same(`page ${offset}`, { ...all, subset__order_by: 'amount', subset__limit: '1', subset__offset: String(offset) })
    pages.push(...page.json.data.map((row) => row.value.id))
  }
  assert.deepEqual(pages, ['1', '3'])
  for (const columns of ['id,margin', 'id,nothing_of_that_name', 'margin', '"margin",id', 'id,Margin', 'id,title,ctid', '*', 'id,*'])
    for (const name of ['columns', 'queryable_columns'])
      assert.ok([400, 403].includes((await same(`${name} ${columns}`, { ...all, [name]: columns })).status))
  await same('columns as a list', `${target(all)}&columns[]=id&columns[]=margin`)
  await same('a hidden column and a broken clause', { ...all, columns: 'id,margin', where: '(' })
  await same('a hidden table and a broken clause', { table: 'vault', offset: '-1', where: '(' })
  await same('no table and a broken clause', { table: 'nowhere', offset: '-1', where: '(' })
})

scenario('no spelling of a table reaches one that is not listed', async () => {
  const bodies = new Set()
  for (const table of ['vault', 'VAULT', '"vault"', 'public.vault', '"public"."vault"', 'nowhere', 'other.proposals', '"other"."proposals"', 'pg_catalog.pg_class', 'information_schema.tables', '"Proposals"', 'public.nowhere', 'busbar.proposals']) {
    const response = await same(table, { table, offset: '-1' })
    assert.equal(response.status, 403, table)
    bodies.add(response.text)
  }
  assert.equal(bodies.size, 1)
  for (const table of ['vault.proposals.x', 'proposals,vault', 'proposals vault', 'proposals;vault', 'proposals"', "proposals'", 'prop\u00f6sals', ' vault', 'vault ', '(vault)', 'public."proposals" vault'])
    assert.ok([400, 403].includes((await same(table, { table, offset: '-1' })).status), table)
  for (const table of ['PROPOSALS', '"proposals"', 'public.proposals', 'Public.Proposals'])
    assert.equal((await same(table, { table, offset: '-1' })).status, 200, table)
})

scenario('nothing that is said twice is judged in one meaning and served in another', async () => {
  const base = target(all)
  const encoded = encodeURIComponent
  for (const tail of [
    '&table=vault',
    '&table=vault&table=proposals',
    '&table[]=vault',
    '&table[x]=vault',
    `&where=true&where=${encoded("agency = 'b'")}`,
    `&where=${encoded("agency = 'b'")}&where=true`,
    '&where[]=true',
    `&%77here=${encoded("agency = 'b'")}`,
    `&where=${encoded('agency = $1')}&params[1]=b`,
    `&where=${encoded('agency = $1')}&params[1]=a&params[1]=b`,
    `&where=${encoded('agency = $1')}&params[1]=a&params[2]=b`,
    `&where=${encoded('agency = $2')}&params[1]=a&params[2]=b`,
    `&params[1]=b`,
    '&columns=id&columns=id,margin',
    `&subset[where]=${encoded("agency = 'b'")}`,
    `&subset__where=true&subset[where]=${encoded("agency = 'b'")}`,
    `&secret=nonsense`,
    `&secret=${encoded('the operator')}`,
    `&api_secret=${encoded('another one')}`,
    '&replica=full',
    '&log=changes_only',
    '&offset=now',
    '&where=%00',
    '&where=true%00',
    '&table=proposals%00',
    '&where=%C0%AF',
    `&where=${encoded("agency = 'b'")}%2520OR%2520true`,
    '&handle=1-1&handle=2-2',
    '&policy=none&claim.agency=b&agency=b&tenant=b',
  ])
    await same(tail, base + tail)
  for (const [what, body] of Object.entries({
    'a table': { table: 'vault' },
    'a clause': { where: "agency = 'b'", params: { 1: 'b' } },
    'columns': { columns: ['id', 'margin'] },
    'all at once': { table: 'vault', columns: null, subset: { where: 'true' } },
    'taken back': { table: null, where: null, subset: {} },
    'a secret': { secret: 'the operator', subset: {} },
    'an order': { subset: { order_by: 'margin' } },
    'a nested clause': { subset: { where: 'agency = $1', params: { 1: 'b' } } },
    'a tree': { subset: { where: 'true', where_expr: { op: 'eq', args: ['agency', 'b'] } } },
  }))
    await same(`posted ${what}`, all, post(body))
})

scenario('the handle, the offset and the tag of a foreign shape open nothing', async () => {
  const with_ = (more) => (at) => ({ ...all, offset: at.offset, handle: at.handle, ...more })
  for (const [what, more] of Object.entries({
    'read on': {},
    'from the first chunk': { offset: '0_0' },
    'from the end of the snapshot': { offset: '0_inf' },
    'from the beginning': { offset: '-1' },
    now: { offset: 'now' },
    live: { live: 'true' },
    events: { live: 'true', live_sse: 'true' },
    'old events': { live: 'true', experimental_live_sse: 'true' },
    'their clause': { where: "agency = 'b'" },
    'a cursor': { live: 'true', cursor: '1' },
    'a subset': { subset__where: 'true' },
    'without a table': { table: undefined },
    'of a table that is not listed': { table: 'vault' },
  })) {
    const answer = await same(what, with_(more))
    const handle = answer.header('electric-handle')
    assert.notEqual(handle, foreignShape.crowded.handle, what)
  }
  for (const method of ['GET', 'HEAD'])
    await same(`their tag, ${method}`, all, { method, headers: (at) => ({ 'if-none-match': at.etag }) })
  await same('their tag at their place', with_({}), { headers: (at) => ({ 'if-none-match': at.etag }) })
  await same('any tag', all, { headers: { 'if-none-match': '*' } })
})

scenario('other methods and headers are no other way in', async () => {
  const forbidden = await same('DELETE by handle', (at) => ({ handle: at.handle }), { method: 'DELETE' })
  assert.equal(forbidden.status, 403)
  assert.equal((await same('DELETE by definition', { table: 'proposals' }, { method: 'DELETE' })).status, 403)
  assert.equal((await same('DELETE of a table not listed', { table: 'vault' }, { method: 'DELETE' })).status, 403)
  const head = await same('HEAD', all, { method: 'HEAD' })
  assert.equal(head.text, '')
  assert.equal((await same('HEAD of a table not listed', { table: 'vault', offset: '-1' }, { method: 'HEAD' })).status, 403)
  for (const headers of [
    { 'x-forwarded-for': '127.0.0.1' },
    { 'x-http-method-override': 'DELETE' },
    { 'x-original-url': '/v1/shape?table=vault&offset=-1' },
    { cookie: 'secret=the operator' },
    { 'proxy-authorization': 'Bearer the operator' },
    { origin: 'https://evil.example' },
    { range: 'bytes=0-100' },
    { 'accept-encoding': 'gzip;q=0, identity' },
    { connection: 'authorization' },
  ])
    await same(JSON.stringify(headers), all, { headers })
  for (const path of ['/v1/../v1/shape', '/v1//shape', '//v1/shape', '/V1/shape', '/v1/shape/', '/v1/%73hape', 'http://elsewhere/v1/shape'])
    await same(path, `${path}?table=vault&offset=-1`)
})

scenario('changes of foreign rows neither come nor end a stream, whatever a clause makes of them', async () => {
  const streams = []
  const wheres = ['true', '100 / amount > 0 OR true', "title LIKE 'own%' OR CAST(title AS int) > 0", "'kiwi' LIKE title OR id > 0", 'id IN (SELECT proposal FROM members) OR amount + 1 > 0']
  for (const [table, where] of ['proposals', 'deals'].flatMap((table) => wheres.map((where) => [table, where]))) {
    const first = await crowded.as(a, { ...all, table, where })
    assert.equal(first.status, 200, `${where}: ${first.text}`)
    const stream = await RawConnection.open(crowded.port)
    const at = { ...all, table, where, offset: first.header('electric-offset'), handle: first.header('electric-handle') }
    stream.request('GET', target({ ...at, live: 'true', live_sse: 'true' }), { authorization: `Bearer ${a}` })
    assert.equal((await stream.readHead()).status, 200)
    streams.push({ where, stream, text: '' })
  }
  await crowded.query(`
    INSERT INTO proposals VALUES (100, 'b', 'kiwi\\', 0, 'infinity'), (102, 'b', 'kiwi', 2147483647, 'infinity');
    UPDATE proposals SET title = 'kiwi again', amount = 0 WHERE agency = 'b';
    INSERT INTO members VALUES (100, 'b', 102, 'kiwi');
    INSERT INTO deals SELECT * FROM proposals WHERE id >= 100;
    UPDATE deals SET title = 'kiwi again', amount = 0 WHERE agency = 'b';
    DELETE FROM deals WHERE id = 102;
    DELETE FROM proposals WHERE id = 102`)
  for (const table of ['proposals', 'deals'])
    await crowded.query(`INSERT INTO ${table} VALUES (101, 'a', 'own last', 5, '2026-01-01')`)
  for (const { where, stream, ...seen } of streams) {
    while (!seen.text.includes('own last')) {
      const chunk = await stream.readChunk(15_000)
      assert.ok(chunk !== undefined, `${where}: the stream ended`)
      seen.text += chunk
    }
    assert.ok(!seen.text.includes('kiwi'), `${where}: ${seen.text}`)
    assert.deepEqual([...seen.text.matchAll(/"operation":"(\w+)"/g)].map((m) => m[1]), ['insert'], where)
    stream.destroy()
  }
})

scenario('a row that changes hands leaves the one and comes to the other, and no more of it', async () => {
  const mode = { ...all, replica: 'full' }
  const first = await crowded.as(a, mode)
  const at = { ...mode, offset: first.header('electric-offset'), handle: first.header('electric-handle'), live: 'true' }
  const seen = []
  const next = (operation) =>
    until(
      async () => {
        const news = await crowded.as(a, at)
        at.offset = news.header('electric-offset')
        assert.ok(!/kiwi|"777"|margin/.test(news.text), news.text)
        seen.push(...news.json.filter((message) => message.value?.id === '200').map((message) => message.headers.operation))
        return seen.at(-1) === operation
      },
      () => `${operation} after ${seen}`,
    )
  await crowded.query(`INSERT INTO proposals VALUES (200, 'a', 'own for now', 5, '2026-01-01')`)
  await next('insert')
  await crowded.query(`UPDATE proposals SET agency = 'b', title = 'kiwi now', margin = 777 WHERE id = 200`)
  await next('delete')
  await crowded.query(`UPDATE proposals SET title = 'kiwi still' WHERE id = 200; UPDATE proposals SET agency = 'a', title = 'own again' WHERE id = 200`)
  await next('insert')
  assert.deepEqual(seen, ['insert', 'delete', 'insert'])
})
