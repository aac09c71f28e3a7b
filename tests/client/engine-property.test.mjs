// engine-property.test.mjs: the whole engine against SELECT. Random shapes (clauses over all types,
// subqueries, columns, modes) of random tables; random transactions from several writers; npm clients
// and strict raw ones that join and leave at any time; Busbar and PostgreSQL killed, stopped and
// restarted under load. At quiet moments every client holds what PostgreSQL selects, no message on the
// way was wrong, and nobody had to begin anew without a reason.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds, of about two kills each; 100 are the long run
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { NpmMember, RawMember, checkerFor, describe, parametersOf, randomShape, selected } from './harness/audience.mjs'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { bravely } from './harness/subqueries.mjs'
import { TaggedFollower } from './harness/tagged.mjs'
import { statement, underLoad, write } from './harness/traffic.mjs'
import { schema, tables } from './harness/world.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 10)
const commitsPerRound = 60
const writers = 3
const membersMax = 28

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: schema,
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '500ms',
    BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    BUSBAR_MATERIALIZERS: '2',
  },
})

scenario(
  `every client equals SELECT, whatever happens (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`engine property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    const random = new Random(seed)
    const totals = { commits: 0, conflicts: 0, kills: 0, restarts: 0, joins: 0, refused: 0, compared: 0, rows: 0, refetches: 0, moves: 0 }
    const members = []
    const past = [] // shapes that were followed once
    cleanup(() => Promise.all(members.map((member) => member.close())))

    const leave = async (member) => {
      members.splice(members.indexOf(member), 1)
      if (member.refused) totals.refused++
      else member.check()
      totals.refetches += member.refetches
      totals.moves += member.checker.events ?? 0
      await member.close()
    }
    const join = () => {
      if (members.length >= membersMax) return
      const shape = past.length > 0 && random.chance(0.3) ? random.pick(past) : randomShape(random)
      if (!past.includes(shape)) past.push(shape)
      const Kind = random.chance(0.5) ? NpmMember : RawMember
      members.push(new Kind(server, shape, ++totals.joins, random.fork()))
    }
    /** These may be told to begin anew, once more. */
    const excuse = (some) => members.filter(some).forEach((member) => member.refetchesAllowed++)

    const deleteShape = async () => {
      if (members.length === 0) return
      const { handle, shape } = random.pick(members)
      if (!handle) return
      excuse((member) => member.handle === handle || member.shape === shape)
      await request(server, target({ handle }), { method: 'DELETE' }).catch(() => {}) // It may be down.
    }
    const truncate = async () => {
      const name = random.pick(['loose', 'blocked', 'tree_high'])
      excuse((member) => member.families.has(tables.get(name).family))
      await server.query(`SET lock_timeout = '2s'; TRUNCATE ${name}`).catch((error) => assert.match(error.code, /55P03|40P01/))
    }
    let attached = 0
    const attach = async () => {
      const from = 300 + 100 * attached
      const extra = `extra_${++attached}`
      const range = `FOR VALUES FROM (${from}) TO (${from + 100})`
      if (random.chance(0.5)) await server.query(`CREATE TABLE ${extra} PARTITION OF tree ${range}`)
      else {
        await server.query(`CREATE TABLE ${extra} (LIKE tree INCLUDING ALL); INSERT INTO ${extra} VALUES (${from}, 1, 'a', 1)`)
        excuse((member) => member.families.has('tree'))
        await server.query(`ALTER TABLE tree ATTACH PARTITION ${extra} ${range}`)
      }
      await server.query(`INSERT INTO tree VALUES (${from + 1}, 2, 'b', 2)`) // Only changes tell of a new leaf.
    }
    /** A shape whose first rows are not complete goes with the server that makes it. */
    const hit = () => {
      totals.kills++
      excuse((member) => !member.upToDate)
    }
    const leaves = async (end) => {
      hit()
      await end()
      for (const member of members) member.checker.mayFall = true
    }
    const kill = () => leaves(() => server.kill9())
    const down = (at) => [
      [at, kill],
      [at + random.int(0, 6), () => server.start()],
    ]
    const troubles = [
      down,
      down,
      (at) => [[at, async () => (await kill(), await server.start())]],
      (at) => [[at, async () => (totals.restarts++, await leaves(() => server.terminate()), await server.start())]],
      (at) => [[at, async () => (hit(), await postgres.kill9(), await postgres.start())]],
      (at) => [[at, async () => (hit(), await postgres.stop('SIGQUIT'), await postgres.start())]],
      (at) => [[at, async () => (hit(), await Promise.all([kill(), postgres.kill9()]), await Promise.all([server.start({ wait: false }), postgres.start()]))]],
    ]

    /** Everything that is committed now has reached every member, and that is what PostgreSQL selects. */
    const quiet = async (round) => {
      await server.active()
      const { position } = await settledMarker()
      for (const member of [...members]) {
        await until(
          async () => {
            if (member.refused) return true
            member.check()
            if (member.tellsPosition) return member.covers(position)
            return member.upToDate && member.differences(await selected(server.query, member.shape)).length === 0
          },
          () => `round ${round}: ${member.name} to be up to date to ${position}; it is at ${member.checker.seen}, ${member.state()}`,
          { deadlineMs: 20_000 },
        )
        member.checker.mayFall = false
        if (member.refused) await leave(member)
      }
      for (const member of members) {
        const expected = await selected(server.query, member.shape)
        const lines = member.differences(expected)
        assert.deepEqual(lines.slice(0, 10), [], `round ${round}: ${member.name}: ${lines.length} differences`)
        totals.compared++
        totals.rows += expected.size
      }
    }
    const settledMarker = async () => {
      // Only what some shape follows is streamed at once.
      await until(async () => (await get(server, { table: 'marker', offset: '-1' })).status === 200, 'the marker to be followed', { everyMs: 50 })
      const position = await server.walPosition()
      await server.query('UPDATE marker SET n = n + 1')
      return { position }
    }

    for (let i = 0; i < 6; i++) join()
    for (let round = 1; round <= rounds; round++) {
      const at = () => random.int(1, commitsPerRound - 10)
      const events = []
      for (let i = random.int(3, 7); i > 0; i--) events.push([at(), join])
      for (let i = random.int(1, 4); i > 0; i--) events.push([at(), () => members.length > 4 && leave(random.pick(members))])
      if (random.chance(0.25)) events.push([at(), deleteShape])
      if (random.chance(0.15)) events.push([at(), truncate])
      if (random.chance(0.1) && attached < 3) events.push([at(), attach])
      // One after the other: what is down must be up before the next trouble.
      const first = random.int(1, 20)
      const [a, b] = [random.pick(troubles), random.pick(troubles)]
      const names = [a, b].map((x) => troubles.indexOf(x))
      const t0 = Date.now()
      events.push(...a(first), ...b(first + random.int(8, 30)))
      const progress = await underLoad({
        writers: Array.from({ length: writers }, () => {
          const choices = random.fork()
          return (progress, enough) => write({ connect: () => server.client(), statement, random: choices, progress, enough })
        }),
        commits: commitsPerRound,
        events,
        what: `round ${round}`,
      })
      totals.commits += progress.commits
      totals.conflicts += progress.conflicts
      if (!server.running) await server.start()
      const t1 = Date.now()
      await quiet(round)
      console.log(`round ${round}: ${t1 - t0} + ${Date.now() - t1} ms, ${names}`)
    }

    // Every log, read from the beginning, tells the same story, twice in the same bytes.
    for (const shape of new Set(members.filter(({ shape }) => !shape.log).map((member) => member.shape))) {
      const name = `a newcomer: ${describe(shape)}`
      const reader = new TaggedFollower(server, parametersOf(shape), name, () => checkerFor(shape, name))
      const pages = []
      while (!reader.upToDate) {
        const { offset } = reader
        const response = await bravely(reader)
        if (response) pages.push({ offset, response })
      }
      const [member] = members.filter((member) => member.shape === shape)
      const expected = await selected(server.query, shape)
      const lines = Object.getPrototypeOf(NpmMember.prototype).differences.call({ shape, checker: reader.rows }, expected)
      assert.deepEqual(lines.slice(0, 10), [], `${name}: ${lines.length} differences`)
      assert.equal(reader.handle, member.handle, `${name}: one handle`)
      for (const { offset, response } of pages) {
        if (response.header('electric-up-to-date') !== undefined) continue
        const again = await get(server, { ...parametersOf(shape), offset, handle: reader.handle })
        assert.ok(again.body.equals(response.body), `${name}: the chunk after ${offset} is the same again`)
      }
    }
    while (members.length > 0) await leave(members[0])
    console.log(`engine property test: ${JSON.stringify(totals)}`)
    assert.ok(totals.rows > 10 * rounds && totals.moves > rounds, 'something happened')
  },
  { deadlineMs: 60_000 + rounds * 45_000 },
)
void delay
