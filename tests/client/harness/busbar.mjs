// harness/busbar.mjs: the real binary as a child process: started, killed, restarted, listened to.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ended, freePort, scratchDirectory, track, until, within } from './processes.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

/** The binary under test: BUSBAR_BINARY, or the release build of this checkout. */
export const binary = resolve(process.env.BUSBAR_BINARY ?? join(here, '../../../build/release/busbar'))

const servers = new Set()
let streams = 0

/** Only what a process needs: a developer's own DATABASE_URL must not reach the server under test. */
function environment(extra) {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'ASAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS', 'UBSAN_OPTIONS']
  const base = Object.fromEntries(kept.filter((name) => name in process.env).map((name) => [name, process.env[name]]))
  return { ...base, ...extra }
}

function checkBinary() {
  if (!existsSync(binary)) throw new Error(`no binary at ${binary}; build it or set BUSBAR_BINARY`)
}

/** Runs the binary to its end and returns all it said; for command lines that must not stay up. */
export async function runToExit(args, extraEnvironment = {}, deadlineMs = 15_000) {
  checkBinary()
  const started = Date.now()
  const child = track(
    spawn(binary, args, {
      env: environment(extraEnvironment),
      cwd: scratchDirectory('cwd'),
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const gone = ended(child)
  try {
    const { code, signal } = await within(gone, deadlineMs, 'the process to end')
    return { code, signal, stdout, stderr, ms: Date.now() - started }
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`${error.message}\nstdout:\n${stdout}\nstderr:\n${stderr}`)
  }
}

export class Busbar {
  #child
  #gone
  #lines = []
  linesKept = 400

  /**
   * Chooses ports, storage and stream id, but does not start. `launcher` is put before the command line,
   * for a process that is to run elsewhere, and `host` is where it is reached then.
   */
  static async prepare({ databaseUrl, env = {}, storageDir, streamId, secret, host = '127.0.0.1', launcher = [] } = {}) {
    checkBinary()
    const server = new Busbar()
    Object.assign(server, { host, launcher })
    server.port = await freePort()
    server.metricsPort = await freePort()
    server.storageDir = storageDir ?? join(scratchDirectory('store'), 'data')
    server.streamId = streamId ?? `t${process.pid}_${++streams}`
    server.secret = secret
    server.environment = {
      DATABASE_URL: databaseUrl,
      BUSBAR_PORT: String(server.port),
      BUSBAR_METRICS_PORT: String(server.metricsPort),
      BUSBAR_STORAGE_DIR: server.storageDir,
      BUSBAR_REPLICATION_STREAM_ID: server.streamId,
      ...(secret === undefined ? { BUSBAR_INSECURE: 'true' } : { BUSBAR_SECRET: secret }),
      ...env,
    }
    servers.add(server)
    return server
  }

  /** Prepared and active. */
  static async start(options) {
    const server = await Busbar.prepare(options)
    await server.start()
    return server
  }

  get url() {
    return `http://${this.host}:${this.port}`
  }

  get shapeUrl() {
    return `${this.url}/v1/shape`
  }

  get slot() {
    return `busbar_slot_${this.streamId}`
  }

  get pid() {
    return this.#child?.pid
  }

  get running() {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Starts the process; returns when /v1/health says active, or at once if `wait` is false. */
  async start({ wait = true, deadlineMs = 60_000 } = {}) {
    const [program, ...words] = [...this.launcher, binary, 'serve']
    const child = track(
      spawn(program, words, {
        env: environment(this.environment),
        cwd: scratchDirectory('cwd'),
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
    this.#child = child
    this.#gone = ended(child)
    this.#note(`--- started as process ${child.pid}`)
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream.setEncoding('utf8').on('data', (text) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()
        lines.forEach((line) => this.#note(line))
      })
    }
    if (wait) await this.active(deadlineMs)
  }

  async active(deadlineMs = 60_000) {
    await until(
      async () => {
        if (!this.running) throw new Error(`busbar ended before it was active:\n${this.output()}`)
        return (await this.health())?.status === 'active'
      },
      () => `busbar to be active:\n${this.output()}`,
      { deadlineMs, everyMs: 20 },
    )
  }

  /** {code, status} of /v1/health, or undefined while nobody answers. */
  async health() {
    try {
      const response = await fetch(`${this.url}/v1/health`, { signal: AbortSignal.timeout(3_000) })
      return { code: response.status, status: (await response.json()).status }
    } catch {
      return undefined
    }
  }

  /** The whole body of /v1/health. */
  async healthBody() {
    return (await fetch(`${this.url}/v1/health`, { signal: AbortSignal.timeout(3_000) })).json()
  }

  /** The text of /metrics. Its server closes each connection without saying so: none may be used again. */
  async metrics() {
    const headers = { connection: 'close' }
    return (await fetch(`http://${this.host}:${this.metricsPort}/metrics`, { headers })).text()
  }

  async kill9() {
    if (!this.running) return
    this.#child.kill('SIGKILL')
    await within(this.#gone, 10_000, 'the killed busbar to end')
    this.#note('--- killed with SIGKILL')
  }

  async restart() {
    await this.kill9()
    await this.start()
  }

  /** SIGTERM; returns {code, signal}. */
  async terminate(deadlineMs = 20_000) {
    if (this.running) this.#child.kill('SIGTERM')
    const result = await within(this.#gone, deadlineMs, `busbar to end after SIGTERM:\n${this.output()}`)
    this.#note(`--- ended with code ${result.code} after SIGTERM`)
    return result
  }

  async exited(deadlineMs) {
    return within(this.#gone, deadlineMs, `busbar to end:\n${this.output()}`)
  }

  #note(line) {
    this.#lines.push(line)
    if (this.#lines.length > this.linesKept) this.#lines.splice(0, this.#lines.length - this.linesKept)
  }

  output(last = 60) {
    return this.#lines.slice(-last).join('\n')
  }

  async discard() {
    await this.kill9()
    servers.delete(this)
  }
}

/** What the servers of this test file said lately; printed when a test fails. */
export function recentOutput() {
  return [...servers].map((server) => `busbar ${server.streamId}:\n${server.output()}`).join('\n')
}
