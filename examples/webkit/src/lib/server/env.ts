// What the environment must say. A missing setting stops the start with a sentence.
import { env } from '$env/dynamic/private'

function required(name: string): string {
  const value = env[name]
  if (!value) throw new Error(`${name} is not set; examples/webkit/start.sh sets it`)
  return value
}

export const settings = {
  get databaseUrl() {
    return required('DATABASE_URL')
  },
  /** Busbar's address, without a path. */
  get busbarUrl() {
    return required('BUSBAR_URL')
  },
  /** Busbar's secret, which no browser ever sees; absent if Busbar runs with --insecure. */
  get busbarSecret() {
    return env.BUSBAR_SECRET
  },
  /** Signs the session cookies. */
  get sessionSecret() {
    return required('SESSION_SECRET')
  },
  /** Fills an empty database with the two demo agencies. */
  get seedsDemo() {
    return env.WEBKIT_DEMO === 'true'
  },
}
