// chromium.mjs: one Chromium for a test file, and a web server of another origin whose page loads the
// unmodified client.
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { chromium } from 'playwright-core'
import { scratchDirectory } from '../client/harness/processes.mjs'

function findBinary() {
  const found = (process.env.PATH ?? '').split(':').map((directory) => join(directory, 'chromium'))
  const binary = [...found, '/usr/bin/chromium'].find((path) => existsSync(path))
  if (!binary) throw new Error('no chromium found; install chromium')
  return binary
}

/** Starts a Chromium with an empty profile; it ends with the test file. Returns its only context. */
export async function stageChromium() {
  const context = await chromium.launchPersistentContext(scratchDirectory('chromium'), {
    executablePath: findBinary(),
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  after(() => context.close())
  return context
}

const client = dirname(createRequire(import.meta.url).resolve('@electric-sql/client/package.json'))
const files = {
  '/': ['text/html', join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, 'page.html')],
  '/client.mjs': ['text/javascript', join(client, 'dist/index.browser.mjs')],
}

/** Serves the page on an origin of its own. Returns its address. */
export async function stagePage() {
  const server = createServer((request, response) => {
    const [type, path] = files[request.url.split('?')[0]] ?? []
    if (!path) return response.writeHead(404).end()
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(readFileSync(path))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  after(() => server.close())
  return `http://127.0.0.1:${server.address().port}/`
}
