// status.test.mjs: the status page in Chromium: it shows what the node does, follows it live, and fits dark, light and
// a phone. Screenshots are left in build/screenshots; with BUSBAR_KEEP_SCREENSHOTS=1 those of the documents are renewed.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { follow, get } from '../client/harness/shapes.mjs'
import { stageBusbar, stagePostgres } from '../client/harness/stage.mjs'
import { poll } from '../client/harness/waiting.mjs'
import { stageChromium } from './chromium.mjs'

const top = fileURLToPath(new URL('../..', import.meta.url))
const screenshots = join(top, 'build/screenshots')
mkdirSync(screenshots, { recursive: true })

const [postgres, chromium] = await Promise.all([stagePostgres(), stageChromium()])
const hostile = `<img src=x onerror="document.title='broken'">`
const server = await stageBusbar(postgres, {
  env: { BUSBAR_TENANT_COLUMN: 'tenant', BUSBAR_SLOW_QUERY: '1ms', BUSBAR_LONG_POLL_TIMEOUT: '60s' },
  secret: 'a secret that nobody may see',
  sql: `CREATE TABLE orders (id int PRIMARY KEY, tenant text NOT NULL, state text NOT NULL, total numeric);
        CREATE TABLE customers (id int PRIMARY KEY, tenant text NOT NULL, name text);
        CREATE TABLE sessions (id int PRIMARY KEY, tenant text);
        INSERT INTO orders SELECT i, (ARRAY['acme','globex','initech','umbrella'])[1 + i % 4], 'open', i FROM generate_series(1, 4000) i;
        INSERT INTO customers SELECT i, (ARRAY['acme','globex'])[1 + i % 2], 'Customer ' || i FROM generate_series(1, 500) i;
        INSERT INTO sessions SELECT i, 'acme' FROM generate_series(1, 50) i`,
})
const address = `http://127.0.0.1:${server.metricsPort}/`
const secret = server.secret

/** A page whose script may not fail, and which may ask nobody but this node. */
async function openPage(cleanup, { width = 1360, height = 1000, colours = 'light' } = {}) {
  const page = await chromium.newPage()
  cleanup(() => page.close())
  const wrong = []
  page.on('pageerror', (error) => wrong.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()))
  page.on('request', (one) => one.url().startsWith(address) || wrong.push(`asked ${one.url()}`))
  await page.setViewportSize({ width, height })
  await page.emulateMedia({ colorScheme: colours })
  await page.goto(address)
  return { page, wrong }
}
const text = (page, selector) => page.locator(selector).innerText()
async function shows(page, selector, pattern) {
  let said
  await until(
    async () => pattern.test((said = await text(page, selector))),
    () => `${selector} to show ${pattern}: ${said}`,
  )
}

/** Some life: shapes of every kind, waiting clients, changes all the time. */
async function populate(cleanup) {
  const shapes = [
    { table: 'orders' },
    ...['acme', 'globex', 'initech', 'umbrella'].map((tenant) => ({ table: 'orders', where: 'tenant = $1', 'params[1]': tenant })),
    { table: 'customers', where: `tenant = 'acme' AND name LIKE 'Customer 1%'`, columns: 'id,tenant,name' },
    { table: 'customers', where: `name <> ${postgresLiteral(hostile)}` },
  ]
  for (const shape of shapes) {
    const state = await follow(server, { ...shape, secret })
    for (let i = 0; i < 3; i++) void keepPolling(cleanup, shape, state)
  }
  const client = await server.client()
  let ended = false
  const writing = (async () => {
    for (let i = 1; !ended; i++) {
      await client.query(`UPDATE orders SET total = total + 1 WHERE id % 400 = ${i % 400}`)
      await client.query('SELECT pg_sleep(0.05)')
    }
    await client.end()
  })()
  cleanup(async () => {
    ended = true
    await writing
  })
}
const postgresLiteral = (value) => `'${value.replaceAll("'", "''")}'`

/** A client that polls as long as the test lasts. */
async function keepPolling(cleanup, shape, { handle, offset }) {
  let waiting
  let ended = false
  cleanup(() => {
    ended = true
    waiting?.connection.destroy()
  })
  while (!ended) {
    waiting = await poll(server, { ...shape, secret, handle, offset })
    const answer = await waiting.answer.catch(() => undefined)
    if (!answer || answer.status !== 200) return
    offset = answer.header('electric-offset')
  }
}

scenario('the page shows what the node does, and follows it', async ({ cleanup }) => {
  await populate(cleanup)
  const { page, wrong } = await openPage(cleanup)
  await shows(page, '#health', /Streaming/)
  await shows(page, '#subtitle', new RegExp(`stream ${server.streamId} · version \\d`))
  await shows(page, '#nodes', /leader/)
  await shows(page, '#shapes', /tenant = \$1/)
  await shows(page, '#shapes-summary', /7 with \d+ waiting clients/)
  await shows(page, '#tenants', /acme[\s\S]*globex/)
  await shows(page, '#slow', /snapshot/)
  await shows(page, '#tiles', new RegExp(`busbar_slot_${server.streamId}: reserved`))

  // What a client wrote into a clause stays text.
  await shows(page, '#shapes', /<img src=x/)
  assert.equal(await page.locator('#shapes img').count(), 0)
  assert.match(await page.title(), /^Busbar · /)

  // Numbers move by themselves, and lines grow.
  await shows(page, '#charts', /changes [\d.]+( k)?\/s/)
  const points = () => page.locator('#charts path.line').first().getAttribute('d').then((d) => d.split('L').length)
  const before = await points()
  await until(async () => (await points()) > before, 'the line to grow')

  // A shape that goes is told, with its reason.
  await get(server, { table: 'sessions', offset: '-1', secret })
  await server.query('TRUNCATE sessions')
  await shows(page, '#removals', /public\.sessions[\s\S]*truncated/)

  // Secrets are masked, and what is as it comes is hidden unless asked for.
  await shows(page, '#configuration', /BUSBAR_SECRET\s+\*{8}/)
  assert.ok(!(await page.content()).includes(secret))
  assert.ok(!(await text(page, '#configuration')).includes('BUSBAR_CACHE_MAX_AGE'))
  await page.locator('#changed-only').uncheck()
  assert.match(await text(page, '#configuration'), /BUSBAR_CACHE_MAX_AGE/)
  await page.locator('#changed-only').check()

  // Sorting and filtering.
  await page.locator('#shapes-filter').fill('acme')
  await until(async () => (await page.locator('#shapes tbody tr').count()) === 2, 'two shapes of acme')
  await page.locator('#shapes-filter').fill('')
  await page.getByRole('button', { name: 'Size' }).click()
  assert.equal(await page.locator('#shapes th[aria-sort="descending"]').innerText().then((t) => t.trim().slice(0, 4)), 'Size')

  // A chart of a few seconds is nothing to show to readers of the documents.
  const enough = process.env.BUSBAR_KEEP_SCREENSHOTS ? 30 : 4
  await until(async () => (await points()) >= enough, 'lines worth a picture', { deadlineMs: 90_000 })
  for (const colours of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: colours })
    await capture(page, `status-${colours}`)
  }
  assert.deepEqual(wrong, [])
}, { deadlineMs: 150_000 })

/** The page as it is now; the mouse out of the way. */
async function capture(page, name) {
  await page.mouse.move(0, 0)
  await page.evaluate(() => window.scrollTo(0, 0))
  const paths = [join(screenshots, `${name}.png`)]
  if (process.env.BUSBAR_KEEP_SCREENSHOTS) paths.push(join(top, 'docs/images', `${name}.png`))
  for (const path of paths) await page.screenshot({ path, fullPage: path.startsWith(screenshots) })
}

scenario('it is dark or light as the system or the button says, with enough contrast', async ({ cleanup }) => {
  const { page } = await openPage(cleanup, { colours: 'dark' })
  await shows(page, '#health', /Streaming/)
  const contrast = () =>
    page.evaluate(() => {
      const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\d.]+/g).map((part) => {
          const share = Number(part) / 255
          return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
        })
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
      }
      const card = luminance(getComputedStyle(document.querySelector('.tile')).backgroundColor)
      return ['.tile strong', '.tile span', '.health.good', '.tag.good'].map((selector) => {
        const front = luminance(getComputedStyle(document.querySelector(selector)).color)
        return (Math.max(front, card) + 0.05) / (Math.min(front, card) + 0.05)
      })
    })
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const dark = await background()
  for (const ratio of await contrast()) assert.ok(ratio >= 4.5, `${ratio} in the dark`)
  await page.locator('#theme').click() // light
  const light = await background()
  assert.notEqual(light, dark)
  for (const ratio of await contrast()) assert.ok(ratio >= 4.5, `${ratio} in the light`)
  await page.reload()
  assert.equal(await background(), light, 'the choice is remembered')
  await page.locator('#theme').click() // dark
  assert.equal(await background(), dark)
  await page.locator('#theme').click() // as the system has it
  assert.equal(await background(), dark)
})

scenario('it fits a phone', async ({ cleanup }) => {
  await populate(cleanup)
  const { page, wrong } = await openPage(cleanup, { width: 390, height: 844 })
  await shows(page, '#health', /Streaming/)
  await shows(page, '#shapes', /orders/)
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.ok(overflow <= 0, `${overflow} pixels too wide`)
  await capture(page, 'status-phone')
  assert.deepEqual(wrong, [])
})

scenario('when the node goes, the page says so, and goes on when it is back', async ({ cleanup }) => {
  const { page } = await openPage(cleanup)
  await shows(page, '#health', /Streaming/)
  await server.kill9()
  await shows(page, '#trouble', /does not answer/)
  await server.start()
  await shows(page, '#health', /Streaming/)
  await until(() => page.locator('#trouble').isHidden(), 'the complaint to go')
})
