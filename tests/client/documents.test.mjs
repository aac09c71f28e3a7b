// documents.test.mjs: the commands of the documents are run, word for word but for names, ports and secrets. What needs
// Docker, root or Kubernetes is not; of that, what is to be done inside a pod is done here.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Busbar, binary } from './harness/busbar.mjs'
import { Issuer, fileOf } from './harness/gate.mjs'
import { ended, freePort, scratchDirectory, track, until, within } from './harness/processes.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const top = fileURLToPath(new URL('../..', import.meta.url))
const postgres = await stagePostgres()

/** The code blocks of a document: {language, text}, in their order. */
function allBlocks(document) {
  const text = readFileSync(join(top, document), 'utf8')
  return [...text.matchAll(/^ *```(\w*)\n([\s\S]*?)^ *```/gm)].map(([, language, block]) => ({ language, text: block }))
}

const taken = new Set()

/** Those in this language, which a test here runs. */
function blocks(document, language) {
  const found = allBlocks(document).filter((block) => block.language === language)
  for (const { text } of found) taken.add(`${document}\n${text}`)
  return found.map(({ text }) => text)
}

/** A folder with `busbar` in it, to be put in front of PATH. */
function programs() {
  const folder = join(scratchDirectory('documents'), 'bin')
  mkdirSync(folder)
  symlinkSync(binary, join(folder, 'busbar'))
  return folder
}

/** Runs a script with a shell that stops at the first fault; returns what it said. */
async function shell(script, env, { options = ['-euo', 'pipefail'], cwd } = {}) {
  const child = track(
    spawn('bash', [...options, '-c', script], { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }),
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  const { code } = await within(ended(child), 60_000, () => `the script to end:\n${said}`)
  assert.equal(code, 0, `${script}\n${said}`)
  return said
}

function replaced(text, pairs) {
  for (const [from, to] of pairs) {
    assert.ok(text.includes(from), `the document says ${from}`)
    text = text.replaceAll(from, to)
  }
  return text
}

scenario('moving from Electric: side by side with its environment, then its slot and publication are gone', async () => {
  const database = await postgres.createDatabase()
  await postgres.query(
    database,
    `CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1);
     CREATE PUBLICATION electric_publication_default FOR TABLE items`,
  )
  await postgres.query(database, `SELECT pg_create_logical_replication_slot('electric_slot_default', 'pgoutput')`)
  const folder = scratchDirectory('moving')
  const port = String(await freePort())
  const [setup, check] = blocks('docs/moving-from-electric.md', 'sh')
  const begin = replaced(setup, [
    ['DATABASE_URL=…', `DATABASE_URL='${postgres.url(database)}'`],
    ['ELECTRIC_SECRET=…', 'ELECTRIC_SECRET=the-same'],
    ['/var/lib/busbar', join(folder, 'data')],
    ['serve --port 3001', `serve --port ${port} > ${folder}/log 2>&1 & trap 'kill $!; wait' EXIT`],
  ])
  const wait = `for i in $(seq 300); do busbar health --active --port ${port} > /dev/null 2>&1 && break; sleep 0.1; done`
  const look = replaced(check, [
    ['secret=…', 'secret=the-same'],
    ['3001', port],
  ])
  const said = await shell(`${begin}\n${wait}\n${look}`, {
    PATH: `${programs()}:${process.env.PATH}`,
    ELECTRIC_PROMETHEUS_PORT: String(await freePort()),
  })
  assert.match(said, /^ok +connection /m)
  assert.match(said, /^HTTP\/1.1 200 OK/m)
  assert.match(said, /active$/m)
  const [cleanUp] = blocks('docs/moving-from-electric.md', 'sql')
  await postgres.query(database, cleanUp)
  const left = await postgres.query(database, `SELECT slot_name AS name FROM pg_replication_slots UNION SELECT pubname FROM pg_publication`)
  assert.deepEqual(left.map(({ name }) => name).sort(), ['busbar_publication_default', 'busbar_slot_default'])
  await postgres.query(database, `SELECT pg_drop_replication_slot('busbar_slot_default')`)
})

scenario('every statement of runbook and installation is one that PostgreSQL runs', async () => {
  const server = await stageBusbar(postgres, { streamId: 'default', sql: 'CREATE TABLE items (id int PRIMARY KEY)' })
  const statements = ['docs/runbook.md', 'docs/install.md'].flatMap((document) => blocks(document, 'sql')).join('\n')
    .replace(/^ *--.*$/gm, '').replace(/ --.*$/gm, '').split(/;\s*$/m).map((one) => one.trim()).filter(Boolean)
  assert.ok(statements.length >= 10, statements.join('\n---\n'))
  const changes = statements.filter((one) => /pg_drop_replication_slot|DROP PUBLICATION/.test(one))
  const asks = statements.filter((one) => !changes.includes(one))
  for (const one of asks) {
    const rows = await server.query(one.replace('DATABASE shop', `DATABASE "${server.database}"`).replace("'…'", `'x'`))
    if (/wal_status|walsender/.test(one)) assert.equal(rows.length, 1, one)
  }
  await server.terminate()
  // The runbook ends with the one, the installation with both.
  assert.equal(changes.length, 3)
  const [slot, again, publication] = changes
  await server.query(slot)
  assert.equal(slot, again)
  await server.query(publication)
})

scenario('the README: it serves, and curl and the client read what it says', async ({ cleanup }) => {
  const database = await postgres.createDatabase()
  await postgres.query(database, `CREATE TABLE items (id int PRIMARY KEY, price int); INSERT INTO items VALUES (1, 5), (2, 20)`)
  const [, , serve, look] = blocks('README.md', 'sh')
  const [code] = blocks('README.md', 'js')
  const port = String(await freePort())
  const folder = scratchDirectory('readme')
  const begin = replaced(serve, [
    ['postgresql://user:password@host:5432/database', `'${postgres.url(database)}'`],
    ['./build/release/busbar serve', `${binary} serve > ${folder}/log 2>&1 & trap 'kill $!; wait' EXIT`],
  ])
  const wait = `for i in $(seq 300); do ${binary} health --active > /dev/null 2>&1 && break; sleep 0.1; done`
  const listen = replaced(code, [['localhost:3000', `127.0.0.1:${port}`]])
  writeFileSync(join(folder, 'client.mjs'), `${listen}\nitems.subscribe(() => process.exit(0))\n`)
  const client = `cd ${here} && node --input-type=module -e "$(cat ${folder}/client.mjs)"`
  const said = await shell(`${begin}\n${wait}\n${replaced(look, [['3000', port]])}\n${client}`, {
    BUSBAR_PORT: port,
    BUSBAR_METRICS_PORT: String(await freePort()),
    BUSBAR_STORAGE_DIR: join(folder, 'data'),
    BUSBAR_REPLICATION_STREAM_ID: 'readme',
  })
  assert.match(said, /^electric-handle: /m)
  assert.match(said, /^electric-offset: /m)
  assert.match(said, /"id":"1"[\s\S]*"id":"2"/)
  assert.match(said, /\[ \{ id: 2, price: 20 \} \]/)
  cleanup(() => postgres.query(database, `SELECT pg_drop_replication_slot('busbar_slot_readme')`))
})

scenario('gatekeeping: the policy is one, `policy check` says what the page says, and a grant opens its shape', async () => {
  const [exports] = blocks('docs/gatekeeping.md', 'sh')
  const [policy] = blocks('docs/gatekeeping.md', 'yaml')
  const [grant] = blocks('docs/gatekeeping.md', 'json')
  const [check] = blocks('docs/gatekeeping.md', '').filter((text) => text.startsWith('$ busbar policy check'))
  const issuer = new Issuer('RS256')
  const signer = new Issuer('ES256')
  const [, other] = /# or (\w+)=/.exec(exports)
  const files = { [other]: fileOf('keys.pem', issuer.keyFile), policy: fileOf('policy.yaml', policy) }
  const script = replaced(exports, [
    ['BUSBAR_JWT_KEY_URL=https://issuer.example/.well-known/jwks.json', `${other}=${files[other]}`],
    ['/etc/busbar/policy.yaml', files.policy],
  ])
  const env = Object.fromEntries([...script.matchAll(/^export (\w+)=(\S+)/gm)].map(([, name, value]) => [name, value]))
  const common = { iss: 'https://issuer.example', aud: 'busbar', agency_id: 'a7' }

  const [command, ...lines] = check.trimEnd().split('\n')
  const folder = scratchDirectory('token')
  writeFileSync(join(folder, 'token'), issuer.token({ ...common, role: 'member' }))
  const said = await shell(`${script}\n${command.slice(2)}`, { PATH: `${programs()}:${process.env.PATH}` }, { cwd: folder })
  const untimed = (text) => text.replace(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'then').trimEnd()
  assert.equal(untimed(said), untimed(lines.join('\n')))

  const server = await stageBusbar(postgres, {
    sql: `CREATE TABLE proposals (id int PRIMARY KEY, agency_id text, title text, status text, margin int);
      INSERT INTO proposals VALUES (1, 'a7', 'x', 'sent', 9), (2, 'a7', 'y', 'draft', 9), (3, 'b', 'z', 'sent', 9);
      CREATE TABLE tasks (id int PRIMARY KEY, assignee text, team_id int);
      INSERT INTO tasks VALUES (1, 'me', 9), (2, 'you', 4), (3, 'you', 9);
      CREATE TABLE projects (id int PRIMARY KEY, agency_id text); INSERT INTO projects VALUES (1, 'a7'), (2, 'b');
      CREATE TABLE members (id int PRIMARY KEY, project_id int NOT NULL); INSERT INTO members VALUES (1, 1), (2, 2);
      CREATE TABLE plans (id int PRIMARY KEY); INSERT INTO plans VALUES (1)`,
    env: { BUSBAR_INSECURE: '', ...env, BUSBAR_GRANT_KEY_FILE: fileOf('grants.pem', signer.keyFile) },
  })
  const ask = async (token, params) => {
    const headers = { authorization: `Bearer ${token}` }
    const { status, json } = await request(server, target({ offset: '-1', ...params }), { headers })
    return status === 200 ? json.filter(({ value }) => value).map(({ value }) => value) : status
  }
  const ids = (rows) => rows.map(({ id }) => Number(id)).sort()
  const member = issuer.token({ ...common, role: 'member', sub: 'me', teams: [4] })
  const seen = await ask(member, { table: 'proposals' })
  assert.deepEqual([ids(seen), Object.keys(seen[0])], [[1], ['id', 'agency_id', 'title', 'status']])
  assert.deepEqual(ids(await ask(issuer.token({ ...common, role: 'owner' }), { table: 'proposals' })), [1, 2])
  assert.deepEqual(ids(await ask(member, { table: 'tasks' })), [1, 2])
  // Subqueries read their own table, which must be listed as well.
  assert.deepEqual(ids(await ask(member, { table: 'members' })), [1])
  assert.deepEqual(ids(await ask(member, { table: 'plans' })), [1])

  const [client] = blocks('docs/gatekeeping.md', 'js')
  const code = replaced(client.trim(), [['https://sync.example', server.url]])
  const first = `(await new Promise((resolve) => stream.subscribe(resolve))).length`
  const program = `import { ShapeStream } from '@electric-sql/client'
    const freshToken = async () => '${member}'
    const stream = ${code}
    console.log('messages: ' + ${first})
    process.exit(0)`
  writeFileSync(join(folder, 'client.mjs'), program)
  assert.match(await shell(`node --input-type=module -e "$(cat ${folder}/client.mjs)"`, {}, { cwd: here }), /messages: [1-9]/)

  const open = signer.token({ ...JSON.parse(grant), exp: Math.floor(Date.now() / 1000) + 60 })
  const granted = await ask(open, { table: 'proposals' })
  assert.deepEqual([ids(granted), Object.keys(granted[0])], [[1, 2], ['id', 'title']])
  assert.equal(await ask(open, { table: 'plans' }), 403)
})

scenario('several nodes: three with the settings of the page are one, and the status has the columns of the page', async () => {
  const [settings] = blocks('docs/cluster.md', 'sh')
  const [status] = blocks('docs/cluster.md', '').filter((text) => text.startsWith('$ busbar cluster status'))
  const database = await postgres.createDatabase()
  const ports = [await freePort(), await freePort(), await freePort()]
  const names = ['a', 'b', 'c'].map((name) => `${name}.internal:7000`)
  const nodes = []
  for (const [i, name] of names.entries()) {
    const mine = replaced(settings, [
      ['BUSBAR_CLUSTER_ADDRESS=a.internal:7000', `BUSBAR_CLUSTER_ADDRESS=${name}`],
      ['BUSBAR_CLUSTER_SECRET=…', 'BUSBAR_CLUSTER_SECRET=sixteen-or-more-of-them'],
      ...names.map((one, k) => [one, `127.0.0.1:${ports[k]}`]),
    ])
    const env = Object.fromEntries([...mine.matchAll(/^(\w+)=(\S+)/gm)].map(([, key, value]) => [key, value]))
    nodes.push(await Busbar.prepare({ databaseUrl: postgres.url(database), streamId: 'pages', secret: 'the-same', env }))
  }
  await Promise.all(nodes.map((node) => node.start({ wait: false })))
  const [command, header, ...rest] = status.trimEnd().split('\n')
  const path = `${programs()}:${process.env.PATH}`
  const columns = (line) => line.trim().split(/ {2,}/)
  let said
  try {
    await until(async () => {
      said = await shell(`${command.slice(2)} || true`, { ...nodes[1].environment, PATH: path })
      return /leads in term/.test(said) && said.match(/^127\S+.* yes +yes /gm)?.length === 3
    }, () => `three members in sync:\n${said}`, { deadlineMs: 40_000, everyMs: 200 })
    assert.deepEqual(columns(said.split('\n')[0]), columns(header))
    const shape = (text) => text.replaceAll(/\S+:\d+/g, 'NODE').replace(/term \d+/, 'term N')
    assert.equal(shape(said.trimEnd().split('\n').at(-1)), shape(rest.at(-1)))
  } finally {
    await Promise.all(nodes.map((node) => node.discard()))
  }
}, { deadlineMs: 60_000 })

scenario('doctor: the lines of the page are such as it prints', async ({ cleanup }) => {
  const [page] = blocks('docs/doctor.md', '').filter((text) => text.startsWith('$ busbar doctor'))
  const database = await postgres.createDatabase()
  await postgres.query('postgres', `CREATE ROLE app LOGIN PASSWORD 'x'`)
  cleanup(() => postgres.query('postgres', 'DROP ROLE app'))
  // What the runbook advises was done above.
  await postgres.query('postgres', 'ALTER SYSTEM RESET max_slot_wal_keep_size')
  await postgres.query('postgres', 'SELECT pg_reload_conf()')
  const unlimited = `SELECT 1 FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting = '-1'`
  await until(async () => (await postgres.query('postgres', unlimited)).length === 1, 'the setting to be as it was')
  const [command, ...lines] = page.trimEnd().split('\n')
  const said = await shell(`${command.slice(2)} || true`, {
    PATH: `${programs()}:${process.env.PATH}`,
    DATABASE_URL: postgres.url(database, { user: 'app', password: 'x' }),
    BUSBAR_INSECURE: 'true',
    BUSBAR_STORAGE_DIR: join(scratchDirectory('doctor'), 'data'),
    BUSBAR_REPLICATION_STREAM_ID: 'doctor',
  })
  // The page shortens one of them, and its server is another.
  for (const line of lines) {
    const [start] = line.replace('app@db.example:5432/shop, TLS', 'app@').split('…')
    assert.ok(said.split('\n').some((one) => one.startsWith(start.trimEnd())), `${start}\n\n${said}`)
  }
})

scenario('the runbook: what is done inside a pod works there, and each series that is looked for is there', async () => {
  const issuer = new Issuer('ES256')
  const policy = 'tenant: tenant\ntables: {items: {where: "true"}}\nlimits: {requests_per_second: 1}\n'
  const address = `127.0.0.1:${await freePort()}`
  const server = await stageBusbar(postgres, {
    sql: 'CREATE TABLE items (id int PRIMARY KEY, tenant text)',
    secret: 'of the operator',
    env: {
      BUSBAR_JWT_KEY_FILE: fileOf('keys', issuer.keyFile),
      BUSBAR_POLICY_FILE: fileOf('policy.yaml', policy),
      BUSBAR_TENANT_COLUMN: 'tenant',
      BUSBAR_CLUSTER_PEERS: address,
      BUSBAR_CLUSTER_ADDRESS: address,
      BUSBAR_CLUSTER_SECRET: 'sixteen-or-more-of-them',
    },
  })
  await request(server, target({ table: 'items', offset: '-1', where: `tenant = 'a'`, secret: server.secret }))
  const folder = scratchDirectory('pod')
  writeFileSync(join(folder, 'token'), issuer.token({ tenant: 'a' }))
  const path = programs()
  // A pod is this machine; what is asked of Kubernetes itself is not asked.
  writeFileSync(
    join(path, 'kubectl'),
    `#!/bin/bash
case $1 in
  exec) while [[ $1 != -- ]]; do shift; done; shift; exec "$@" ;;
  logs) echo 'a line' ;;
  get | describe | patch) ;;
  *) exit 1 ;;
esac
`,
  )
  writeFileSync(join(path, 'helm'), '#!/bin/sh\n')
  for (const name of ['kubectl', 'helm']) chmodSync(join(path, name), 0o755)
  const commands = blocks('docs/runbook.md', 'sh')
    .flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.trim().replace(/\s#\s.*$/, ''))
    .filter(Boolean)
  assert.ok(commands.length >= 20)
  const env = { ...server.environment, PATH: `${path}:${process.env.PATH}` }
  for (const command of commands) {
    const mine = command.replaceAll('localhost:9464', `127.0.0.1:${server.metricsPort}`).replaceAll('/var/lib/busbar', folder)
    const searches = /^curl .*grep -E '([^']+)'/.exec(mine)
    const said = await shell(searches || !mine.includes('grep') ? mine : `${mine} || true`, env, { cwd: folder })
    if (/ -- busbar |^curl/.test(mine)) assert.ok(said.trim(), command)
    // Each alternative of a search must find something, not only one of them.
    if (searches)
      for (const name of searches[1].match(/[a-z_]{12,}/g)) assert.ok(said.includes(name), `${command}: no ${name}`)
  }
}, { deadlineMs: 60_000 })

scenario('every block of commands is run by a test, or needs what its document says that it needs', () => {
  const documents = ['README.md', 'helm/README.md', ...readdirSync(join(top, 'docs')).map((name) => `docs/${name}`)].filter((name) => name.endsWith('.md'))
  /** What scripts/test.sh runs by itself, or is the same as what it does. */
  const byScripts = /^(\.\/scripts\/(quickstart|test)\.sh$|\.?\/?scripts\/packages\.sh |scripts\/package\.sh$|cmake --preset )/
  const outside = /^(docker|helm|kubectl|sudo) /
  for (const document of documents) {
    const text = readFileSync(join(top, document), 'utf8')
    for (const block of allBlocks(document).filter(({ language }) => ['sh', 'sql', 'js'].includes(language))) {
      if (taken.has(`${document}\n${block.text}`)) continue
      const lines = block.text.replaceAll('\\\n', ' ').split('\n').filter((line) => line.trim())
      const needy = lines.filter((line) => !byScripts.test(line))
      if (needy.length === 0) continue
      assert.ok(lines.some((line) => outside.test(line)), `${document}: nobody runs\n${block.text}`)
      assert.match(text, /not run\s+by\s+tests/, `${document} must say that this is not run by tests:\n${block.text}`)
    }
  }
})
