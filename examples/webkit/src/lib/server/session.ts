// Sessions: a JWT (HS256) in a cookie that scripts cannot read. It names the user, the agency and the
// session itself. Only tokens of exactly our header are taken, so there is no algorithm to confuse.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Cookies } from '@sveltejs/kit'
import { settings } from './env'

export interface Session {
  /** Of this sign-in. Pages send it along, so that one left open notices when the cookie is another's. */
  id: string
  userId: string
  agencyId: string
}

const cookieName = 'webkit_session'
const lifetimeSeconds = 12 * 3600
const header = encode({ alg: 'HS256', typ: 'JWT' })

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function signature(text: string): Buffer {
  return createHmac('sha256', settings.sessionSecret).update(text).digest()
}

export function makeToken(session: Session, now = Date.now()): string {
  const seconds = Math.floor(now / 1000)
  const claims = {
    sub: session.userId,
    agency: session.agencyId,
    sid: session.id,
    iat: seconds,
    exp: seconds + lifetimeSeconds,
  }
  const text = `${header}.${encode(claims)}`
  return `${text}.${signature(text).toString('base64url')}`
}

export function readToken(token: string | undefined, now = Date.now()): Session | undefined {
  const [head, body, sign, ...more] = token?.split('.') ?? []
  if (head !== header || !body || !sign || more.length > 0) return undefined
  const given = Buffer.from(sign, 'base64url')
  const due = signature(`${head}.${body}`)
  if (given.length !== due.length || !timingSafeEqual(given, due)) return undefined
  // Signed by us, so it has the form that makeToken() gave it.
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
  if (claims.exp * 1000 <= now) return undefined
  return { id: claims.sid, userId: claims.sub, agencyId: claims.agency }
}

export function signIn(cookies: Cookies, url: URL, user: { id: string; agencyId: string }): void {
  const session = { id: randomBytes(12).toString('base64url'), userId: user.id, agencyId: user.agencyId }
  cookies.set(cookieName, makeToken(session), {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure: url.protocol === 'https:',
    maxAge: lifetimeSeconds,
  })
}

export function signOut(cookies: Cookies): void {
  cookies.delete(cookieName, { path: '/' })
}

export function currentSession(cookies: Cookies): Session | undefined {
  return readToken(cookies.get(cookieName))
}
