import { fail } from '@sveltejs/kit'
import { rowsOf } from '$lib/server/queries'
import { markPaid } from '$lib/server/work'
import { readId } from '$lib/server/forms'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals }) => ({ invoices: await rowsOf('invoices', locals.session!) })

export const actions: Actions = {
  paid: async ({ request, locals }) => {
    const id = await readId(request)
    const done = id !== undefined && (await markPaid(locals.session!, id))
    return done ? { done } : fail(409, { message: 'It has been paid already.' })
  },
}
