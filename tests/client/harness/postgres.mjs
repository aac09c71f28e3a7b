// harness/postgres.mjs: one private PostgreSQL for one test file, in a scratch directory, on a free
// loopback port, with a database for every test. It can be killed like a crash and started again.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { ended, forgetPid, freePort, scratchDirectory, track, trackPid, until, within } from './processes.mjs'

/** The display settings of the protocol (§11.3), so that texts can be compared byte for byte. */
const displaySettings =
  '-c TimeZone=UTC -c DateStyle=ISO,DMY -c IntervalStyle=iso_8601 -c extra_float_digits=1 -c bytea_output=hex'

/** Leaves every value as the text that PostgreSQL sent. */
const rawTexts = { getTypeParser: () => (text) => text }

function binaryDirectory() {
  const candidates = []
  const asked = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  if (asked.status === 0) candidates.push(asked.stdout.trim())
  const debian = '/usr/lib/postgresql'
  if (existsSync(debian)) {
    const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a))
    candidates.push(...versions.map((version) => join(debian, version, 'bin')))
  }
  const found = candidates.find((directory) => existsSync(join(directory, 'initdb')))
  if (!found) throw new Error('no PostgreSQL server binaries found; install postgresql-15')
  return found
}

/** PostgreSQL refuses to run as root, so root runs it as the user that Debian's package creates. */
function unprivileged() {
  if (process.getuid() !== 0) return {}
  const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function childrenOf(pid) {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .filter((entry) => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid
      } catch {
        return false // It ended while we looked.
      }
    })
    .map(Number)
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export class Postgres {
  #child
  #databases = 0
  #clients = new Set()

  /** initdb only; call start() next. `settings` are further lines of postgresql.conf. */
  static async prepare({ walLevel = 'logical', fsync = false, settings = {} } = {}) {
    const server = new Postgres()
    server.bin = binaryDirectory()
    server.directory = scratchDirectory('pg')
    server.data = join(server.directory, 'data')
    server.owner = unprivileged()
    mkdirSync(server.data, { mode: 0o700 })
    if (server.owner.uid !== undefined) {
      chownSync(server.data, server.owner.uid, server.owner.gid)
      chownSync(server.directory, server.owner.uid, server.owner.gid)
    }
    const initdb = spawnSync(
      join(server.bin, 'initdb'),
      ['--no-sync', '--no-locale', '--encoding=UTF8', '--auth=trust', '--username=postgres', '-D', server.data],
      { ...server.owner, cwd: server.directory, encoding: 'utf8' },
    )
    if (initdb.status !== 0) throw new Error(`initdb failed: ${initdb.stderr || initdb.error}`)
    server.port = await freePort()
    const lines = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: server.directory,
      wal_level: walLevel,
      max_connections: 150,
      max_replication_slots: walLevel === 'logical' ? 30 : 10,
      max_wal_senders: 30,
      fsync: fsync ? 'on' : 'off',
      full_page_writes: fsync ? 'on' : 'off',
      deadlock_timeout: '200ms',
      log_line_prefix: '%m [%p] %a ',
      ...settings,
    }
    appendFileSync(
      join(server.data, 'postgresql.conf'),
      Object.entries(lines)
        .map(([name, value]) => `${name} = '${value}'\n`)
        .join(''),
    )
    // The one user whose name starts the list must prove its password; all others are trusted.
    writeFileSync(
      join(server.data, 'pg_hba.conf'),
      [
        'local all all trust',
        'host replication all 127.0.0.1/32 trust', // for a standby
        'host all guarded 127.0.0.1/32 scram-sha-256',
        'host all all 127.0.0.1/32 trust',
      ]
        .map((line) => `${line}\n`)
        .join(''),
    )
    return server
  }

  static async start(options) {
    const server = await Postgres.prepare(options)
    await server.start()
    return server
  }

  /** Starts (again) on the same port and waits until it answers queries. */
  async start() {
    const log = openSync(join(this.directory, 'log'), 'a')
    const deadline = Date.now() + 60_000
    for (;;) {
      this.#child = track(
        spawn(join(this.bin, 'postgres'), ['-D', this.data, '-p', String(this.port)], {
          ...this.owner,
          cwd: this.directory,
          stdio: ['ignore', log, log],
        }),
      )
      const child = this.#child
      const answered = await until(
        async () => {
          if (child.exitCode !== null || child.signalCode !== null) return 'ended'
          return (await this.#answers()) && 'up'
        },
        () => `PostgreSQL to answer:\n${this.log()}`,
        { deadlineMs: 60_000, everyMs: 30 },
      )
      if (answered === 'up') break
      // After a crash the old shared memory may still be attached for a moment.
      if (Date.now() > deadline) throw new Error(`PostgreSQL does not start:\n${this.log()}`)
    }
    closeSync(log)
  }

  async #answers() {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query('SELECT 1')
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => {})
    }
  }

  url(database, { user = 'postgres', password } = {}) {
    const credentials = password === undefined ? user : `${user}:${encodeURIComponent(password)}`
    return `postgresql://${credentials}@127.0.0.1:${this.port}/${database}`
  }

  /** A new empty database; its name is safe in SQL and in URLs. */
  async createDatabase(label = 'test') {
    const name = `${label}_${++this.#databases}`
    await this.query('postgres', `CREATE DATABASE ${name}`)
    return name
  }

  /** A connected client that returns values as PostgreSQL's texts, with the protocol's settings. */
  async client(database) {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: this.port,
      user: 'postgres',
      database,
      options: displaySettings,
      types: rawTexts,
    })
    client.on('error', () => {}) // A killed server is part of some tests; queries report it anyway.
    await client.connect()
    this.#clients.add(client)
    client.once('end', () => this.#clients.delete(client))
    return client
  }

  /** Runs one statement, or several separated by semicolons, on a connection of its own. */
  async query(database, text, values) {
    const client = await this.client(database)
    try {
      return (await client.query(text, values)).rows ?? []
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** The present insert position of the WAL, as the protocol's decimal number. */
  async walPosition(database = 'postgres') {
    const [row] = await this.query(database, `SELECT (pg_current_wal_insert_lsn() - '0/0')::text AS lsn`)
    return BigInt(row.lsn)
  }

  /** Ends the server and all its processes without any warning, as a crash of the machine would. */
  async kill9() {
    const child = this.#child
    const backends = childrenOf(child.pid)
    backends.forEach(trackPid)
    const gone = ended(child)
    process.kill(child.pid, 'SIGKILL')
    for (const pid of backends) if (alive(pid)) process.kill(pid, 'SIGKILL')
    await within(gone, 10_000, 'the killed PostgreSQL to end')
    await until(() => !backends.some(alive), 'the killed backends to end')
    backends.forEach(forgetPid)
  }

  /** An orderly stop that disconnects everybody ("fast"). */
  async stop(signal = 'SIGINT') {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = ended(child)
    child.kill(signal)
    await within(gone, 30_000, `PostgreSQL to stop:\n${this.log()}`)
  }

  /** For the end of a test file: no checkpoint, no waiting for walsenders. */
  async discard() {
    // A connection that a crash broke may never report its end.
    const ends = Promise.all([...this.#clients].map((client) => client.end().catch(() => {})))
    await within(ends, 2_000, 'the clients to end').catch(() => {})
    await this.stop('SIGQUIT')
  }

  log() {
    try {
      return readFileSync(join(this.directory, 'log'), 'utf8').split('\n').slice(-30).join('\n')
    } catch {
      return ''
    }
  }
}
