// browser.test.mjs: the unmodified client in Chromium, in a page of another origin than Busbar's: what
// CORS, preflights, the browser's own cache and its event streams make of our responses.
import assert from 'node:assert/strict'
import { until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from '../client/harness/stage.mjs'
import { stageChromium, stagePage } from './chromium.mjs'

const [postgres, chromium, address] = await Promise.all([stagePostgres(), stageChromium(), stagePage()])
// The long poll keeps its 20 s: a change that does not wake a waiting client fails its test.
const server = await stageBusbar(postgres, { env: { BUSBAR_ENABLE_INTEGRATION_TESTING: 'true' } })
const guarded = await stageBusbar(postgres, { secret: 'a long enough secret' })

/** A page on which `window.busbar` is there, with the shape requests that it sends. */
async function openPage(cleanup) {
  const page = await chromium.newPage()
  cleanup(() => page.close())
  const requests = []
  const said = []
  page.on('response', async (response) => {
    const url = new URL(response.url())
    if (url.pathname !== '/v1/shape') return
    requests.push({
      method: response.request().method(),
      query: url.searchParams,
      status: response.status(),
      type: response.headers()['content-type'],
    })
  })
  page.on('pageerror', (error) => said.push(String(error)))
  const load = async () => {
    await page.goto(address)
    await page.waitForFunction(() => window.busbar !== undefined)
  }
  await load()
  const call = (method, ...args) => page.evaluate(([name, list]) => window.busbar[name](...list), [method, args])
  const at = { requests, said, call, load, page }
  at.follow = (options, name = 'shape') => call('follow', name, { warnOnHttp: false, ...options })
  at.state = (name = 'shape') => call('state', name)
  return at
}

const sorted = (rows) => JSON.stringify([...rows].sort((a, b) => a.id - b.id))

/** Waits until the page's shape has the rows of the table. */
async function equalsTable(page, at, table, what, name = 'shape') {
  const rows = await at.query(`SELECT to_json(t)::text AS row FROM ${table} t ORDER BY id`)
  const expected = JSON.stringify(rows.map(({ row }) => JSON.parse(row)))
  let state
  await until(
    async () => {
      state = await page.state(name)
      return state.upToDate && sorted(state.rows) === expected
    },
    () => `${what}: ${JSON.stringify(state)}, not ${expected}; the page said ${page.said}`,
    { everyMs: 20 },
  )
  return state
}

/** Responses that this Busbar has given, by status. */
async function answered(at, status) {
  const text = await (await fetch(`http://127.0.0.1:${at.metricsPort}/metrics`)).text()
  const series = new RegExp(`^busbar_http_requests_total\\{[^}]*status="${status}"[^}]*\\} ([0-9]+)$`, 'gm')
  return [...text.matchAll(series)].reduce((sum, [, count]) => sum + Number(count), 0)
}

for (const liveSse of [false, true]) {
  scenario(
    `another origin's page follows a table by ${liveSse ? 'server-sent events' : 'long polling'}`,
    async ({ cleanup }) => {
      const table = await newTable(server, itemColumns, itemRows)
      const page = await openPage(cleanup)
      await page.follow({ url: server.shapeUrl, params: { table }, liveSse })
      await equalsTable(page, server, table, 'the first rows')
      for (const change of [
        `INSERT INTO ${table} VALUES (4, 'four', false, '')`,
        `UPDATE ${table} SET done = NOT done, note = 'ünï "quoted"'`,
        `BEGIN; DELETE FROM ${table} WHERE id = 1; INSERT INTO ${table} VALUES (5, 'five', true, NULL); COMMIT`,
      ]) {
        await server.query(change)
        await equalsTable(page, server, table, change)
      }
      const shown = await page.page.textContent('#rows')
      assert.deepEqual(JSON.parse(shown), (await page.state()).rows)
      const events = page.requests.filter(({ type }) => type === 'text/event-stream')
      assert.equal(events.length, liveSse ? 1 : 0)
      assert.equal(page.requests.filter(({ query }) => query.has('live')).length > (liveSse ? 0 : 1), true)

      await server.query(`TRUNCATE ${table}; INSERT INTO ${table} VALUES (9, 'nine', false, NULL)`)
      const { refetches } = await equalsTable(page, server, table, 'after TRUNCATE')
      assert.equal(refetches, 1)
    },
  )
}

scenario('a page with headers of its own is let through after a preflight', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const page = await openPage(cleanup)
  const before = await answered(server, 204)
  await page.follow({
    url: server.shapeUrl,
    params: { table },
    headers: { 'x-application': 'a page', 'x-tenant-id': '7', authorization: 'Bearer token' },
  })
  await equalsTable(page, server, table, 'the first rows')
  await server.query(`DELETE FROM ${table} WHERE id = 1`)
  await equalsTable(page, server, table, 'the delete')
  assert.ok((await answered(server, 204)) > before, 'the browser asked first')
})

for (const subsetMethod of ['GET', 'POST']) {
  scenario(`a page loads subsets by ${subsetMethod}`, async ({ cleanup }) => {
    const table = await newTable(server, itemColumns, itemRows)
    const page = await openPage(cleanup)
    await page.follow({
      url: server.shapeUrl,
      params: { table },
      log: 'changes_only',
      offset: 'now',
      subsetMethod,
      headers: { 'x-application': 'a page' },
    })
    const subset = { where: 'done = $1', params: { 1: 'false' }, orderBy: 'id DESC', limit: 10 }
    const rows = await page.call('subset', 'shape', subset)
    assert.deepEqual(
      rows.map(({ id }) => id),
      [3, 1],
    )
    assert.ok(page.requests.some(({ method, status }) => method === subsetMethod && status === 200))
    await server.query(`UPDATE ${table} SET note = 'live' WHERE id IN (1, 2)`)
    await until(async () => (await page.state()).rows.some(({ id, note }) => id === 1 && note === 'live'), 'the change')
    assert.equal((await page.state()).rows.length, 2)
  })
}

scenario('errors are responses that the page may read', async ({ cleanup }) => {
  const table = await newTable(guarded, itemColumns, itemRows)
  const page = await openPage(cleanup)
  const url = (params) => `${guarded.shapeUrl}?${new URLSearchParams({ table, offset: '-1', ...params })}`
  const refused = await page.call('ask', url({ secret: 'wrong' }))
  assert.equal(refused.status, 401)
  assert.ok(JSON.parse(refused.text).message)
  assert.equal((await page.call('ask', url({ secret: 'wrong' }), { method: 'POST', body: '{}' })).status, 401)
  const secret = guarded.secret
  assert.ok(JSON.parse((await page.call('ask', url({ secret, table: 'missing' }))).text).errors.table)
  const gone = await page.call('ask', url({ secret, offset: '0_0', handle: '1-1' }))
  assert.equal(gone.status, 409)
  assert.ok(gone.headers['electric-handle'], 'the header is exposed')
  assert.equal((await page.call('ask', `${guarded.url}/nowhere`)).status, 404)

  const rows = await newTable(server, itemColumns, itemRows)
  const { headers } = await page.call('ask', `${server.shapeUrl}?${new URLSearchParams({ table: rows, offset: '-1' })}`)
  const removal = `${server.shapeUrl}?${new URLSearchParams({ handle: headers['electric-handle'] })}`
  assert.equal((await page.call('ask', removal, { method: 'DELETE' })).status, 202)

  await page.follow({ url: guarded.shapeUrl, params: { table, secret: 'wrong' } })
  let state
  await until(async () => (state = await page.state()).errors.length > 0, 'the error')
  assert.equal(state.errors[0].status, 401)
  assert.ok(state.errors[0].json.message)
})

scenario("the browser's cache: a page loaded again needs only what is new", async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const page = await openPage(cleanup)
  const options = { url: server.shapeUrl, params: { table } }
  await page.follow(options)
  const { handle } = await equalsTable(page, server, table, 'the first rows')
  await server.query(`UPDATE ${table} SET note = 'first visit'`)
  await equalsTable(page, server, table, 'the update')
  await page.load()
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
  const before = { asked: page.requests.length, answered: await answered(server, 200) }
  await page.follow(options)
  const again = await equalsTable(page, server, table, 'everything, after loading the page again')
  assert.equal(again.handle, handle)
  await server.query(`DELETE FROM ${table} WHERE id = 2`)
  await equalsTable(page, server, table, 'the delete')
  // What it had seen on its first visit came from the cache.
  const asked = page.requests.length - before.asked
  const reached = (await answered(server, 200)) - before.answered
  assert.ok(reached < asked, `${reached} of ${asked} requests reached Busbar`)

  // Now the cache holds a shape that is gone, for days to come.
  await server.query(`TRUNCATE ${table}; INSERT INTO ${table} VALUES (9, 'nine', false, NULL)`)
  await equalsTable(page, server, table, 'after TRUNCATE')
  await page.load()
  await page.follow(options)
  const fresh = await equalsTable(page, server, table, 'after TRUNCATE and loading the page again')
  assert.notEqual(fresh.handle, handle)
  await server.query(`DELETE FROM ${table}`)
  await equalsTable(page, server, table, 'the last delete')
  assert.deepEqual(page.said, [])
})

scenario(
  'a page goes on when Busbar was killed and has returned',
  async ({ cleanup }) => {
    const at = await stageBusbar(postgres)
    const table = await newTable(at, itemColumns, itemRows)
    const page = await openPage(cleanup)
    await page.follow({ url: at.shapeUrl, params: { table } }, 'polling')
    await page.follow({ url: at.shapeUrl, params: { table, where: 'id > 0' }, liveSse: true }, 'events')
    for (const name of ['polling', 'events']) await equalsTable(page, at, table, 'the first rows', name)
    await at.kill9()
    await at.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
    await at.start()
    for (const name of ['polling', 'events']) {
      const { refetches } = await equalsTable(page, at, table, 'what happened meanwhile', name)
      assert.equal(refetches, 0)
    }
    await at.query(`DELETE FROM ${table} WHERE id < 3`)
    for (const name of ['polling', 'events']) await equalsTable(page, at, table, 'what happened since', name)
  },
  { deadlineMs: 90_000 },
)

scenario('a body of many pieces comes compressed, and the browser reads all of it', async ({ cleanup }) => {
  const table = await newTable(server, 'id int8 PRIMARY KEY, title text NOT NULL')
  await server.query(`INSERT INTO ${table} SELECT i, repeat('title ' || i || ' ', 20) FROM generate_series(1, 5000) i`)
  const at = await openPage(cleanup)
  const url = `${server.shapeUrl}?table=${table}&offset=-1`
  const [response, seen] = await Promise.all([
    at.page.waitForResponse((one) => one.url() === url),
    at.page.evaluate(async (words) => {
      const answer = await fetch(words)
      const text = await answer.text()
      return { bytes: text.length, rows: JSON.parse(text).filter((message) => message.key).length }
    }, url),
  ])
  assert.equal((await response.allHeaders())['content-encoding'], 'zstd')
  assert.equal(seen.rows, 5000)
  assert.ok(seen.bytes > 1_000_000, 'several pieces of 256 KiB')
})
