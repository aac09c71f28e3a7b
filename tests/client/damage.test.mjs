// damage.test.mjs: F30: files of the storage directory that are damaged or missing. Whatever is lost,
// every client ends with the rows that the table has.
import assert from 'node:assert/strict'
import { closeSync, openSync, readSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, follow } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { canonical } from './harness/tail.mjs'

const postgres = await stagePostgres()

function flip(path, at) {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, at)
  byte[0] ^= 0x40
  writeSync(file, byte, 0, 1, at)
  closeSync(file)
}

const files = (server, kind) =>
  readdirSync(server.storageDir)
    .filter((name) => kind.test(name) && statSync(join(server.storageDir, name)).size > 0)
    .sort()
    .map((name) => join(server.storageDir, name))

const body = `repeat(md5(i::text), 400)`

/** Four shapes that are known to be whole, with rows in their snapshots and in their logs. */
async function setting() {
  const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })
  const shapes = []
  for (let i = 0; i < 4; i++) {
    const table = await newTable(server, 'id int PRIMARY KEY, body text')
    await server.query(`INSERT INTO ${table} SELECT i, ${body} FROM generate_series(1, 20) i`)
    shapes.push({ table, handle: (await follow(server, { table })).handle })
  }
  for (const { table } of shapes)
    await server.query(`INSERT INTO ${table} SELECT i, ${body} FROM generate_series(21, 40) i`)
  for (const { table } of shapes) await settled(server, table)
  return { server, shapes }
}

/** Starts the server, as often as it ends because only then it met the damage, and runs `body`. */
async function supervised(server, body) {
  for (let starts = 1; ; starts++) {
    try {
      await server.start()
      return await body()
    } catch (error) {
      const meant = !server.running && server.output().includes('it starts again from what is sound')
      if (!meant || starts === 3) throw error
    }
  }
}

/** Ended and started so often that all that was written is in files of its own. */
async function stopped(server) {
  await server.terminate()
  await supervised(server, () => {})
  await server.terminate()
}

/** Reads from nothing, again and again, as clients do that are refused or cut off, until what is read
 *  is what the table holds. Returns the handle. */
async function settled(server, table) {
  let rows = []
  let said
  return until(
    async () => {
      const expected = (await server.query(`SELECT id::text, body FROM ${table}`)).map(canonical).sort()
      const checker = new LogChecker(table)
      try {
        const { handle } = await follow(server, { table }, { checker })
        rows = [...checker.rows.values()].map(canonical).sort()
        return rows.length === expected.length && rows.every((row, i) => row === expected[i]) ? handle : undefined
      } catch (error) {
        said = error.message // refused, or cut off
        return undefined
      }
    },
    () => `${table} to be as it is: ${rows.length} rows, ${said}\n${server.output()}`,
    { deadlineMs: 30_000, everyMs: 50 },
  )
}

scenario('F30: a damaged block costs the shape that has it, which begins anew, and no other', async () => {
  const { server, shapes } = await setting()
  await stopped(server)
  const victims = files(server, /\.blob$/)
  assert.ok(victims.length > 0)
  flip(victims[0], Math.floor(statSync(victims[0]).size / 2))
  await server.start()
  let anew = 0
  for (const { table, handle } of shapes) {
    await server.query(`INSERT INTO ${table} VALUES (1000, 'after')`)
    anew += (await settled(server, table)) === handle ? 0 : 1
  }
  assert.equal(anew, 1, server.output())
  await server.restart()
  for (const { table } of shapes) await settled(server, table)
})

const seed = chosenSeed()
scenario(`F30: whatever file is damaged or missing, the service begins and all that is read is right (seed ${seed})`, async () => {
  const random = new Random(seed)
  const { server, shapes } = await setting()
  for (const kind of [/\.sst$/, /\.blob$/, /^MANIFEST-/, /^CURRENT$/]) {
    await stopped(server)
    const all = files(server, kind)
    if (all.length === 0) continue
    const victim = random.pick(all)
    if (random.chance(0.5)) rmSync(victim)
    else for (let i = 0; i < 3; i++) flip(victim, random.int(0, statSync(victim).size - 1))
    await supervised(server, async () => {
      for (const { table } of shapes) {
        await server.query(`INSERT INTO ${table} SELECT max(id) + 1, 'more' FROM ${table}`)
        await settled(server, table)
      }
    })
  }
})
