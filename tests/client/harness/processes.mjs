// harness/processes.mjs: child processes that never outlive the test process, scratch directories,
// free ports, and the one way to wait for something: poll until a deadline.
import { mkdtempSync, rmSync, chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Deadlines are longer by this factor: BUSBAR_PATIENCE, for builds with sanitizers. */
export const patience = Number(process.env.BUSBAR_PATIENCE ?? 1)

const pids = new Set()
const directories = new Set()

/** Registers a process that this one started, so that it is killed at the latest when we exit. */
export function track(child) {
  if (child.pid === undefined) return child
  pids.add(child.pid)
  child.once('exit', () => pids.delete(child.pid))
  return child
}

export function trackPid(pid) {
  pids.add(pid)
}

export function forgetPid(pid) {
  pids.delete(pid)
}

process.on('exit', () => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
// Without a handler these signals end Node without the 'exit' event, and would leave orphans.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

/** A new directory that any user may enter; removed when the test process ends. */
export function scratchDirectory(label) {
  const directory = mkdtempSync(join(tmpdir(), `busbar-${label}-`))
  chmodSync(directory, 0o755)
  directories.add(directory)
  return directory
}

const handedOut = new Set()

/** A loopback port that is free now and that this process has not handed out before. */
export async function freePort() {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = await new Promise((resolve, reject) => {
      const server = createServer()
      server.once('error', reject)
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address()
        server.close(() => resolve(port))
      })
    })
    if (handedOut.has(port)) continue
    handedOut.add(port)
    return port
  }
  throw new Error('no free loopback port')
}

/**
 * Polls `probe` until it returns something truthy, and returns that. After `deadlineMs` it throws,
 * naming `what` (a string, or a function that describes the state reached).
 */
export async function until(probe, what, { deadlineMs = 15_000, everyMs = 10 } = {}) {
  const allowedMs = deadlineMs * patience
  const deadline = Date.now() + allowedMs
  for (;;) {
    const value = await probe()
    if (value) return value
    if (Date.now() >= deadline) {
      throw new Error(`not within ${allowedMs} ms: ${typeof what === 'function' ? what() : what}`)
    }
    await delay(everyMs)
  }
}

/** Rejects when `promise` has not settled after `deadlineMs`. */
export async function within(promise, deadlineMs, what) {
  let timer
  const allowedMs = deadlineMs * patience
  const expired = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${allowedMs} ms: ${what}`)), allowedMs)
  })
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves with {code, signal} once the child has ended and its output has been read. */
export function ended(child) {
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}
