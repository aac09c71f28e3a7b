import { rowsOf } from '$lib/server/queries'
import type { PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals }) => ({ proposals: await rowsOf('proposals', locals.session!) })
