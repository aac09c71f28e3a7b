// stage.mjs: what the tests of this example need: PostgreSQL, Busbar and the built app with its two
// demo agencies, people who are signed in, and Chromium. The servers are those of tests/client.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { ended, freePort, track, until, within } from '../../../tests/client/harness/processes.mjs'
import { stageBusbar, stagePostgres } from '../../../tests/client/harness/stage.mjs'

export const directory = fileURLToPath(new URL('..', import.meta.url))
const secret = 'the secret that only the app knows'

/** The people of the demo's agencies. */
export const people = {
  mara: 'mara@northlight.example',
  tom: 'tom@northlight.example',
  priya: 'priya@northlight.example',
  ines: 'ines@harbourpine.example',
  jonas: 'jonas@harbourpine.example',
}

export class App {
  #lines = []

  async start({ databaseUrl, busbarUrl }) {
    if (!existsSync(join(directory, 'build/index.js'))) throw new Error('not built; run npm run build')
    this.port = await freePort()
    this.url = `http://127.0.0.1:${this.port}`
    this.child = track(
      spawn(process.execPath, ['build/index.js'], {
        cwd: directory,
        env: {
          PATH: process.env.PATH,
          HOST: '127.0.0.1',
          PORT: String(this.port),
          ORIGIN: this.url,
          DATABASE_URL: databaseUrl,
          BUSBAR_URL: busbarUrl,
          BUSBAR_SECRET: secret,
          SESSION_SECRET: 'for the tests only',
          WEBKIT_DEMO: 'true',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
    this.gone = ended(this.child)
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.setEncoding('utf8').on('data', (text) => this.#lines.push(text))
    await until(
      () =>
        fetch(`${this.url}/login`).then(
          ({ ok }) => ok,
          () => false,
        ),
      () => `the app to answer:\n${this.output()}`,
      { deadlineMs: 30_000, everyMs: 50 },
    )
  }

  output() {
    return this.#lines.join('').slice(-4000)
  }

  async stop() {
    this.child.kill('SIGTERM')
    // Streams that are still open would let an orderly stop take half a minute.
    await within(this.gone, 1_000, 'the app to end').catch(() => this.child.kill('SIGKILL'))
    await this.gone
  }
}

/** Somebody with a cookie, without a browser. */
export class Person {
  static async signIn(app, email) {
    const person = new Person()
    person.app = app
    person.email = email
    const response = await person.post('/login', { email, password: 'demo' })
    if (response.status !== 303) throw new Error(`${email} cannot sign in: ${response.status}`)
    person.cookie = response.headers.get('set-cookie').split(';')[0]
    const [, claims] = person.cookie.split('=')[1].split('.')
    Object.assign(person, JSON.parse(Buffer.from(claims, 'base64url').toString()))
    person.session = person.sid
    return person
  }

  /** Any request; one with a method of its own comes from the app's origin, as a page's would. */
  get(path, init = {}) {
    const origin = init.method ? { origin: this.app.url } : {}
    const headers = { ...this.#cookies(), ...origin, ...init.headers }
    return fetch(this.app.url + path, { redirect: 'manual', ...init, headers })
  }

  /** A form, as a browser without scripts sends it. */
  post(path, fields) {
    return fetch(this.app.url + path, {
      method: 'POST',
      redirect: 'manual',
      headers: { ...this.#cookies(), origin: this.app.url, accept: 'text/html' },
      body: new URLSearchParams(fields),
    })
  }

  /** A form, as the app's own scripts send it; returns {type, status, location}, and renders no page. */
  async act(path, fields = {}) {
    return act(this.app, path, fields, this.#cookies())
  }

  /** One request for a shape through the proxy. */
  shape(name, query = {}, init) {
    const words = query instanceof URLSearchParams ? query : new URLSearchParams({ offset: '-1', ...query })
    if (!words.has('session')) words.set('session', this.session)
    return this.get(`/api/electric/${name}?${words}`, init)
  }

  #cookies() {
    return this.cookie ? { cookie: this.cookie } : {}
  }
}

/** The same for somebody without a session: a client. */
export async function act(app, path, fields = {}, headers = {}) {
  const response = await fetch(app.url + path, {
    method: 'POST',
    headers: { ...headers, origin: app.url, accept: 'application/json', 'x-sveltekit-action': 'true' },
    body: new URLSearchParams(fields),
  })
  return response.json()
}

/** PostgreSQL, Busbar and the app; all ended when the file's tests are done. */
export async function stageWebkit() {
  const postgres = await stagePostgres({ settings: { track_commit_timestamp: 'on' } })
  const busbar = await stageBusbar(postgres, { secret })
  const app = new App()
  await app.start({ databaseUrl: postgres.url(busbar.database), busbarUrl: busbar.url })
  after(() => app.stop())
  return {
    app,
    busbar,
    postgres,
    query: busbar.query,
    one: async (text, values) => Object.values((await busbar.query(text, values))[0] ?? {})[0],
  }
}

function findBinary() {
  const found = (process.env.PATH ?? '').split(':').map((path) => join(path, 'chromium'))
  const binary = [...found, '/usr/bin/chromium'].find((path) => existsSync(path))
  if (!binary) throw new Error('no chromium found; install chromium')
  return binary
}

/** Chromium without a profile; every context is a browser of its own. */
export async function stageChromium() {
  const browser = await chromium.launch({
    executablePath: findBinary(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  })
  after(() => browser.close())
  return browser
}

/** A browser in which this person is signed in, or nobody is. */
export async function openContext(browser, app, person, options = {}) {
  const context = await browser.newContext({ baseURL: app.url, viewport: { width: 1280, height: 860 }, ...options })
  if (person) {
    const [name, value] = person.cookie.split('=')
    await context.addCookies([{ name, value, url: app.url, httpOnly: true, sameSite: 'Lax' }])
  }
  return context
}

/** A page that has become live. */
export async function openPage(context, path) {
  const page = await context.newPage()
  page.said = []
  page.on('pageerror', (error) => page.said.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && page.said.push(message.text()))
  await page.goto(path)
  await isLive(page)
  return page
}

export const isLive = (page, timeout = 20_000) => page.waitForSelector('[data-connection="live"]', { timeout })
