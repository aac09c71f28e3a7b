// random.mjs: chance that can be repeated: WEBKIT_SEED=… gives the same actions again.

/** mulberry32: 32 bits of state, good enough to shuffle actions. */
export class Random {
  #state

  constructor(seed = Number(process.env.WEBKIT_SEED ?? Date.now() % 1_000_000)) {
    this.seed = seed
    this.#state = seed
  }

  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  below(limit) {
    return Math.floor(this.next() * limit)
  }

  /** One of the list; undefined if it is empty. */
  one(list) {
    return list[this.below(list.length)]
  }
}
