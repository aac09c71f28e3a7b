// harness/expect.mjs: assertions about single responses that many tests share (spec §4, §13, §17).
import assert from 'node:assert/strict'

const exposed =
  'electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,retry-after'

/** The headers that every response has (§4.1, §4.2). */
export function expectCommonHeaders(response, { origin = '*', methods = 'GET, POST, HEAD, DELETE, OPTIONS' } = {}) {
  assert.match(response.header('electric-server') ?? '', /^ElectricSQL\/[0-9]+\.[0-9]+\.[0-9]+/)
  assert.match(response.header('x-request-id') ?? '', /^.{20,200}$/)
  assert.match(
    response.header('date') ?? '',
    /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/,
  )
  if (response.status !== 204) assert.match(response.header('vary') ?? '', /accept-encoding/)
  assert.equal(response.header('access-control-allow-origin'), origin)
  assert.equal(response.header('access-control-allow-methods'), methods)
  const shown = (response.header('access-control-expose-headers') ?? '').split(',').map((name) => name.trim())
  for (const name of exposed.split(',')) assert.ok(shown.includes(name), `${name} is exposed`)
  assert.equal(response.header('access-control-allow-credentials'), undefined)
}

/** A validation error on `field`; returns its texts. */
export function expectInvalid(response, field, { method = 'GET' } = {}) {
  assert.equal(response.status, 400, `${response.status} ${response.text}`)
  assert.equal(response.header('content-type'), 'application/json; charset=utf-8')
  const cached = method === 'GET' || method === 'HEAD'
  assert.equal(response.header('cache-control'), cached ? 'no-store' : 'no-cache')
  if (cached) assert.equal(response.header('surrogate-control'), 'no-store')
  const { message, errors } = response.json
  assert.equal(message, 'Invalid request')
  assert.deepEqual(Object.keys(errors), [field], response.text)
  assert.ok(Array.isArray(errors[field]) && errors[field].length > 0, response.text)
  for (const text of errors[field]) assert.ok(typeof text === 'string' && text !== '', response.text)
  return errors[field]
}

/** A must-refetch. `handle`: true = some handle must be given, false = none, undefined = either. */
export function expectMustRefetch(response, { handle, method = 'GET' } = {}) {
  assert.equal(response.status, 409, `${response.status} ${response.text}`)
  assert.equal(response.header('content-type'), 'application/json; charset=utf-8')
  assert.deepEqual(response.json, [{ headers: { control: 'must-refetch' } }])
  assert.equal(response.header('electric-offset'), undefined)
  assert.equal(response.header('location'), undefined)
  const next = response.header('electric-handle')
  if (handle === true) assert.ok(next, 'the 409 names the new handle')
  if (handle === false) assert.equal(next, undefined)
  const kept = `public, max-age=${next === undefined ? 1 : 60}, must-revalidate`
  assert.equal(response.header('cache-control'), method === 'POST' ? 'no-cache' : kept)
  assert.equal(response.header('etag'), next === undefined ? undefined : `"${next}::"`)
  return next
}

/** Exactly one up-to-date message and nothing else; returns its LSN. */
export function expectOnlyUpToDate(response) {
  const [message, ...more] = response.json
  assert.equal(more.length, 0, response.text)
  assert.equal(message.headers.control, 'up-to-date')
  assert.deepEqual(Object.keys(message), ['headers'])
  assert.match(message.headers.global_last_seen_lsn, /^[0-9]+$/)
  return BigInt(message.headers.global_last_seen_lsn)
}
