// readme.mjs: helm/busbar/README.md from the comments of values.yaml.
//   node readme.mjs            writes it
//   node readme.mjs --check    changes nothing, exits 1 if it is not what values.yaml says
import { writeFileSync } from 'node:fs'
import { isMap, parseDocument } from 'yaml'
import { chartFolder, read } from './harness.mjs'

const file = `${chartFolder}/README.md`

/** The text of a comment, if it begins with "--": lines joined to one. */
function described(comment) {
  const at = comment?.lastIndexOf(' -- ') ?? -1
  return at < 0 ? undefined : comment.slice(at + 4).split('\n').map((line) => line.trim()).join(' ')
}

/** Each value that has a description, in the file's order, as [path, default, description]. */
function* valuesOf(map, path = '') {
  for (const [index, { key, value }] of map.items.entries()) {
    const name = path + key.value
    // What stands before the first key of a map within a map belongs to that map.
    const text = described(key.commentBefore ?? (index === 0 ? map.commentBefore : undefined))
    if (text) yield [name, JSON.stringify(value.toJSON()), text]
    else if (isMap(value)) yield* valuesOf(value, `${name}.`)
    else throw new Error(`values.yaml: ${name} has no comment that begins with "# --"`)
  }
}

/** A table's cell: a bar would end it. */
const cell = (text) => text.replaceAll('|', '\\|')
const shown = (value) => (value.length > 60 ? 'see values.yaml' : '`' + cell(value) + '`')

export function readme() {
  const values = parseDocument(read('helm/busbar/values.yaml'))
  const rows = [...valuesOf(values.contents)].map(
    ([name, value, text]) => `| \`${name}\` | ${shown(value)} | ${cell(text)} |`,
  )
  const chart = parseDocument(read('helm/busbar/Chart.yaml')).toJSON()
  return `# Values of Busbar's chart

Made from \`values.yaml\` by \`npm --prefix tests/chart run readme\`; change that, not this. Chart ${chart.version}, for
Kubernetes ${chart.kubeVersion.replace('-0', '')}. How it is installed: \`docs/install.md\`; what it does and what it leaves out:
\`helm/README.md\`.

| value | default | meaning |
|---|---|---|
${rows.join('\n')}
`
}

if (process.argv[1]?.endsWith('readme.mjs')) {
  if (process.argv.includes('--check')) {
    if (read('helm/busbar/README.md') !== readme()) throw new Error('run npm --prefix tests/chart run readme')
  } else {
    writeFileSync(file, readme())
  }
}
