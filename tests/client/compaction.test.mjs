// compaction.test.mjs: old updates of the same row are merged in the background, and no reader can tell
// from the rows it gets: wherever it stands, through a cache that keeps old answers, and when the server
// is killed at it.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds, each with a kill
import assert from 'node:assert/strict'
import { stageNginx } from './harness/nginx.mjs'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, checkLogResponse, follow, followTo, get, target } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { canonical } from './harness/tail.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 3)
const postgres = await stagePostgres()
const small = {
  BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
  BUSBAR_COMPACTION_HORIZON: '0',
  BUSBAR_LONG_POLL_TIMEOUT: '1s',
}

async function saved(server) {
  const text = await server.metrics()
  return Number(/^busbar_compaction_saved_bytes_total (\S+)$/m.exec(text)?.[1] ?? 0)
}

/** A position that is reached when everything up to now is. */
async function end(server, table) {
  const position = await server.walPosition()
  await server.query(`UPDATE ${table} SET n = n + 1`)
  return position
}
/** So many updates of the row 1, each in a transaction of its own. */
async function update(server, table, count) {
  const client = await server.client()
  await client.query('SET synchronous_commit = off')
  await client.query(`DO $$ BEGIN FOR i IN 1..${count} LOOP UPDATE ${table} SET n = i WHERE id = 1; COMMIT; END LOOP; END $$`)
  await client.end()
}

/** Random statements on few rows: mostly updates of one column, also of the key. */
function statement(random, table) {
  const id = random.int(1, 25)
  const pad = String.fromCharCode(97 + random.int(0, 25)).repeat(random.int(1, 400))
  const dice = random.next()
  if (dice < 0.08) return `INSERT INTO ${table} VALUES (${id}, ${random.int(0, 99)}, '${pad}', NULL) ON CONFLICT DO NOTHING`
  if (dice < 0.12) return `DELETE FROM ${table} WHERE id = ${id}`
  if (dice < 0.14) return `UPDATE ${table} SET id = id + 25 WHERE id = ${id} AND NOT EXISTS (SELECT FROM ${table} WHERE id = ${id + 25})`
  if (dice < 0.5) return `UPDATE ${table} SET a = ${random.int(0, 99)} WHERE id % 25 = ${id % 25}`
  if (dice < 0.8) return `UPDATE ${table} SET b = '${pad}' WHERE id % 25 = ${id % 25}`
  return `UPDATE ${table} SET c = ${random.chance(0.3) ? 'NULL' : `'${pad}"'`} WHERE id % 25 = ${id % 25}`
}

scenario(
  'wherever a reader stands, before, during and after compaction, it ends with the rows of SELECT',
  async () => {
    console.log(`seed ${seed}`)
    const random = new Random(seed)
    const server = await stageBusbar(postgres, { env: { ...small, BUSBAR_CACHE_MAX_AGE: '30m' } })
    const nginx = await stageNginx(server)
    const columns = 'id int PRIMARY KEY, a int, b text, c text'
    const table = await newTable(server, columns, Array.from({ length: 25 }, (_, i) => `(${i + 1}, ${i}, 'b', 'c')`).join())
    const shapes = [
      { table },
      { table, replica: 'full' },
      { table, where: 'a < 50' },
      { table, columns: 'id,b' },
    ]

    let joined = 0
    const readers = []
    const join = () => {
      const checker = new LogChecker(`reader ${++joined}`)
      checker.mayFall = true // kills, and what a cache says
      readers.push({ shape: random.pick(shapes), checker, offset: '-1', handle: undefined, cached: random.chance(0.5) })
    }
    /** One response; a reader that knows the shape's handle never hears of another. */
    const step = async (reader, through = reader.cached ? nginx : server) => {
      const path = target({ ...reader.shape, offset: reader.offset, handle: reader.handle })
      const response = await request(through, path).catch(() => undefined)
      if (response === undefined || response.status >= 500) return // killed meanwhile
      assert.equal(response.status, 200, response.text)
      const page = checkLogResponse(response, { offset: reader.offset })
      reader.checker.feed(page.messages)
      Object.assign(reader, { handle: page.handle, offset: page.offset, upToDate: page.upToDate })
    }

    for (const shape of shapes) await follow(server, shape)
    const client = await server.client()
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < 350; i++) {
        const statements = Array.from({ length: random.pick([1, 1, 2, 5]) }, () => statement(random, table))
        await client.query(`BEGIN; ${statements.join('; ')}; COMMIT`)
        if (readers.length < 40 && random.chance(0.1)) join()
        if (readers.length > 0 && random.chance(0.6)) await step(random.pick(readers))
        if (i === 200) {
          await server.kill9()
          await server.start()
        }
      }
    }
    await until(async () => (await saved(server)) > 0, 'something to be saved since the last kill')
    const position = await server.walPosition()
    await client.query(`UPDATE ${table} SET a = a + 1, c = 'end'`)
    for (const reader of readers) {
      const where = reader.shape.where ?? 'true'
      const names = (reader.shape.columns ?? 'id,a,b,c').split(',')
      const texts = names.map((name) => `${name}::text`).join()
      const truth = (await client.query(`SELECT ${texts} FROM ${table} WHERE ${where}`)).rows.map(canonical).sort()
      for (let i = 0; i < 2_000 && !(reader.upToDate && reader.checker.seen >= position); i++) await step(reader, server)
      assert.deepEqual([...reader.checker.rows.values()].map(canonical).sort(), truth, reader.checker.name)
    }
    await client.end()
  },
  { deadlineMs: 120_000 },
)

scenario('a log of a hot row becomes short, also on the disk', async () => {
  const server = await stageBusbar(postgres, { env: { ...small, BUSBAR_TWEAKS_EXPIRY_PERIOD: '200ms' } })
  const table = await newTable(server, 'id int PRIMARY KEY, n int, pad text', `(1, 0, 'x'), (2, 0, 'y')`)
  const early = await follow(server, { table })
  await update(server, table, 4000)
  const late = await followTo(server, { table }, await follow(server, { table }), await end(server, table))
  const count = async () => (await follow(server, { table }, { checker: new LogChecker('count') })).messages.length
  await until(async () => (await count()) < 200, 'the log to be short', { deadlineMs: 20_000, everyMs: 200 })
  assert.equal(late.checker.rows.get(`"public"."${table}"/"1"`).n, '4001')
  // Who has been away, and an offset from the middle of what is gone.
  assert.ok((await follow(server, { table }, { ...early })).messages.length < 200)
  const middle = late.messages.find(({ headers, value }) => headers.lsn && value.n === '2000').headers
  const rest = await get(server, { table, handle: late.handle, offset: `${middle.lsn}_${middle.op_position}` })
  assert.equal(rest.status, 200)
  assert.ok(rest.json.length < 100)
})

scenario('compaction can be turned off, and leaves alone what is younger than its horizon', async () => {
  for (const env of [{ ...small, BUSBAR_COMPACTION: 'false' }, { ...small, BUSBAR_COMPACTION_HORIZON: '60m' }]) {
    const server = await stageBusbar(postgres, { env })
    const table = await newTable(server, 'id int PRIMARY KEY, n int', '(1, 0)')
    await follow(server, { table })
    await update(server, table, 500)
    const all = await followTo(server, { table }, await follow(server, { table }), await end(server, table))
    // Until it would have come by many times.
    const looks = Date.now() + 1_500
    await until(() => Date.now() > looks, 'some looks at the logs')
    const again = await follow(server, { table }, { checker: new LogChecker('again') })
    assert.deepEqual(
      again.messages.filter(({ key }) => key),
      all.messages.filter(({ key }) => key),
    )
  }
})
