// harness/invariants.mjs: the invariants of the protocol (spec §19) as judgements over a record:
//   witnesses  [{name, label, mode, segments: [{from, steps, sent, cursor}]}]   see harness/witness.mjs
//   shapes     label → {spec, reference}: the whole log, read from nothing after all was written
//   quiets     [{expected: label → key → row, ends: label → offset, marks: witness → number of steps}]
//   refreshes  [{label, wanted, seen, ms}]: another shape's answer after an LSN had been delivered
// Each throws at the first breach, naming the witness.
import assert from 'node:assert/strict'
import { describe, differences } from './model.mjs'
import { LogChecker, compareOffsets, follow, isUpToDate, parseOffset } from './shapes.mjs'

const before = (a, b) => a.tx < b.tx || (a.tx === b.tx && a.op < b.op)

/** The messages of a log that have a place in it: all but up-to-date. */
const entriesOf = (messages) => messages.filter((message) => !isUpToDate(message))

/** Reads a whole log: {handle, offset, seen, entries: [{at, message, text}], responses: [{from, to, …}]}. */
export async function readReference(server, parameters, label) {
  const state = await follow(server, parameters, { checker: new LogChecker(label) })
  const entries = []
  const responses = []
  let from = '-1'
  for (const response of state.responses) {
    const to = response.header('electric-offset')
    for (const message of entriesOf(response.json)) {
      const { lsn, op_position: position } = message.headers
      entries.push({ at: parseOffset(lsn ? `${lsn}_${position}` : to), message, text: JSON.stringify(message) })
    }
    const upToDate = response.header('electric-up-to-date') !== undefined
    responses.push({ from, to, upToDate, body: response.body })
    from = to
  }
  return { handle: state.handle, offset: state.offset, seen: state.checker.seen, entries, responses }
}

/** Index of the first entry after `offset`. */
function firstAfter(entries, offset) {
  const place = parseOffset(offset)
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (before(place, entries[middle].at)) high = middle
    else low = middle + 1
  }
  return low
}

/** Where a step ended in the log: an SSE stream tells only the LSN, and means all of it. */
const reached = (step) => (step.way === 'sse' ? `${step.promised}_inf` : step.to)

function* each(record) {
  for (const witness of record.witnesses) {
    const { entries } = record.shapes.get(witness.label).reference
    for (const segment of witness.segments)
      for (const step of segment.steps) yield { witness, segment, step, entries, who: `${witness.name}: ${step.from}` }
  }
}

/** I1: within a segment exactly the log's entries after its start, once each, in order. */
export function eachEntryOnce(record) {
  for (const { name, label, segments } of record.witnesses) {
    const { entries } = record.shapes.get(label).reference
    for (const { from, steps } of segments) {
      if (steps.length === 0) continue
      const told = steps.flatMap((step) => entriesOf(step.messages)).map((message) => JSON.stringify(message))
      const due = entries.slice(firstAfter(entries, from), firstAfter(entries, reached(steps.at(-1))))
      for (let i = 0; i < Math.max(told.length, due.length); i++)
        assert.equal(told[i], due[i]?.text, `${name}: entry ${i} of ${due.length} after ${from}`)
    }
  }
  // Once nobody writes, everybody gets to the end and is told so.
  for (const { ends, marks } of record.quiets)
    for (const { name, label, segments } of record.witnesses) {
      if (!marks.has(name)) continue // joined later
      const steps = segments.flatMap((segment) => segment.steps).slice(0, marks.get(name))
      const end = ends.get(label)
      assert.ok(steps.at(-1).upToDate, `${name} is not up to date at the end`)
      assert.ok(compareOffsets(reached(steps.at(-1)), end) >= 0, `${name} is at ${steps.at(-1).to}, not at ${end}`)
    }
}

/** I2: an answer that does not wait advances or is up to date. */
export function alwaysForward(record) {
  for (const { step, who } of each(record)) {
    if (step.way !== 'plain' || step.from === 'now') continue
    const order = compareOffsets(step.to, step.from)
    assert.ok(order > 0 || (order === 0 && step.upToDate), `${who} → ${step.to}`)
  }
}

/** I3: an answer to a live request has something to tell, unless its time is up. */
export function nothingOnlyLate(record, timeoutMs) {
  for (const { step, who } of each(record)) {
    if (step.way !== 'live') continue
    assert.ok(step.messages.length > 0, `${who}: an empty array`)
    const empty = entriesOf(step.messages).length === 0
    assert.ok(!empty || step.ms >= timeoutMs * 0.9, `${who}: nothing new after ${step.ms} ms`)
  }
}

const visibleIn = ({ xmin, xmax, xip_list: running }, xid) =>
  xid < BigInt(xmin) || (xid < BigInt(xmax) && !running.includes(String(xid)))

/** I4: snapshot and later entries make the table, at every quiet moment, for every witness. */
export function equalsTable(record) {
  for (const [round, { expected, marks }] of record.quiets.entries())
    for (const { name, label, segments } of record.witnesses) {
      const { spec, reference } = record.shapes.get(label)
      if (!marks.has(name) || spec.log === 'changes_only') continue
      const steps = segments.flatMap((segment) => segment.steps).slice(0, marks.get(name))
      // Who joined later had been told by somebody else what came before.
      const checker = new LogChecker(name)
      const start = segments[0].from
      let place = start
      checker.feed(reference.entries.slice(0, firstAfter(reference.entries, start)).map(({ message }) => message))
      for (const message of steps.flatMap((step) => entriesOf(step.messages))) {
        const { lsn, op_position: position } = message.headers
        if (lsn !== undefined) {
          if (compareOffsets(`${lsn}_${position}`, place) <= 0) continue // told again after a reconnect
          place = `${lsn}_${position}`
        }
        checker.feed([message])
      }
      const lines = differences(checker.rows, expected.get(label))
      assert.deepEqual(lines.slice(0, 5), [], `${name} at quiet moment ${round + 1}: ${lines.length} differences`)
    }
  // Who wants changes only gets all that its own snapshot did not see, as the full log has them.
  for (const { spec, reference } of record.shapes.values()) {
    if (spec.log !== 'changes_only') continue
    const { log, ...whole } = spec
    const twin = record.shapes.get(describe(whole)).reference
    const [first, ...changes] = reference.entries
    assert.equal(first.message.headers.control, 'snapshot-end', `${describe(spec)} begins with its snapshot's end`)
    const due = twin.entries.filter(
      ({ message: { headers } }) => headers.lsn && !visibleIn(first.message.headers, BigInt(headers.txids[0])),
    )
    assert.deepEqual(
      changes.map(({ text }) => text),
      due.map(({ text }) => text),
      describe(spec),
    )
  }
}

/** I5: a transaction is one LSN, ascending positions, and `last` on its last entry alone. */
export function transactionsWhole(record) {
  const txids = new Map()
  for (const { name, segments } of record.witnesses)
    for (const { steps } of segments) {
      let open
      for (const message of steps.flatMap((step) => entriesOf(step.messages))) {
        const { lsn, op_position: position, txids: ids, last } = message.headers
        const what = `${name}: ${JSON.stringify(message)}`
        if (isUpToDate(message)) assert.ok(!open || open.last, `up to date inside a transaction, ${what}`)
        if (lsn === undefined) continue
        if (open && BigInt(lsn) === open.lsn) {
          assert.ok(!open.last, `an entry after last, ${what}`)
          assert.ok(position > open.position, `not after position ${open.position}, ${what}`)
        } else if (open) {
          assert.ok(open.last, `LSN ${open.lsn} had no last, ${what}`)
          assert.ok(BigInt(lsn) > open.lsn, `not after LSN ${open.lsn}, ${what}`)
        }
        assert.equal(ids.length, 1, what)
        assert.equal(txids.get(lsn) ?? ids[0], ids[0], `one LSN, two transactions, ${what}`)
        txids.set(lsn, ids[0])
        assert.ok(last === undefined || last === true, what)
        open = { lsn: BigInt(lsn), position, last }
      }
    }
}

/**
 * I6: a promised LSN covers no entry that comes later, and never falls while the server lives. (A new
 * one first knows what PostgreSQL had been told, which may be less; what was promised still holds.)
 */
export function promisesKept(record) {
  for (const { name, label, segments } of record.witnesses) {
    const { entries } = record.shapes.get(label).reference
    let promised = -1n
    for (const step of segments.flatMap((segment) => segment.steps)) {
      if (step.resumed) promised = -1n
      if (step.promised === undefined) continue
      assert.ok(step.promised >= promised, `${name}: ${promised} fell to ${step.promised} at ${step.from}`)
      promised = step.promised
      const next = entries[firstAfter(entries, reached(step))]
      assert.ok(!next || next.at.tx > promised, `${name}: ${promised} at ${step.to}, but ${next?.text} followed`)
    }
  }
}

/** I7: other shapes soon speak of an LSN that one has delivered. */
export function othersFollow(record, soonMs) {
  for (const { label, wanted, seen, ms } of record.refreshes) {
    assert.ok(seen >= wanted, `${label} says ${seen} ${ms} ms after ${wanted} was delivered`)
    assert.ok(ms < soonMs, `${label} took ${ms} ms to speak of ${wanted}`)
  }
}

/** I8: `handle from` → {to, body} of every complete chunk; two that differ are an error. */
export function completeChunks(record) {
  const chunks = new Map()
  const add = (label, { from, to, upToDate, body }, who) => {
    if (upToDate || body === undefined || body.length <= '[]'.length) return
    const { handle } = record.shapes.get(label).reference
    const key = `${handle} ${from}`
    const known = chunks.get(key)
    if (!known) return chunks.set(key, { label, handle, from, to, body })
    assert.equal(to, known.to, `${who}: the end of the chunk after ${from}`)
    assert.ok(body.equals(known.body), `${who}: the bytes of the chunk after ${from}`)
  }
  for (const [label, { reference }] of record.shapes)
    for (const response of reference.responses) add(label, response, `${label}, read at the end`)
  for (const { witness, step } of each(record)) add(witness.label, step, witness.name)
  return chunks
}

/** I10: the cursor exceeds what was sent, also in the head of a stream. */
export function cursorsRise(record) {
  const rises = (who, sent, cursor) =>
    assert.ok(BigInt(cursor) > BigInt(sent || 0), `${who}: cursor ${cursor} after ${sent}`)
  for (const { step, who } of each(record)) if (step.way === 'live') rises(who, step.sent, step.cursor)
  for (const { name, segments } of record.witnesses)
    for (const { sent, cursor } of segments) if (cursor !== undefined) rises(name, sent, cursor)
}

/** I11: an SSE batch ends with the LSN of its own last entry: the shape's end, not the server's. */
export function streamsSpeakOfThemselves(record) {
  for (const { step, who } of each(record)) {
    if (step.way !== 'sse') continue
    const last = step.messages.at(-2)
    assert.ok(last, `${who}: an up-to-date without entries`)
    assert.equal(String(step.promised), last.headers.lsn, who)
  }
  for (const { ends, marks } of record.quiets)
    for (const { name, label, segments } of record.witnesses) {
      const step = segments.flatMap((segment) => segment.steps)[marks.get(name) - 1]
      if (step?.way === 'sse') assert.equal(step.promised, parseOffset(ends.get(label)).tx, `${name} at the end`)
    }
}

/** The record with the first step that `fits` replaced by what `change` makes of it. */
export function spoil(record, fits, change) {
  for (const [w, witness] of record.witnesses.entries())
    for (const [s, segment] of witness.segments.entries()) {
      const i = segment.steps.findIndex((step, index) => fits(step, { witness, segment, index }))
      if (i < 0) continue
      const steps = [...segment.steps]
      steps[i] = change(segment.steps[i])
      const segments = [...witness.segments]
      segments[s] = { ...segment, steps }
      const witnesses = [...record.witnesses]
      witnesses[w] = { ...witness, segments }
      return { ...record, witnesses }
    }
  throw new Error('no step fits')
}
