import { fail, redirect } from '@sveltejs/kit'
import { asc, eq } from 'drizzle-orm'
import { agencies, users } from '$lib/db/schema'
import { db } from '$lib/server/db'
import { settings } from '$lib/server/env'
import { checkPassword } from '$lib/server/passwords'
import { signIn } from '$lib/server/session'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals }) => {
  if (locals.session) redirect(303, '/')
  if (!settings.seedsDemo) return { accounts: [] }
  const accounts = await db()
    .select({ name: users.name, role: users.role, email: users.email, agency: agencies.name })
    .from(users)
    .innerJoin(agencies, eq(agencies.id, users.agencyId))
    .orderBy(asc(users.createdAt), asc(users.email))
  return { accounts }
}

/** A page of ours to go on to, and nobody else's. */
function target(url: URL): string {
  const to = url.searchParams.get('to') ?? '/'
  return /^\/(?![/\\])/.test(to) ? to : '/'
}

/** What checking a password costs is spent for unknown addresses too, so that time tells nothing. */
const nobody = `${Buffer.alloc(16).toString('base64')}:${Buffer.alloc(32).toString('base64')}`

export const actions: Actions = {
  default: async ({ request, cookies, url }) => {
    const form = await request.formData()
    const email = String(form.get('email') ?? '')
      .trim()
      .toLowerCase()
    const password = String(form.get('password') ?? '').slice(0, 200)
    const [user] = await db().select().from(users).where(eq(users.email, email))
    const matches = await checkPassword(password, user?.passwordHash ?? nobody)
    if (!user || !matches) return fail(400, { email, message: 'This address and password do not belong together.' })
    signIn(cookies, url, user)
    redirect(303, target(url))
  },
}
