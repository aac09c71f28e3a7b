import { eq } from 'drizzle-orm'
import { error, fail } from '@sveltejs/kit'
import { proposals } from '$lib/db/schema'
import { isId } from '$lib/server/forms'
import { itemsOf, rowsOf } from '$lib/server/queries'
import { sendProposal } from '$lib/server/work'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals, params }) => {
  // Another agency's proposal is as much there as one that never was.
  const found = isId(params.id) ? await rowsOf('proposals', locals.session!, eq(proposals.id, params.id)) : []
  if (!found[0]) error(404, 'There is no such proposal')
  return { proposal: found[0], items: await itemsOf(params.id) }
}

export const actions: Actions = {
  send: async ({ locals, params }) => {
    const sent = isId(params.id) && (await sendProposal(locals.session!, params.id))
    return sent ? { sent } : fail(409, { message: 'It has been sent already.' })
  },
}
