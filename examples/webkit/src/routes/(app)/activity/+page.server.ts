import { readNotifications } from '$lib/server/work'
import type { Actions } from './$types'

// The rows of the feed are those that the layout loads for every page.
export const actions: Actions = {
  read: async ({ locals }) => {
    await readNotifications(locals.session!)
  },
}
