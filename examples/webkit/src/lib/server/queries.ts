// The read path without Busbar: a shape's rows by an ordinary query, the same columns, the same rule.
// What the gatekeeper would not let a browser follow cannot be loaded by a page either.
import { and, asc, eq, type SQL } from 'drizzle-orm'
import { proposalItems, agencies, users } from '../db/schema'
import { shapes, type RowOf, type ShapeName } from '../electric/shapes'
import { db } from './db'
import { columnsOf, rules } from './gatekeeper'
import type { Session } from './session'

type Rows<Name extends ShapeName> = RowOf<(typeof shapes)[Name]>[]

export async function rowsOf<Name extends ShapeName>(name: Name, session: Session, where?: SQL): Promise<Rows<Name>> {
  const { table, column, claim } = rules[name]
  const rows = await db()
    .select(columnsOf(name))
    .from(table)
    .where(and(eq(column, session[claim]), where))
  return rows as unknown as Rows<Name>
}

/** Who is signed in, for the frame around every page. Undefined if the account is gone. */
export async function whoIs(session: Session) {
  const [found] = await db()
    .select({ id: users.id, name: users.name, role: users.role, agency: agencies.name, tagline: agencies.tagline })
    .from(users)
    .innerJoin(agencies, eq(agencies.id, users.agencyId))
    .where(and(eq(users.id, session.userId), eq(users.agencyId, session.agencyId)))
  return found
}

export async function itemsOf(proposalId: string) {
  return db()
    .select({
      id: proposalItems.id,
      label: proposalItems.label,
      detail: proposalItems.detail,
      amountCents: proposalItems.amountCents,
    })
    .from(proposalItems)
    .where(eq(proposalItems.proposalId, proposalId))
    .orderBy(asc(proposalItems.position))
}
