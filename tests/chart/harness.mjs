// harness.mjs: the chart rendered, Kubernetes' opinion of manifests, and what the binary says of itself.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { parse } from 'yaml'

export const here = fileURLToPath(new URL('.', import.meta.url))
export const top = fileURLToPath(new URL('../..', import.meta.url))
export const chartFolder = join(top, 'helm/busbar')

export const read = (...path) => readFileSync(join(top, ...path), 'utf8')
export const readYaml = (...path) => parse(read(...path))
export const filesIn = (...path) => readdirSync(join(top, ...path)).sort()

/** A folder of this process, gone when it ends. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), 'busbar-chart-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

// --- The chart ---------------------------------------------------------------------------------------------

let renderer

/** Built from Debian's Go packages alone: nothing is downloaded. */
function buildRenderer() {
  const program = join(scratch(), 'render')
  execFileSync('go', ['build', '-o', program, './tests/chart/render'], {
    cwd: top,
    env: {
      ...process.env,
      GO111MODULE: 'off',
      GOFLAGS: '',
      GOPATH: '/usr/share/gocode',
      GOCACHE: join(top, 'build/go-cache'),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: 120_000,
  })
  return program
}

/** Answers to requests as render/main.go describes them, in their order. */
export function renderAll(requests) {
  renderer ??= buildRenderer()
  const complete = requests.map((one) => ({
    name: '',
    release: 'shop',
    namespace: 'apps',
    kubeVersion: '1.30.2',
    apiVersions: [],
    values: {},
    ...one,
  }))
  const answers = execFileSync(renderer, [chartFolder], {
    input: JSON.stringify(complete),
    maxBuffer: 64 << 20,
    timeout: 60_000,
  })
  return JSON.parse(answers).map((answer) => new Rendered(answer))
}

export const render = (values, options = {}) => renderAll([{ values, ...options }])[0]

class Rendered {
  constructor({ name, error, manifests, notes }) {
    Object.assign(this, { name, error, notes })
    this.objects = (manifests ?? []).map(({ object }) => object)
  }

  all(kind) {
    return this.objects.filter((object) => object.kind === kind)
  }

  /** The only one of its kind, or the one whose name ends so. */
  one(kind, ending = '') {
    const found = this.all(kind).filter(({ metadata }) => metadata.name.endsWith(ending))
    if (found.length !== 1) throw new Error(`${this.name}: ${found.length} of ${kind} ${ending}: ${this.error ?? ''}`)
    return found[0]
  }

  get pod() {
    return this.one('StatefulSet').spec.template
  }

  get container() {
    return this.pod.spec.containers.find(({ name }) => name === 'busbar')
  }
}

/** The values of tests/chart/sets, rendered; by their names. */
export const sets = Object.fromEntries(
  filesIn('tests/chart/sets').map((file) => [basename(file, '.yaml'), readYaml('tests/chart/sets', file)]),
)

// --- Kubernetes' opinion -----------------------------------------------------------------------------------

const packages = {
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
  'keda.sh': '@kubernetes-models/keda',
}

function moduleOf({ apiVersion, kind }) {
  const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : ''
  return `${packages[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}`
}

/** What the API's schemas refuse: missing fields, wrong types, values out of range. */
export async function schemaErrors(object) {
  const module = await import(moduleOf(object))
  try {
    new module[object.kind](object).validate()
    return []
  } catch (error) {
    return (error.errors ?? [error]).map((one) => `${one.instancePath ?? ''} ${one.message}`)
  }
}

/**
 * What the API server would drop or refuse because it knows no such field. The JSON schemas allow unknown
 * fields; TypeScript's types of the same objects do not. All at once: loading the types takes longest.
 */
export function unknownFields(objects) {
  const file = join(here, 'manifests.ts')
  const lines = []
  const imports = new Map()
  objects.forEach((object, index) => {
    imports.set(moduleOf(object), object.kind)
    lines.push(`const manifest${index}: I${object.kind} = ${JSON.stringify(object)}`)
  })
  const source = [...imports].map(([from, kind]) => `import type { I${kind} } from '${from}'`).join(';') + '\n'
  const options = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Node10,
    ignoreDeprecations: '5.0',
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  const text = source + lines.join('\n')
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, text, options.target) : getSourceFile.call(host, name, ...rest)
  host.fileExists = (name) => name === file || fileExists.call(host, name)
  host.readFile = (name) => (name === file ? text : readFile.call(host, name))
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options, host)).map((found) => {
    const line = found.file?.fileName === file ? found.file.getLineAndCharacterOfPosition(found.start).line : -1
    const object = objects[line - 1]
    const where = object ? `${object.kind} ${object.metadata?.name}: ` : ''
    return where + ts.flattenDiagnosticMessageText(found.messageText, ' ')
  })
}

// --- The binary --------------------------------------------------------------------------------------------

export const binary = process.env.BUSBAR_BINARY ?? join(top, 'build/release/busbar')

let known

/** The environment that `busbar serve --help` lists: each setting's names, its own first. */
export function settingNames() {
  if (known) return known
  if (!existsSync(binary)) throw new Error(`no binary at ${binary}; build it or set BUSBAR_BINARY`)
  const help = execFileSync(binary, ['serve', '--help'], { encoding: 'utf8' })
  known = [...help.matchAll(/^ {2}--[a-z-]+ {4}(.+)$/gm)].map(([, names]) => names.split(', '))
  if (known.length < 20) throw new Error(`busbar serve --help lists ${known.length} settings`)
  return known
}

/** The series of /metrics, as the sources name them; a histogram's three included. */
export function metricNames() {
  const files = ['monitoring/metrics.cpp', 'monitoring/cluster_metrics.cpp', 'monitoring/process.cpp', 'app/node_collectors.cpp', 'gate/gatekeeper.cpp']
  const plain = [...files.map((file) => read(file)).join('\n').matchAll(/"((?:busbar|process)_[a-z_]+)"/g)].map(([, name]) => name)
  return new Set(
    plain.flatMap((name) => (/(?<!_timestamp)_seconds$/.test(name) ? ['_bucket', '_count', '_sum'].map((s) => name + s) : [name])),
  )
}

/** Of an expression in PromQL. */
export const metricsOf = (expression) => [...new Set(expression.match(/\b(?:busbar|process)_[a-z_]+/g) ?? [])]

// --- The dashboard -----------------------------------------------------------------------------------------

export const dashboard = JSON.parse(read('helm/busbar/files/dashboard.json'))
export const panels = dashboard.panels.filter(({ type }) => type !== 'row')

/** A panel's queries with the variables filled in, as Grafana does. */
export function queriesOf({ targets }, interval) {
  const variables = { __rate_interval: interval, job: 'busbar', namespace: '.*', instance: '.*' }
  return targets.map(({ expr }) => expr.replace(/\$(\w+)/g, (whole, name) => variables[name] ?? whole))
}
