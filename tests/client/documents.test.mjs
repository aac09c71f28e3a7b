// documents.test.mjs: the commands of the documents are run, word for word but for names and ports; those that need a
// cluster or Docker are not.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { binary } from './harness/busbar.mjs'
import { ended, freePort, scratchDirectory, track, within } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const top = fileURLToPath(new URL('../..', import.meta.url))
const postgres = await stagePostgres()

/** The code blocks of a document in this language, in their order. */
function blocks(document, language) {
  const text = readFileSync(join(top, 'docs', document), 'utf8')
  return [...text.matchAll(new RegExp(`^ *\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\``, 'gm'))].map(([, block]) => block)
}

/** Runs a script with a shell that stops at the first fault; returns what it said. */
async function shell(script, env) {
  const child = track(spawn('bash', ['-euo', 'pipefail', '-c', script], { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }))
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
  mkdirSync(join(folder, 'bin'))
  symlinkSync(binary, join(folder, 'bin/busbar'))
  const port = String(await freePort())
  const [setup, check] = blocks('moving-from-electric.md', 'sh')
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
    PATH: `${folder}/bin:${process.env.PATH}`,
    ELECTRIC_PROMETHEUS_PORT: String(await freePort()),
  })
  assert.match(said, /^ok +connection /m)
  assert.match(said, /^HTTP\/1.1 200 OK/m)
  assert.match(said, /active$/m)
  const [cleanUp] = blocks('moving-from-electric.md', 'sql')
  await postgres.query(database, cleanUp)
  const left = await postgres.query(database, `SELECT slot_name AS name FROM pg_replication_slots UNION SELECT pubname FROM pg_publication`)
  assert.deepEqual(left.map(({ name }) => name).sort(), ['busbar_publication_default', 'busbar_slot_default'])
  await postgres.query(database, `SELECT pg_drop_replication_slot('busbar_slot_default')`)
})

scenario('every statement of runbook and installation is one that PostgreSQL runs', async () => {
  const server = await stageBusbar(postgres, { streamId: 'default', sql: 'CREATE TABLE items (id int PRIMARY KEY)' })
  const statements = ['runbook.md', 'install.md'].flatMap((document) => blocks(document, 'sql')).join('\n')
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
