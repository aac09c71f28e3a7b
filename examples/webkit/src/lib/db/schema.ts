// The tables, and the only place that knows their columns. Every row of an agency carries its
// `agency_id`, also where a join could tell it: that one column is what the gatekeeper filters by.
import { boolean, date, index, integer, pgEnum, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export const proposalStatus = pgEnum('proposal_status', ['draft', 'sent', 'viewed', 'accepted', 'declined'])
export const contractStatus = pgEnum('contract_status', ['active', 'completed'])
export const invoiceStatus = pgEnum('invoice_status', ['outstanding', 'paid'])
export const actorKind = pgEnum('actor_kind', ['user', 'client'])
export const subjectKind = pgEnum('subject_kind', ['proposal', 'contract', 'invoice', 'consultation'])

const id = () => uuid('id').primaryKey().defaultRandom()
const moment = (name: string) => timestamp(name, { withTimezone: true })
const createdAt = () => moment('created_at').notNull().defaultNow()
const agencyId = () =>
  uuid('agency_id')
    .notNull()
    .references(() => agencies.id, { onDelete: 'cascade' })

export const agencies = pgTable('agencies', {
  id: id(),
  name: text('name').notNull(),
  tagline: text('tagline').notNull().default(''),
  /** The next number of a proposal, contract or invoice. */
  nextNumber: integer('next_number').notNull().default(1001),
  createdAt: createdAt(),
})

export const users = pgTable(
  'users',
  {
    id: id(),
    agencyId: agencyId(),
    name: text('name').notNull(),
    role: text('role').notNull(),
    email: text('email').notNull().unique(),
    passwordHash: text('password_hash').notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('users_agency').on(table.agencyId)],
)

export const consultations = pgTable(
  'consultations',
  {
    id: id(),
    agencyId: agencyId(),
    clientName: text('client_name').notNull(),
    heldOn: date('held_on').notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('consultations_agency').on(table.agencyId)],
)

export const proposals = pgTable(
  'proposals',
  {
    id: id(),
    agencyId: agencyId(),
    ownerId: uuid('owner_id')
      .notNull()
      .references(() => users.id),
    number: text('number').notNull(),
    /** The unguessable part of the address that the client is given. */
    slug: text('slug').notNull().unique(),
    title: text('title').notNull(),
    summary: text('summary').notNull().default(''),
    clientName: text('client_name').notNull(),
    contactName: text('contact_name').notNull(),
    valueCents: integer('value_cents').notNull().default(0),
    status: proposalStatus('status').notNull().default('draft'),
    viewCount: integer('view_count').notNull().default(0),
    lastViewedAt: moment('last_viewed_at'),
    /** The client's page says again and again that it is open; until then we believe it. */
    viewingUntil: moment('viewing_until'),
    sentAt: moment('sent_at'),
    decidedAt: moment('decided_at'),
    decidedBy: text('decided_by'),
    declineReason: text('decline_reason'),
    createdAt: createdAt(),
  },
  (table) => [index('proposals_agency').on(table.agencyId)],
)

export const proposalItems = pgTable(
  'proposal_items',
  {
    id: id(),
    agencyId: agencyId(),
    proposalId: uuid('proposal_id')
      .notNull()
      .references(() => proposals.id, { onDelete: 'cascade' }),
    position: integer('position').notNull(),
    label: text('label').notNull(),
    detail: text('detail').notNull().default(''),
    amountCents: integer('amount_cents').notNull(),
  },
  (table) => [index('proposal_items_proposal').on(table.proposalId)],
)

export const contracts = pgTable(
  'contracts',
  {
    id: id(),
    agencyId: agencyId(),
    proposalId: uuid('proposal_id').references(() => proposals.id),
    number: text('number').notNull(),
    title: text('title').notNull(),
    clientName: text('client_name').notNull(),
    valueCents: integer('value_cents').notNull(),
    status: contractStatus('status').notNull().default('active'),
    signedAt: moment('signed_at').notNull().defaultNow(),
  },
  (table) => [index('contracts_agency').on(table.agencyId)],
)

export const invoices = pgTable(
  'invoices',
  {
    id: id(),
    agencyId: agencyId(),
    contractId: uuid('contract_id').references(() => contracts.id),
    number: text('number').notNull(),
    label: text('label').notNull(),
    clientName: text('client_name').notNull(),
    amountCents: integer('amount_cents').notNull(),
    status: invoiceStatus('status').notNull().default('outstanding'),
    dueOn: date('due_on').notNull(),
    paidAt: moment('paid_at'),
    createdAt: createdAt(),
  },
  (table) => [index('invoices_agency').on(table.agencyId)],
)

export const activity = pgTable(
  'activity',
  {
    id: id(),
    agencyId: agencyId(),
    actorKind: actorKind('actor_kind').notNull(),
    /** Null for a client, who has no account. */
    actorId: uuid('actor_id').references(() => users.id),
    actorName: text('actor_name').notNull(),
    /** What was done: 'sent', 'accepted', … The sentence is made in lib/activity.ts. */
    verb: text('verb').notNull(),
    subjectKind: subjectKind('subject_kind').notNull(),
    subjectId: uuid('subject_id').notNull(),
    subjectLabel: text('subject_label').notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('activity_agency').on(table.agencyId, table.createdAt)],
)

export const notifications = pgTable(
  'notifications',
  {
    id: id(),
    agencyId: agencyId(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    activityId: uuid('activity_id')
      .notNull()
      .references(() => activity.id, { onDelete: 'cascade' }),
    read: boolean('read').notNull().default(false),
    createdAt: createdAt(),
  },
  (table) => [index('notifications_user').on(table.userId)],
)
