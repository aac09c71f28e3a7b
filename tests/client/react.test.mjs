// react.test.mjs: the unmodified @electric-sql/react with the real React in jsdom: what useShape shows
// on the page is what the table holds.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { JSDOM } from 'jsdom'
import { quickRetries } from './harness/clients.mjs'
import { until, within } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, followTo } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

// What the packages look for when they are loaded. A page that is not drawn would count as hidden.
const dom = new JSDOM('<!doctype html><body></body>', { url: 'http://localhost', pretendToBeVisual: true })
for (const name of ['window', 'document', 'navigator', 'localStorage', 'HTMLElement', 'Node']) {
  Object.defineProperty(globalThis, name, { value: dom.window[name], configurable: true, writable: true })
}
after(() => dom.window.close())
let tabHidden = false
Object.defineProperty(dom.window.document, 'hidden', { get: () => tabHidden })
const { createElement: h, StrictMode } = await import('react')
const { createRoot } = await import('react-dom/client')
const { preloadShape, useShape } = await import('@electric-sql/react')

// The long poll keeps its 20 s: a change that does not wake a waiting client fails its test.
const postgres = await stagePostgres()
const server = await stageBusbar(postgres)
const restarted = await stageBusbar(postgres)

/** Options for useShape, with the requests that they cause; all streams end with the test. */
function shapeOptions(cleanup, at, params) {
  const aborter = new AbortController()
  cleanup(() => aborter.abort())
  const requests = []
  const options = {
    url: at.shapeUrl,
    params,
    signal: aborter.signal,
    backoffOptions: quickRetries,
    warnOnHttp: false,
    fetchClient: async (url, init) => {
      const query = new URL(url).searchParams
      const request = { offset: query.get('offset'), live: query.has('live') }
      requests.push(request)
      try {
        return await fetch(url, init)
      } finally {
        request.done = true
      }
    },
  }
  return { options, requests }
}

/** Renders into a new element of the page. The result's text() is what a user would read. */
function render(cleanup, element) {
  const container = document.createElement('div')
  document.body.append(container)
  const root = createRoot(container)
  root.render(element)
  cleanup(() => {
    root.unmount()
    container.remove()
  })
  return {
    root,
    text: () => container.textContent,
    shows: (text, deadlineMs) =>
      until(
        () => container.textContent === text,
        () => `the page to show ${text}; it shows ${container.textContent}`,
        { deadlineMs },
      ),
  }
}

const line = (rows) =>
  rows
    .map((row) => `${row.id}:${row.title}${row.done ? '!' : ''}`)
    .sort()
    .join(' ')

function Items({ options }) {
  const { data, isLoading, isError, error } = useShape(options)
  if (isError) return `error ${error.status}`
  return isLoading ? 'loading' : `[${line(data)}]`
}

const threeItems = '[1:Buy milk 2:Call "Bob"! 3:Ünïcode]'

scenario('first rows, then every insert, update and delete', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options } = shapeOptions(cleanup, server, { table })
  const page = render(cleanup, h(StrictMode, null, h(Items, { options })))
  await until(() => page.text() !== '', 'a first rendering')
  assert.equal(page.text(), 'loading')
  await page.shows(threeItems)
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
  await page.shows('[1:Buy milk 2:Call "Bob"! 3:Ünïcode 4:four]')
  await server.query(`UPDATE ${table} SET done = true WHERE id IN (1, 4)`)
  await page.shows('[1:Buy milk! 2:Call "Bob"! 3:Ünïcode 4:four!]')
  await server.query(`DELETE FROM ${table} WHERE id < 4`)
  await page.shows('[4:four!]')
  await server.query(`DELETE FROM ${table}`)
  await page.shows('[]')
})

scenario('two components share one stream', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options, requests } = shapeOptions(cleanup, server, { table })
  const page = render(
    cleanup,
    h('div', null, h(Items, { options }), ' and ', h('p', null, h(Items, { options: { ...options } }))),
  )
  await page.shows(`${threeItems} and ${threeItems}`)
  await server.query(`DELETE FROM ${table} WHERE id > 1`)
  await page.shows('[1:Buy milk] and [1:Buy milk]')
  // Also a component that comes later has its rows at once, without a request of its own.
  const later = render(cleanup, h(Items, { options }))
  await later.shows('[1:Buy milk]')
  assert.equal(requests.filter(({ offset }) => offset === '-1').length, 1)
  await until(() => requests.some(({ done }) => !done), 'the next poll')
  assert.equal(requests.filter(({ done }) => !done).length, 1, 'one poll for all')
})

scenario('a component with a selector is drawn again only when its selection changed', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options } = shapeOptions(cleanup, server, { table })
  let drawn = 0
  const doneCount = ({ data, isLoading }) => (isLoading ? 'loading' : data.filter((row) => row.done).length)
  function Count() {
    drawn++
    return `${useShape({ ...options, selector: doneCount })} done`
  }
  const page = render(cleanup, h('div', null, h(Count), h(Items, { options })))
  await page.shows(`1 done${threeItems}`)
  const before = drawn
  await server.query(`UPDATE ${table} SET title = 'Buy bread' WHERE id = 1`)
  await page.shows('1 done[1:Buy bread 2:Call "Bob"! 3:Ünïcode]')
  assert.equal(drawn, before)
  await server.query(`UPDATE ${table} SET done = true WHERE id = 1`)
  await page.shows('2 done[1:Buy bread! 2:Call "Bob"! 3:Ünïcode]')
  assert.ok(drawn > before)
})

scenario('a component that asks for other rows shows those', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options } = shapeOptions(cleanup, server, { table })
  const above = (id) =>
    h(Items, {
      options: { ...options, params: { table, where: 'id > $1', params: [String(id)], columns: ['id', 'title'] } },
    })
  const page = render(cleanup, above(1))
  await page.shows('[2:Call "Bob" 3:Ünïcode]')
  page.root.render(above(2))
  await page.shows('[3:Ünïcode]')
  await server.query(`INSERT INTO ${table} VALUES (4, 'four', true, NULL); DELETE FROM ${table} WHERE id = 3`)
  await page.shows('[4:four]')
  page.root.render(above(1))
  await page.shows('[2:Call "Bob" 4:four]')
})

scenario('a preloaded shape is never seen loading', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options, requests } = shapeOptions(cleanup, server, { table })
  await within(preloadShape(options), 15_000, 'the rows')
  const page = render(cleanup, h(Items, { options }))
  await until(() => page.text() !== '', 'a first rendering')
  assert.equal(page.text(), threeItems)
  assert.equal(requests.filter(({ offset }) => offset === '-1').length, 1)
})

scenario('after TRUNCATE the page shows the new rows, and goes on', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options, requests } = shapeOptions(cleanup, server, { table })
  const page = render(cleanup, h('div', null, h(Items, { options }), h(Items, { options })))
  await page.shows(threeItems + threeItems)
  await server.query(`TRUNCATE ${table}; INSERT INTO ${table} VALUES (8, 'fresh', true, NULL)`)
  await page.shows('[8:fresh!][8:fresh!]')
  assert.equal(requests.filter(({ offset }) => offset === '-1').length, 2)
  await server.query(`UPDATE ${table} SET title = 'fresher'`)
  await page.shows('[8:fresher!][8:fresher!]')
})

scenario('a hidden tab does not poll, and catches up when it is shown again', async ({ cleanup }) => {
  const table = await newTable(server, itemColumns, itemRows)
  const { options, requests } = shapeOptions(cleanup, server, { table })
  const show = (visible) => {
    tabHidden = !visible
    document.dispatchEvent(new dom.window.Event('visibilitychange'))
  }
  cleanup(() => show(true))
  const page = render(cleanup, h(Items, { options }))
  await page.shows(threeItems)
  await until(() => requests.some(({ live, done }) => live && !done), 'a poll')
  show(false)
  await until(() => requests.every(({ done }) => done), 'the poll to be given up')
  const before = requests.length
  const reader = await follow(server, { table })
  await server.query(`DELETE FROM ${table} WHERE id < 3`)
  // Another reader has the change, so the page could have it too, had it asked.
  await followTo(server, { table }, reader, reader.checker.seen + 1n)
  assert.equal(reader.checker.rows.size, 1)
  assert.equal(page.text(), threeItems)
  assert.equal(requests.length, before)

  show(true)
  await page.shows('[3:Ünïcode]')
  const [first] = requests.slice(before)
  assert.equal(first.live, false, 'it asks first for what it missed')
  assert.notEqual(first.offset, '-1', 'and only for that')
})

scenario(
  'a restart of Busbar is not noticed',
  async ({ cleanup }) => {
    const table = await newTable(restarted, itemColumns, itemRows)
    const { options, requests } = shapeOptions(cleanup, restarted, { table })
    const page = render(cleanup, h(Items, { options }))
    await page.shows(threeItems)
    await restarted.kill9()
    await restarted.query(`DELETE FROM ${table} WHERE id = 1`)
    await restarted.start()
    await page.shows('[2:Call "Bob"! 3:Ünïcode]', 30_000)
    await restarted.query(`INSERT INTO ${table} VALUES (4, 'four', false, NULL)`)
    await page.shows('[2:Call "Bob"! 3:Ünïcode 4:four]')
    assert.equal(requests.filter(({ offset }) => offset === '-1').length, 1)
  },
  { deadlineMs: 90_000 },
)

scenario('an error of the request reaches the component', async ({ cleanup }) => {
  const { options } = shapeOptions(cleanup, server, { table: 'no_such_table' })
  const page = render(cleanup, h(Items, { options: { ...options, onError: () => {} } }))
  await page.shows('error 400')
})
