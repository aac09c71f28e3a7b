// container.test.mjs: Dockerfile, compose files, systemd unit: what can be said of them without Docker. What is
// run for real is in scripts/image.sh and scripts/package.sh.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { filesIn, read, readYaml, render, scratch, settingNames, sets, top } from './harness.mjs'

const known = () => new Set(settingNames().flat())

// --- The image ---------------------------------------------------------------------------------------------

/** The Dockerfile's instructions, continuation lines joined: [name, rest]. */
const instructions = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => /^(\S+)\s+(.*)$/.exec(line).slice(1))
const all = (name) => instructions.filter(([one]) => one === name).map(([, rest]) => rest)
const lastStage = instructions.slice(instructions.findLastIndex(([name]) => name === 'FROM'))
const inLastStage = (name) => lastStage.filter(([one]) => one === name).map(([, rest]) => rest)

test('both stages of the image are Debian 12', () => {
  assert.deepEqual(all('FROM').map((from) => from.split(' ')[0]), ['debian:bookworm-slim', 'debian:bookworm-slim'])
})

test('the image does not run as root, and as the user whom the chart names', () => {
  const { runAsUser, runAsGroup, fsGroup } = render(sets.minimal).pod.spec.securityContext
  assert.deepEqual(inLastStage('USER'), [`${runAsUser}:${runAsGroup}`])
  assert.equal(fsGroup, runAsGroup)
  assert.match(inLastStage('RUN')[0], new RegExp(`--gid ${runAsGroup} .*--uid ${runAsUser} `))
})

test('the image has a health check that the binary has, and starts it directly, so that signals reach it', () => {
  assert.match(inLastStage('HEALTHCHECK')[0], /CMD \["busbar", "health"\]$/)
  assert.deepEqual(inLastStage('ENTRYPOINT'), ['["busbar"]'])
  assert.deepEqual(inLastStage('CMD'), ['["serve"]'])
})

test('the image exposes the default ports and keeps its data on a volume', () => {
  const [names] = [settingNames()]
  assert.ok(names.length > 0)
  const { http, metrics } = readYaml('helm/busbar/values.yaml').ports
  assert.deepEqual(inLastStage('EXPOSE'), [`${http} ${metrics}`])
  const [storage] = inLastStage('ENV')
  assert.ok(known().has(storage.split('=')[0]))
  assert.ok(storage.split('=')[1].startsWith(`${inLastStage('VOLUME')[0]}/`))
})

test('what the image copies exists and is not ignored', () => {
  const ignored = read('.dockerignore').split('\n')
  for (const copy of all('COPY').filter((one) => !one.startsWith('--from')))
    for (const source of copy.split(/\s+/).slice(0, -1)) {
      assert.ok(existsSync(join(top, source)), source)
      assert.ok(!ignored.includes(source.split('/')[0]), source)
    }
  // What CMake and the package read.
  const needed = ['deploy/debian', 'cmake', 'app', 'README.md', 'scripts', 'CMakePresets.json', 'schema', 'monitoring']
  for (const path of needed) assert.ok(!ignored.some((line) => path === line || path.startsWith(`${line}/`)), path)
})

test('every package that the image installs by name is one of Debian’s', () => {
  const list = read('scripts/packages.sh')
  const groups = /scripts\/packages\.sh ([a-z ]+)/.exec(all('RUN')[0])[1].trim().split(' ')
  const packages = all('RUN').flatMap((run) => /apt-get install ([^&]+)/.exec(run)?.[1].trim().split(/\s+/) ?? [])
  for (const group of groups) {
    const body = new RegExp(`^packages_${group}=\\(([\\s\\S]*?)\\)`, 'm').exec(list.replace(/#.*$/gm, ''))
    assert.ok(body, `scripts/packages.sh has no group ${group}`)
    packages.push(...body[1].trim().split(/\s+/))
  }
  const names = packages.filter((name) => /^[a-z0-9]/.test(name))
  assert.ok(names.length > 15)
  const found = execFileSync('apt-cache', ['policy', ...names], { encoding: 'utf8' })
  for (const name of names) assert.match(found, new RegExp(`^${name.replaceAll('+', '\\+')}:\\n.*\\n  Candidate: \\d`, 'm'))
})

// --- Compose -----------------------------------------------------------------------------------------------

const compose = readYaml('docker-compose.yml')
const beside = readYaml('deploy/monitoring/docker-compose.yml')
const services = { ...compose.services, ...beside.services }
const named = { ...compose.volumes, ...beside.volumes }

test('compose: what services depend on, mount and read is there', () => {
  for (const [name, service] of Object.entries(services)) {
    assert.ok(service.image, name)
    const needs = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {})
    for (const one of needs) assert.ok(one in services, `${name} needs ${one}`)
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(':')
      // Of several files, the first one's folder counts.
      if (source.startsWith('./')) assert.ok(existsSync(join(top, source)), `${name}: ${source}`)
      else assert.ok(source in named, `${name}: ${source}`)
    }
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, 'only this machine')
  }
  const ports = Object.values(services).flatMap((service) => service.ports ?? [])
  assert.equal(new Set(ports.map((port) => port.split(':')[1])).size, ports.length)
})

test('compose: Busbar’s environment has only names that it knows, and leads to the PostgreSQL beside it', () => {
  const { environment, healthcheck, volumes } = services.busbar
  for (const name of Object.keys(environment)) assert.ok(known().has(name), name)
  const { hostname, username, password, pathname } = new URL(environment.DATABASE_URL)
  const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = services[hostname].environment
  assert.deepEqual([username, password, pathname], [POSTGRES_USER, POSTGRES_PASSWORD, `/${POSTGRES_DB}`])
  assert.match(services[hostname].command.join(' '), /wal_level=logical/)
  assert.equal(healthcheck, undefined, 'the image has one')
  assert.deepEqual(volumes, [`busbar-data:${inLastStage('VOLUME')[0]}`])
})

test('compose: Prometheus scrapes Busbar as the job that alerts ask for, and accepts its configuration', () => {
  const config = readYaml('deploy/monitoring/prometheus.yml')
  const [{ job_name: job, static_configs: targets }] = config.scrape_configs
  assert.equal(job, 'busbar')
  const [host, port] = targets[0].targets[0].split(':')
  assert.ok(host in services)
  assert.equal(Number(port), readYaml('helm/busbar/values.yaml').ports.metrics)
  const folder = scratch()
  writeFileSync(join(folder, 'prometheus.yml'), read('deploy/monitoring/prometheus.yml'))
  writeFileSync(join(folder, 'busbar-alerts.yaml'), read('helm/busbar/files/alerts.yaml'))
  execFileSync('promtool', ['check', 'config', join(folder, 'prometheus.yml')], { stdio: 'pipe' })
  const mounted = services.prometheus.volumes.map((volume) => volume.split(':').slice(0, 2))
  const rules = mounted.find(([source]) => source.endsWith('alerts.yaml'))
  assert.equal(rules[1], `/etc/prometheus/${config.rule_files[0]}`)
})

test('compose: Grafana finds the dashboard where it is told to look', () => {
  const mounts = Object.fromEntries(services.grafana.volumes.map((volume) => volume.split(':').slice(0, 2)))
  const { path } = readYaml('deploy/monitoring/grafana-dashboards.yml').providers[0].options
  assert.equal(mounts['./helm/busbar/files/dashboard.json'], `${path}/busbar.json`)
  assert.equal(services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH, `${path}/busbar.json`)
  const { url } = readYaml('deploy/monitoring/grafana-datasource.yml').datasources[0]
  assert.ok(new URL(url).hostname in services)
})

test('compose: three nodes are members of one cluster, and Prometheus scrapes each', () => {
  const text = read('deploy/cluster/docker-compose.yml')
  const { services: all, volumes } = parse(text, { merge: true })
  const nodes = Object.entries(all).filter(([name]) => name.startsWith('busbar-'))
  assert.equal(nodes.length, 3)
  const addresses = nodes.map(([name, { environment, volumes: [volume], image, depends_on: needs }]) => {
    for (const one of Object.keys(environment)) assert.ok(known().has(one), one)
    assert.equal(environment.BUSBAR_CLUSTER_ADDRESS, `${name}:7000`, 'the name by which compose knows it')
    assert.ok(environment.BUSBAR_CLUSTER_SECRET.length >= 16)
    assert.equal(image, compose.services.busbar.image)
    assert.deepEqual(Object.keys(needs), ['postgres'])
    assert.equal(volume, `${name}-data:${inLastStage('VOLUME')[0]}`, 'a volume of its own')
    return environment.BUSBAR_CLUSTER_ADDRESS
  })
  for (const [, { environment }] of nodes) assert.deepEqual(environment.BUSBAR_CLUSTER_PEERS.split(','), addresses)
  assert.deepEqual(all.postgres, compose.services.postgres)
  for (const { volumes: mounted = [], ports = [] } of Object.values(all)) {
    for (const [source] of mounted.map((one) => one.split(':')))
      assert.ok(source.startsWith('.') ? existsSync(join(top, 'deploy/cluster', source)) : source in volumes, source)
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/)
  }
  const ports = Object.values(all).flatMap((service) => service.ports ?? []).map((port) => port.split(':')[1])
  assert.equal(new Set(ports).size, ports.length)
  const [{ job_name: job, static_configs: [{ targets }] }] = readYaml('deploy/cluster/prometheus.yml').scrape_configs
  assert.equal(job, 'busbar')
  assert.deepEqual(targets, nodes.map(([name]) => `${name}:9464`))
})

// --- The Debian package ------------------------------------------------------------------------------------

test('the systemd unit and the settings of the package name only what the binary knows', () => {
  const unit = read('deploy/debian/busbar.service')
  const names = [...unit.matchAll(/^Environment=(\w+)=/gm)].map(([, name]) => name)
  names.push(...[...read('deploy/debian/busbar.env').matchAll(/^#?([A-Z_]+)=/gm)].map(([, name]) => name))
  assert.ok(names.length >= 5)
  for (const name of names) assert.ok(known().has(name), name)
})

test('systemd has nothing to say against the unit, and finds little that it could still do', () => {
  // The binary is looked for in this machine's /usr/bin; any will do.
  const file = join(scratch(), 'busbar.service')
  writeFileSync(file, read('deploy/debian/busbar.service').replace('/usr/bin/busbar', '/bin/true'))
  const said = execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$0" 2>&1', file], { encoding: 'utf8' })
  assert.doesNotMatch(said, /busbar\.service/, said)
  execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', file], { stdio: 'pipe' })
})

// --- Documents ---------------------------------------------------------------------------------------------

test('the chart’s README is what values.yaml says', async () => {
  const { readme } = await import('./readme.mjs')
  assert.equal(read('helm/busbar/README.md'), readme(), 'run npm --prefix tests/chart run readme')
})

test('the configuration’s page is what the binary says of its settings', async () => {
  const { configuration } = await import('./configuration.mjs')
  assert.equal(read('docs/configuration.md'), configuration(), 'run npm --prefix tests/chart run configuration')
})

test('every anchor of a document that another one names is a heading there', () => {
  const anchor = (heading) => heading.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-')
  for (const file of filesIn('docs').filter((name) => name.endsWith('.md')))
    for (const [, path, name] of read('docs', file).matchAll(/\]\(([\w-]+\.md)#([^)]+)\)/g)) {
      const headings = [...read('docs', path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchor(heading))
      assert.ok(headings.includes(name), `${file}: ${path}#${name}`)
    }
})

test('what the documents refer to is there: files, values, settings', () => {
  const values = readYaml('helm/busbar/values.yaml')
  const operating = ['install', 'runbook', 'README', 'cluster', 'configuration', 'moving-from-electric', 'providers', 'capacity', 'status-page', 'logs']
  for (const file of [...operating.map((name) => `docs/${name}.md`), 'helm/README.md', 'deploy/README.md']) {
    const text = read(file)
    const folder = join(top, file, '..')
    for (const [, path] of text.matchAll(/\]\((?!https?:)([^)#]+)/g))
      assert.ok(existsSync(join(folder, path)), `${file}: ${path}`)
    for (const [, path] of text.matchAll(/(?<![\w/.])((?:scripts|deploy|tests|helm|docs)\/[\w./-]*\w)/g))
      assert.ok(existsSync(join(top, path)) || existsSync(join(folder, path)), `${file}: ${path}`)
    for (const [name] of text.matchAll(/\bBUSBAR_[A-Z_]+\b/g)) assert.ok(known().has(name), `${file}: ${name}`)
    for (const [, path] of text.matchAll(/--set(?:-json)? '?([a-z][A-Za-z.]+)=/g))
      assert.notEqual(path.split('.').reduce((value, key) => value?.[key], values), undefined, `${file}: ${path}`)
  }
})

test('every version of the project is the same', () => {
  const [, version] = /VERSION ([\d.]+)/.exec(read('CMakeLists.txt').replace(/^cmake_minimum.*/m, ''))
  const chart = readYaml('helm/busbar/Chart.yaml')
  assert.equal(String(chart.appVersion), version)
  assert.ok(filesIn('helm/busbar/files').includes('alerts.yaml'))
})
