import { fail, redirect } from '@sveltejs/kit'
import { createProposal, sendProposal } from '$lib/server/work'
import type { Actions } from './$types'

const largestCents = 100_000_000

export const actions: Actions = {
  default: async ({ request, locals }) => {
    const form = await request.formData()
    const text = (name: string, longest: number) =>
      String(form.get(name) ?? '')
        .trim()
        .slice(0, longest)
    const labels = form.getAll('label').map((one) => String(one).trim().slice(0, 200))
    const amounts = form.getAll('amount').map((one) => Math.round(Number(String(one).replace(',', '.')) * 100))
    const items = labels
      .map((label, i) => ({ label, amountCents: amounts[i] ?? NaN }))
      .filter(({ label, amountCents }) => label !== '' || amountCents > 0)
    const given = {
      title: text('title', 200),
      clientName: text('clientName', 200),
      contactName: text('contactName', 200),
      summary: text('summary', 4000),
    }
    const complaint = !given.title
      ? 'Give it a title.'
      : !given.clientName || !given.contactName
        ? 'Say whom it is for.'
        : items.length === 0
          ? 'Propose at least one thing.'
          : items.some(({ label, amountCents }) => !label || !(amountCents >= 0 && amountCents <= largestCents))
            ? 'Every line needs a name and an amount.'
            : undefined
    if (complaint) return fail(400, { message: complaint, ...given })
    const session = locals.session!
    const id = await createProposal(session, { ...given, items })
    if (form.get('then') === 'send') await sendProposal(session, id)
    redirect(303, `/proposals/${id}`)
  },
}
