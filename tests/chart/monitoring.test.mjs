// monitoring.test.mjs: alert rules and dashboard: Prometheus accepts them, every alert has a test and a page of
// the runbook, and nothing asks for a series that Busbar does not have.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { parse, stringify } from 'yaml'
import { dashboard, filesIn, metricNames, metricsOf, panels, queriesOf, read, readYaml, scratch, top } from './harness.mjs'

const run = promisify(execFile)
const promtool = (...args) => run('promtool', args, { timeout: 30_000 })
const rulesFile = 'helm/busbar/files/alerts.yaml'
const rules = readYaml(rulesFile).groups.flatMap((group) => group.rules)
const tested = filesIn('tests/chart/alerts').map((file) => basename(file, '.yaml'))
const folder = scratch()

test('Prometheus accepts the rules', () => promtool('check', 'rules', join(top, rulesFile)))

for (const name of tested) {
  const file = join(top, 'tests/chart/alerts', `${name}.yaml`)
  test(`${name} fires when it should, and only then`, () => promtool('test', 'rules', file))

  test(`${name}: its test fails without it`, async () => {
    const copy = parse(read(rulesFile))
    for (const group of copy.groups)
      for (const rule of group.rules) if (rule.alert === name) rule.expr = 'vector(0) > 1'
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'rules.yaml'), stringify(copy))
    writeFileSync(join(folder, name, 'test.yaml'), stringify({ ...parse(read('tests/chart/alerts', `${name}.yaml`)), rule_files: ['rules.yaml'] }))
    await assert.rejects(promtool('test', 'rules', join(folder, name, 'test.yaml')))
  })
}

test('every alert has a test, a severity, a summary, a description and a section of the runbook', () => {
  assert.deepEqual(rules.map(({ alert }) => alert).sort(), tested)
  const runbook = read('docs/runbook.md')
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(critical|warning)$/, alert)
    assert.ok(annotations.summary && annotations.description, alert)
    assert.match(runbook, new RegExp(`^## ${alert}$`, 'm'))
  }
  for (const [, section] of runbook.matchAll(/^## (Busbar\w+)$/gm)) assert.ok(tested.includes(section), section)
})

test('every series that a rule asks for exists', () => {
  const known = metricNames()
  assert.ok(known.size > 20)
  for (const { alert, expr } of rules)
    for (const name of metricsOf(expr)) assert.ok(known.has(name), `${alert}: there is no ${name}`)
})

test('every series that the dashboard asks for exists', () => {
  const known = metricNames()
  for (const { title, targets } of panels)
    for (const { expr } of targets) {
      assert.ok(metricsOf(expr).length > 0, title)
      for (const name of metricsOf(expr)) assert.ok(known.has(name), `${title}: there is no ${name}`)
    }
})

test('Prometheus understands every query of the dashboard', async () => {
  const queries = panels.flatMap((panel) => queriesOf(panel, '5m'))
  const records = queries.map((expr, index) => ({ record: `dashboard:${index}`, expr }))
  const file = join(folder, 'dashboard.yaml')
  writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules: records }] }))
  const { stdout } = await promtool('check', 'rules', file)
  assert.match(stdout, new RegExp(`${queries.length} rules found`))
})

test('the dashboard’s panels have numbers, titles and descriptions of their own and do not overlap', () => {
  const ids = dashboard.panels.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  const cells = new Set()
  for (const { title, description, type, gridPos } of dashboard.panels) {
    assert.ok(title && (type === 'row' || description), title)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(x < 24 && !cells.has(`${x} ${y}`), `${title} lies over another panel`)
        cells.add(`${x} ${y}`)
      }
  }
})
