// harness/pgbouncer.mjs: a real PgBouncer in transaction mode before a Postgres of the harness.
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import pg from 'pg'
import { ended, freePort, scratchDirectory, track, until, within } from './processes.mjs'

function findBinary() {
  const found = [...(process.env.PATH ?? '').split(':'), '/usr/sbin'].map((directory) => join(directory, 'pgbouncer'))
  const binary = found.find((path) => existsSync(path))
  if (!binary) throw new Error('no PgBouncer found; install pgbouncer')
  return binary
}

export class PgBouncer {
  #child
  #gone
  #directory
  #owner

  /** `poolSize`: its connections to PostgreSQL, for each database and user. */
  static async start(postgres, { poolSize = 5 } = {}) {
    const pooler = new PgBouncer()
    pooler.port = await freePort()
    pooler.#owner = postgres.owner // like PostgreSQL it refuses to run as root
    pooler.#directory = scratchDirectory('pgbouncer')
    const users = join(pooler.#directory, 'users.txt')
    writeFileSync(users, '"postgres" ""\n')
    const lines = {
      listen_addr: '127.0.0.1',
      listen_port: pooler.port,
      unix_socket_dir: '',
      auth_type: 'trust',
      auth_file: users,
      admin_users: 'postgres',
      pool_mode: 'transaction',
      default_pool_size: poolSize,
      max_client_conn: 500,
      server_login_retry: 1, // after PostgreSQL or its own restart, in seconds
    }
    const settings = Object.entries(lines).map(([name, value]) => `${name} = ${value}\n`)
    writeFileSync(
      join(pooler.#directory, 'pgbouncer.ini'),
      `[databases]\n* = host=127.0.0.1 port=${postgres.port}\n[pgbouncer]\n${settings.join('')}`,
    )
    await pooler.start()
    return pooler
  }

  /** Starts (again) on the same port. */
  async start() {
    const child = track(
      spawn(findBinary(), [join(this.#directory, 'pgbouncer.ini')], {
        ...this.#owner,
        cwd: this.#directory,
        stdio: ['ignore', 'ignore', 'pipe'],
      }),
    )
    this.#child = child
    this.#gone = ended(child)
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-10_000)))
    this.log = () => said
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(`PgBouncer ended: ${said}`)
        return this.ask('SHOW VERSION').then(
          () => true,
          () => false,
        )
      },
      () => `PgBouncer to answer: ${said}`,
    )
  }

  /** Cuts everybody off at once, as a crash would. */
  async kill9() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await within(this.#gone, 10_000, 'the killed PgBouncer to end')
  }

  /** A command of its console, such as SHOW STATS. */
  async ask(command) {
    const console = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'pgbouncer' })
    console.on('error', () => {})
    await console.connect()
    try {
      return (await console.query(command)).rows
    } finally {
      await console.end().catch(() => {})
    }
  }

  /** How many transactions of that database have passed. */
  async transactions(database) {
    const row = (await this.ask('SHOW STATS')).find((found) => found.database === database)
    return Number(row?.total_xact_count ?? 0)
  }

  url(database) {
    return `postgresql://postgres@127.0.0.1:${this.port}/${database}`
  }
}

/** Started for a test file, ended with it. */
export async function stagePgBouncer(postgres, options) {
  const pooler = await PgBouncer.start(postgres, options)
  after(() => pooler.kill9())
  return pooler
}
