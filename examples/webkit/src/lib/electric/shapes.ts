// What of the database a page may follow. Here a shape has a name and the columns that a browser
// gets; which table and whose rows is decided on the server (server/gatekeeper.ts). The columns are
// written down once: the types of rows, the server's own queries and the shapes all come from them.
import type * as tables from '../db/schema'

/** A shape whose rows are of type `Row`. */
export interface Shape<Row> {
  readonly name: ShapeName
  readonly columns: readonly (keyof Row & string)[]
  /** See budget.ts: those that people watch keep a connection, the others take turns. */
  readonly watched: boolean
}

export type ShapeName = 'proposals' | 'contracts' | 'invoices' | 'activity' | 'notifications' | 'consultations' | 'team'

function shapeOf<Table>() {
  return <const Columns extends readonly (keyof Table & string)[]>(
    name: ShapeName,
    options: { watched: boolean; columns: Columns },
  ): Shape<Pick<Table, Columns[number]>> => ({ name, ...options })
}

/** The rows that a shape's pages work with. */
export type RowOf<S> = S extends Shape<infer Row> ? Row : never

export const proposalsShape = shapeOf<typeof tables.proposals.$inferSelect>()('proposals', {
  watched: true,
  columns: [
    'id',
    'ownerId',
    'number',
    'slug',
    'title',
    'clientName',
    'contactName',
    'valueCents',
    'status',
    'viewCount',
    'lastViewedAt',
    'viewingUntil',
    'sentAt',
    'decidedAt',
    'decidedBy',
    'declineReason',
    'createdAt',
  ],
})

export const contractsShape = shapeOf<typeof tables.contracts.$inferSelect>()('contracts', {
  watched: false,
  columns: ['id', 'proposalId', 'number', 'title', 'clientName', 'valueCents', 'status', 'signedAt'],
})

export const invoicesShape = shapeOf<typeof tables.invoices.$inferSelect>()('invoices', {
  watched: false,
  columns: [
    'id',
    'contractId',
    'number',
    'label',
    'clientName',
    'amountCents',
    'status',
    'dueOn',
    'paidAt',
    'createdAt',
  ],
})

export const activityShape = shapeOf<typeof tables.activity.$inferSelect>()('activity', {
  watched: true,
  columns: ['id', 'actorKind', 'actorId', 'actorName', 'verb', 'subjectKind', 'subjectId', 'subjectLabel', 'createdAt'],
})

export const notificationsShape = shapeOf<typeof tables.notifications.$inferSelect>()('notifications', {
  watched: true,
  columns: ['id', 'activityId', 'read', 'createdAt'],
})

export const consultationsShape = shapeOf<typeof tables.consultations.$inferSelect>()('consultations', {
  watched: false,
  columns: ['id', 'clientName', 'heldOn'],
})

/** Neither addresses nor password hashes of colleagues. */
export const teamShape = shapeOf<typeof tables.users.$inferSelect>()('team', {
  watched: false,
  columns: ['id', 'name', 'role'],
})

export const shapes = {
  proposals: proposalsShape,
  contracts: contractsShape,
  invoices: invoicesShape,
  activity: activityShape,
  notifications: notificationsShape,
  consultations: consultationsShape,
  team: teamShape,
} satisfies Record<ShapeName, unknown>

export type Proposal = RowOf<typeof proposalsShape>
export type Contract = RowOf<typeof contractsShape>
export type Invoice = RowOf<typeof invoicesShape>
export type Activity = RowOf<typeof activityShape>
export type Notification = RowOf<typeof notificationsShape>
export type Consultation = RowOf<typeof consultationsShape>
export type Colleague = RowOf<typeof teamShape>
