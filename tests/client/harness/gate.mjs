// harness/gate.mjs: issues tokens, writes keys and policies, and stages a Busbar that asks for them.
import { createHmac, generateKeyPairSync, sign as signBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scratchDirectory } from './processes.mjs'
import { request } from './raw.mjs'
import { target } from './shapes.mjs'
import { stageBusbar } from './stage.mjs'

const base64url = (data) => Buffer.from(data).toString('base64url')

/** A key that signs, and the part of it that Busbar may have. */
export class Issuer {
  constructor(alg, kid) {
    this.alg = alg
    this.kid = kid
    if (alg === 'HS256') {
      this.secret = 'a secret that is long enough: '.padEnd(40, kid ?? '.')
      return
    }
    const pair =
      alg === 'RS256'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('ed25519')
    this.privateKey = pair.privateKey
    this.publicKey = pair.publicKey
  }

  /** The text of a key file. */
  get keyFile() {
    return this.secret ?? this.publicKey.export({ type: 'spki', format: 'pem' })
  }

  get jwk() {
    const named = { kid: this.kid, alg: this.alg, use: 'sig' }
    if (this.secret) return { kty: 'oct', k: base64url(this.secret), ...named }
    return { ...this.publicKey.export({ format: 'jwk' }), ...named }
  }

  signature(text) {
    if (this.alg === 'HS256') return createHmac('sha256', this.secret).update(text).digest()
    const digest = this.alg === 'EdDSA' ? null : 'sha256'
    return signBytes(digest, Buffer.from(text), { key: this.privateKey, dsaEncoding: 'ieee-p1363' })
  }

  /** A token with these claims, and for a minute unless they say otherwise. */
  token(claims, { header = {}, exp = Math.floor(Date.now() / 1000) + 60 } = {}) {
    const head = { alg: this.alg, typ: 'JWT', ...(this.kid === undefined ? {} : { kid: this.kid }), ...header }
    const text = `${base64url(JSON.stringify(head))}.${base64url(JSON.stringify({ exp, ...claims }))}`
    return `${text}.${base64url(this.signature(text))}`
  }
}

/** A file of this text in a directory of its own. */
export function fileOf(name, text) {
  const path = join(scratchDirectory('gate'), name)
  writeFileSync(path, text)
  return path
}

/** A Busbar behind a gate. `server.as(token, params, options)` asks with a token. */
export async function stageGate(postgres, { issuer, policy, env = {}, ...options }) {
  const keyFile = issuer && fileOf('keys', issuer.keyFile)
  const policyFile = policy && fileOf('policy.yaml', policy)
  const server = await stageBusbar(postgres, {
    ...options,
    env: {
      BUSBAR_INSECURE: '',
      BUSBAR_LONG_POLL_TIMEOUT: '1s',
      ...(keyFile ? { BUSBAR_JWT_KEY_FILE: keyFile } : {}),
      ...(policyFile ? { BUSBAR_POLICY_FILE: policyFile } : {}),
      BUSBAR_JWT_CLOCK_SKEW: '0s',
      ...env,
    },
  })
  server.keyFile = keyFile
  server.policyFile = policyFile
  server.as = (token, params, { headers = {}, ...more } = {}) =>
    request(server, typeof params === 'string' ? params : target(params), {
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...more,
    })
  return server
}
