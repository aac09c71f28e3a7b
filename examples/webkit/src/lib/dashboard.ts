// The numbers of the dashboard, from rows: the same function on the server and on live rows.
import type { Colleague, Consultation, Invoice, Proposal } from './electric/shapes'

export interface DashboardNumbers {
  consultations: number
  activeProposals: number
  activeValueCents: number
  acceptedProposals: number
  decidedProposals: number
  outstandingInvoices: number
  outstandingCents: number
  overdueInvoices: number
  team: number
}

export interface DashboardRows {
  proposals: Proposal[]
  invoices: Invoice[]
  consultations: Consultation[]
  team: Colleague[]
}

/** `now` decides what this month is, and what is overdue; both in UTC. */
export function numbersOf(rows: DashboardRows, now: Date): DashboardNumbers {
  const today = now.toISOString().slice(0, 10)
  const month = today.slice(0, 7)
  const active = rows.proposals.filter(isActive)
  const outstanding = rows.invoices.filter((invoice) => invoice.status === 'outstanding')
  return {
    consultations: rows.consultations.filter((one) => one.heldOn.startsWith(month)).length,
    activeProposals: active.length,
    activeValueCents: sum(active, (proposal) => proposal.valueCents),
    acceptedProposals: rows.proposals.filter((proposal) => proposal.status === 'accepted').length,
    decidedProposals: rows.proposals.filter((proposal) => proposal.decidedAt !== null).length,
    outstandingInvoices: outstanding.length,
    outstandingCents: sum(outstanding, (invoice) => invoice.amountCents),
    overdueInvoices: outstanding.filter((invoice) => invoice.dueOn < today).length,
    team: rows.team.length,
  }
}

/** In the client's hands, and not decided. */
export const isActive = (proposal: Proposal) => proposal.status === 'sent' || proposal.status === 'viewed'

export const isBeingViewed = (proposal: Proposal, now: number) =>
  proposal.viewingUntil !== null && proposal.viewingUntil.getTime() > now

function sum<T>(rows: T[], of: (row: T) => number): number {
  return rows.reduce((total, row) => total + of(row), 0)
}
