// The open page of a client says so now and then; see lib/server/work.ts.
import { error } from '@sveltejs/kit'
import { currentSession } from '$lib/server/session'
import { notePresence, publicProposal } from '$lib/server/work'
import type { RequestHandler } from './$types'

const events = ['open', 'stay', 'leave'] as const

export const POST: RequestHandler = async ({ params, request, cookies }) => {
  const said = await request.text()
  const event = events.find((one) => one === said)
  if (!event) error(400, 'open, stay or leave')
  const found = await publicProposal(params.slug)
  if (!found) error(404, 'No such proposal')
  if (currentSession(cookies)?.agencyId !== found.agencyId) await notePresence(params.slug, event)
  return new Response(null, { status: 204 })
}
