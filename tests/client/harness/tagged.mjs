// harness/tagged.mjs: a strict client of shapes with subqueries: it keeps rows by their tags and
// active conditions as tag-aware clients do, and accepts no insert of a row that it has, and no
// update or delete of one that it has not.
import assert from 'node:assert/strict'
import { request } from './raw.mjs'
import { target } from './shapes.mjs'

/** The positions of a disjunct are those where its tag has something. */
function parse(tags) {
  return tags.map((tag) => tag.split('/'))
}

export class TaggedRows {
  rows = new Map() // key → {value, slots: [Map position → value], conditions}
  visible = new Set()
  events = 0
  seen = -1n // the highest LSN promised by an up-to-date
  mayFall = false // as for LogChecker
  #disjuncts // positions of each, from the first tagged message

  constructor(name) {
    this.name = name
  }

  /** The rows that the shape shows. */
  get values() {
    return new Map([...this.visible].map((key) => [key, this.rows.get(key).value]))
  }

  feed(messages) {
    for (const message of messages) {
      const { headers } = message
      if (headers.control === 'must-refetch') {
        this.rows.clear()
        this.visible.clear()
        this.#disjuncts = undefined
        this.seen = -1n
        continue
      }
      if (headers.lsn !== undefined) {
        const told = `${this.name}: ${JSON.stringify(message)}`
        assert.ok(BigInt(headers.lsn) > this.seen, `${told} comes after up-to-date ${this.seen}`)
      }
      this.apply(message)
      if (headers.control !== 'up-to-date') continue
      const lsn = BigInt(headers.global_last_seen_lsn)
      assert.ok(lsn >= this.seen || this.mayFall, `${this.name}: global_last_seen_lsn fell from ${this.seen} to ${lsn}`)
      if (lsn > this.seen) this.seen = lsn
    }
  }

  #learn(headers) {
    const slots = parse(headers.tags)
    const shape = slots.map((parts) => parts.flatMap((part, i) => (part === '' ? [] : [i])))
    this.#disjuncts ??= shape
    assert.deepEqual(shape, this.#disjuncts, `${this.name}: the disjuncts never change`)
    assert.equal(headers.active_conditions.length, slots[0].length, `${this.name}: one condition a position`)
    return slots
  }

  #shows(row) {
    return this.#disjuncts.some((positions) => positions.every((i) => row.conditions[i]))
  }

  apply(message) {
    const { headers, key, value } = message
    const told = () => `${this.name}: ${JSON.stringify(message)}`
    if (headers.event) {
      this.events++
      assert.ok(['move-in', 'move-out'].includes(headers.event), told())
      assert.ok(headers.patterns.length > 0 && Array.isArray(headers.txids), told())
      for (const { pos, value: hash } of headers.patterns) {
        assert.match(hash, /^[^/]+$/, told())
        for (const [of, row] of [...this.rows]) {
          if (!row.slots.some((parts) => parts[pos] === hash)) continue
          row.conditions[pos] = headers.event === 'move-in'
          if (headers.event === 'move-out' && !this.#shows(row)) {
            this.rows.delete(of) // clients forget it
            this.visible.delete(of)
          }
        }
      }
      return
    }
    if (headers.control) {
      assert.ok(['up-to-date', 'snapshot-end'].includes(headers.control), told())
      return
    }
    const slots = this.#learn(headers)
    switch (headers.operation) {
      case 'insert': {
        assert.ok(!this.rows.has(key), `${told()} is here already`)
        const row = { value: { ...value }, slots, conditions: [...headers.active_conditions] }
        assert.ok(this.#shows(row), `${told()} is not in the shape`)
        this.rows.set(key, row)
        this.visible.add(key)
        break
      }
      case 'update': {
        const row = this.rows.get(key)
        assert.ok(row, `${told()} is not here`)
        const had = row.slots.map((parts) => parts.join('/'))
        assert.deepEqual(
          headers.removed_tags,
          had.filter((tag) => !headers.tags.includes(tag)),
          told(),
        )
        row.value = { ...row.value, ...value }
        row.slots = slots
        row.conditions = [...headers.active_conditions]
        assert.ok(this.#shows(row), told())
        break
      }
      case 'delete':
        assert.ok(this.rows.delete(key), `${told()} is not here`)
        this.visible.delete(key)
        break
      default:
        assert.fail(told())
    }
  }
}

/** Follows a shape by plain and live requests; starts anew at a 409. `rows` judges and keeps its messages. */
export class TaggedFollower {
  offset = '-1'
  handle
  refetches = 0
  messages = []
  upToDate = false

  constructor(server, shape, name = JSON.stringify(shape), newRows = () => new TaggedRows(name)) {
    Object.assign(this, { server, shape, name, newRows, rows: newRows() })
  }

  /** The highest LSN promised. */
  get seen() {
    return this.rows.seen
  }

  /** One request. Returns the response. */
  async step(live = false) {
    const response = await request(
      this.server,
      target({ ...this.shape, offset: this.offset, handle: this.handle, ...(live && this.handle ? { live: 'true' } : {}) }),
    )
    if (response.status === 409) {
      this.refetches++
      this.offset = '-1'
      this.handle = response.json[0]?.headers && response.header('electric-handle')
      this.rows = this.newRows()
      this.upToDate = false
      return response
    }
    assert.ok([200, 204].includes(response.status), `${this.name}: ${response.status} ${response.text}`)
    const messages = response.text === '' ? [] : response.json
    this.handle = response.header('electric-handle')
    this.offset = response.header('electric-offset')
    this.messages.push(...messages)
    this.rows.feed(messages)
    this.upToDate = messages.at(-1)?.headers?.control === 'up-to-date'
    return response
  }

  /** Reads until it is told that it has seen all up to `position`. */
  async reach(position, deadlineMs = 20_000) {
    const deadline = Date.now() + deadlineMs
    while (!(this.upToDate && this.seen >= position)) {
      assert.ok(Date.now() < deadline, `${this.name} reaches ${position}; it is at ${this.seen}, ${this.offset}`)
      await this.step(this.upToDate)
    }
  }
}
