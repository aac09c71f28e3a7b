// gate-property.test.mjs: tenants against SELECT. Random shapes, as any client may ask for them, read
// with the tokens of two tenants while random transactions go on. At quiet moments each reader has
// what PostgreSQL selects from views of the tenant's own that say what the policy says: there the
// client's clause, subqueries included, can reach nothing else either.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds
import assert from 'node:assert/strict'
import { differences, newcomer, randomShape, selected } from './harness/audience.mjs'
import { Issuer, stageGate } from './harness/gate.mjs'
import { Random, chosenSeed } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { stagePostgres } from './harness/stage.mjs'
import { statement, underLoad, write } from './harness/traffic.mjs'
import { ident, quoted, schema, tables } from './harness/world.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 3)
const commitsPerRound = 40
const joinsPerRound = 16

/** Rows that a tenant sees; ${…} are claims. Some overlap, as rows that are shared do. */
const rules = {
  things: 'state = ${claim.state} OR n < ${claim.level}',
  'Odd "Pairs"': 'n < ${claim.level} OR n IS NULL',
  loose: 'val >= ${claim.level}',
  tree: 'ref = ANY(${claim.refs})',
  tree_low: 'ref = ANY(${claim.refs}) AND id > 10',
  tree_sub: 'true',
  projects: 'team = ANY(${claim.refs}) OR kind = ${claim.state}',
  teams: 'id IN (SELECT team FROM projects WHERE kind = ${claim.state}) OR rank > ${claim.level}',
  marker: 'true',
}
const hidden = { things: ['body', 'pad'], projects: ['price'] }
const tenants = {
  one: { tenant: 'one', state: 'a', level: 2, refs: [1, 2, 3] },
  two: { tenant: 'two', state: 'open', level: 5, refs: [] },
}

const visible = (name) => tables.get(name)?.columns.map((column) => column.name).filter((column) => !hidden[name]?.includes(column))
const policy = `tenant: tenant
tables:
${Object.entries(rules)
  .map(([name, where]) => {
    const columns = hidden[name] ? `, columns: ${JSON.stringify(visible(name))}` : ''
    return `  ${JSON.stringify(name)}: {where: ${JSON.stringify(where)}${columns}}`
  })
  .join('\n')}
`

/** The same for PostgreSQL: a schema of views for each tenant. Tables that are not listed are not there. */
const views = Object.entries(tenants).flatMap(([name, claims]) => [
  `CREATE SCHEMA ${name}`,
  ...Object.entries(rules).map(([table, where]) => {
    const value = (claim) =>
      Array.isArray(claims[claim]) ? quoted(`{${claims[claim]}}`) : quoted(String(claims[claim]))
    const clause = where.replaceAll('FROM projects', 'FROM public.projects').replace(/\$\{claim\.(\w+)\}/g, (_, claim) => value(claim))
    const columns = tables.has(table) ? visible(table).map(ident).join(', ') : '*'
    return `CREATE VIEW ${name}.${ident(table)} AS SELECT ${columns} FROM public.${ident(table)} WHERE ${clause}`
  }),
])

const postgres = await stagePostgres()
const issuer = new Issuer('HS256')
const server = await stageGate(postgres, {
  sql: `${schema}; ${views.join('; ')}`,
  issuer,
  policy,
  env: { BUSBAR_LONG_POLL_TIMEOUT: '300ms', BUSBAR_MATERIALIZERS: '2' },
})

const random = new Random(seed)
const totals = { joins: 0, forbidden: 0, refused: 0, compared: 0, rows: 0 }
const members = []
const doors = Object.fromEntries(
  Object.entries(tenants).map(([name, claims]) => {
    const token = issuer.token({ ...claims, exp: Math.floor(Date.now() / 1000) + 3600 })
    return [name, { port: server.port, headers: { authorization: `Bearer ${token}` } }]
  }),
)

/** Reads until there is no more for now. False if the shape is refused. */
async function catchUp(member, position) {
  const { reader } = member
  const deadline = Date.now() + 30_000
  while (!(reader.upToDate && reader.seen >= position)) {
    assert.ok(Date.now() < deadline, `${reader.name} of ${member.tenant} reaches ${position}; it is at ${reader.seen}`)
    try {
      await reader.step(reader.upToDate)
    } catch (error) {
      const status = Number(/: (4\d\d|503) /.exec(error.message)?.[1])
      if (status === 503) continue
      if (status === 403) totals.forbidden++
      else if (status === 400) totals.refused++
      else throw error
      return false
    }
  }
  return true
}

scenario(
  `readers of two tenants equal SELECT from their views (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`gate property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    const clients = Object.fromEntries(
      await Promise.all(
        Object.keys(tenants).map(async (name) => {
          const client = await server.client()
          cleanup(() => client.end())
          await client.query(`SET search_path = ${name}, pg_catalog`)
          return [name, (text) => client.query(text).then(({ rows }) => rows)]
        }),
      ),
    )
    for (let round = 1; round <= rounds; round++) {
      for (let i = 0; i < joinsPerRound; i++) {
        const shape = { ...randomShape(random), log: undefined }
        if (shape.table === 'teams') shape.asked = [...shape.asked, 'projects'] // By the policy's own subquery.
        if (hidden[shape.table] && !shape.columns) shape.columns = visible(shape.table)
        for (const tenant of Object.keys(tenants)) members.push({ tenant, shape, reader: newcomer(doors[tenant], shape) })
        totals.joins++
      }
      await underLoad({
        writers: Array.from({ length: 2 }, () => {
          const choices = random.fork()
          return (progress, enough) => write({ connect: () => server.client(), statement, random: choices, progress, enough })
        }),
        commits: commitsPerRound,
        events: [[5, () => Promise.all(members.map((member) => catchUp(member, 0n).then((open) => (member.closed = !open))))]],
        what: `round ${round}`,
      })
      const position = await server.walPosition()
      await server.query('UPDATE marker SET n = n + 1')
      await Promise.all(
        members.map(async (member) => {
          if (!member.closed) member.closed = !(await catchUp(member, position))
        }),
      )
      for (const { tenant, shape, reader } of members.filter(({ closed }) => !closed)) {
        const lines = differences(shape, reader.rows.values, await selected(clients[tenant], shape))
        assert.deepEqual(lines.slice(0, 10), [], `round ${round}: ${tenant}: ${reader.name}: ${lines.length} differences`)
        totals.compared++
        totals.rows += reader.rows.values.size
      }
      members.splice(0, members.length, ...members.filter(({ closed }) => !closed).slice(-40))
    }
    console.log(`gate property test: ${JSON.stringify(totals)}`)
    assert.ok(totals.compared > 5 * rounds && totals.rows > 10 * rounds && totals.forbidden > 0, JSON.stringify(totals))
  },
  { deadlineMs: 60_000 + rounds * 45_000 },
)
