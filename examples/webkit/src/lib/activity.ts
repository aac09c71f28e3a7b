// The sentences of the feed.
import type { Activity } from './electric/shapes'

const verbs: Record<string, string> = {
  created: 'drafted',
  sent: 'sent',
  viewed: 'opened',
  accepted: 'accepted',
  declined: 'declined',
  paid: 'recorded the payment of',
  invoiced: 'invoiced',
  completed: 'completed',
  held: 'held a consultation with',
}

export const verbOf = (entry: Activity) => verbs[entry.verb] ?? entry.verb

/** Where a click on an entry leads. */
export function pathOf(entry: Activity): string {
  if (entry.subjectKind === 'proposal') return `/proposals/${entry.subjectId}`
  if (entry.subjectKind === 'contract') return '/contracts'
  if (entry.subjectKind === 'invoice') return '/invoices'
  return '/'
}

export const toneOf = (entry: Activity) =>
  entry.verb === 'accepted' || entry.verb === 'paid' ? 'good' : entry.verb === 'declined' ? 'bad' : 'plain'

export const byNewest = (a: { createdAt: Date }, b: { createdAt: Date }) =>
  b.createdAt.getTime() - a.createdAt.getTime()
