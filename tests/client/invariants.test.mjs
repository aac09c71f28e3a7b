// invariants.test.mjs: I1–I11 of the protocol (spec §19), one test each, judged over the records of
// one rush: random transactions from several writers, while raw readers of every kind join at random
// moments and places and the server is killed with SIGKILL; small chunks, so that their ends matter.
// I12 is in cut.test.mjs.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds
// Each test also spoils the record and sees its own judgement fail: a check that cannot fail is none.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { expectMustRefetch } from './harness/expect.mjs'
import * as invariants from './harness/invariants.mjs'
import { describe, parametersOf, schema, shapes as modelShapes, statement, truth } from './harness/model.mjs'
import { until } from './harness/processes.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { request } from './harness/raw.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo, get, isUpToDate, parseOffset, target } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { write } from './harness/traffic.mjs'
import { Witness, modes } from './harness/witness.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 3)
const commitsPerRound = 300
const writers = 3
const witnessesMax = 72
const timeoutMs = 1_000
const soonMs = 5_000

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `${schema};
    INSERT INTO bulky SELECT 1000 + i, 'title ' || i, repeat(i || ' bytes ', 300), i % 7 FROM generate_series(1, 150) i;
    INSERT INTO numbers (id, grp, name) SELECT 1000 + i, i % 10, 'alpha' FROM generate_series(1, 300) i`,
  env: {
    BUSBAR_LONG_POLL_TIMEOUT: `${timeoutMs}ms`,
    BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: '10000',
    BUSBAR_ENABLE_INTEGRATION_TESTING: 'true',
  },
})

/** Those with changes only come after their twins, which tell what they should have. */
const specs = [...modelShapes]
for (const spec of modelShapes) if (!spec.where || spec.replica) specs.push({ ...spec, log: 'changes_only' })

/** Writers at work; `enough` ends them, `finished` is their end. */
async function busyWriters(random, enough) {
  const progress = { commits: 0, conflicts: 0, waiting: 0, writers }
  const done = () => enough(progress) || progress.error !== undefined
  const connect = () => server.client()
  const all = Array.from({ length: writers }, () =>
    write({ connect, statement, random: random.fork(), progress, enough: done, lockTimeout: '50ms' }),
  )
  progress.finished = Promise.all(all).catch((error) => (progress.error = error))
  return progress
}

/** The rush: returns the record that harness/invariants.mjs judges. */
async function rush(random) {
  const record = { witnesses: [], shapes: new Map(), quiets: [], refreshes: [] }
  const witnesses = []
  const refreshing = []
  const observer = await server.client()
  const placeOf = new Map() // label → an offset at which somebody was up to date

  const refresh = async (label, wanted) => {
    const started = performance.now()
    let seen = -1n
    while (seen < wanted && performance.now() - started < soonMs) {
      const at = placeOf.get(label)
      const response = await get(server, { ...parametersOf(record.shapes.get(label).spec), ...at }).catch(() => {})
      if (response?.status !== 200) {
        if (server.running) await delay(20)
        else return // killed meanwhile
        continue
      }
      const last = response.json.at(-1)
      if (isUpToDate(last)) seen = BigInt(last.headers.global_last_seen_lsn)
      else placeOf.set(label, { ...at, offset: response.header('electric-offset') })
      if (seen < wanted) await delay(20)
    }
    record.refreshes.push({ label, wanted, seen, ms: performance.now() - started })
  }

  const join = (spec, mode) => {
    const label = describe(spec)
    const twin = describe({ ...spec, log: undefined })
    if (spec.log && !record.shapes.has(twin)) return // its twin has to be older
    const same = witnesses.filter((witness) => witness.label === label && witness.last !== undefined)
    let begin = { offset: '-1' }
    if (same.length > 0 && random.chance(0.6)) {
      const { steps, handle } = random.pick(same)
      const { to, messages } = random.pick(steps)
      const { lsn, op_position: position } = random.pick(messages).headers
      const inside = lsn && position !== undefined
      const offset = random.pick([to, to, 'now', ...(inside ? [`${lsn}_${position}`, `${lsn}_${position + 1}`] : [])])
      begin = { offset, handle }
      if (inside && compareWithEnd(same, `${lsn}_${position + 1}`) > 0 && offset.endsWith(`_${position + 1}`))
        begin.offset = to // nothing is at an offset beyond the log
    }
    if (!record.shapes.has(label)) record.shapes.set(label, { spec })
    const name = `${witnesses.length + 1} (${mode}, from ${begin.offset}, ${label})`
    const witness = new Witness(server, parametersOf(spec), {
      name,
      mode,
      begin,
      random: random.fork(),
      meet: (step) => {
        if (!step.upToDate) return
        const news = step.messages.at(-2)?.headers.lsn
        if (news && random.chance(0.05) && placeOf.size > 2) {
          const other = random.pick([...placeOf.keys()])
          refreshing.push(delay(100).then(() => refresh(other, BigInt(news))))
        }
        placeOf.set(label, { offset: witness.offset === 'now' ? step.to : witness.offset, handle: witness.handle })
      },
    })
    witness.label = label
    witnesses.push(witness.start())
  }

  for (const spec of modelShapes.filter((_, index) => index % 3 === 0)) for (const mode of modes) join(spec, mode)
  await follow(server, { table: 'marker' })

  for (let round = 1; round <= rounds; round++) {
    const progress = await busyWriters(random, ({ commits }) => commits >= commitsPerRound)
    const room = Math.ceil((witnessesMax - witnesses.length) / (rounds - round + 1))
    const joins = Array.from({ length: Math.max(room, 4) }, () => random.int(0, commitsPerRound - 10)).sort(
      (a, b) => a - b,
    )
    const killed = round === 1 ? undefined : random.int(1, joins.length - 1)
    for (const [i, commits] of joins.entries()) {
      if (i === killed) {
        await server.kill9()
        refreshing.splice(0)
        await server.start()
      }
      await until(() => progress.error || progress.commits >= commits, `${commits} commits`, {
        everyMs: 2,
        deadlineMs: 30_000,
      })
      const unseen = specs.filter((spec) => !record.shapes.has(describe(spec)))
      join(random.pick(unseen.length > 0 && random.chance(0.5) ? unseen : specs), random.pick(modes))
    }
    await progress.finished
    if (progress.error) throw progress.error

    const position = await server.walPosition()
    await observer.query('UPDATE marker SET n = n + 1')
    const quiet = { expected: new Map(), ends: new Map(), marks: new Map() }
    record.quiets.push(quiet)
    for (const [label, shape] of record.shapes) {
      shape.reference = await until(
        async () => {
          const reference = await invariants.readReference(server, parametersOf(shape.spec), label)
          return reference.seen >= position && reference
        },
        () => `${label} to be up to date to ${position}`,
      )
      quiet.ends.set(label, shape.reference.offset)
      quiet.expected.set(label, await truth(observer, shape.spec))
    }
    for (const witness of witnesses) {
      const end = parseOffset(quiet.ends.get(witness.label))
      await until(
        () => {
          witness.check()
          const { last } = witness
          return (
            last?.upToDate &&
            (last.to === quiet.ends.get(witness.label) || (last.way === 'sse' && last.promised === end.tx))
          )
        },
        () => `${witness.name} to reach ${quiet.ends.get(witness.label)}; it is at ${witness.offset}`,
      )
      quiet.marks.set(witness.name, witness.steps.length)
    }
    await Promise.all(refreshing.splice(0))

    // While nothing else happens, one change to one table is soon spoken of by all.
    const marker = await follow(server, { table: 'marker' })
    await observer.query('UPDATE marker SET n = n + 1')
    await followTo(server, { table: 'marker' }, marker, marker.checker.seen + 1n)
    const { lsn } = marker.messages.findLast((message) => message.headers.lsn).headers
    await Promise.all([...placeOf.keys()].map((label) => refresh(label, BigInt(lsn))))
    const bored = ({ last }) => last.way === 'live' && last.messages.length === 1
    await until(() => witnesses.filter(bored).length > 3, 'long polls to end without news')
  }

  for (const witness of witnesses) await witness.stop()
  await observer.end()
  record.breaks = witnesses.reduce((sum, witness) => sum + witness.breaks, 0)
  record.witnesses = witnesses.map(({ name, label, mode, segments }) => ({ name, label, mode, segments }))
  return record
}

/** The last offset that anybody was told of; offsets beyond the log are another matter. */
function compareWithEnd(witnesses, offset) {
  const place = parseOffset(offset)
  return witnesses.some(({ last }) => last.upToDate && parseOffset(last.to).tx > place.tx) ? -1 : 1
}

let record

scenario(
  `the rush that the invariants are judged by (seed ${seed}, ${rounds} rounds)`,
  async () => {
    console.log(`invariants: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    record = await rush(new Random(seed))
    const steps = record.witnesses.flatMap(({ segments }) => segments.flatMap((segment) => segment.steps))
    const counts = {
      witnesses: record.witnesses.length,
      breaks: record.breaks,
      shapes: record.shapes.size,
      refreshes: record.refreshes.length,
    }
    for (const { way } of steps) counts[way] = (counts[way] ?? 0) + 1
    counts.entries = [...record.shapes.values()].reduce((sum, { reference }) => sum + reference.entries.length, 0)
    counts.chunks = steps.filter(({ upToDate }) => !upToDate).length
    console.log(`invariants: ${JSON.stringify(counts)}`)
  },
  { deadlineMs: 60_000 + rounds * 30_000 },
)

/** A test over the record, which fails as it should on each of the spoilt ones. */
function judged(name, judge, spoilers) {
  scenario(name, async () => {
    assert.ok(record, 'the rush came to its end')
    judge(record)
    for (const [what, spoiled] of Object.entries(spoilers)) {
      const wrong = spoiled()
      assert.throws(() => judge(wrong), assert.AssertionError, `spoilt by ${what}, and not noticed`)
    }
  })
}

const spoil = (fits, change) => () => invariants.spoil(record, fits, change)
const hasChanges = (step) => step.messages.some((message) => message.headers.lsn)
const changeAt = (messages) => messages.findIndex((message) => message.headers.lsn)
const edited = (edit) => (step) => {
  const messages = structuredClone(step.messages)
  edit(messages, changeAt(messages))
  return { ...step, messages }
}

// Fails if an entry is lost, told twice, told out of order, or different to two readers.
judged('I1: following offsets yields each entry once, in order, and reaches up-to-date', invariants.eachEntryOnce, {
  'a lost entry': spoil(
    hasChanges,
    edited((messages, i) => messages.splice(i, 1)),
  ),
  'an entry told twice': spoil(
    hasChanges,
    edited((messages, i) => messages.splice(i, 0, messages[i])),
  ),
  'two entries the wrong way round': spoil(
    (step) => step.messages.length > 3 && hasChanges(step),
    edited((messages) => messages.reverse()),
  ),
  'an entry that others see differently': spoil(
    hasChanges,
    edited((messages, i) => (messages[i].headers.op_position += 2)),
  ),
  'a reader that stays behind': () => ({
    ...record,
    quiets: record.quiets.map((quiet) => ({
      ...quiet,
      ends: new Map([...quiet.ends].map(([label]) => [label, `${2n ** 63n}_0`])),
    })),
  }),
})

// Fails if a reader without live could ask for ever at one offset without being up to date.
judged('I2: an answer that does not wait advances, or is up to date', invariants.alwaysForward, {
  'standing still': spoil(
    (step) => step.way === 'plain' && !step.upToDate,
    (step) => ({ ...step, to: step.from }),
  ),
  'going backwards': spoil(
    (step) => step.way === 'plain' && parseOffset(step.from).tx > 0n,
    (step) => ({ ...step, to: '0_0' }),
  ),
})

// Fails if a poll is answered early though nothing of its shape has changed.
judged(
  'I3: a live request returns nothing new only at its timeout',
  (what) => invariants.nothingOnlyLate(what, timeoutMs),
  {
    'an early answer': spoil(
      (step) => step.way === 'live' && isUpToDate(step.messages[0]) && step.ms >= timeoutMs * 0.9,
      (step) => ({ ...step, ms: 50 }),
    ),
    'an empty array': spoil(
      (step) => step.way === 'live',
      (step) => ({ ...step, messages: [] }),
    ),
  },
)

// Fails if a change is lost or doubled between snapshot and stream, or anywhere else.
judged('I4: snapshot and later entries make the contents of the table', invariants.equalsTable, {
  'a row that is missing': spoil(
    (step, { witness }) => step.from === '-1' && step.messages.length > 2 && !witness.label.includes('changes_only'),
    (step) => ({ ...step, messages: step.messages.slice(1) }),
  ),
  'a key inserted twice': spoil(
    (step, { witness }) => step.from === '-1' && step.messages.length > 2 && !witness.label.includes('changes_only'),
    (step) => ({ ...step, messages: [step.messages[0], ...step.messages] }),
  ),
})

// Fails if a transaction is torn, ends twice or never, or shares its LSN.
judged('I5: a transaction has one LSN, ascending positions and one last', invariants.transactionsWhole, {
  'no last': spoil(
    (step) => step.upToDate && hasChanges(step),
    edited((messages) => delete messages.at(-2).headers.last),
  ),
  'a last too early': spoil(
    (step) => step.messages.some(({ headers }, i, all) => headers.lsn && !headers.last && all[i + 1]),
    edited((messages) => (messages.find(({ headers }) => headers.lsn && !headers.last).headers.last = true)),
  ),
  'a position twice': spoil(
    (step) => step.messages.some(({ headers }) => headers.lsn && !headers.last),
    edited((messages) => {
      const i = messages.findIndex(({ headers }) => headers.lsn && !headers.last)
      messages.splice(i, 0, messages[i])
    }),
  ),
  'an LSN of two transactions': spoil(
    hasChanges,
    edited((messages, i) => (messages[i].headers.txids = [1])),
  ),
})

// Fails if up-to-date claims more than was delivered, or less than it had claimed.
judged('I6: a promised LSN covers nothing that comes later, and never falls', invariants.promisesKept, {
  'a promise that falls': spoil(
    (step, { segment, index }) => index > 0 && step.promised > 0n && segment.steps[index - 1].promised > 0n,
    (step) => ({ ...step, promised: 1n }),
  ),
  'a promise of what is still to come': spoil(
    (step, { segment, index }) =>
      step.promised !== undefined && step.way !== 'sse' && segment.steps.slice(index + 1).some(hasChanges),
    (step) => ({ ...step, promised: 2n ** 62n }),
  ),
})

// Fails if G does not move, or is not told, when the shape itself is untouched.
judged(
  'I7: other shapes soon speak of an LSN that one has delivered',
  (what) => invariants.othersFollow(what, soonMs),
  {
    'one that never does': () => ({
      ...record,
      refreshes: record.refreshes.map((one) => ({ ...one, seen: one.wanted - 1n })),
    }),
  },
)

// Fails if a byte of a complete chunk, or its end, depends on when, how or from where it is read.
scenario('I8: a complete chunk is the same bytes for all and for ever, also after kill -9', async () => {
  assert.ok(record, 'the rush came to its end')
  const chunks = invariants.completeChunks(record)
  assert.ok(chunks.size > 30, `${chunks.size} chunks`)
  const random = new Random(seed + 8)
  const again = async (when) => {
    const list = [...chunks.values()].sort(() => random.next() - 0.5)
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let chunk = list.pop(); chunk; chunk = list.pop()) {
          const parameters = parametersOf(record.shapes.get(chunk.label).spec)
          const live = random.chance(0.2) && chunk.from !== '-1' ? 'true' : undefined
          const response = await get(server, { ...parameters, offset: chunk.from, handle: chunk.handle, live })
          const who = `${chunk.label} after ${chunk.from}, ${when}`
          assert.equal(response.status, 200, who)
          assert.equal(response.header('electric-offset'), chunk.to, who)
          assert.equal(response.header('electric-up-to-date'), undefined, who)
          assert.equal(response.header('etag'), `"${chunk.handle}:${chunk.from}:${chunk.to}"`, who)
          assert.ok(response.body.equals(chunk.body), `${who}: the bytes`)
        }
      }),
    )
  }
  await again('at the end')
  await server.restart()
  await again('after kill -9')
  server.environment = {
    ...server.environment,
    BUSBAR_CACHE_BYTES: '1048576',
    BUSBAR_IO_THREADS: '1',
    BUSBAR_MATERIALIZERS: '1',
  }
  await server.restart()
  await again('after kill -9, with a small cache and one thread')
  const wrong = invariants.spoil(
    record,
    (step) => !step.upToDate && step.body.length > 2,
    (step) => ({ ...step, body: Buffer.from(step.body).fill(0, 5, 6) }),
  )
  assert.throws(() => invariants.completeChunks(wrong), assert.AssertionError)
})

// Fails if a 409 names a handle that is refused, unknown, or not the one that others get.
scenario('I9: the handle of a 409 can be used at once with offset=-1', async () => {
  const random = new Random(seed + 9)
  let stop = false
  const progress = await busyWriters(random, () => stop)
  try {
    const victims = [
      { table: 'numbers', where: 'grp < 8' },
      { table: 'pairs', columns: 'a,b' },
      { table: 'loose', where: 'val < 70' },
    ]
    for (let i = 0; i < 24; i++) {
      const shape = i % 6 === 5 ? { table: 'numbers', where: `grp < 9 AND id <> ${i}` } : random.pick(victims)
      const old = i % 6 === 5 ? { offset: '0_0', handle: 'never-was' } : await follow(server, shape)
      const position = { offset: old.offset, handle: old.handle }
      if (i % 6 !== 5) {
        const removed = await request(server, target({ handle: old.handle }), { method: 'DELETE' })
        assert.equal(removed.status, 202)
      }
      const answers = await Promise.all(
        Array.from({ length: 5 }, async () => {
          const next = expectMustRefetch(await get(server, { ...shape, ...position }), { handle: true })
          assert.notEqual(next, old.handle)
          const first = await get(server, { ...shape, offset: '-1', handle: next, expired_handle: old.handle })
          assert.equal(first.status, 200, first.text)
          assert.equal(first.header('electric-handle'), next, 'the handle that the 409 named')
          const second = await get(server, { ...shape, offset: first.header('electric-offset'), handle: next })
          assert.equal(second.status, 200, second.text)
          assert.equal(second.header('electric-handle'), next)
          return next
        }),
      )
      assert.equal(new Set(answers).size, 1, `one handle for all, not ${answers}`)
    }
  } finally {
    stop = true
    await progress.finished
  }
  if (progress.error) throw progress.error
})

// Fails if a cursor repeats or falls, so that two cached answers could point at each other.
judged("I10: electric-cursor exceeds the request's cursor", invariants.cursorsRise, {
  'a cursor that stays': spoil(
    (step) => step.way === 'live' && step.sent,
    (step) => ({ ...step, cursor: step.sent }),
  ),
})

// Fails if a stream promises the server's LSN: the client would ask for an offset beyond the log.
judged("I11: an SSE batch ends with the LSN of the shape's own end", invariants.streamsSpeakOfThemselves, {
  'the LSN of the server': spoil(
    (step) => step.way === 'sse',
    (step) => ({ ...step, promised: step.promised + 8n }),
  ),
})
