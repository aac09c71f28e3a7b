// configuration.mjs: docs/configuration.md from what the binary says of its settings, which is read off their one
// declaration (app/setting_table.cpp).
//   node configuration.mjs     writes it, with the release build of this checkout or BUSBAR_BINARY
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { binary, top } from './harness.mjs'

/** Each heading, and the setting that stands first under it. */
const headings = {
  DATABASE_URL: 'PostgreSQL',
  BUSBAR_SECRET: 'Service',
  BUSBAR_REPLICATION_STREAM_ID: 'Replication',
  BUSBAR_SHAPE_CHUNK_BYTES_THRESHOLD: 'Shapes and HTTP',
  BUSBAR_SNAPSHOT_CONNECTIONS: 'Threads, memory and limits',
  BUSBAR_LOG_LEVEL: 'Logs, metrics and status page',
  BUSBAR_JWT_KEY_FILE: 'Who may read what',
  BUSBAR_CLUSTER_PEERS: 'Cluster',
}

/** What `busbar serve --help` lists: {flag, names, meaning, standard, takes}. */
function settings() {
  const help = execFileSync(binary, ['serve', '--help'], { encoding: 'utf8' })
  const blocks = help.split(/\n\n(?= {2}--)/).slice(1)
  if (blocks.length < 20) throw new Error(`busbar serve --help lists ${blocks.length} settings`)
  return blocks.map((block) => {
    const [head, ...lines] = block.split('\n')
    const [, flag, names] = /^ {2}(--[a-z-]+) {4}(.+)$/.exec(head)
    const text = lines.map((line) => line.trim()).join(' ').trim()
    const [, meaning, standard, takes] = /^(.*?) Default: (.*?)(?:\. Takes (.*))?\.$/.exec(text)
    return { flag, names: names.split(', '), meaning, standard, takes }
  })
}

const code = (text) => (/^(none.*|DATABASE_URL)$/.test(text) ? text : `\`${text}\``)

function section({ flag, names: [name, ...synonyms], meaning, standard, takes }) {
  const facts = [`flag \`${flag}\``, `default ${code(standard)}`]
  if (synonyms.length > 0) facts.push(`also ${synonyms.map(code).join(', ')}`)
  if (takes) facts.push(`takes ${takes}`)
  return `### ${name}\n\n${meaning}\n\n${facts.map((fact) => `- ${fact}\n`).join('')}`
}

export function configuration() {
  const parts = settings().map((setting) => {
    const heading = headings[setting.names[0]]
    return (heading ? `## ${heading}\n\n` : '') + section(setting)
  })
  return `# Configuration

Made from what \`busbar serve --help\` says by \`npm --prefix tests/chart run configuration\`; change
\`app/setting_table.cpp\`, not this.

Every setting is a variable of the environment and a flag of \`busbar serve\`, \`busbar doctor\`, \`busbar cleanup\` and
\`busbar policy check\`; the flag wins. Names that begin with \`ELECTRIC_\` are Electric's for the same thing. A name that
nobody knows, a value out of range, or two that contradict each other stop the start with one line that says what to
do. The log begins with the configuration in force, and the [status page](status-page.md) shows it, both with secrets
masked.

Required: \`DATABASE_URL\`, and what requests must carry: \`BUSBAR_SECRET\`, \`BUSBAR_SECRETS\`, or keys of tokens or grants
(\`BUSBAR_JWT_KEY_FILE\` or \`BUSBAR_JWT_KEY_URL\`, each with \`BUSBAR_POLICY_FILE\`; \`BUSBAR_GRANT_KEY_FILE\`). Without any
of these: \`BUSBAR_INSECURE=true\`.

${parts.join('\n')}`
}

if (process.argv[1]?.endsWith('configuration.mjs')) writeFileSync(join(top, 'docs/configuration.md'), configuration())
