// admin-tail.test.mjs: the Go program follows the activity of all agencies, through a killed Busbar too.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after } from 'node:test'
import { ended, scratchDirectory, track, until, within } from '../../../tests/client/harness/processes.mjs'
import { scenario } from '../../../tests/client/harness/scenario.mjs'
import { Person, directory, people, stageWebkit } from './stage.mjs'

const site = await stageWebkit()
const binary = join(scratchDirectory('go'), 'admin-tail')
execFileSync('go', ['build', '-o', binary, '.'], {
  cwd: join(directory, 'admin-tail'),
  env: { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GO111MODULE: 'on' },
  stdio: ['ignore', 'inherit', 'inherit'],
  timeout: 180_000,
})
const [mara, ines] = await Promise.all([people.mara, people.ines].map((email) => Person.signIn(site.app, email)))

function tail(args = [], secret = site.busbar.secret) {
  const child = track(
    spawn(binary, ['-busbar', site.busbar.url, '-history', '3', ...args], { env: { BUSBAR_SECRET: secret } }),
  )
  const at = { child, gone: ended(child), out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => (at.out += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (at.err += text))
  after(() => child.kill('SIGKILL'))
  at.says = (words) =>
    until(
      () => at.out.includes(words),
      () => `“${words}” in\n${at.out}${at.err}`,
      { deadlineMs: 30_000 },
    )
  return at
}
const count = (text, words) => text.split(words).length - 1

scenario(
  'the admin panel hears of all agencies, of what happened while Busbar was away too, and each once',
  async () => {
    const all = tail()
    const one = tail(['-agency', ines.agency])
    await until(() => all.err.includes('following') && one.err.includes('following'), 'both to follow')
    assert.equal(count(all.out, '\n'), 3)
    await mara.act('/?/consultation', { client: 'For the panel 1' })
    await ines.act('/?/consultation', { client: 'For the panel 2' })
    await all.says('“For the panel 1”')
    await all.says('“For the panel 2”')
    await one.says('“For the panel 2”')

    await site.busbar.kill9()
    for (let i = 3; i <= 5; i++) await mara.act('/?/consultation', { client: `For the panel ${i}` })
    await until(() => all.err.includes('waiting for Busbar'), 'it to notice')
    await site.busbar.start()
    await mara.act('/?/consultation', { client: 'For the panel 6' })
    await all.says('“For the panel 6”')
    for (let i = 1; i <= 6; i++) assert.equal(count(all.out, `“For the panel ${i}”`), 1, `${i} in\n${all.out}`)
    assert.equal(count(one.out, 'For the panel'), 1)
    assert.ok(!all.err.includes(site.busbar.secret))

    for (const { child, gone } of [all, one]) {
      child.kill('SIGTERM')
      assert.deepEqual(await within(gone, 5_000, 'it to end'), { code: 0, signal: null })
    }
  },
  { deadlineMs: 90_000 },
)

scenario('a wrong secret ends it with the reason', async () => {
  const at = tail([], 'guessed')
  const { code } = await within(at.gone, 10_000, 'it to end')
  assert.equal(code, 1)
  assert.match(at.err, /HTTP 401/)
  assert.ok(!at.err.includes('guessed'))
})
