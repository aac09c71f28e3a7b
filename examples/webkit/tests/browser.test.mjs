// browser.test.mjs: two agencies and their clients in browsers of their own: what one does is seen by
// whom it concerns, and by nobody else, while Busbar is there, while it is not, and in many tabs.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { patience, until } from '../../../tests/client/harness/processes.mjs'
import { scenario } from '../../../tests/client/harness/scenario.mjs'
import { Random } from './random.mjs'
import { Person, act, isLive, openContext, openPage, people, stageChromium, stageWebkit } from './stage.mjs'

const [site, browser] = await Promise.all([stageWebkit(), stageChromium()])
const { app, busbar } = site
const [mara, tom, priya, ines] = await Promise.all(
  [people.mara, people.tom, people.priya, people.ines].map((email) => Person.signIn(app, email)),
)
const timeout = 15_000 * patience

/** A browser for one test. */
async function context(cleanup, person, options) {
  const opened = await openContext(browser, app, person, options)
  opened.setDefaultTimeout(timeout)
  cleanup(() => opened.close())
  return opened
}

/** Makes a proposal by the app's own form; returns its row. */
async function propose(person, title, { send = true, amount = '1000' } = {}) {
  const { location } = await person.act('/proposals/new', {
    title,
    clientName: `Client of ${title}`,
    contactName: `Contact of ${title}`,
    summary: 'As discussed.',
    label: 'All of it',
    amount,
    ...(send ? { then: 'send' } : {}),
  })
  const id = location.split('/').pop()
  const [row] = await site.query('SELECT id, slug FROM proposals WHERE id = $1', [id])
  return row
}

const unread = (page) => page.evaluate(() => Number(document.querySelector('[data-unread]')?.dataset.unread ?? 0))
const number = (page, name) => page.textContent(`[data-number="${name}"]`)
const waiting = async () => Number(/^busbar_waiting_readers (\d+)/m.exec(await busbar.metrics())?.[1])

scenario(
  'no page has faults that a checker of accessibility finds, light or dark, wide or narrow',
  async ({ cleanup }) => {
    const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
    const { id, slug } = await propose(mara, 'For everybody')
    const others = ['/login', `/p/${slug}`, '/nowhere']
    // Every page once, and the two that matter most both ways.
    for (const [colorScheme, width, paths] of [
      ['light', 1280, ['/', `/proposals/${id}`, '/proposals/new', '/invoices', ...others]],
      ['dark', 390, ['/', '/proposals', '/contracts', '/activity', `/p/${slug}`]],
    ]) {
      // The page's own policy forbids scripts of others, which the checker is.
      const options = { colorScheme, viewport: { width, height: 900 }, bypassCSP: true, reducedMotion: 'reduce' }
      const north = await context(cleanup, mara, options)
      const nobody = await context(cleanup, undefined, options)
      for (const path of paths) {
        const page = await (others.includes(path) ? nobody : north).newPage()
        await page.goto(path)
        if (!others.includes(path)) {
          await isLive(page)
          await page.click('[aria-controls=notifications]')
        }
        await page.addScriptTag({ path: axe })
        const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }))
        const faults = violations.map(
          (one) =>
            `${one.id}: ${one.nodes
              .map((node) => node.target.join(' '))
              .slice(0, 5)
              .join(', ')}`,
        )
        assert.deepEqual(faults, [], `${path}, ${colorScheme}, ${width}`)
        const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
        assert.ok(!wide, `${path} is wider than ${width}`)
        await page.close()
      }
    }
  },
  { deadlineMs: 90_000 },
)

scenario('a client opens and accepts; the agency sees each step, another agency nothing', async ({ cleanup }) => {
  const { id, slug } = await propose(mara, 'Harvest festival site')
  const north = await context(cleanup, mara)
  const harbour = await context(cleanup, ines)
  const client = await context(cleanup)
  const [list, detail, contracts, foreign] = await Promise.all([
    openPage(north, '/proposals'),
    openPage(north, `/proposals/${id}`),
    openPage(north, '/contracts'),
    openPage(harbour, '/'),
  ])
  const foreignBefore = { unread: await unread(foreign), text: await foreign.textContent('main') }
  const row = list.locator(`[data-proposal="${id}"]`)
  await row.locator('[data-status="sent"]').waitFor()
  const unreadBefore = await unread(list)

  const page = await client.newPage()
  await page.goto(`/p/${slug}`)
  await row.locator('[data-status="viewed"]').waitFor()
  await row.locator('[data-viewing]').waitFor()
  await detail.locator('[data-viewing]').waitFor()
  await detail.locator('[data-views="1"]').waitFor()

  // Who puts the page away is not viewing any more, and the view count stays.
  await page.goto('about:blank')
  await detail.locator('[data-viewing]').waitFor({ state: 'detached' })
  await row.locator('[data-views="1"]').waitFor()
  await page.goto(`/p/${slug}`)
  await detail.locator('[data-viewing]').waitFor()

  await page.fill('form[action="?/accept"] input[name=name]', 'Ada of the festival')
  await page.click('form[action="?/accept"] button')
  await row.locator('[data-status="accepted"]').waitFor()
  await detail.locator('[data-live-status="accepted"]').waitFor()
  await detail.getByText('Ada of the festival').first().waitFor()
  await contracts.getByText('Harvest festival site', { exact: true }).waitFor()
  await page.getByText('Accepted. Thank you!').waitFor()
  assert.equal(await page.locator('form').count(), 0, 'nothing is left to decide')
  await until(async () => (await unread(list)) >= unreadBefore + 2, 'the bell to count opening and accepting')

  // A second answer does not count, whatever it says.
  const late = await act(app, `/p/${slug}?/decline`, { name: 'Somebody else' })
  assert.equal(late.status, 409)
  assert.equal(await site.one('SELECT status FROM proposals WHERE id = $1', [id]), 'accepted')

  // The other agency's page was live all the time, and stayed as it was.
  await ines.act('/?/consultation', { client: 'Sign of life' })
  await foreign.getByText('Sign of life').waitFor()
  assert.equal(await unread(foreign), foreignBefore.unread)
  assert.ok(!(await foreign.content()).includes('Harvest festival'))
  for (const one of [list, detail, contracts, foreign]) assert.deepEqual(one.said, [])
})

scenario('what a colleague does appears in the feed and in the bell, and is read once', async ({ cleanup }) => {
  const north = await context(cleanup, tom)
  const [feed, other] = [await openPage(north, '/activity'), await openPage(north, '/proposals')]
  const before = await unread(feed)
  const { id } = await propose(priya, 'Lantern parade', { send: false })
  await feed.locator('main li', { hasText: /Priya Raman\s+drafted\s+Lantern parade/ }).waitFor()
  await until(async () => (await unread(feed)) === before + 1 && (await unread(other)) === before + 1, 'both bells')
  // What one does oneself is in the feed, but no news.
  await tom.act(`/proposals/${id}?/send`, {})
  await feed.locator('main li', { hasText: /Tom Okafor\s+sent\s+Lantern parade/ }).waitFor()
  assert.equal(await unread(feed), before + 1)

  await other.click('[aria-controls=notifications]')
  await other.locator('[data-notification]', { hasText: 'Lantern parade' }).waitFor()
  await other.getByRole('button', { name: 'Mark all as read' }).click()
  await until(async () => (await unread(feed)) === 0 && (await unread(other)) === 0, 'both bells to be silent')
  await other.keyboard.press('Escape')
  assert.equal(await other.locator('#notifications').count(), 0)
  assert.equal(await site.one('SELECT count(*) FROM notifications WHERE NOT read AND user_id = $1', [tom.sub]), '0')
})

scenario('who edits the address of a shape in a signed-in browser gets nothing foreign', async ({ cleanup }) => {
  const { id } = await propose(ines, 'Only for Harbour & Pine')
  const page = await openPage(await context(cleanup, mara), '/proposals')
  const there = ines.agency
  const edits = [
    ...['where=true', 'where=1%3D1%20OR%20true', `where=agency_id%20%3D%20'${there}'`, `params[1]=${there}`],
    ...[`params%5B1%5D=${there}`, 'table=users', 'table=users&columns=id,password_hash', 'columns=', 'replica=full'],
    ...['subset__where=true%20OR%20true', `subset__where=agency_id%20%3D%20'${there}'`, `agency_id=${there}`],
  ].map((edit) => `/api/electric/proposals?session=${mara.session}&offset=-1&${edit}`)
  edits.push(
    `/api/electric/proposals?session=${ines.session}&offset=-1`,
    `/api/electric/users?session=${mara.session}&offset=-1`,
  )
  edits.push(`/proposals/${id}`)
  // By its own scripts, with its cookie.
  const answers = await page.evaluate(
    (addresses) =>
      Promise.all(
        addresses.map(async (address) => {
          const response = await fetch(address, { cache: 'no-store' })
          return { address, status: response.status, text: await response.text() }
        }),
      ),
    edits,
  )
  for (const { address, text } of answers)
    assert.ok(
      !/Only for Harbour|password_hash|scrypt/.test(text) && !text.includes(there),
      `${address}: ${text.slice(0, 300)}`,
    )
  const told = answers.filter(({ status }) => status === 200)
  assert.ok(told.length >= 9, `${told.length} were answered, with rows of the own agency`)
  for (const { address, text } of told)
    assert.ok(text.includes('Website relaunch'), `${address}: ${text.slice(0, 300)}`)
})

scenario('an accepted proposal changes its badge soon after the commit', async ({ cleanup }) => {
  const rounds = 50
  const rows = []
  for (let i = 0; i < rounds; i += 10)
    rows.push(...(await Promise.all(Array.from({ length: 10 }, (_, k) => propose(mara, `Speed ${i + k}`)))))
  // The same commits, as PostgreSQL itself tells them.
  await site.query(`CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
      $$BEGIN PERFORM pg_notify('accepted', NEW.id::text); RETURN NULL; END$$;
    CREATE TRIGGER tell AFTER UPDATE OF status ON proposals FOR EACH ROW WHEN (NEW.status = 'accepted') EXECUTE FUNCTION tell()`)
  const listener = await busbar.client()
  const told = new Map()
  listener.on('notification', ({ payload }) => told.set(payload, performance.timeOrigin + performance.now()))
  await listener.query('LISTEN accepted')
  const page = await openPage(await context(cleanup, mara), '/proposals')
  const client = await context(cleanup)
  const sender = await client.newPage()
  await sender.goto(`/p/${rows[0].slug}`)
  await page.evaluate(() => {
    window.badges = {}
    new MutationObserver((changes) => {
      for (const { target } of changes)
        if (target.dataset?.status === 'accepted')
          window.badges[target.closest('[data-proposal]').dataset.proposal] ??=
            performance.timeOrigin + performance.now()
    }).observe(document.querySelector('table'), { subtree: true, attributes: true, attributeFilter: ['data-status'] })
  })
  for (const { id, slug } of rows) {
    // The client's browser sends what the form sends.
    const result = await sender.evaluate(async (address) => {
      const headers = { accept: 'application/json', 'x-sveltekit-action': 'true' }
      const body = new URLSearchParams({ name: 'In a hurry' })
      return (await fetch(address, { method: 'POST', headers, body })).json()
    }, `/p/${slug}?/accept`)
    assert.equal(result.type, 'success')
    await page.waitForFunction((key) => window.badges[key], id, { polling: 5 })
    await until(() => told.has(id), 'the notification')
  }
  const badges = await page.evaluate(() => window.badges)
  const commits = new Map(
    (
      await site.query(
        `SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 AS at FROM proposals WHERE title LIKE 'Speed %'`,
      )
    ).map(({ id, at }) => [id, Number(at)]),
  )
  const quantiles = (values) => {
    const sorted = [...values].sort((a, b) => a - b)
    return [sorted[Math.floor(sorted.length * 0.5)], sorted[Math.floor(sorted.length * 0.95)]]
  }
  const notify = quantiles(rows.map(({ id }) => told.get(id) - commits.get(id)))
  const badge = quantiles(rows.map(({ id }) => badges[id] - commits.get(id)))
  const ms = (values) => values.map((value) => `${value.toFixed(1)} ms`).join(', p95 ')
  console.log(`commit → LISTEN/NOTIFY: median ${ms(notify)}`)
  console.log(`commit → badge in the other browser: median ${ms(badge)}`)
  console.log(`ratio: median ${(badge[0] / notify[0]).toFixed(1)}, p95 ${(badge[1] / notify[1]).toFixed(1)}`)
  // The goal, and what a busy machine adds to whatever it does, NOTIFY included.
  assert.ok(badge[1] < 250 * patience + 5 * notify[1], `p95 ${badge[1]} ms, NOTIFY's ${notify[1]} ms`)
})

/** The dashboard's numbers, by SQL. */
async function numbersBySql(agency) {
  const [row] = await site.query(
    `SELECT
       (SELECT count(*) FROM consultations WHERE agency_id = $1
          AND date_trunc('month', held_on) = date_trunc('month', now() AT TIME ZONE 'UTC')) AS "consultations",
       (SELECT count(*) FROM proposals WHERE agency_id = $1 AND status IN ('sent', 'viewed')) AS "active-proposals",
       (SELECT coalesce(sum(value_cents), 0) / 100.0 FROM proposals WHERE agency_id = $1 AND status IN ('sent', 'viewed')) AS "active-value",
       (SELECT count(*) FROM invoices WHERE agency_id = $1 AND status = 'outstanding') AS "outstanding-invoices",
       (SELECT coalesce(sum(amount_cents), 0) / 100.0 FROM invoices WHERE agency_id = $1 AND status = 'outstanding') AS "outstanding-value",
       (SELECT count(*) FROM users WHERE agency_id = $1) AS "team"`,
    [agency],
  )
  const euros = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR', maximumFractionDigits: 0 })
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, name.endsWith('value') ? euros.format(Number(value)) : value]),
  )
}

scenario(
  'after 200 random actions the dashboards are what SQL says, and so is the feed',
  async ({ cleanup }) => {
    const random = new Random()
    const dashboards = [
      { person: mara, page: await openPage(await context(cleanup, mara), '/') },
      { person: ines, page: await openPage(await context(cleanup, ines), '/') },
    ]
    const feed = await openPage(await context(cleanup, ines), '/activity')
    const kinds = {
      draft: ({ person, name, luck }) =>
        propose(person, name, { send: luck < 0.6, amount: String(Math.floor(luck * 90_000)) }),
      send: ({ person, id }) => person.act(`/proposals/${id}?/send`),
      open: ({ slug }) =>
        fetch(`${app.url}/p/${slug}/presence`, { method: 'POST', body: 'open', headers: { origin: app.url } }),
      accept: ({ slug, name }) => act(app, `/p/${slug}?/accept`, { name }),
      decline: ({ slug, name }) => act(app, `/p/${slug}?/decline`, { name, reason: '' }),
      pay: ({ person, id }) => person.act('/invoices?/paid', { id }),
      complete: ({ person, id }) => person.act('/contracts?/complete', { id }),
      consult: ({ person, name }) => person.act('/?/consultation', { client: name }),
    }
    const objects = {
      send: `proposals WHERE status = 'draft'`,
      open: `proposals WHERE status <> 'draft'`,
      accept: `proposals WHERE status IN ('sent', 'viewed')`,
      decline: `proposals WHERE status IN ('sent', 'viewed')`,
      pay: `invoices WHERE status = 'outstanding'`,
      complete: `contracts WHERE status = 'active'`,
    }
    // Four people at a time; chance decides before anybody begins.
    const plans = Array.from({ length: 200 }, (_, i) => ({
      kind: random.one(Object.keys(kinds)),
      person: random.one([mara, tom, ines]),
      luck: random.next(),
      name: `Random ${i}`,
    }))
    let done = 0
    let late = 0 // somebody else was first
    const lane = async (mine) => {
      const database = await busbar.client()
      for (const plan of mine) {
        const { person, luck } = plan
        let { kind } = plan
        if (objects[kind]) {
          const text = `SELECT * FROM ${objects[kind]} AND agency_id = $1 ORDER BY number`
          const { rows } = await database.query(text, [person.agency])
          if (rows.length > 0) {
            const { id, slug } = rows[Math.floor(luck * rows.length)]
            Object.assign(plan, { id, slug })
          } else kind = 'consult' // which is always possible
        }
        const { status = 200 } = await kinds[kind](plan)
        assert.ok(status < 400 || status === 409, `${kind}: ${status}, WEBKIT_SEED=${random.seed}`)
        if (status === 409) late++
        else done++
      }
    }
    await Promise.all([0, 1, 2, 3].map((k) => lane(plans.filter((_, i) => i % 4 === k))))
    assert.equal(done + late, 200)
    assert.ok(done > 150, `only ${done} actions were done, WEBKIT_SEED=${random.seed}`)

    for (const { person, page } of dashboards) {
      const expected = await numbersBySql(person.agency)
      let shown
      await until(
        async () => {
          shown = Object.fromEntries(
            await Promise.all(Object.keys(expected).map(async (name) => [name, await number(page, name)])),
          )
          return JSON.stringify(shown) === JSON.stringify(expected)
        },
        () => `${person.email}: ${JSON.stringify(shown)}, not ${JSON.stringify(expected)}`,
        { everyMs: 50 },
      )
      assert.deepEqual(page.said, [])
    }
    const newest = await site.query(
      'SELECT id FROM activity WHERE agency_id = $1 ORDER BY created_at DESC, id LIMIT 60',
      [ines.agency],
    )
    await until(
      async () => {
        const shown = await feed.$$eval('[data-activity]', (all) => all.map((one) => one.dataset.activity))
        return JSON.stringify([...shown].sort()) === JSON.stringify(newest.map(({ id }) => id).sort())
      },
      'the feed to have the newest entries',
      { everyMs: 50 },
    )
  },
  { deadlineMs: 120_000 },
)

scenario(
  'with Busbar killed everything works by loading, and live updates come back by themselves',
  async ({ cleanup }) => {
    const north = await context(cleanup, mara)
    const [list, dashboard] = [await openPage(north, '/proposals'), await openPage(north, '/')]
    const client = await context(cleanup)
    const { id, slug } = await propose(mara, 'Lighthouse tours')
    await list.locator(`[data-proposal="${id}"] [data-status="sent"]`).waitFor()

    await busbar.kill9()
    for (const page of [list, dashboard]) {
      await page.locator('[data-connection="paused"]').waitFor()
      await page.getByText('Live updates paused').waitFor()
    }
    // The client neither knows nor cares.
    const page = await client.newPage()
    await page.goto(`/p/${slug}`)
    await page.click('form[action="?/accept"] button')
    await page.getByText('Accepted. Thank you!').waitFor()
    assert.equal(await list.locator(`[data-proposal="${id}"] [data-status="sent"]`).count(), 1, 'still as it was')

    // Loading, moving through the app and working show what is so.
    await list.reload()
    await list.locator(`[data-proposal="${id}"] [data-status="accepted"]`).waitFor()
    await list.locator('[data-connection="paused"]').waitFor()
    await dashboard.click('nav >> text=Invoices')
    await dashboard.getByText('Lighthouse tours: deposit').waitFor()
    const invoice = dashboard.locator('tr', { hasText: 'Lighthouse tours: deposit' })
    await invoice.getByRole('button').click()
    await invoice.locator('[data-status="paid"]').waitFor()
    await dashboard.click('nav >> text=Proposals')
    await dashboard.locator(`[data-proposal="${id}"] [data-status="accepted"]`).waitFor()

    await busbar.start()
    for (const one of [list, dashboard]) await isLive(one, timeout)
    assert.equal(await list.locator(`[data-proposal="${id}"] [data-status="accepted"]`).count(), 1)
    const later = await propose(tom, 'Written afterwards')
    for (const one of [list, dashboard]) await one.locator(`[data-proposal="${later.id}"]`).waitFor()
  },
  { deadlineMs: 90_000 },
)

scenario(
  'six tabs of one browser stay live over HTTP/1.1, and the seventh page opens',
  async ({ cleanup }) => {
    const { id } = await propose(mara, 'Six tabs', { send: false })
    const north = await context(cleanup, mara)
    const others = await waiting()
    const paths = ['/', '/proposals', '/contracts', '/invoices', '/activity', `/proposals/${id}`]
    const tabs = []
    for (const path of paths) tabs.push(await openPage(north, path))
    const [dashboard, list, contracts, invoices, feed, detail] = tabs
    const protocol = await dashboard.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol)
    assert.equal(protocol, 'http/1.1')

    for (let round = 1; round <= 3; round++) {
      const consultations = Number(await number(dashboard, 'consultations'))
      const made = await propose(tom, `Tab round ${round}`)
      const begun = performance.now()
      await act(app, `/p/${made.slug}?/accept`, { name: 'Tabby' })
      await tom.act('/?/consultation', { client: `Round ${round}` })
      const took = {}
      const seen = (name, arrived) => arrived.then(() => (took[name] = Math.round(performance.now() - begun)))
      await Promise.all([
        seen('list', list.locator(`[data-proposal="${made.id}"] [data-status="accepted"]`).waitFor()),
        seen('contracts', contracts.getByText(`Tab round ${round}`, { exact: true }).waitFor()),
        seen('invoices', invoices.getByText(`Tab round ${round}: deposit`).waitFor()),
        seen(
          'feed',
          feed
            .locator('main li', { hasText: `Round ${round}` })
            .first()
            .waitFor(),
        ),
        seen(
          'consultations',
          until(async () => Number(await number(dashboard, 'consultations')) === consultations + 1, 'the consultation'),
        ),
      ])
      console.log(`round ${round}, ms until each tab had it: ${JSON.stringify(took)}`)
      if (round === 2)
        assert.ok((await waiting()) - others <= 4, `${await waiting()} requests wait, ${others} did before`)
    }
    await tom.act(`/proposals/${id}?/send`, {})
    await detail.locator('[data-live-status="sent"]').waitFor()

    // A form and another page still find a connection.
    const begun = performance.now()
    const seventh = await openPage(north, '/activity')
    console.log(`a seventh tab was live after ${Math.round(performance.now() - begun)} ms`)
    await seventh.click('nav >> text=Contracts')
    await seventh.locator('[data-contract]', { hasText: 'Tab round 3' }).waitFor()
    for (const page of [...tabs, seventh]) {
      assert.deepEqual(page.said, [])
      assert.equal(await page.locator('[data-connection="live"]').count(), 1)
    }
    // Tabs that close leave no shape behind that nobody looks at: with the last, all requests end.
    await north.close()
    await until(async () => (await waiting()) <= others, 'the requests of the closed browser to end')
  },
  { deadlineMs: 120_000 },
)

scenario(
  'a tab left open is not fed with the rows of whoever signs in next',
  async ({ cleanup }) => {
    const shared = await context(cleanup, mara)
    const left = await openPage(shared, '/proposals')
    const titles = () => left.locator('table .main').allTextContents()
    const before = await titles()
    const next = await shared.newPage()
    await next.goto('/')
    await next.click('[aria-label="Sign out"]')
    await next.getByRole('button', { name: 'Ines Duarte' }).click()
    await next.getByRole('link', { name: 'Harbour & Pine: dashboard' }).waitFor()
    await propose(ines, 'Not for Northlight')
    // Its next requests are refused; this ends one of those that wait.
    await tom.act('/?/consultation', { client: 'Somebody' })
    await left.getByText('in another tab').waitFor()
    assert.deepEqual(await titles(), before)
    await left.getByText('Load this page again').click()
    await left.getByText('Not for Northlight', { exact: true }).waitFor()
    assert.equal(await left.getByText('Website relaunch').count(), 0)
  },
  { deadlineMs: 90_000 },
)

scenario('without scripts a client can read and accept, and colleagues can read', async ({ cleanup }) => {
  const { id, slug } = await propose(mara, 'No scripts', { amount: '1234' })
  const client = await context(cleanup, undefined, { javaScriptEnabled: false })
  const page = await client.newPage()
  await page.goto(`/p/${slug}`)
  await page.getByText('€1,234').first().waitFor()
  await page.click('form[action="?/accept"] button')
  await page.getByText('Accepted. Thank you!').waitFor()
  const north = await context(cleanup, mara, { javaScriptEnabled: false })
  const list = await north.newPage()
  await list.goto('/proposals')
  await list.locator(`[data-proposal="${id}"] [data-status="accepted"]`).waitFor()
})
