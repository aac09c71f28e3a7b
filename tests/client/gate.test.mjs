// gate.test.mjs: tokens, policy, grants and limits: who gets in, what they get, and when it ends.
import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after } from 'node:test'
import { ShapeStream } from '@electric-sql/client'
import { runToExit } from './harness/busbar.mjs'
import { Issuer, fileOf, stageGate } from './harness/gate.mjs'
import { until } from './harness/processes.mjs'
import { RawConnection, request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const sql = `
  CREATE TABLE notes (id int PRIMARY KEY, agency text, body text, price int);
  INSERT INTO notes VALUES (1, 'a', 'one', 10), (2, 'b', 'two', 20), (3, 'a', 'three', 30);
  CREATE TABLE teams (id int PRIMARY KEY, agency text, level int);
  INSERT INTO teams VALUES (1, 'a', 1), (2, 'b', 2), (3, 'a', 3);
  CREATE TABLE plain (id int PRIMARY KEY, word text);
  INSERT INTO plain VALUES (1, 'for all');
  CREATE TABLE hidden (id int PRIMARY KEY);`
const policy = `
version: 1
tenant: agency
tables:
  notes:
    - when: {role: admin}
      where: agency = \${claim.agency}
    - columns: [id, agency, body]
      where: agency = \${claim.agency}
  teams:
    where: id = ANY(\${claim.teams}) OR level < \${claim.access.level}
  plain: {where: true}
`
const issuer = new Issuer('HS256')
const grants = new Issuer('EdDSA', 'grants')
const server = await stageGate(postgres, {
  sql,
  issuer,
  policy,
  env: { BUSBAR_SECRETS: 'first-secret,second-secret', BUSBAR_GRANT_KEY_FILE: fileOf('grants', grants.keyFile) },
})
const a = issuer.token({ agency: 'a' })
const all = { table: 'notes', offset: '-1' }

const rows = (response) => {
  assert.equal(response.status, 200, `${response.status} ${response.text}`)
  return response.json.filter((message) => message.value).map((message) => message.value)
}
const ids = (response) => rows(response).map((row) => Number(row.id)).sort((x, y) => x - y)
const now = () => Math.floor(Date.now() / 1000)

/** Waits until /metrics has this line. */
function metric(gate, line) {
  const metrics = async () => (await fetch(`http://127.0.0.1:${gate.metricsPort}/metrics`)).text()
  return until(async () => (await metrics()).split('\n').includes(line), () => line)
}

function expectUnauthorized(response) {
  assert.equal(response.status, 401, `${response.status} ${response.text}`)
  assert.equal(response.header('www-authenticate'), 'Bearer')
  assert.match(response.header('cache-control'), /private/)
  assert.match(response.header('vary'), /authorization/)
}

scenario('a token opens the rows and columns that the policy names', async () => {
  const response = await server.as(a, all)
  assert.deepEqual(rows(response), [
    { id: '1', agency: 'a', body: 'one' },
    { id: '3', agency: 'a', body: 'three' },
  ])
  assert.deepEqual(ids(await server.as(issuer.token({ agency: 'b' }), all)), [2])
  const admin = rows(await server.as(issuer.token({ agency: 'a', role: ['guest', 'admin'] }), all))
  assert.deepEqual(admin.map((row) => row.price), ['10', '30'])
})

scenario('claims that are lists, numbers and nested are bound, and a missing one opens nothing', async () => {
  const teams = { table: 'teams', offset: '-1' }
  assert.deepEqual(ids(await server.as(issuer.token({ agency: 'a', teams: [3], access: { level: 2 } }), teams)), [1, 3])
  assert.deepEqual(ids(await server.as(issuer.token({ agency: 'a', teams: [], access: { level: 0 } }), teams)), [])
  for (const claims of [{ teams: [3] }, { access: { level: 9 } }, { teams: {}, access: { level: 9 } }, { teams: null, access: { level: 9 } }, { teams: [[1]], access: { level: 9 } }])
    assert.equal((await server.as(issuer.token({ agency: 'a', ...claims }), teams)).status, 403, JSON.stringify(claims))
})

scenario('a claim is a value, whatever it holds', async () => {
  for (const agency of ["a' OR '1'='1", "a'--", '$1', '${claim.agency}', '"', '\\', 'ünï', ''])
    assert.deepEqual(ids(await server.as(issuer.token({ agency }), all)), [], agency)
})

scenario('a changed row comes and goes as the policy sees it', async () => {
  const first = await server.as(a, all)
  const at = { table: 'notes', offset: first.header('electric-offset'), handle: first.header('electric-handle'), live: 'true' }
  const waiting = server.as(a, at)
  await server.query(`INSERT INTO notes VALUES (20, 'b', 'foreign', 1); INSERT INTO notes VALUES (21, 'a', 'own', 1)`)
  const news = await waiting
  assert.deepEqual(ids(news), [21])
  const next = server.as(a, { ...at, offset: news.header('electric-offset') })
  await server.query(`UPDATE notes SET agency = 'b' WHERE id = 21`)
  const [gone] = (await next).json
  assert.equal(gone.headers.operation, 'delete')
  await server.query('DELETE FROM notes WHERE id > 10')
})

scenario('the npm client follows a shape with a token', async () => {
  const controller = new AbortController()
  const seen = []
  const stream = new ShapeStream({
    url: server.shapeUrl,
    params: { table: 'notes', where: 'body <> $1', params: ['one'] },
    headers: { Authorization: () => `Bearer ${issuer.token({ agency: 'a' })}` },
    signal: controller.signal,
  })
  stream.subscribe((messages) => seen.push(...messages.filter((m) => m.value)))
  await until(() => seen.length === 1, () => `the first row, ${JSON.stringify(seen)}`)
  await server.query(`INSERT INTO notes VALUES (30, 'b', 'x', 1); INSERT INTO notes VALUES (31, 'a', 'y', 1)`)
  await until(() => seen.length === 2, () => `the second row, ${JSON.stringify(seen)}`)
  assert.deepEqual(seen.map((m) => m.value.id), [3, 31])
  controller.abort()
  await server.query('DELETE FROM notes WHERE id > 10')
})

scenario('tables that are not listed, and those that do not exist, are refused in the same words', async () => {
  const answers = []
  for (const table of ['hidden', 'nowhere', 'pg_catalog.pg_authid', 'other.notes', '"Notes"']) {
    const response = await server.as(a, { table, offset: '-1' })
    assert.equal(response.status, 403, table)
    answers.push(response.text)
  }
  assert.equal(new Set(answers).size, 1)
})

scenario('without a token, or with one that is not good, nobody gets in', async () => {
  const other = new Issuer('HS256', 'other')
  const good = issuer.token({ agency: 'a' })
  const [head, body, signature] = good.split('.')
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
  const bad = {
    none: `${none}.${body}.`,
    'none with the signature': `${none}.${body}.${signature}`,
    unsigned: `${head}.${body}.`,
    'another secret': other.token({ agency: 'a' }),
    'another body': `${head}.${Buffer.from(JSON.stringify({ agency: 'b', exp: now() + 60 })).toString('base64url')}.${signature}`,
    expired: issuer.token({ agency: 'a' }, { exp: now() - 1 }),
    'without an end': issuer.token({ agency: 'a', exp: undefined }),
    'an end that is a text': issuer.token({ agency: 'a', exp: 'never' }),
    'not yet': issuer.token({ agency: 'a', nbf: now() + 100 }),
    critical: issuer.token({ agency: 'a' }, { header: { crit: ['x'], x: 1 } }),
    'without a tenant': issuer.token({ role: 'admin' }),
    'a grant without its key': issuer.token({ shape: { table: 'notes' } }),
    'two parts': `${head}.${body}`,
    'five parts': `${good}.x.y`,
    padded: `${good}=`,
    nothing: '',
    'a wrong secret': 'third-secret',
  }
  for (const [name, token] of Object.entries(bad)) {
    const response = await server.as(token, all)
    assert.equal(response.status, 401, name)
    expectUnauthorized(response)
  }
  expectUnauthorized(await get(server, all))
  expectUnauthorized(await get(server, all, { headers: { authorization: `Basic ${good}` } }))
  expectUnauthorized(await get(server, { ...all, secret: good, token: good }))
  const twice = await RawConnection.open(server.port)
  twice.send(`GET ${target(all)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${good}\r\nauthorization: Bearer ${good}\r\n\r\n`)
  expectUnauthorized(await twice.readResponse())
  twice.destroy()
})

scenario('each of several secrets opens everything, in the header or as a parameter', async () => {
  for (const secret of ['first-secret', 'second-secret']) {
    assert.deepEqual(ids(await server.as(secret, all)), [1, 2, 3])
    assert.deepEqual(ids(await get(server, { ...all, secret })), [1, 2, 3])
    assert.deepEqual(ids(await get(server, { ...all, api_secret: secret })), [1, 2, 3])
  }
  // A token confines also those who know a secret.
  assert.deepEqual(ids(await server.as(a, { ...all, secret: 'first-secret' })), [1, 3])
  expectUnauthorized(await server.as('nonsense', { ...all, secret: 'first-secret' }))
})

scenario('no answer may be kept by a cache that others share', async () => {
  const first = await server.as(a, all)
  const handle = first.header('electric-handle')
  const etag = first.header('etag')
  const again = { ...all, offset: first.header('electric-offset'), handle }
  for (const response of [
    first,
    await server.as(a, again),
    await server.as(a, { ...again, live: 'true' }),
    await server.as(a, { ...again, handle: '1-1' }),
    await server.as(a, all, { headers: { 'if-none-match': etag } }),
    await server.as(a, { ...all, subset__where: 'id > 0' }),
    await get(server, { ...all, secret: 'first-secret' }),
  ]) {
    const kept = response.header('cache-control')
    assert.ok(/private/.test(kept) && !/public|s-maxage/.test(kept), `${response.status} ${kept}`)
    assert.match(response.header('vary'), /authorization/)
  }
  assert.equal((await server.as(a, all, { headers: { 'if-none-match': etag } })).status, 304)
  const b = await server.as(issuer.token({ agency: 'b' }), all, { headers: { 'if-none-match': etag } })
  assert.deepEqual(ids(b), [2])
})

scenario('a grant opens its shape and no other', async () => {
  const shape = { table: 'notes', where: 'agency = $1 AND price > 5', params: { 1: 'b' }, columns: ['id', 'body'] }
  const token = grants.token({ shape })
  assert.deepEqual(rows(await server.as(token, all)), [{ id: '2', body: 'two' }])
  const spelled = { ...all, where: `( agency='b' ) and price>5 /* the same */`, columns: 'body,id' }
  assert.deepEqual(ids(await server.as(token, spelled)), [2])
  assert.deepEqual(ids(await server.as(token, { ...all, where: shape.where, 'params[1]': 'b' })), [2])
  for (const other of [
    { table: 'plain' },
    { where: 'agency = $1 AND price > 5', 'params[1]': 'a' },
    { where: 'true' },
    { columns: 'id' },
    { columns: 'id,body,price' },
    { columns: 'id,agency' },
    { subset__where: 'price > 0' },
    { queryable_columns: 'id,price' },
  ])
    assert.equal((await server.as(token, { ...all, ...other })).status, 403, JSON.stringify(other))
  assert.equal((await server.as(token, { ...all, subset__order_by: 'price', subset__limit: '1' })).status, 400)
  const part = await server.as(token, { ...all, subset__where: `body = 'two'` })
  assert.deepEqual(part.json.data.map((row) => row.value.id), ['2'])
  // Whoever may sign tokens may not sign grants, and the other way round.
  expectUnauthorized(await server.as(grants.token({ agency: 'a' }), all))
  const broad = grants.token({ shape: { table: 'notes', rows: 'all' } })
  expectUnauthorized(await server.as(broad, all))
})

scenario('a token that expires ends streams and long polls', async () => {
  const gate = await stageGate(postgres, { sql, issuer, policy, env: { BUSBAR_LONG_POLL_TIMEOUT: '60s' } })
  const first = await gate.as(a, all)
  const at = { table: 'notes', offset: first.header('electric-offset'), handle: first.header('electric-handle'), live: 'true' }
  const end = now() + 4
  const brief = issuer.token({ agency: 'a' }, { exp: end })
  const poll = gate.as(brief, at, { timeoutMs: 20_000 })
  const stream = await RawConnection.open(gate.port)
  stream.request('GET', target({ ...at, live_sse: 'true' }), { authorization: `Bearer ${brief}` })
  assert.equal((await stream.readHead()).status, 200)
  await metric(gate, 'busbar_waiting_readers 2')
  expectUnauthorized(await poll)
  assert.ok(Date.now() >= end * 1000, 'not before the token ends')
  for (let chunk = ''; chunk !== undefined; ) chunk = await stream.readChunk(15_000)
  stream.request('GET', target({ ...at, live_sse: 'true' }), { authorization: `Bearer ${brief}` })
  expectUnauthorized(await stream.readResponse())
  stream.destroy()
})

scenario('a new policy, and new keys, are taken without a restart and end what they do not allow', async () => {
  const own = new Issuer('ES256', 'one')
  const other = new Issuer('ES256', 'two')
  const gate = await stageGate(postgres, { sql, issuer: own, policy, env: { BUSBAR_LONG_POLL_TIMEOUT: '60s' } })
  const token = own.token({ agency: 'a' })
  const first = await gate.as(token, all)
  const at = { table: 'notes', offset: first.header('electric-offset'), handle: first.header('electric-handle'), live: 'true' }
  const replace = (path, text) => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  const poll = gate.as(token, at, { timeoutMs: 20_000 })
  await metric(gate, 'busbar_waiting_readers 1')
  replace(gate.policyFile, policy.replace('where: true', 'where: id > 5'))
  expectUnauthorized(await poll)
  assert.deepEqual(ids(await gate.as(token, { table: 'plain', offset: '-1' })), [])
  replace(gate.policyFile, 'tables: {notes: {where: "agency ="}}')
  await until(() => /policy.yaml: line 1: where:/.test(gate.output()), () => 'a complaint of the policy')
  assert.deepEqual(ids(await gate.as(token, all)), [1, 3], 'the last good one stays')

  const stream = await RawConnection.open(gate.port)
  stream.request('GET', target({ ...at, live_sse: 'true' }), { authorization: `Bearer ${token}` })
  await stream.readHead()
  replace(gate.keyFile, other.keyFile)
  for (let chunk = ''; chunk !== undefined; ) chunk = await stream.readChunk(20_000)
  stream.destroy()
  expectUnauthorized(await gate.as(token, all))
  assert.deepEqual(ids(await gate.as(other.token({ agency: 'a' }), all)), [1, 3])
})

scenario('keys at a URL are fetched and rotated; a secret among them counts for nothing', async () => {
  const one = new Issuer('RS256', 'one')
  const two = new Issuer('ES256', 'two')
  const symmetric = new Issuer('HS256', 'open')
  let keys = []
  let asked = 0
  const site = createServer((_, response) => {
    asked++
    response.end(JSON.stringify({ keys: [...keys, symmetric.jwk, { kty: 'EC', crv: 'P-521', kid: 'unknown' }] }))
  })
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve))
  after(() => site.close())
  keys = [one.jwk]
  const gate = await stageGate(postgres, {
    sql,
    policy,
    env: {
      BUSBAR_JWT_KEY_URL: `http://127.0.0.1:${site.address().port}/keys`,
      BUSBAR_JWT_KEY_PERIOD: '1s',
      BUSBAR_JWT_ISSUER: 'https://issuer.example',
      BUSBAR_JWT_AUDIENCE: 'busbar',
    },
  })
  const claims = { agency: 'a', iss: 'https://issuer.example', aud: ['x', 'busbar'] }
  await until(async () => (await gate.as(one.token(claims), all)).status === 200, () => 'the first key')
  expectUnauthorized(await gate.as(one.token({ ...claims, iss: 'https://issuer.example/' }), all))
  expectUnauthorized(await gate.as(one.token({ ...claims, aud: 'other' }), all))
  expectUnauthorized(await gate.as(one.token({ ...claims, aud: undefined }), all))
  expectUnauthorized(await gate.as(symmetric.token(claims), all))
  // The public key of RS256, taken for the secret of HS256.
  const confused = Object.assign(new Issuer('HS256', 'one'), { secret: one.keyFile })
  expectUnauthorized(await gate.as(confused.token(claims), all))
  keys = [two.jwk]
  await until(async () => (await gate.as(two.token(claims), all)).status === 200, () => 'the second key')
  expectUnauthorized(await gate.as(one.token(claims), all))
  const before = asked
  for (let i = 0; i < 50; i++) await gate.as(new Issuer('HS256', `made up ${i}`).token(claims), all)
  assert.ok(asked - before < 10, `${asked - before} requests for made-up keys`)
})

scenario('limits of a tenant hold for all its tokens and for no other tenant', async () => {
  const limited = `${policy}
limits: {live: 2, shapes: 3, snapshots_per_minute: 6}
`
  const gate = await stageGate(postgres, { sql, issuer, policy: limited, env: { BUSBAR_LONG_POLL_TIMEOUT: '30s' } })
  const first = await gate.as(a, all)
  const at = { table: 'notes', offset: first.header('electric-offset'), handle: first.header('electric-handle'), live: 'true' }
  const expectLimited = (response, limit) => {
    assert.equal(response.status, 429, `${response.status} ${response.text}`)
    assert.deepEqual([response.json.code, response.json.limit], ['tenant_limit_exceeded', limit])
    assert.ok(Number(response.header('retry-after')) > 0)
    assert.equal(response.header('cache-control'), 'no-store')
  }
  const streams = []
  for (let i = 0; i < 2; i++) {
    const stream = await RawConnection.open(gate.port)
    stream.request('GET', target({ ...at, live_sse: 'true' }), { authorization: `Bearer ${issuer.token({ agency: 'a', n: i })}` })
    assert.equal((await stream.readHead()).status, 200)
    streams.push(stream)
  }
  expectLimited(await gate.as(a, at), 'live')
  streams.pop().destroy()
  let freed
  await until(
    async () => {
      freed = gate.as(a, { ...at, live_sse: 'true' }, { timeoutMs: 60_000 }).catch((error) => error)
      return (await Promise.race([freed, new Promise((resolve) => setTimeout(resolve, 300))]))?.status !== 429
    },
    () => 'a place',
  )
  for (const where of ['id > 1', 'id > 2']) assert.equal((await gate.as(a, { ...all, where })).status, 200)
  expectLimited(await gate.as(a, { ...all, where: 'id > 3' }), 'shapes')
  assert.equal((await gate.as(a, { ...all, where: 'id > 1' })).status, 200, 'a shape that is known')
  for (let i = 0; i < 3; i++) assert.equal((await gate.as(a, { ...all, subset__where: `id > ${i}` })).status, 200)
  let answer
  for (let i = 0; i < 50 && answer?.status !== 429; i++) answer = await gate.as(a, { ...all, subset__where: 'id > 9' })
  expectLimited(answer, 'snapshots_per_minute')
  assert.deepEqual(ids(await gate.as(issuer.token({ agency: 'b' }), all)), [2])
  await metric(gate, 'busbar_gate_limited_total{limit="shapes"} 1')
  await metric(gate, 'busbar_gate_tenants 2')
  streams[0].destroy()
})

scenario('a request beyond the rate of its tenant waits, and a tenant that has had its bytes, too', async () => {
  const limits = (text) => policy + `\nlimits: {${text}}\n`
  const gate = await stageGate(postgres, { sql, issuer, policy: limits('requests_per_second: 5') })
  const statuses = await Promise.all(Array.from({ length: 40 }, () => gate.as(a, all).then((r) => r.status)))
  assert.ok(statuses.includes(200) && statuses.includes(429), statuses.join())
  assert.equal((await gate.as(issuer.token({ agency: 'b' }), all)).status, 200)
  const slow = await stageGate(postgres, { sql, issuer, policy: limits('bytes_per_second: 100') })
  assert.equal((await slow.as(a, all)).status, 200)
  const second = await slow.as(a, all)
  assert.deepEqual([second.status, second.json.limit], [429, 'bytes_per_second'])
})

scenario('a bad policy, a bad key, or half of the settings stop the start with one line', async () => {
  const env = { DATABASE_URL: postgres.url('postgres'), BUSBAR_STORAGE_DIR: 'data' }
  const keys = fileOf('keys', issuer.keyFile)
  const good = fileOf('policy.yaml', policy)
  const withPolicy = (text) => ({ BUSBAR_JWT_KEY_FILE: keys, BUSBAR_POLICY_FILE: fileOf('policy.yaml', text) })
  const cases = [
    [{ BUSBAR_JWT_KEY_FILE: keys }, /BUSBAR_POLICY_FILE is not set/],
    [{ BUSBAR_POLICY_FILE: good, BUSBAR_SECRET: 'x' }, /no keys of tokens/],
    [{ BUSBAR_JWT_KEY_FILE: keys, BUSBAR_JWT_KEY_URL: 'https://x', BUSBAR_POLICY_FILE: good }, /both set/],
    [{ BUSBAR_JWT_KEY_FILE: keys, BUSBAR_POLICY_FILE: good, BUSBAR_INSECURE: 'true' }, /contradicts/],
    [{ BUSBAR_JWT_KEY_FILE: '/nowhere', BUSBAR_POLICY_FILE: good }, /BUSBAR_JWT_KEY_FILE: \/nowhere: cannot be read/],
    [{ BUSBAR_JWT_KEY_FILE: fileOf('k', 'short'), BUSBAR_POLICY_FILE: good }, /at least 32 bytes/],
    [
      {
        BUSBAR_JWT_KEY_FILE: fileOf('k', grants.privateKey.export({ type: 'pkcs8', format: 'pem' })),
        BUSBAR_POLICY_FILE: good,
      },
      /private key/,
    ],
    [withPolicy('tables: {notes: {}}'), /line 1: a rule needs a where/],
    [withPolicy('tables:\n  notes: {where: true, colums: [id]}'), /line 2: 'colums' is none of/],
    [withPolicy('tables:\n  notes: {where: true}\n  notes: {where: true}'), /line 3: 'notes' is there twice/],
    [withPolicy("tables: {notes: {where: \"agency = '${claim.agency}'\"}}"), /not within quotes/],
    [withPolicy('tables: {notes: {where: agency = $1}}'), /no other parameters/],
    [withPolicy('tables: {notes: {where: "agency = ${agency}"}}'), /claim\.NAME/],
    [withPolicy('tables: [notes'), /line \d/],
    [withPolicy('tables: {notes: {where: true}}\nlimits: {live: 5}'), /limits need a tenant/],
    [withPolicy('hello'), /must be a map/],
  ]
  for (const [more, expected] of cases) {
    const { code, stderr } = await runToExit(['serve'], { ...env, ...more })
    assert.notEqual(code, 0)
    const lines = stderr.trim().split('\n')
    assert.equal(lines.length, 1, stderr)
    assert.match(lines[0], expected)
  }
})

scenario('the secret is enough in the header where there is no gate, and then the answer is private', async () => {
  const plain = await stageBusbar(postgres, { sql, secret: 'old', env: { BUSBAR_SECRETS: 'new' } })
  const params = { table: 'notes', offset: '-1' }
  for (const secret of ['old', 'new']) {
    const open = await request(plain, target({ ...params, secret }))
    assert.match(open.header('cache-control'), /^public/)
    assert.equal(open.header('vary'), 'accept-encoding')
    const named = await request(plain, target(params), { headers: { authorization: `Bearer ${secret}` } })
    assert.deepEqual(ids(named), [1, 2, 3])
    assert.match(named.header('cache-control'), /private/)
    assert.match(named.header('vary'), /authorization/)
  }
  const refused = await request(plain, target(params), { headers: { authorization: 'Bearer neither' } })
  assert.equal(refused.status, 401)
})

scenario('busbar policy check says what a token may see, and why', async () => {
  const env = {
    BUSBAR_JWT_KEY_FILE: server.keyFile,
    BUSBAR_POLICY_FILE: server.policyFile,
    BUSBAR_GRANT_KEY_FILE: fileOf('grants', grants.keyFile),
  }
  const check = (token, ...more) => runToExit(['policy', 'check', '--token', token, ...more], env)
  const member = await check(issuer.token({ agency: 'a', role: 'member' }))
  assert.equal(member.code, 0, member.stderr)
  assert.match(member.stdout, /^token +good until 2\d{3}-/)
  assert.match(member.stdout, /^tenant +a \(claim agency\)$/m)
  assert.match(member.stdout, /rule 1 does not apply: claim role is member, wanted is admin\n +open by rule 2/)
  assert.match(member.stdout, /columns +agency, body, id\n/)
  assert.match(member.stdout, /public\.teams\n +refused: the rule applies, but claim teams is not there/)
  const hidden = await check(issuer.token({ agency: 'a' }), '--table', 'hidden')
  assert.deepEqual([hidden.code, /does not list it/.test(hidden.stdout)], [2, true])
  const expired = await check(issuer.token({ agency: 'a' }, { exp: now() - 1000 }))
  assert.deepEqual([expired.code, expired.stdout], [2, 'token    refused: the token has expired\n'])
  const granted = await check(grants.token({ shape: { table: 'notes', where: 'agency = $1', params: ['b'] } }))
  assert.equal(granted.code, 0)
  assert.match(granted.stdout, /rows +\("agency" = \$1\)\n +\$1 is b\n/)
  const lost = await runToExit(['policy', 'check', '--token', 'x'], { ...env, BUSBAR_POLICY_FILE: '/nowhere' })
  assert.deepEqual([lost.code, lost.stderr], [1, 'busbar: BUSBAR_POLICY_FILE: /nowhere: cannot be read\n'])
})
