// screenshots.mjs: the pictures of the README, taken of the running product: `npm run screenshots`.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Person, directory, openContext, openPage, people, stageChromium, stageWebkit } from './stage.mjs'

const [site, browser] = await Promise.all([stageWebkit(), stageChromium()])
const into = join(directory, 'screenshots')
mkdirSync(into, { recursive: true })

test('the pictures of the README', async () => {
  const mara = await Person.signIn(site.app, people.mara)
  const [{ id, slug }] = await site.query(`SELECT id, slug FROM proposals WHERE title = 'Website relaunch'`)
  const desk = (colorScheme) =>
    openContext(browser, site.app, mara, { colorScheme, viewport: { width: 1200, height: 800 } })
  const shoot = (page, name) => page.screenshot({ path: join(into, `${name}.png`), animations: 'disabled' })

  const client = await openContext(browser, site.app, undefined, { viewport: { width: 1000, height: 800 } })
  const proposal = await client.newPage()
  await proposal.goto(`/p/${slug}`)
  await shoot(proposal, 'client')

  const light = await desk('light')
  const dashboard = await openPage(light, '/')
  await dashboard.locator('[data-viewing]').waitFor()
  await shoot(dashboard, 'dashboard')
  const detail = await openPage(light, `/proposals/${id}`)
  await detail.locator('[data-viewing]').waitFor()
  await detail.mouse.move(600, 780)
  await shoot(detail, 'proposal')

  const dark = await desk('dark')
  const list = await openPage(dark, '/proposals')
  await list.click('[aria-controls=notifications]')
  await shoot(list, 'dark')

  const phone = await openContext(browser, site.app, mara, {
    viewport: { width: 390, height: 800 },
    colorScheme: 'dark',
  })
  await shoot(await openPage(phone, '/'), 'phone')

  await site.busbar.kill9()
  const invoices = await openContext(browser, site.app, mara, { viewport: { width: 1200, height: 560 } })
  const paused = await invoices.newPage()
  await paused.goto('/invoices')
  await paused.locator('[data-connection="paused"]').waitFor()
  await shoot(paused, 'paused')
})
