// engine-property.test.mjs: the whole engine against SELECT. Random shapes (clauses over all types,
// subqueries, columns, modes) of random tables; random transactions from several writers; npm clients
// and strict raw ones that join and leave at any time; Busbar and PostgreSQL killed, stopped and
// restarted under load. At quiet moments every client holds what PostgreSQL selects, no message on the
// way was wrong, and nobody had to begin anew without a reason.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds, of two or three kills each; 100 are the long run
import assert from 'node:assert/strict'
import { NpmMember, RawMember, differences, newcomer, randomShape, selected } from './harness/audience.mjs'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { get, target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { bravely } from './harness/subqueries.mjs'
import { statement, underLoad, write } from './harness/traffic.mjs'
import { schema, tables } from './harness/world.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 7)
const commitsPerRound = 60
const writers = 3
const membersMax = 30

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: schema,
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: '500ms',
    BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
    BUSBAR_MATERIALIZERS: '2',
    BUSBAR_COMPACTION_HORIZON: '0',
  },
})

const random = new Random(seed)
const totals = { commits: 0, conflicts: 0, kills: 0, stops: 0, joins: 0, refused: 0, compared: 0, rows: 0, refetches: 0, moves: 0 }
const members = []
const past = [] // shapes that were followed once
const farewells = []
const ended = [] // families of tables, whose shapes were ended since the last quiet moment

function join() {
  if (members.length >= membersMax) return
  const shape = past.length > 0 && random.chance(0.3) ? random.pick(past) : randomShape(random)
  if (!past.includes(shape)) past.push(shape)
  const Kind = random.chance(0.5) ? NpmMember : RawMember
  const member = new Kind(server, shape, ++totals.joins, random.fork())
  member.refetchesAllowed = ended.filter((family) => member.families.has(family)).length
  members.push(member)
}

function leave(member) {
  members.splice(members.indexOf(member), 1)
  if (member.refused) totals.refused++
  else member.check()
  totals.refetches += member.refetches
  totals.moves += member.checker.events ?? 0
  farewells.push(member.close())
}

/** These may be told to begin anew, once more. */
function excuse(some) {
  for (const member of members) if (some(member)) member.refetchesAllowed++
}

/** What ends the shapes that show or ask the table. The server may hear of it late, so also some that begin now. */
function excuseFamily(table) {
  const { family } = tables.get(table)
  ended.push(family)
  excuse((member) => member.families.has(family))
}

async function deleteShape() {
  if (members.length === 0) return
  const { handle, shape } = random.pick(members)
  if (!handle) return
  excuse((member) => member.handle === handle || member.shape === shape)
  await request(server, target({ handle }), { method: 'DELETE' }).catch(() => {}) // It may be down.
}

async function truncate() {
  const name = random.pick(['loose', 'blocked', 'tree_high'])
  excuseFamily(name)
  await server.query(`SET lock_timeout = '2s'; TRUNCATE ${name}`).catch((error) => assert.match(error.code, /55P03|40P01/))
}

let leaves = 0
/** A new leaf of the tree, made as such, or with rows of its own, which no change tells of. */
async function addLeaf() {
  if (leaves === 5) return
  const from = 300 + 100 * leaves
  const leaf = `leaf_${++leaves}`
  const range = `FOR VALUES FROM (${from}) TO (${from + 100})`
  // Without an identity of its own, shapes would end at an update that comes before the server's ALTER TABLE.
  const identity = `ALTER TABLE ${leaf} REPLICA IDENTITY FULL`
  if (random.chance(0.5)) await server.query(`CREATE TABLE ${leaf} PARTITION OF tree ${range}; ${identity}`)
  else {
    await server.query(`CREATE TABLE ${leaf} (LIKE tree INCLUDING ALL); ${identity}; INSERT INTO ${leaf} VALUES (${from}, 1, 'a', 1)`)
    excuseFamily('tree')
    await server.query(`ALTER TABLE tree ATTACH PARTITION ${leaf} ${range}`)
  }
  await server.query(`INSERT INTO tree VALUES (${from + 1}, 2, 'b', 2)`) // It is noticed by its first change.
}

/** A shape whose first rows are not complete goes with either server. */
function strike(count) {
  totals[count]++
  excuse((member) => !member.upToDate)
}

async function endServer(end, count = 'kills') {
  strike(count)
  await end()
  // It has to find out anew how far it is, when a shape of its waited for rows.
  for (const member of members) member.checker.mayFall = true
}

async function endPostgres(end, count = 'kills') {
  strike(count)
  await end()
  await postgres.start()
}

const killServer = () => endServer(() => server.kill9())
const troubles = [
  (at) => [[at, killServer], [at + random.int(0, 6), () => server.start()]],
  (at) => [[at, killServer], [at, () => server.start()]],
  (at) => [[at, () => endServer(() => server.terminate(), 'stops')], [at, () => server.start()]],
  (at) => [[at, () => endPostgres(() => postgres.kill9())]],
  (at) => [[at, () => endPostgres(() => postgres.stop('SIGQUIT'))]],
  (at) => [[at, () => endPostgres(() => postgres.stop(), 'stops')]],
  (at) => [[at, () => Promise.all([killServer(), endPostgres(() => postgres.kill9())])], [at, () => server.start()]],
]

/** What happens in a round: [commits, function]. What is down is up again before the next trouble. */
function eventsOfRound() {
  const at = () => random.int(1, commitsPerRound - 10)
  const events = []
  for (let i = random.int(4, 7); i > 0; i--) events.push([at(), join])
  for (let i = random.int(1, 4); i > 0; i--) events.push([at(), () => members.length > 6 && leave(random.pick(members))])
  if (random.chance(0.25)) events.push([at(), deleteShape])
  if (random.chance(0.15)) events.push([at(), truncate])
  if (random.chance(0.1)) events.push([at(), addLeaf])
  for (let i = 0, when = 0; i < 3; i++) {
    when += random.int(7, 16)
    events.push(...random.pick(troubles)(when))
  }
  return events
}

/** Everything that is committed now has reached every member, and that is what PostgreSQL selects. */
async function quietMoment(round) {
  await server.active()
  // Only what some shape follows is streamed at once.
  const marker = async () => (await get(server, { table: 'marker', offset: '-1' })).status === 200
  await until(marker, 'new shapes to be served', { everyMs: 50 })
  const position = await server.walPosition()
  await server.query('UPDATE marker SET n = n + 1')
  for (const member of [...members]) {
    const wrong = async () => member.differences(await selected(server.query, member.shape))
    let lines = []
    const caughtUp = async () => {
      if (member.refused) return true
      member.check()
      if (member.tellsPosition) return member.upToDate && member.checker.seen >= position
      return member.upToDate && (lines = await wrong()).length === 0
    }
    const state = () => `round ${round}: ${member.name} to be up to date to ${position}; it is at ${member.state()} ${lines.join('\n')}`
    await until(caughtUp, state, { deadlineMs: 30_000 })
    member.checker.mayFall = false
    member.refetchesAllowed = member.refetches
    if (member.refused) leave(member)
    else lines = await wrong()
    assert.deepEqual(lines.slice(0, 10), [], `round ${round}: ${member.name}: ${lines.length} differences`)
    totals.compared++
    totals.rows += member.checker.values.size
  }
  ended.length = 0
}

/** The whole log of a member's shape, read from the beginning: the same rows, and twice the same bytes. */
async function sameStory({ shape, handle }) {
  const reader = newcomer(server, shape)
  const pages = []
  while (!reader.upToDate) {
    const { offset } = reader
    const response = await bravely(reader)
    if (response) pages.push({ offset, response })
  }
  const lines = differences(shape, reader.rows.values, await selected(server.query, shape))
  assert.deepEqual(lines.slice(0, 10), [], `${reader.name}: ${lines.length} differences`)
  assert.equal(reader.handle, handle, `${reader.name}: one handle`)
  for (const { offset, response } of pages) {
    if (response.header('electric-up-to-date') !== undefined) continue
    const again = await get(server, { ...reader.shape, offset, handle })
    assert.ok(again.body.equals(response.body), `${reader.name}: the chunk after ${offset} is the same again`)
  }
}

scenario(
  `F28: every client equals SELECT, whatever happens (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`engine property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    cleanup(() => Promise.all([...farewells, ...members.map((member) => member.close())]))
    const connect = () => server.client()
    for (let i = 0; i < 8; i++) join()
    for (let round = 1; round <= rounds; round++) {
      const progress = await underLoad({
        writers: Array.from({ length: writers }, () => {
          const choices = random.fork()
          return (progress, enough) => write({ connect, statement, random: choices, progress, enough })
        }),
        commits: commitsPerRound,
        events: eventsOfRound(),
        what: `round ${round}`,
      })
      totals.commits += progress.commits
      totals.conflicts += progress.conflicts
      await quietMoment(round)
    }
    const followed = new Map(members.filter(({ shape }) => !shape.log).map((member) => [member.shape, member]))
    for (const member of followed.values()) await sameStory(member)
    while (members.length > 0) leave(members[0])
    console.log(`engine property test: ${JSON.stringify(totals)}`)
    assert.ok(totals.rows > 10 * rounds && totals.moves > rounds, 'something happened')
  },
  { deadlineMs: 60_000 + rounds * 45_000 },
)
