// property.test.mjs: random transactions from several writers against four tables, while clients
// join and leave and the server is killed with SIGKILL. At quiet moments every client must hold what
// PostgreSQL selects, and every message on the way must have kept the invariants of the protocol.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds; the default takes less than a minute
import assert from 'node:assert/strict'
import { Follower } from './harness/clients.mjs'
import { describe, differences, parametersOf, schema, shapes, truth, write } from './harness/model.mjs'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { LogChecker, follow, get, target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 8)
const transactionsPerRound = 120
const writers = 3
const clientsMax = 24

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: schema,
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '1s',
    BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
  },
})

scenario(
  `clients equal the table (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    const random = new Random(seed)
    const followers = []
    const totals = { commits: 0, conflicts: 0, kills: 0, joins: 0, rotations: 0, compared: 0 }
    cleanup(() => followers.forEach((follower) => follower.close()))
    const observer = await server.client()
    cleanup(() => observer.end())

    const join = () => {
      if (followers.length >= clientsMax) return
      const shape = random.pick(shapes)
      const follower = new Follower(
        server.shapeUrl,
        { ...shape },
        { name: `client ${++totals.joins}: ${describe(shape)}` },
      )
      follower.spec = shape
      followers.push(follower)
    }
    const leave = () => {
      if (followers.length === 0) return
      const [gone] = followers.splice(random.int(0, followers.length - 1), 1)
      gone.check()
      gone.close()
    }
    const rotate = async () => {
      totals.rotations++
      if (random.chance(0.3)) await observer.query('TRUNCATE loose')
      else if (followers.length > 0) {
        const handle = random.pick(followers).stream.shapeHandle
        // The server may be down or may not know the handle any more: both are fine.
        if (handle) await request(server, target({ handle }), { method: 'DELETE' }).catch(() => {})
      }
    }

    for (const shape of shapes.slice(0, 4)) {
      const follower = new Follower(
        server.shapeUrl,
        { ...shape },
        { name: `client ${++totals.joins}: ${describe(shape)}` },
      )
      follower.spec = shape
      followers.push(follower)
    }
    await follow(server, { table: 'marker' })

    for (let round = 1; round <= rounds; round++) {
      const progress = { commits: 0, conflicts: 0, waiting: 0, writers }
      const enough = () => progress.commits >= transactionsPerRound
      const writing = Promise.all(
        Array.from({ length: writers }, async () => {
          const choices = random.fork()
          const client = await server.client()
          await write(client, choices, progress, enough)
          await client.end()
        }),
      )
      writing.catch((error) => (progress.error = error))

      // What happens in this round, in the order of the commit count at which it happens.
      const events = []
      const at = () => random.int(1, transactionsPerRound - 10)
      for (let i = random.int(2, 5); i > 0; i--) events.push([at(), join])
      for (let i = random.int(0, 2); i > 0; i--) events.push([at(), leave])
      if (random.chance(0.25)) events.push([at(), rotate])
      if (random.chance(0.6)) {
        const down = at()
        events.push(
          [
            down,
            async () => {
              totals.kills++
              await server.kill9()
            },
          ],
          [down + random.int(0, 10), () => server.start()],
        )
      }
      events.sort(([a], [b]) => a - b)
      for (const [commits, event] of events) {
        await until(
          () => {
            if (progress.error) throw progress.error
            return progress.commits >= commits
          },
          () => `${commits} commits in round ${round}`,
          { deadlineMs: 30_000, everyMs: 2 },
        )
        await event()
      }
      await writing
      if (!server.running) await server.start()

      // A quiet moment: the clients catch up to here, and then equal the tables.
      const position = await server.walPosition()
      await observer.query('UPDATE marker SET n = n + 1')
      for (const follower of followers) {
        await until(
          () => {
            follower.check()
            return follower.shape.isUpToDate && follower.checker.seen >= position
          },
          () =>
            `round ${round}: ${follower.name} to be up to date to ${position}; it is at ${follower.checker.seen}, ` +
            `offset ${follower.stream.lastOffset}, errors ${follower.errors.slice(-3).map(String)}`,
          { deadlineMs: 30_000 },
        )
      }
      for (const follower of followers) {
        follower.check()
        const expected = await truth(observer, follower.spec)
        const lines = differences(follower.shape.currentValue, expected)
        assert.deepEqual(lines.slice(0, 10), [], `round ${round}: ${follower.name}: ${lines.length} differences`)
        assert.deepEqual(
          differences(follower.checker.rows, expected),
          [],
          `round ${round}: ${follower.name}: raw messages`,
        )
        totals.compared++
      }
      totals.commits += progress.commits
      totals.conflicts += progress.conflicts
    }

    // Every log, read from the beginning, tells the same story, twice in the same bytes.
    for (const spec of shapes) {
      const shape = parametersOf(spec)
      const state = await follow(server, shape, { checker: new LogChecker(describe(spec)) })
      const rows = new Map(
        [...state.checker.rows].map(([key, row]) => [
          key,
          'flag' in row && row.flag !== null ? { ...row, flag: row.flag[0] } : row,
        ]),
      )
      assert.deepEqual(differences(rows, await truth(observer, spec)).slice(0, 10), [], describe(spec))
      let offset = '-1'
      for (const response of state.responses) {
        if (response.header('electric-up-to-date') === undefined) {
          const again = await get(server, { ...shape, offset, handle: state.handle })
          assert.ok(again.body.equals(response.body), `${describe(spec)}: the chunk after ${offset} is the same again`)
        }
        offset = response.header('electric-offset')
      }
    }
    console.log(`property test: ${JSON.stringify(totals)}`)
  },
  { deadlineMs: 60_000 + rounds * 45_000 },
)
