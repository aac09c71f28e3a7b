// engine-property.test.mjs: the whole engine against SELECT. Random shapes (clauses over all types,
// subqueries, columns, modes) of random tables; random transactions from several writers; npm clients
// and strict raw ones that join and leave at any time; Busbar and PostgreSQL killed, stopped and
// restarted under load. At quiet moments every client holds what PostgreSQL selects, no message on the
// way was wrong, and nobody had to begin anew without a reason.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds, of three troubles each, most of them kills; 100 are the long run
import { EngineRun, engineEnvironment } from './harness/engine.mjs'
import { chosenSeed } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'
import { schema } from './harness/world.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 7)

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { sql: schema, env: engineEnvironment })
const service = {
  query: server.query,
  client: server.client,
  walPosition: server.walPosition,
  ready: () => server.active(),
  door: () => server,
}

function troubles(run) {
  const killServer = () => run.endServer(() => server.kill9())
  return [
    (at) => [[at, killServer], [at + run.random.int(0, 6), () => server.start()]],
    (at) => [[at, killServer], [at, () => server.start()]],
    (at) => [[at, () => run.endServer(() => server.terminate(), 'stops')], [at, () => server.start()]],
    (at) => [[at, () => run.endPostgres(() => postgres.kill9())]],
    (at) => [[at, () => run.endPostgres(() => postgres.stop('SIGQUIT'))]],
    (at) => [[at, () => run.endPostgres(() => postgres.stop(), 'stops')]],
    (at) => [[at, () => Promise.all([killServer(), run.endPostgres(() => postgres.kill9())])], [at, () => server.start()]],
  ]
}

scenario(
  `F28: every client equals SELECT, whatever happens (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`engine property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    const run = new EngineRun({ seed, rounds, service, postgres, troubles })
    cleanup(() => run.close())
    await run.run()
    console.log(`engine property test: ${JSON.stringify(run.totals)}`)
  },
  { deadlineMs: 60_000 + rounds * 45_000 },
)
