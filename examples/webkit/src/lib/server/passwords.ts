// Passwords as scrypt digests: "salt:digest", both base64.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, Buffer>(scrypt)
const digestBytes = 32

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const digest = await derive(password.normalize('NFKC'), salt, digestBytes)
  return `${salt.toString('base64')}:${digest.toString('base64')}`
}

export async function checkPassword(password: string, stored: string): Promise<boolean> {
  const [salt = '', digest = ''] = stored.split(':')
  const due = Buffer.from(digest, 'base64')
  const given = await derive(password.normalize('NFKC'), Buffer.from(salt, 'base64'), digestBytes)
  return due.length === digestBytes && timingSafeEqual(given, due)
}
