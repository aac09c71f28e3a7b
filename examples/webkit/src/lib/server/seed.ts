// Two agencies with enough history that the pages have something to say. All sign in with "demo".
import { randomBytes } from 'node:crypto'
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
import { hashPassword } from './passwords'

interface Person {
  name: string
  role: string
  email: string
}

interface Work {
  title: string
  client: string
  contact: string
  summary: string
  owner: number
  status: (typeof proposals.$inferInsert)['status'] & string
  /** Days ago: drafted, sent, seen last, decided. */
  days: [drafted: number, sent?: number, seen?: number, decided?: number]
  views?: number
  reason?: string
  items: [label: string, detail: string, euros: number][]
}

const people: Record<string, Person[]> = {
  northlight: [
    { name: 'Mara Lindqvist', role: 'Founder', email: 'mara@northlight.example' },
    { name: 'Tom Okafor', role: 'Design lead', email: 'tom@northlight.example' },
    { name: 'Priya Raman', role: 'Account manager', email: 'priya@northlight.example' },
  ],
  harbour: [
    { name: 'Ines Duarte', role: 'Partner', email: 'ines@harbourpine.example' },
    { name: 'Jonas Weber', role: 'Engineer', email: 'jonas@harbourpine.example' },
  ],
}

const northlightWork: Work[] = [
  {
    title: 'Website relaunch',
    client: 'Alder & Co',
    contact: 'Helen Marsh',
    owner: 2,
    status: 'viewed',
    days: [9, 6, 1],
    views: 4,
    summary:
      'A calmer, faster site that explains what Alder & Co does in the first ten seconds, and lets your team change every page without calling us.',
    items: [
      [
        'Discovery and structure',
        'Interviews with six customers, a content plan, wireframes of the twelve templates',
        6400,
      ],
      ['Design', 'Two directions, one refined into a design system with light and dark themes', 11200],
      ['Build and launch', 'Accessible front end, editor for your team, redirects, two weeks of care', 14800],
    ],
  },
  {
    title: 'Brand refresh',
    client: 'Fieldhouse Bakery',
    contact: 'Owen Field',
    owner: 1,
    status: 'sent',
    days: [4, 2],
    summary: 'The bakery grew up; its name, mark and packaging should say so without losing the flour on the apron.',
    items: [
      ['Identity', 'Mark, type, colour, photography direction', 7800],
      ['Packaging', 'Bags, boxes and labels for fourteen products', 5200],
    ],
  },
  {
    title: 'Booking app for tablets',
    client: 'Tideway Rowing Club',
    contact: 'Samira Haddad',
    owner: 0,
    status: 'draft',
    days: [1],
    summary: 'Boats, crews and lockers, booked from the boathouse with wet hands.',
    items: [
      ['Prototype', 'Clickable, tested with two crews', 5600],
      ['App', 'Works offline, syncs when the boathouse has a signal', 18400],
    ],
  },
  {
    title: 'Annual report, online',
    client: 'Meridian Trust',
    contact: 'Paul Adeyemi',
    owner: 2,
    status: 'accepted',
    days: [34, 30, 24, 23],
    views: 7,
    summary: 'One long page that donors read to the end.',
    items: [
      ['Editorial design', 'Structure, charts, illustrations', 9200],
      ['Build', 'Static, printable, translated into three languages', 7400],
    ],
  },
  {
    title: 'Shop migration',
    client: 'Otter Outdoor',
    contact: 'Lena Vogt',
    owner: 1,
    status: 'accepted',
    days: [52, 49, 41, 40],
    views: 5,
    summary: 'From a shop that breaks on Fridays to one that does not.',
    items: [['Migration', '4,200 products, customers and orders', 21500]],
  },
  {
    title: 'Intranet search',
    client: 'Calder Logistics',
    contact: 'Ruth Calder',
    owner: 0,
    status: 'declined',
    days: [28, 26, 20, 19],
    views: 2,
    reason: 'We decided to wait for next year’s budget.',
    summary: 'Find the form, not the folder.',
    items: [['Search', 'Index, ranking, permissions', 13900]],
  },
]

const harbourWork: Work[] = [
  {
    title: 'Ferry timetable displays',
    client: 'Norsund Line',
    contact: 'Kari Moen',
    owner: 0,
    status: 'viewed',
    days: [12, 8, 2],
    views: 3,
    summary: 'Quay displays that stay right when the weather is wrong.',
    items: [
      ['Hardware study', 'Three panels through one winter', 8200],
      ['Software', 'Live departures, readable at forty metres', 16900],
    ],
  },
  {
    title: 'Harbour fees portal',
    client: 'Port of Vik',
    contact: 'Anders Lie',
    owner: 1,
    status: 'sent',
    days: [5, 3],
    summary: 'Skippers pay before they moor.',
    items: [['Portal', 'Registration, tariffs, receipts', 24300]],
  },
  {
    title: 'Catch reporting',
    client: 'Lofthus Fisk',
    contact: 'Berit Lofthus',
    owner: 0,
    status: 'accepted',
    days: [44, 40, 33, 31],
    views: 6,
    summary: 'From the deck to the authority in one form.',
    items: [['App', 'Offline first, for gloves', 19800]],
  },
]

const ago = (days: number, hours = 0) => new Date(Date.now() - days * 86_400_000 - hours * 3_600_000)
const dayAgo = (days: number) => ago(days).toISOString().slice(0, 10)
const slug = () => randomBytes(12).toString('base64url')

/** Does nothing if there is an agency already. */
export async function seedDemo(): Promise<void> {
  await db().transaction(async (tx) => {
    const [some] = await tx.select({ id: agencies.id }).from(agencies).limit(1)
    if (some) return
    const password = await hashPassword('demo')
    await seedAgency(
      tx,
      password,
      'Northlight Studio',
      'Design and engineering for the calm web',
      people.northlight!,
      northlightWork,
    )
    await seedAgency(tx, password, 'Harbour & Pine', 'Software for places with weather', people.harbour!, harbourWork)
  })
}

async function seedAgency(
  tx: Writer,
  passwordHash: string,
  name: string,
  tagline: string,
  team: Person[],
  work: Work[],
) {
  const [agency] = await tx.insert(agencies).values({ name, tagline, nextNumber: 1100 }).returning()
  const agencyId = agency!.id
  const staff = await tx
    .insert(users)
    .values(team.map((person) => ({ ...person, agencyId, passwordHash })))
    .returning()
  const entries: (typeof activity.$inferInsert)[] = []
  let number = 1001

  for (const one of work) {
    const owner = staff[one.owner]!
    const [drafted, sent, seen, decided] = one.days
    const cents = one.items.reduce((total, [, , euros]) => total + euros * 100, 0)
    const isAccepted = one.status === 'accepted'
    const [proposal] = await tx
      .insert(proposals)
      .values({
        agencyId,
        ownerId: owner.id,
        number: `P-${number++}`,
        slug: slug(),
        title: one.title,
        summary: one.summary,
        clientName: one.client,
        contactName: one.contact,
        valueCents: cents,
        status: one.status,
        viewCount: one.views ?? 0,
        lastViewedAt: seen === undefined ? null : ago(seen, 3),
        sentAt: sent === undefined ? null : ago(sent, 2),
        decidedAt: decided === undefined ? null : ago(decided, 1),
        decidedBy: decided === undefined ? null : one.contact,
        declineReason: one.reason,
        createdAt: ago(drafted, 4),
      })
      .returning()
    const subject = { subjectKind: 'proposal' as const, subjectId: proposal!.id, subjectLabel: one.title, agencyId }
    const byOwner = { actorKind: 'user' as const, actorId: owner.id, actorName: owner.name, ...subject }
    const byClient = { actorKind: 'client' as const, actorName: one.contact, ...subject }
    await tx.insert(proposalItems).values(
      one.items.map(([label, detail, euros], position) => ({
        agencyId,
        proposalId: proposal!.id,
        position,
        label,
        detail,
        amountCents: euros * 100,
      })),
    )
    entries.push({ ...byOwner, verb: 'created', createdAt: ago(drafted, 4) })
    if (sent !== undefined) entries.push({ ...byOwner, verb: 'sent', createdAt: ago(sent, 2) })
    if (seen !== undefined) entries.push({ ...byClient, verb: 'viewed', createdAt: ago(seen, 3) })
    if (decided === undefined) continue
    entries.push({ ...byClient, verb: one.status, createdAt: ago(decided, 1) })
    if (!isAccepted) continue
    const [contract] = await tx
      .insert(contracts)
      .values({
        agencyId,
        proposalId: proposal!.id,
        number: `C-${number++}`,
        title: one.title,
        clientName: one.client,
        valueCents: cents,
        signedAt: ago(decided, 1),
      })
      .returning()
    const deposit = Math.round(cents * 0.4)
    const isPaid = decided > 35
    await tx.insert(invoices).values([
      {
        agencyId,
        contractId: contract!.id,
        number: `I-${number++}`,
        label: `${one.title}: deposit`,
        clientName: one.client,
        amountCents: deposit,
        status: isPaid ? 'paid' : 'outstanding',
        dueOn: dayAgo(decided - 14),
        paidAt: isPaid ? ago(decided - 9) : null,
        createdAt: ago(decided),
      },
      {
        agencyId,
        contractId: contract!.id,
        number: `I-${number++}`,
        label: `${one.title}: milestone`,
        clientName: one.client,
        amountCents: Math.round(cents * 0.3),
        dueOn: dayAgo(-12),
        createdAt: ago(6),
      },
    ])
  }

  const meetings = [0, 0, 1, 3, 8, 33, 36].map((days, i) => ({
    agencyId,
    clientName: work[i % work.length]!.client,
    heldOn: dayAgo(days),
  }))
  await tx.insert(consultations).values(meetings)

  const logged = await tx.insert(activity).values(entries).returning()
  const recent = logged.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime()).slice(0, 8)
  const notes = staff.flatMap((user) =>
    recent
      .filter((entry) => entry.actorId !== user.id)
      .map((entry, i) => ({
        agencyId,
        userId: user.id,
        activityId: entry.id,
        read: i > 1,
        createdAt: entry.createdAt,
      })),
  )
  await tx.insert(notifications).values(notes)
}
