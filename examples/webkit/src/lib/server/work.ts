// The write path: what people do, each in one transaction with its entry in the activity log and the
// notifications of the colleagues. Busbar is not asked; it hears of the commit from PostgreSQL.
import { randomBytes } from 'node:crypto'
import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import {
  activity,
  agencies,
  consultations,
  contracts,
  invoices,
  notifications,
  proposalItems,
  proposals,
  users,
} from '../db/schema'
import { db, type Writer } from './db'
import type { Session } from './session'

type SubjectKind = (typeof activity.$inferInsert)['subjectKind']

interface Deed {
  agencyId: string
  actor: { kind: 'user'; id: string; name: string } | { kind: 'client'; name: string }
  verb: string
  subject: { kind: SubjectKind; id: string; label: string }
}

async function log(tx: Writer, { agencyId, actor, verb, subject }: Deed): Promise<void> {
  const actorId = actor.kind === 'user' ? actor.id : null
  const [entry] = await tx
    .insert(activity)
    .values({
      agencyId,
      actorKind: actor.kind,
      actorId,
      actorName: actor.name,
      verb,
      subjectKind: subject.kind,
      subjectId: subject.id,
      subjectLabel: subject.label,
    })
    .returning({ id: activity.id })
  const others = await tx
    .select({ userId: users.id })
    .from(users)
    .where(and(eq(users.agencyId, agencyId), actorId ? ne(users.id, actorId) : undefined))
  if (others.length === 0) return
  await tx.insert(notifications).values(others.map(({ userId }) => ({ agencyId, userId, activityId: entry!.id })))
}

async function actorOf(tx: Writer, session: Session): Promise<Deed['actor']> {
  const [user] = await tx
    .select({ name: users.name })
    .from(users)
    .where(and(eq(users.id, session.userId), eq(users.agencyId, session.agencyId)))
  if (!user) throw new Error('the account is gone')
  return { kind: 'user', id: session.userId, name: user.name }
}

async function nextNumber(tx: Writer, agencyId: string, letter: string): Promise<string> {
  const [row] = await tx
    .update(agencies)
    .set({ nextNumber: sql`${agencies.nextNumber} + 1` })
    .where(eq(agencies.id, agencyId))
    .returning({ next: agencies.nextNumber })
  return `${letter}-${row!.next - 1}`
}

const newSlug = () => randomBytes(12).toString('base64url')
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

export interface NewProposal {
  title: string
  clientName: string
  contactName: string
  summary: string
  items: { label: string; amountCents: number }[]
}

export async function createProposal(session: Session, given: NewProposal): Promise<string> {
  return db().transaction(async (tx) => {
    const actor = await actorOf(tx, session)
    const [made] = await tx
      .insert(proposals)
      .values({
        agencyId: session.agencyId,
        ownerId: session.userId,
        number: await nextNumber(tx, session.agencyId, 'P'),
        slug: newSlug(),
        title: given.title,
        summary: given.summary,
        clientName: given.clientName,
        contactName: given.contactName,
        valueCents: given.items.reduce((total, item) => total + item.amountCents, 0),
      })
      .returning({ id: proposals.id })
    const id = made!.id
    if (given.items.length > 0) {
      await tx
        .insert(proposalItems)
        .values(
          given.items.map((item, position) => ({ agencyId: session.agencyId, proposalId: id, position, ...item })),
        )
    }
    await log(tx, {
      agencyId: session.agencyId,
      actor,
      verb: 'created',
      subject: { kind: 'proposal', id, label: given.title },
    })
    return id
  })
}

/** False if it is not this agency's, or no draft any more. */
export async function sendProposal(session: Session, id: string): Promise<boolean> {
  return db().transaction(async (tx) => {
    const [sent] = await tx
      .update(proposals)
      .set({ status: 'sent', sentAt: sql`now()` })
      .where(and(eq(proposals.id, id), eq(proposals.agencyId, session.agencyId), eq(proposals.status, 'draft')))
      .returning({ title: proposals.title })
    if (!sent) return false
    const actor = await actorOf(tx, session)
    await log(tx, {
      agencyId: session.agencyId,
      actor,
      verb: 'sent',
      subject: { kind: 'proposal', id, label: sent.title },
    })
    return true
  })
}

/** How long one sign of life from the client's page counts. It sends one every ten seconds. */
const presenceSeconds = 25

/** The client's page says that it was opened, is still open, or is being left. */
export async function notePresence(slug: string, event: 'open' | 'stay' | 'leave'): Promise<void> {
  await db().transaction(async (tx) => {
    const here = and(eq(proposals.slug, slug), ne(proposals.status, 'draft'))
    if (event === 'leave') {
      await tx.update(proposals).set({ viewingUntil: null }).where(here)
      return
    }
    const viewingUntil = sql`now() + ${presenceSeconds} * interval '1 second'`
    if (event === 'stay') {
      await tx.update(proposals).set({ viewingUntil }).where(here)
      return
    }
    const [seen] = await tx
      .update(proposals)
      .set({
        viewingUntil,
        lastViewedAt: sql`now()`,
        viewCount: sql`${proposals.viewCount} + 1`,
        status: sql`CASE ${proposals.status} WHEN 'sent' THEN 'viewed' ELSE ${proposals.status} END`,
      })
      .where(here)
      .returning({
        id: proposals.id,
        agencyId: proposals.agencyId,
        title: proposals.title,
        contact: proposals.contactName,
      })
    if (!seen) return
    await log(tx, {
      agencyId: seen.agencyId,
      actor: { kind: 'client', name: seen.contact },
      verb: 'viewed',
      subject: { kind: 'proposal', id: seen.id, label: seen.title },
    })
  })
}

/** The client's decision. Only one counts: false if there is nothing to decide any more. */
export async function decide(
  slug: string,
  decision: { accepted: true; name: string } | { accepted: false; name: string; reason: string },
): Promise<boolean> {
  return db().transaction(async (tx) => {
    const [row] = await tx
      .update(proposals)
      .set({
        status: decision.accepted ? 'accepted' : 'declined',
        decidedAt: sql`now()`,
        decidedBy: decision.name,
        declineReason: decision.accepted ? null : decision.reason,
      })
      .where(and(eq(proposals.slug, slug), inArray(proposals.status, ['sent', 'viewed'])))
      .returning()
    if (!row) return false
    const { id, agencyId, title, clientName, valueCents } = row
    if (decision.accepted) {
      const [contract] = await tx
        .insert(contracts)
        .values({
          agencyId,
          proposalId: id,
          number: await nextNumber(tx, agencyId, 'C'),
          title,
          clientName,
          valueCents,
        })
        .returning({ id: contracts.id })
      await tx.insert(invoices).values({
        agencyId,
        contractId: contract!.id,
        number: await nextNumber(tx, agencyId, 'I'),
        label: `${title}: deposit`,
        clientName,
        amountCents: Math.round(valueCents * 0.4),
        dueOn: inDays(14),
      })
    }
    await log(tx, {
      agencyId,
      actor: { kind: 'client', name: decision.name },
      verb: decision.accepted ? 'accepted' : 'declined',
      subject: { kind: 'proposal', id, label: title },
    })
    return true
  })
}

export async function markPaid(session: Session, id: string): Promise<boolean> {
  return db().transaction(async (tx) => {
    const [paid] = await tx
      .update(invoices)
      .set({ status: 'paid', paidAt: sql`now()` })
      .where(and(eq(invoices.id, id), eq(invoices.agencyId, session.agencyId), eq(invoices.status, 'outstanding')))
      .returning({ number: invoices.number, client: invoices.clientName })
    if (!paid) return false
    const actor = await actorOf(tx, session)
    const label = `${paid.number} (${paid.client})`
    await log(tx, { agencyId: session.agencyId, actor, verb: 'paid', subject: { kind: 'invoice', id, label } })
    return true
  })
}

/** The contract is done: the rest of its value is invoiced. */
export async function completeContract(session: Session, id: string): Promise<boolean> {
  return db().transaction(async (tx) => {
    const [done] = await tx
      .update(contracts)
      .set({ status: 'completed' })
      .where(and(eq(contracts.id, id), eq(contracts.agencyId, session.agencyId), eq(contracts.status, 'active')))
      .returning()
    if (!done) return false
    const { title, clientName, valueCents } = done
    const actor = await actorOf(tx, session)
    const [{ cents } = { cents: 0 }] = await tx
      .select({ cents: sql<number>`coalesce(sum(${invoices.amountCents}), 0)::int` })
      .from(invoices)
      .where(eq(invoices.contractId, id))
    await tx.insert(invoices).values({
      agencyId: session.agencyId,
      contractId: id,
      number: await nextNumber(tx, session.agencyId, 'I'),
      label: `${title}: final`,
      clientName,
      amountCents: valueCents - cents,
      dueOn: inDays(30),
    })
    await log(tx, {
      agencyId: session.agencyId,
      actor,
      verb: 'completed',
      subject: { kind: 'contract', id, label: title },
    })
    return true
  })
}

export async function holdConsultation(session: Session, clientName: string): Promise<void> {
  await db().transaction(async (tx) => {
    const actor = await actorOf(tx, session)
    const [held] = await tx
      .insert(consultations)
      .values({ agencyId: session.agencyId, clientName, heldOn: inDays(0) })
      .returning({ id: consultations.id })
    const subject = { kind: 'consultation' as const, id: held!.id, label: clientName }
    await log(tx, { agencyId: session.agencyId, actor, verb: 'held', subject })
  })
}

/** All of the user's notifications, or one. */
export async function readNotifications(session: Session, id?: string): Promise<void> {
  await db()
    .update(notifications)
    .set({ read: true })
    .where(
      and(
        eq(notifications.userId, session.userId),
        eq(notifications.read, false),
        id ? eq(notifications.id, id) : undefined,
      ),
    )
}

/** What the client's page shows; undefined for a wrong address, and for a draft. */
export async function publicProposal(slug: string) {
  const [found] = await db()
    .select({
      id: proposals.id,
      agencyId: proposals.agencyId,
      number: proposals.number,
      title: proposals.title,
      summary: proposals.summary,
      clientName: proposals.clientName,
      contactName: proposals.contactName,
      valueCents: proposals.valueCents,
      status: proposals.status,
      sentAt: proposals.sentAt,
      decidedAt: proposals.decidedAt,
      decidedBy: proposals.decidedBy,
      agency: agencies.name,
      tagline: agencies.tagline,
      owner: users.name,
    })
    .from(proposals)
    .innerJoin(agencies, eq(agencies.id, proposals.agencyId))
    .innerJoin(users, eq(users.id, proposals.ownerId))
    .where(and(eq(proposals.slug, slug), ne(proposals.status, 'draft')))
  return found
}
