// steps.test.mjs: what may happen between two steps happens between each two, in turn: Busbar is killed
// before each statement of a take-over, and the table is altered before each statement of a creation.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { after } from 'node:test'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, isUpToDate } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { Steps } from './harness/steps.mjs'
import { Tail, canonical } from './harness/tail.mjs'

const postgres = await stagePostgres()
const steps = await Steps.start(postgres.port)
after(() => steps.stop())
const database = await postgres.createDatabase()
const server = await stageBusbar(postgres, {
  databaseUrl: steps.through(postgres.url(database)),
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '1s',
    BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
  },
})
server.query = (text, values) => postgres.query(database, text, values)
server.walPosition = () => postgres.walPosition(database)
const stepsMax = 60

scenario(
  'F06: killed before each statement of a take-over, it loses nothing and applies nothing twice',
  async ({ cleanup }) => {
    const table = await newTable(server, 'id int PRIMARY KEY, body text')
    const tail = await Tail.start(server, { table })
    tail.checker.mayFall = true
    cleanup(() => tail.stop())
    let id = 0
    const write = () => server.query(`INSERT INTO ${table} VALUES (${++id}, 'a'); UPDATE ${table} SET body = body || 'b' WHERE id > ${id - 5}`)
    const met = []
    for (let n = 1; n <= stepsMax; n++) {
      await server.kill9()
      await write()
      steps.arm(n, async (text) => {
        met.push(text)
        await server.kill9()
      })
      await server.start({ wait: false })
      await until(async () => steps.hit || (await server.health())?.status === 'active', () => `step ${n}\n${server.output()}`)
      const all = !steps.hit
      steps.disarm()
      await write()
      if (all) break
      await until(() => !server.running, 'the killed server to end')
      await server.start()
    }
    assert.ok(met.length >= 5 && met.length < stepsMax, `${met.length} statements:\n${met.join('\n')}`)
    assert.ok(met.some((text) => text.startsWith('START_REPLICATION')))
    const position = await server.walPosition()
    await write()
    await tail.covers(position)
    const rows = await server.query(`SELECT id::text, body FROM ${table}`)
    assert.deepEqual(tail.rows, rows.map(canonical).sort())
  },
  { deadlineMs: 120_000 },
)

/** Reads a shape as a client does that does not give up; returns its rows. Never an answer of 500. */
async function rowsOf(shape) {
  for (let tries = 0; tries < 200; tries++) {
    const rows = new Map()
    let at = { offset: '-1' }
    for (;;) {
      const response = await get(server, { ...shape, ...at })
      if (response.status === 503) {
        await delay(20)
        break
      }
      if (response.status === 409) break
      assert.equal(response.status, 200, response.text)
      for (const { key, value, headers } of response.json)
        if (headers.operation === 'delete') rows.delete(key)
        else if (key) rows.set(key, { ...rows.get(key), ...value })
      at = { offset: response.header('electric-offset'), handle: response.header('electric-handle') }
      if (isUpToDate(response.json.at(-1))) return [...rows.values()].map(canonical).sort()
    }
  }
  throw new Error('no end of 409 and 503')
}

const alterations = {
  'a column is added': (table) => `ALTER TABLE ${table} ADD more text DEFAULT 'm'`,
  'a column is dropped': (table) => `ALTER TABLE ${table} DROP note`,
  'a column is renamed': (table) => `ALTER TABLE ${table} RENAME note TO remark`,
  'rows are rewritten': (table) => `ALTER TABLE ${table} ALTER n TYPE text USING (n + 1)::text`,
  'rows are rewritten under the same type': (table) => `ALTER TABLE ${table} ALTER n TYPE int USING n + 1`,
}
for (const [what, alteration] of Object.entries(alterations))
  scenario(`F25: ${what} before each statement of a creation: never a 500, and the rows are those of SELECT`, async () => {
    const met = []
    for (let n = 1; n <= stepsMax; n++) {
      const table = await newTable(server, 'id int PRIMARY KEY, n int, note text', `(1, 1, 'a'), (2, 2, NULL)`)
      let altered
      steps.arm(n, (text) => {
        met.push(text)
        // Where the creation holds the table's lock there is nothing to be feared, and no end to wait for.
        altered = server.query(`SET lock_timeout = '200ms'; ${alteration(table)}`).catch((error) => {
          if (error.code !== '55P03') throw error
        })
        return altered
      })
      await rowsOf({ table })
      const all = !steps.hit
      steps.disarm()
      if (all) break
      await altered // the statement may have been none that the creation waited for
      await until(
        async () => {
          const [{ columns }] = await server.query(
            `SELECT string_agg(quote_ident(attname) || '::text', ',') AS columns FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 0 AND NOT attisdropped`,
          )
          const truth = (await server.query(`SELECT ${columns} FROM ${table}`)).map(canonical).sort()
          return JSON.stringify(await rowsOf({ table })) === JSON.stringify(truth)
        },
        () => `the rows after step ${n}: ${met.at(-1)}\n${server.output()}`,
        { everyMs: 50 },
      )
    }
    assert.ok(met.length >= 4 && met.length < stepsMax, `${met.length} statements:\n${met.join('\n')}`)
  })
