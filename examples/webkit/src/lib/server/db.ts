// The one connection pool. Made when it is first used: a build imports this without a database.
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import * as schema from '../db/schema'
import { settings } from './env'

export type Database = PostgresJsDatabase<typeof schema>
/** A transaction, or the pool itself. */
export type Writer = Pick<Database, 'select' | 'insert' | 'update' | 'delete' | 'execute'>

let made: Database | undefined

export function db(): Database {
  made ??= drizzle(postgres(settings.databaseUrl, { max: 10, onnotice: () => {} }), { schema })
  return made
}

/** Brings the tables up to date; `drizzle/` is written by `npm run db:generate`. */
export async function migrateDatabase(): Promise<void> {
  await migrate(db(), { migrationsFolder: 'drizzle' })
}
