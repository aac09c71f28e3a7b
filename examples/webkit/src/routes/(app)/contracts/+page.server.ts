import { fail } from '@sveltejs/kit'
import { rowsOf } from '$lib/server/queries'
import { completeContract } from '$lib/server/work'
import { readId } from '$lib/server/forms'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals }) => ({ contracts: await rowsOf('contracts', locals.session!) })

export const actions: Actions = {
  complete: async ({ request, locals }) => {
    const id = await readId(request)
    const done = id !== undefined && (await completeContract(locals.session!, id))
    return done ? { done } : fail(409, { message: 'It is not active any more.' })
  },
}
