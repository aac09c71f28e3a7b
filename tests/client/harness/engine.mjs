// harness/engine.mjs: the property test of the whole engine, for whatever serves: a single Busbar or a
// cluster. Members with random shapes of random tables join and leave while random transactions are
// committed and troubles happen; at quiet moments each holds what PostgreSQL selects, no message on the
// way was wrong, and nobody had to begin anew without a reason.
import assert from 'node:assert/strict'
import { NpmMember, RawMember, brief, differences, newcomer, randomShape, selected } from './audience.mjs'
import { until } from './processes.mjs'
import { Random } from './random.mjs'
import { request } from './raw.mjs'
import { get, target } from './shapes.mjs'
import { bravely } from './subqueries.mjs'
import { statement, underLoad, write } from './traffic.mjs'
import { tables } from './world.mjs'

const writers = 3
const membersMax = 30

/** For every server under test: small, quick, with what only tests may do. */
export const engineEnvironment = {
  BUSBAR_LONG_POLL_TIMEOUT: '500ms',
  BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
  BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
  BUSBAR_MATERIALIZERS: '2',
  BUSBAR_COMPACTION_HORIZON: '0',
}

/**
 * service: query(), client() and walPosition() of the database; ready(), which waits until all that
 * serves does so again; door(random), what one client talks to: {port, shapeUrl}, and for clients that
 * may go elsewhere moveOn(), fetchClient() and onMove, see tests/cluster.
 * troubles(run): functions of a number of commits that return [commits, function] pairs; what is down
 * is up again six commits later.
 */
export class EngineRun {
  totals = { commits: 0, conflicts: 0, kills: 0, stops: 0, joins: 0, refused: 0, compared: 0, rows: 0, refetches: 0, moves: 0 }
  members = []
  #past = [] // shapes that were followed once
  #farewells = []
  #ended = [] // families of tables, whose shapes were ended since the last quiet moment
  #leaves = 0

  constructor({ seed, rounds, service, postgres, troubles, commitsPerRound = 60 }) {
    this.random = new Random(seed)
    Object.assign(this, { rounds, service, postgres, commitsPerRound })
    this.troubles = troubles(this)
  }

  join() {
    if (this.members.length >= membersMax) return
    const shape = this.#past.length > 0 && this.random.chance(0.3) ? this.random.pick(this.#past) : randomShape(this.random)
    if (!this.#past.includes(shape)) this.#past.push(shape)
    const Kind = this.random.chance(0.5) ? NpmMember : RawMember
    const member = new Kind(this.service.door(this.random.fork()), shape, ++this.totals.joins, this.random.fork())
    member.refetchesAllowed = this.#ended.filter((family) => member.families.has(family)).length
    this.members.push(member)
  }

  leave(member) {
    this.members.splice(this.members.indexOf(member), 1)
    if (member.refused) this.totals.refused++
    else member.check()
    this.totals.refetches += member.refetches
    this.totals.moves += member.checker.events ?? 0
    this.#farewells.push(member.close())
  }

  /** These may be told to begin anew, once more. */
  excuse(some) {
    for (const member of this.members) if (some(member)) member.refetchesAllowed++
  }

  /** What ends the shapes that show or ask the table. The server may hear of it late, so also some that begin now. */
  excuseFamily(table) {
    const { family } = tables.get(table)
    this.#ended.push(family)
    this.excuse((member) => member.families.has(family))
  }

  async deleteShape() {
    if (this.members.length === 0) return
    const { handle, shape } = this.random.pick(this.members)
    if (!handle) return
    this.excuse((member) => member.handle === handle || member.shape === shape)
    await request(this.#anyDoor(), target({ handle }), { method: 'DELETE' }).catch(() => {}) // It may be down.
  }

  async truncate() {
    const name = this.random.pick(['loose', 'blocked', 'tree_high'])
    this.excuseFamily(name)
    await this.service.query(`SET lock_timeout = '2s'; TRUNCATE ${name}`).catch((error) => assert.match(error.code, /55P03|40P01/))
  }

  /** A new leaf of the tree, made as such, or with rows of its own, which no change tells of. */
  async addLeaf() {
    if (this.#leaves === 5) return
    const from = 300 + 100 * this.#leaves
    const leaf = `leaf_${++this.#leaves}`
    const range = `FOR VALUES FROM (${from}) TO (${from + 100})`
    // Without an identity of its own, shapes would end at an update that comes before the server's ALTER TABLE.
    const identity = `ALTER TABLE ${leaf} REPLICA IDENTITY FULL`
    if (this.random.chance(0.5)) await this.service.query(`CREATE TABLE ${leaf} PARTITION OF tree ${range}; ${identity}`)
    else {
      await this.service.query(`CREATE TABLE ${leaf} (LIKE tree INCLUDING ALL); ${identity}; INSERT INTO ${leaf} VALUES (${from}, 1, 'a', 1)`)
      this.excuseFamily('tree')
      await this.service.query(`ALTER TABLE tree ATTACH PARTITION ${leaf} ${range}`)
    }
    await this.service.query(`INSERT INTO tree VALUES (${from + 1}, 2, 'b', 2)`) // It is noticed by its first change.
  }

  /** Who comes up has to find out anew how far it is, when a shape of its waited for rows. */
  #promisesMayFall() {
    for (const member of this.members) member.checker.mayFall = true
  }

  #anyDoor() {
    return this.service.door(this.random.fork())
  }

  /** A shape whose first rows are not complete goes with either server. */
  strike(count) {
    this.totals[count]++
    this.excuse((member) => !member.upToDate)
  }

  async endServer(end, count = 'kills') {
    this.strike(count)
    this.#promisesMayFall()
    await end()
    this.#promisesMayFall()
  }

  async endPostgres(end, count = 'kills') {
    this.strike(count)
    await end()
    await this.postgres.start()
  }

  /** What happens in a round: [commits, function]. What is down is up again before the next trouble. */
  eventsOfRound() {
    const at = () => this.random.int(1, this.commitsPerRound - 10)
    const events = []
    for (let i = this.random.int(4, 7); i > 0; i--) events.push([at(), () => this.join()])
    const someLeaves = () => this.members.length > 6 && this.leave(this.random.pick(this.members))
    for (let i = this.random.int(1, 4); i > 0; i--) events.push([at(), someLeaves])
    if (this.random.chance(0.25)) events.push([at(), () => this.deleteShape()])
    if (this.random.chance(0.15)) events.push([at(), () => this.truncate()])
    if (this.random.chance(0.1)) events.push([at(), () => this.addLeaf()])
    for (let i = 0, when = 0; i < 3; i++) {
      when += this.random.int(7, 16)
      events.push(...this.random.pick(this.troubles)(when))
    }
    return events
  }

  /** Everything that is committed now has reached every member, and that is what PostgreSQL selects. */
  async quietMoment(round) {
    await this.service.ready()
    const door = this.#anyDoor()
    // Only what some shape follows is streamed at once.
    const marker = async () => (await get(door, { table: 'marker', offset: '-1' })).status === 200
    await until(marker, 'new shapes to be served', { everyMs: 50 })
    const position = await this.service.walPosition()
    await this.service.query('UPDATE marker SET n = n + 1')
    for (const member of [...this.members]) {
      const wrong = async () => member.differences(await selected(this.service.query, member.shape))
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
      if (member.refused) this.leave(member)
      else lines = await wrong()
      if (lines.length > 0) await this.#tell(round, member, lines, wrong)
      this.totals.compared++
      this.totals.rows += member.checker.values.size
    }
    this.#ended.length = 0
  }

  /** Fails with what is needed to find the cause: whether it is lost or late, and what the client was told. */
  async #tell(round, member, lines, wrong) {
    const before = member.state()
    const healed = await until(async () => (await wrong()).length === 0, 'the differences to go', { deadlineMs: 5_000 })
      .then(() => 'late: they went within 5 s', () => 'lost: they stay')
    const told = member.follower.messages.slice(-12).map(brief).join('\n')
    const fresh = await this.sameStory(member).then(() => 'the log is right', ({ message }) => message)
    assert.fail(`round ${round}: ${member.name}: ${lines.length} differences, ${healed}\n${lines.slice(0, 10).join('\n')}
at ${before}, now ${member.state()}; a newcomer: ${fresh}\nit had been told:\n${told}`)
  }

  /** The whole log of a member's shape, read from the beginning: the same rows, and twice the same bytes. */
  async sameStory({ shape, handle }) {
    const reader = newcomer(this.#anyDoor(), shape)
    const pages = []
    while (!reader.upToDate) {
      const { offset } = reader
      const response = await bravely(reader)
      if (response) pages.push({ offset, response })
    }
    const lines = differences(shape, reader.rows.values, await selected(this.service.query, shape))
    assert.deepEqual(lines.slice(0, 10), [], `${reader.name}: ${lines.length} differences`)
    assert.equal(reader.handle, handle, `${reader.name}: one handle`)
    for (const { offset, response } of pages) {
      if (response.header('electric-up-to-date') !== undefined) continue
      const again = await get(this.#anyDoor(), { ...reader.shape, offset, handle })
      assert.ok(again.body.equals(response.body), `${reader.name}: the chunk after ${offset} is the same again`)
    }
  }

  async run() {
    for (let i = 0; i < 8; i++) this.join()
    for (let round = 1; round <= this.rounds; round++) {
      const progress = await underLoad({
        writers: Array.from({ length: writers }, () => {
          const choices = this.random.fork()
          const connect = () => this.service.client()
          return (progress, enough) => write({ connect, statement, random: choices, progress, enough })
        }),
        commits: this.commitsPerRound,
        events: this.eventsOfRound(),
        what: `round ${round}`,
      })
      this.totals.commits += progress.commits
      this.totals.conflicts += progress.conflicts
      await this.quietMoment(round)
    }
    const followed = new Map(this.members.filter(({ shape }) => !shape.log).map((member) => [member.shape, member]))
    for (const member of followed.values()) await this.sameStory(member)
    while (this.members.length > 0) this.leave(this.members[0])
    assert.ok(this.totals.rows > 10 * this.rounds && this.totals.moves > this.rounds, 'something happened')
  }

  /** For the end of the test, however it ends. */
  close() {
    return Promise.all([...this.#farewells, ...this.members.map((member) => member.close())])
  }
}
