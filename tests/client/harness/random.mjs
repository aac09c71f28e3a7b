// harness/random.mjs: repeatable choices. The same seed makes the same choices; fork() gives every
// actor a sequence of its own, so that their interleaving does not change what each decides.
export class Random {
  #state

  constructor(seed) {
    this.#state = seed >>> 0
  }

  /** A number in [0, 1) (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** An integer in [from, to]. */
  int(from, to) {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(items) {
    return items[this.int(0, items.length - 1)]
  }

  fork() {
    return new Random(Math.floor(this.next() * 4_294_967_296))
  }
}

/** BUSBAR_SEED, or a new seed. */
export function chosenSeed() {
  const given = process.env.BUSBAR_SEED
  return given === undefined ? Math.floor(Math.random() * 4_294_967_296) : Number(given) >>> 0
}
