// prometheus.test.mjs: a real Prometheus scrapes a real node, which follows a real PostgreSQL; it then answers
// every query of the dashboard and has no trouble with any rule. The node is a cluster's only member, has a gate and
// tells tenants apart, so that it has their series, too.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { ended, freePort, scratchDirectory, track, until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { Issuer, fileOf } from '../client/harness/gate.mjs'
import { request } from '../client/harness/raw.mjs'
import { follow, get, target } from '../client/harness/shapes.mjs'
import { poll } from '../client/harness/waiting.mjs'
import { itemColumns, itemRows, stageBusbar, stagePostgres } from '../client/harness/stage.mjs'
import { panels, queriesOf, read } from './harness.mjs'

const postgres = await stagePostgres()
const issuer = new Issuer('ES256')
const secret = 'of the operator'
const cluster = `127.0.0.1:${await freePort()}`
const server = await stageBusbar(postgres, {
  secret,
  env: {
    BUSBAR_JWT_KEY_FILE: fileOf('keys', issuer.keyFile),
    BUSBAR_POLICY_FILE: fileOf('policy.yaml', 'tenant: who\ntables: {items: {where: "true"}}\nlimits: {requests_per_second: 100}\n'),
    BUSBAR_TENANT_COLUMN: 'note',
    BUSBAR_CLUSTER_PEERS: cluster,
    BUSBAR_CLUSTER_ADDRESS: cluster,
    BUSBAR_CLUSTER_SECRET: 'sixteen-or-more-of-them',
  },
  sql: `CREATE TABLE items (${itemColumns}); INSERT INTO items VALUES ${itemRows}`,
})

/** Prometheus with our rules and our job, but every quarter of a second. */
async function startPrometheus() {
  const folder = scratchDirectory('prometheus')
  const port = await freePort()
  const config = read('deploy/monitoring/prometheus.yml')
    .replace('busbar:9464', `127.0.0.1:${server.metricsPort}`)
    .replaceAll('15s', '250ms')
  writeFileSync(join(folder, 'prometheus.yml'), config)
  writeFileSync(join(folder, 'busbar-alerts.yaml'), read('helm/busbar/files/alerts.yaml'))
  const flags = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`]
  const child = track(spawn('prometheus', [...flags, `--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' }))
  const gone = ended(child)
  after(async () => {
    child.kill('SIGKILL')
    await gone
  })
  return async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`).catch(() => undefined)
    return response && response.status !== 503 ? response.json() : undefined
  }
}

const ask = await startPrometheus()

scenario('the dashboard’s queries have answers, and the alerts are quiet', async () => {
  // A change, a removed shape, a client with an unknown handle: so that every series has a value.
  const state = await follow(server, { table: 'items', secret })
  const waiting = await poll(server, { table: 'items', secret, handle: state.handle, offset: state.offset })
  const isWaiting = async () => /^busbar_waiting_readers 1$/m.test(await server.metrics())
  await until(isWaiting, 'the reader to wait')
  await server.query('UPDATE items SET done = NOT done')
  await waiting.answer
  await get(server, { table: 'items', secret, handle: 'unknown', offset: '0_0' })
  const headers = { authorization: `Bearer ${issuer.token({ who: 'a' })}` }
  assert.equal((await request(server, target({ table: 'items', offset: '-1' }), { headers })).status, 200)
  await server.query('TRUNCATE items')
  const removed = () => get(server, { table: 'items', secret, handle: state.handle, offset: state.offset })
  await until(async () => (await removed()).status === 409, 'the shape is removed')

  for (const panel of panels)
    for (const query of queriesOf(panel, '10s')) {
      const answer = await until(async () => {
        const said = await ask(`query?query=${encodeURIComponent(query)}`)
        assert.notEqual(said?.status, 'error', `${panel.title}: ${said?.error}`)
        return said?.data.result.length > 0 && said.data.result
      }, `an answer to ${panel.title}: ${query}`)
      if (panel.title === 'Members') assert.deepEqual(answer.map(({ metric }) => metric.state ?? '').sort(), ['', 'away', 'reachable'])
      if (panel.title === 'At the gate') assert.ok(answer.some(({ metric }) => metric.outcome === 'admitted'))
      if (panel.title === 'Leader' || panel.title === 'Errors')
        assert.equal(answer[0].value[1], panel.title === 'Leader' ? '1' : '0')
    }
  const { data } = await ask('rules')
  const rules = data.groups.flatMap((group) => group.rules)
  assert.ok(rules.length > 10)
  for (const { name, health, state, lastError } of rules)
    assert.deepEqual([health, state], ['ok', 'inactive'], `${name} ${lastError}`)
})

const check = (metrics) => execFileSync('promtool', ['check', 'metrics'], { input: metrics, stdio: 'pipe' })

scenario('promtool has nothing against the series, but for names that are Electric’s', async () => {
  const ofTenant = { table: 'items', secret, where: `note = 'a/b'`, offset: '-1' }
  assert.equal((await get(server, ofTenant)).status, 200)
  const tenants = ['requests_total', 'sent_bytes_total', 'log_bytes_total', 'shapes'].map((name) => `busbar_tenant_${name}{tenant="a/b"`)
  const hasTenants = async () => {
    const metrics = await server.metrics()
    return tenants.every((series) => metrics.includes(`\n${series}`)) && metrics
  }
  const metrics = await until(hasTenants, 'the series of a tenant')
  assert.match(metrics, /^busbar_slot_retained_bytes \d/m)
  check(metrics.split('\n').filter((line) => !/^(# \w+ )?electric_/.test(line)).join('\n'))
})

scenario('Electric’s eight series have values, and Prometheus reads them', async () => {
  for (const name of [
    'electric_shapes_total_shapes_count',
    'electric_shapes_active_shapes_count',
    'electric_postgres_replication_slot_retained_wal_size',
    'electric_postgres_replication_slot_confirmed_flush_lsn_lag',
    'electric_postgres_replication_transaction_received_receive_lag_count',
    'electric_plug_serve_shape_requests_count{status="200"}',
    'electric_admission_control_acquire_current{kind="initial"}',
    'electric_admission_control_reject_count{kind="existing"}',
  ])
    await until(
      async () => (await ask(`query?query=${encodeURIComponent(name)}`))?.data?.result.length > 0,
      `Prometheus to know ${name}`,
    )
})

scenario('a scrape is small and quick, however many shapes there are', async () => {
  const before = (await server.metrics()).length
  await Promise.all(Array.from({ length: 200 }, (_, i) => get(server, { table: 'items', secret, where: `id > ${i}`, offset: '-1' })))
  const metrics = await until(async () => {
    const all = await server.metrics()
    return /^busbar_shapes_by_state\{state="following"\} 2\d\d$/m.test(all) && all
  }, 'the shapes to be made')
  assert.ok(metrics.length < before * 1.5 && metrics.length < 200_000, `${metrics.length} bytes, ${before} before`)
})
