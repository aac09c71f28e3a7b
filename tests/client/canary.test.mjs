// canary.test.mjs: passwords and secrets that nobody may ever read again, driven through start, outage,
// a wrong password at run time and every kind of refusal: not one of them is in anything that comes out.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Busbar, runToExit } from './harness/busbar.mjs'
import { Issuer, fileOf } from './harness/gate.mjs'
import { Postgres } from './harness/postgres.mjs'
import { freePort, scratchDirectory, until } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, target } from './harness/shapes.mjs'
import { openEvents, poll } from './harness/waiting.mjs'

/** All that came out, by where; searched at the end. */
class Outputs {
  #said = []
  add(where, text) {
    this.#said.push({ where, text: String(text) })
    return text
  }
  /** The head and the body of an answer; returns it. */
  answer(where, response) {
    const head = JSON.stringify([...(response.headers ?? [])])
    this.add(`${where}: head`, head)
    this.add(`${where}: body`, response.text)
    return response
  }
  /** Every file below `directory`. */
  files(where, directory) {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name)
      if (statSync(path).isDirectory()) this.files(`${where}/${name}`, path)
      else this.add(`${where}/${name}`, readFileSync(path, 'latin1'))
    }
  }
  free(canaries) {
    assert.ok(this.#said.length > 30, 'there was something to search')
    for (const { where, text } of this.#said)
      for (const [what, canary] of Object.entries(canaries))
        for (const form of [canary, encodeURIComponent(canary), Buffer.from(canary).toString('base64'), Buffer.from(canary).toString('hex')]) {
          const at = text.indexOf(form)
          assert.equal(at, -1, `${where} tells the ${what}: ${text.slice(Math.max(0, at - 100), at + 100)}`)
        }
  }
}

// Characters that must be encoded in a URL, so that no spelling of it can slip by.
const canaries = {
  password: `Canary-d1:b/p@ss'w`,
  'pooled password': `Canary-p2 "o"%led`,
  'next password': `Canary-n3?next`,
  secret: `Canary-s4+secret`,
  'wrong secret': `Canary-w5-guess`,
  'second secret': `Canary-m6+second&secret`,
  'cluster secret': `Canary-c7/cluster=secret`,
  'short cluster secret': `Canary-x8/short`,
  'key of tokens': `Canary-k9: the key/of+tokens, long enough`,
  'wrong token': `Canary-w10/token`,
}
const issuer = Object.assign(new Issuer('HS256'), { secret: canaries['key of tokens'] })
const grants = new Issuer('EdDSA', 'grants')
const tokens = {
  token: issuer.token({ agency: 'a' }),
  'expired token': issuer.token({ agency: 'a' }, { exp: 1 }),
  'grant token': grants.token({ shape: { table: 'items', where: 'id > 1' } }),
}
// A token is worth nothing without its signature, so that is what is searched for: it is in a whole token, too.
for (const [what, token] of Object.entries(tokens)) canaries[`signature of the ${what}`] = token.split('.')[2]
const literal = (text) => `'${text.replaceAll("'", "''")}'`

scenario('F63: no password and no secret is in anything that comes out', async ({ cleanup }) => {
  const postgres = await Postgres.start()
  cleanup(() => postgres.discard())
  const database = await postgres.createDatabase()
  await postgres.query(
    database,
    `CREATE ROLE guarded SUPERUSER LOGIN PASSWORD ${literal(canaries.password)};
     CREATE TABLE items (id int PRIMARY KEY, title text); INSERT INTO items VALUES (1, 'a'), (2, 'b')`,
  )
  const urlWith = (password) => postgres.url(database, { user: 'guarded', password })
  const outputs = new Outputs()
  const clusterAddress = `127.0.0.1:${await freePort()}`
  const environment = {
    BUSBAR_SECRETS: canaries['second secret'],
    BUSBAR_JWT_KEY_FILE: fileOf('keys', issuer.keyFile),
    BUSBAR_GRANT_KEY_FILE: fileOf('grants', grants.keyFile),
    BUSBAR_POLICY_FILE: fileOf('policy.yaml', 'version: 1\ntenant: agency\ntables: {items: {where: "id < 100"}}\n'),
    // A cluster's only member.
    BUSBAR_CLUSTER_PEERS: clusterAddress,
    BUSBAR_CLUSTER_ADDRESS: clusterAddress,
    BUSBAR_CLUSTER_SECRET: canaries['cluster secret'],
    BUSBAR_LOG_LEVEL: 'trace',
    BUSBAR_LOG_FORMAT: 'json',
    BUSBAR_SLOW_QUERY: '1ms',
    BUSBAR_LONG_POLL_TIMEOUT: '300ms',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    // Another user, who is let in with any password: the URL alone is the canary's cage.
    BUSBAR_POOLED_DATABASE_URL: postgres.url(database, { user: 'postgres', password: canaries['pooled password'] }),
  }

  // A start that is refused, by the password, by a setting, by a file, by the command line.
  const bare = {
    ...environment,
    BUSBAR_SECRET: canaries.secret,
    BUSBAR_PORT: String(await freePort()),
    BUSBAR_METRICS_PORT: '0',
    BUSBAR_STORAGE_DIR: join(scratchDirectory('store'), 'data'),
  }
  const refused = {
    'wrong password': [['serve'], { ...bare, DATABASE_URL: urlWith(canaries['next password']) }],
    'broken URL': [['serve'], { ...bare, DATABASE_URL: `${urlWith(canaries.password)}?nonsense=1` }],
    'raw URL': [['serve'], { ...bare, DATABASE_URL: `postgresql://guarded:${canaries.password}@127.0.0.1/x` }],
    'secret as an unknown flag': [['serve', `--secert=${canaries.secret}`], { ...bare, DATABASE_URL: urlWith(canaries.password) }],
    'insecure and secret': [['serve'], { ...bare, BUSBAR_INSECURE: 'true', DATABASE_URL: urlWith(canaries.password) }],
    'unknown setting': [['serve'], { ...bare, BUSBAR_SECERT: canaries.secret, DATABASE_URL: urlWith(canaries.password) }],
    'secrets as an unknown flag': [['serve', `--secerts=${canaries['second secret']}`], { ...bare, DATABASE_URL: urlWith(canaries.password) }],
    'insecure and secrets': [
      ['serve'],
      { ...bare, BUSBAR_SECRET: undefined, BUSBAR_INSECURE: 'true', DATABASE_URL: urlWith(canaries.password) },
    ],
    'unknown setting of the cluster': [
      ['serve'],
      { ...bare, BUSBAR_CLUSTER_SECERT: canaries['cluster secret'], DATABASE_URL: urlWith(canaries.password) },
    ],
    'short cluster secret': [
      ['serve'],
      { ...bare, BUSBAR_CLUSTER_SECRET: canaries['short cluster secret'], DATABASE_URL: urlWith(canaries.password) },
    ],
    'broken key file': [
      ['serve'],
      {
        ...bare,
        BUSBAR_JWT_KEY_FILE: fileOf('keys', `{"keys": [{"kty": "oct", "k": "${canaries['key of tokens']}" nonsense`),
        DATABASE_URL: urlWith(canaries.password),
      },
    ],
    'broken key': [
      ['serve'],
      {
        ...bare,
        BUSBAR_JWT_KEY_FILE: fileOf('keys', `{"keys": [{"kty": "oct", "alg": "HS256", "k": "${canaries['key of tokens']}"}]}`),
        DATABASE_URL: urlWith(canaries.password),
      },
    ],
    help: [['serve', '--help'], { ...bare, DATABASE_URL: urlWith(canaries.password) }],
  }
  const run = async (what, args, env) => {
    const { stdout, stderr, code } = await runToExit(args, env, 60_000)
    outputs.add(`${what}: stdout`, stdout)
    outputs.add(`${what}: stderr`, stderr)
    return { code, stdout, stderr }
  }
  for (const [what, [args, env]] of Object.entries(refused)) {
    const { code } = await run(what, args, env)
    assert.equal(code === 0, what === 'help', what)
  }

  const server = await Busbar.start({
    databaseUrl: urlWith(canaries.password),
    secret: canaries.secret,
    env: environment,
  })
  server.linesKept = Infinity
  cleanup(() => server.discard())
  const ask = async (where, params, options) => outputs.answer(where, await get(server, params, options))
  const as = async (where, token, params) => {
    const headers = { authorization: `Bearer ${token}` }
    return outputs.answer(where, await request(server, target(params), { headers }))
  }
  const items = { table: 'items' }

  const first = await ask('a shape', { ...items, offset: '-1' })
  assert.equal(first.status, 200)
  const state = await follow(server, items)
  const secret = canaries.secret
  const waiting = await poll(server, { ...items, secret, handle: state.handle, offset: state.offset })
  outputs.answer('a long poll', await waiting.answer)
  const events = await openEvents(server, { ...items, secret, handle: state.handle, offset: state.offset })
  await postgres.query(database, `INSERT INTO items VALUES (3, 'c')`)
  outputs.answer('a stream', { headers: events.head.headers, text: await events.next() })
  events.connection.destroy()
  assert.equal((await ask('a subset', { ...items, offset: '-1', subset__where: 'id > 1' })).status, 200)

  // Every other secret and every token as its holder sends it, and what opens nothing, or less than was asked for.
  const all = { ...items, offset: '-1' }
  const second = canaries['second secret']
  for (const [where, response] of [
    ['the second secret', await request(server, target({ ...all, secret: second }))],
    ['the second secret in the header', await as('the second secret in the header', second, all)],
    ['a token', await as('a token', tokens.token, all)],
    ['a grant', await as('a grant', tokens['grant token'], all)],
  ])
    assert.equal(outputs.answer(where, response).status, 200, where)
  for (const [where, expected, token, params] of [
    ['an expired token', 401, tokens['expired token'], all],
    ['a wrong token', 401, canaries['wrong token'], all],
    ['the key as a token', 401, canaries['key of tokens'], all],
    ['the secret of the cluster as a token', 401, canaries['cluster secret'], all],
    ['half a token', 401, `${tokens.token}.`, all],
    ['a token for another table', 403, tokens.token, { ...all, table: 'missing' }],
    ['a grant for another shape', 403, tokens['grant token'], { ...all, where: 'true' }],
    ['a bad clause with a token', 400, tokens.token, { ...all, where: 'id ===' }],
  ])
    assert.equal((await as(where, token, params)).status, expected, where)
  for (const [what, token] of Object.entries(tokens))
    outputs.answer(`${what} as a parameter`, await request(server, target({ ...all, token, secret: token })))
  outputs.answer('the cluster', await request(server, `/v1/cluster?secret=${encodeURIComponent(secret)}`))

  // Every class of refusal, with the right secret and with a wrong one.
  const wrong = await request(server, target({ ...items, offset: '-1', secret: canaries['wrong secret'] }))
  assert.equal(outputs.answer('401', wrong).status, 401)
  const statuses = new Set([401])
  for (const [where, params] of Object.entries({
    'no table': { offset: '-1' },
    'no such table': { table: 'missing', offset: '-1' },
    'a bad clause': { ...items, offset: '-1', where: 'id ===' },
    'a bad offset': { ...items, offset: 'x' },
    'an old handle': { ...items, offset: '0_0', handle: '1-1' },
  }))
    statuses.add((await ask(where, params)).status)
  for (const [where, path, options] of [
    ['another path', `/nowhere?secret=${encodeURIComponent(secret)}`, {}],
    ['another method', target({ ...items, secret }), { method: 'PUT' }],
    ['a preflight', target({ ...items, secret }), { method: 'OPTIONS' }],
    ['a bad body', target({ ...items, offset: '-1', secret }), { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }],
    ['a long target', target({ ...items, secret, where: 'x'.repeat(70_000) }), {}],
    ['health', '/v1/health', {}],
    ['root', '/', {}],
  ])
    statuses.add(outputs.answer(where, await request(server, path, options)).status)
  assert.ok([400, 401, 404, 409, 414].every((status) => statuses.has(status)), [...statuses].join())

  // What others see of the process: its title, its metrics, its sessions.
  outputs.add('command line', readFileSync(`/proc/${server.pid}/cmdline`, 'latin1'))
  outputs.add('name', readFileSync(`/proc/${server.pid}/comm`, 'latin1'))
  outputs.add('metrics', await server.metrics())
  const status = await fetch(`http://127.0.0.1:${server.metricsPort}/status.json`, { headers: { connection: 'close' } })
  outputs.add('status page', await status.text())
  // A client that sends a secret where names belong has it in its own answer only.
  const tagged = { 'x-request-id': `${canaries.secret}-${canaries.secret}`, traceparent: canaries.secret }
  await request(server, target({ ...items, offset: '-1', secret }), { headers: tagged })
  for (const text of [second, canaries['cluster secret']])
    await request(server, target({ ...all, secret }), { headers: { 'x-request-id': text, traceparent: text } })
  outputs.add('sessions', JSON.stringify(await postgres.query(database, 'SELECT * FROM pg_stat_activity')))
  const mine = { ...server.environment, BUSBAR_LOG_LEVEL: 'trace' }
  for (const args of [['doctor'], ['doctor', '--json'], ['cleanup'], ['cleanup', '--dry-run'], ['cluster', 'status'], ['cluster', 'status', '--json']])
    await run(args.join(' '), args, mine)
  for (const [what, token] of Object.entries(tokens)) await run(`policy check of the ${what}`, ['policy', 'check', '--token', token], mine)

  // A password that is changed at run time, then changed back.
  const reconnect = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'`
  await postgres.query(database, `ALTER ROLE guarded PASSWORD ${literal(canaries['next password'])}; ${reconnect}`)
  await until(() => /password authentication failed/.test(server.output(Infinity)), 'the wrong password to be noticed')
  await postgres.query(database, 'CREATE TABLE later (id int PRIMARY KEY)')
  assert.equal((await ask('503 for a password', { table: 'later', offset: '-1' })).status, 503)
  outputs.answer('health meanwhile', await request(server, '/v1/health'))
  assert.equal((await ask('old shape meanwhile', { ...items, offset: '-1' })).status, 200)
  outputs.add('metrics meanwhile', await server.metrics())
  for (const args of [['doctor'], ['cleanup']]) await run(`${args} with a wrong password`, args, mine)
  await postgres.query(database, `ALTER ROLE guarded PASSWORD ${literal(canaries.password)}`)
  await server.active()

  // An outage.
  await postgres.kill9()
  await until(async () => (await server.health())?.status !== 'active', 'the outage to be noticed')
  assert.equal((await ask('503 for an outage', { table: 'later', offset: '-1' })).status, 503)
  for (const args of [['doctor', '--json'], ['cleanup']]) await run(`${args} in an outage`, args, mine)
  await postgres.start()
  await server.active()
  assert.equal((await ask('after the outage', { table: 'later', offset: '-1' })).status, 200)

  // An end by a signal that is no request to end, as a failed assertion would be.
  process.kill(server.pid, 'SIGABRT')
  await server.exited(20_000)
  outputs.add('all that the process said', server.output(Infinity))
  outputs.files('storage', server.storageDir)
  outputs.free(canaries)
}, { deadlineMs: 90_000 })
