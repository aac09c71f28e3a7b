import { redirect, type Handle, type ServerInit } from '@sveltejs/kit'
import { migrateDatabase } from '$lib/server/db'
import { settings } from '$lib/server/env'
import { seedDemo } from '$lib/server/seed'
import { currentSession } from '$lib/server/session'

export const init: ServerInit = async () => {
  await migrateDatabase()
  if (settings.seedsDemo) await seedDemo()
}

export const handle: Handle = async ({ event, resolve }) => {
  event.locals.session = currentSession(event.cookies)
  // Every page of the group (app) is for signed-in people, also one that forgets to ask.
  if (event.route.id?.startsWith('/(app)') && !event.locals.session) {
    redirect(303, `/login?to=${encodeURIComponent(event.url.pathname)}`)
  }
  const response = await resolve(event)
  response.headers.set('x-content-type-options', 'nosniff')
  response.headers.set('referrer-policy', 'same-origin')
  if (event.route.id?.startsWith('/(app)')) response.headers.set('cache-control', 'private, no-store')
  return response
}
