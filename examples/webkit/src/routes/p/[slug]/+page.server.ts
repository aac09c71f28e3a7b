// The client's page: no account, no sync, only an address that cannot be guessed.
import { error, fail } from '@sveltejs/kit'
import { itemsOf } from '$lib/server/queries'
import { decide, publicProposal } from '$lib/server/work'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ params, locals, setHeaders }) => {
  const found = await publicProposal(params.slug)
  if (!found) error(404, 'This address is not right, or the proposal has been withdrawn.')
  setHeaders({ 'cache-control': 'private, no-store', 'x-robots-tag': 'noindex' })
  const { id, agencyId, ...proposal } = found
  // Colleagues who look at what the client will see are not clients.
  return { proposal, items: await itemsOf(id), isClient: locals.session?.agencyId !== agencyId }
}

const tooLate = { message: 'This proposal has been decided already. Load the page again to see how.' }

export const actions: Actions = {
  accept: async ({ request, params }) => {
    const name = String((await request.formData()).get('name') ?? '').trim()
    if (!name || name.length > 120) return fail(400, { message: 'Please sign with your name.' })
    return (await decide(params.slug, { accepted: true, name })) ? { done: true } : fail(409, tooLate)
  },
  decline: async ({ request, params }) => {
    const form = await request.formData()
    const name = String(form.get('name') ?? '').trim()
    const reason = String(form.get('reason') ?? '')
      .trim()
      .slice(0, 500)
    if (!name || name.length > 120) return fail(400, { message: 'Please tell us your name.' })
    return (await decide(params.slug, { accepted: false, name, reason })) ? { done: true } : fail(409, tooLate)
  },
}
