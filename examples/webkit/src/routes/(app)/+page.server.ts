import { fail } from '@sveltejs/kit'
import { rowsOf } from '$lib/server/queries'
import { holdConsultation } from '$lib/server/work'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals }) => {
  const session = locals.session!
  const [proposals, invoices, consultations, team] = await Promise.all([
    rowsOf('proposals', session),
    rowsOf('invoices', session),
    rowsOf('consultations', session),
    rowsOf('team', session),
  ])
  return { proposals, invoices, consultations, team }
}

export const actions: Actions = {
  consultation: async ({ request, locals }) => {
    const client = String((await request.formData()).get('client') ?? '').trim()
    if (!client || client.length > 120) return fail(400, { message: 'Whom did you talk to?' })
    await holdConsultation(locals.session!, client)
    return { done: true }
  },
}
