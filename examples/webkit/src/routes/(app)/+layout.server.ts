import { redirect } from '@sveltejs/kit'
import { rowsOf, whoIs } from '$lib/server/queries'
import { signOut } from '$lib/server/session'
import type { LayoutServerLoad } from './$types'

export const load: LayoutServerLoad = async ({ locals, cookies }) => {
  const session = locals.session!
  const [me, notifications, activity] = await Promise.all([
    whoIs(session),
    rowsOf('notifications', session),
    rowsOf('activity', session),
  ])
  if (!me) {
    signOut(cookies)
    redirect(303, '/login')
  }
  return { me, session: session.id, serverNow: Date.now(), notifications, activity }
}
