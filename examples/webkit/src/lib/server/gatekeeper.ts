// Who may follow what. A request names a shape of electric/shapes.ts; table, columns, rows and secret
// are set here from the session, and of what the browser sent only the protocol's own parameters go
// on, each once. So nothing in a request can name a table, a column or a row: what it cannot say need
// not be checked.
import { getTableColumns, getTableName } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import * as tables from '../db/schema'
import { shapes, type ShapeName } from '../electric/shapes'
import { settings } from './env'
import type { Session } from './session'

interface Rule {
  table: PgTable
  /** Whose rows: those in which this column has this value of the session. */
  column: PgColumn
  claim: 'agencyId' | 'userId'
}

export const rules: Record<ShapeName, Rule> = {
  proposals: { table: tables.proposals, column: tables.proposals.agencyId, claim: 'agencyId' },
  contracts: { table: tables.contracts, column: tables.contracts.agencyId, claim: 'agencyId' },
  invoices: { table: tables.invoices, column: tables.invoices.agencyId, claim: 'agencyId' },
  activity: { table: tables.activity, column: tables.activity.agencyId, claim: 'agencyId' },
  consultations: { table: tables.consultations, column: tables.consultations.agencyId, claim: 'agencyId' },
  team: { table: tables.users, column: tables.users.agencyId, claim: 'agencyId' },
  notifications: { table: tables.notifications, column: tables.notifications.userId, claim: 'userId' },
}

export function isShapeName(name: string): name is ShapeName {
  return Object.hasOwn(rules, name)
}

/** The columns of a shape, by the names that its rows have here. */
export function columnsOf(name: ShapeName): Record<string, PgColumn> {
  const all: Record<string, PgColumn> = getTableColumns(rules[name].table)
  return Object.fromEntries(shapes[name].columns.map((key) => [key, all[key]!]))
}

/** Where in a log, and how it is to be told: the protocol's parameters that define no shape. */
const passed = [
  'offset',
  'handle',
  'live',
  'live_sse',
  'experimental_live_sse',
  'cursor',
  'log',
  'expired_handle',
  'cache-buster',
]

/** A part of a shape's rows: conditions on columns that the shape has, ANDed to its own by Busbar. */
const subset = ['where', 'params', 'order_by', 'limit', 'offset'] as const

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** The address at Busbar for what `asked` says, on behalf of `session`. */
export function upstreamUrl(name: ShapeName, session: Session, asked: URLSearchParams): URL {
  const { table, column, claim } = rules[name]
  const columns = Object.values(columnsOf(name))
    .map((one) => quoted(one.name))
    .join(',')
  const url = new URL('/v1/shape', settings.busbarUrl)
  const query = url.searchParams
  for (const key of [...passed, ...subset.map((part) => `subset__${part}`)]) {
    const value = asked.get(key)
    if (value !== null) query.set(key, value)
  }
  query.set('table', quoted(getTableName(table)))
  query.set('columns', columns)
  // Without this, the condition of a subset could test columns that the shape does not show.
  query.set('queryable_columns', columns)
  query.set('where', `${quoted(column.name)} = $1`)
  query.set('params[1]', session[claim])
  if (settings.busbarSecret) query.set('secret', settings.busbarSecret)
  return url
}

/** The body of a POST, from the parts of a subset only: other members could define a shape. */
export function upstreamBody(text: string): string | undefined {
  let given: unknown
  try {
    given = JSON.parse(text || '{}')
  } catch {
    return undefined
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined
  const parts: Record<string, unknown> = {}
  for (const key of subset) if (Object.hasOwn(given, key)) parts[key] = (given as Record<string, unknown>)[key]
  return Object.keys(parts).length > 0 ? JSON.stringify(parts) : undefined
}
