// harness/stage.mjs: what most test files need: a PostgreSQL, a database, a Busbar on it; all ended
// when the file's tests are done.
import { after } from 'node:test'
import { Busbar } from './busbar.mjs'
import { Postgres } from './postgres.mjs'

/** Starts a PostgreSQL for this file. Call at the top level, once. */
export async function stagePostgres(options) {
  const postgres = await Postgres.start(options)
  after(() => postgres.discard())
  return postgres
}

/**
 * Starts a Busbar on `database`, or on a new one, which `sql` has filled. The result also has query()
 * and client() on that database.
 */
export async function stageBusbar(postgres, { sql, database, ...options } = {}) {
  database ??= await postgres.createDatabase()
  if (sql) await postgres.query(database, sql)
  const server = await Busbar.start({ databaseUrl: postgres.url(database), ...options })
  server.database = database
  server.query = (text, values) => postgres.query(database, text, values)
  server.client = () => postgres.client(database)
  server.walPosition = () => postgres.walPosition(database)
  after(() => server.discard())
  return server
}

let tables = 0

/** A new table whose columns are `columns`; returns its name. Every test uses tables of its own. */
export async function newTable(server, columns, rows = '') {
  const table = `t${++tables}`
  await server.query(`CREATE TABLE ${table} (${columns}); ${rows ? `INSERT INTO ${table} VALUES ${rows}` : ''}`)
  return table
}

/** The table of the protocol's transcripts (§23), optionally with its three rows. */
export const itemColumns = 'id int4 PRIMARY KEY, title text NOT NULL, done bool NOT NULL, note text'
export const itemRows = `(1,'Buy milk',false,NULL), (2,'Call "Bob"',true,'a/b'), (3,'Ünïcode',false,'')`
export const itemSchema = {
  id: { type: 'int4', not_null: true, pk_index: 0 },
  title: { type: 'text', not_null: true },
  done: { type: 'bool', not_null: true },
  note: { type: 'text' },
}
