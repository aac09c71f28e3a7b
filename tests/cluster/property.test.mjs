// property.test.mjs: the property test of the engine with clients spread over three nodes, which are
// killed, stopped and started again one by one, two at once, and all; and PostgreSQL, now and then.
// A client goes to another node when its own fails it, and some do without a reason.
//   BUSBAR_SEED=n    repeats the choices of a run (it prints its seed)
//   BUSBAR_ROUNDS=n  more or fewer rounds, of three troubles each
import assert from 'node:assert/strict'
import { EngineRun, engineEnvironment } from '../client/harness/engine.mjs'
import { until } from '../client/harness/processes.mjs'
import { chosenSeed } from '../client/harness/random.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { schema } from '../client/harness/world.mjs'
import { stageCluster } from './harness/cluster.mjs'
import { Door } from './harness/door.mjs'

const seed = chosenSeed()
const rounds = Number(process.env.BUSBAR_ROUNDS ?? 4)

const postgres = await stagePostgres()
const cluster = await stageCluster(postgres, { sql: schema, env: engineEnvironment })
const doors = []
const service = {
  query: cluster.query,
  client: () => postgres.client(cluster.database),
  walPosition: cluster.walPosition,
  ready: () => cluster.settled(),
  door: (random) => {
    doors.push(new Door(cluster, random.int(0, 2)))
    return doors.at(-1)
  },
}

const leader = () => until(() => cluster.leader(), 'a node to lead', { deadlineMs: 30_000, everyMs: 20 })
const follower = async () => {
  const leads = await leader()
  return cluster.nodes.find((node) => node !== leads)
}
const revive = () => Promise.all(cluster.nodes.filter((node) => !node.running).map((node) => node.start({ wait: false })))

function troubles(run) {
  const kill = (choose) => () => run.endServer(async () => (await choose()).kill9())
  const stop = (choose) => () => run.endServer(async () => (await choose()).terminate(), 'stops')
  const killPair = () =>
    run.endServer(async () => {
      const pair = [await leader(), await follower()]
      await Promise.all(pair.map((node) => node.kill9()))
    })
  const killAll = () => run.endServer(() => Promise.all(cluster.nodes.map((node) => node.kill9())))
  const soon = (at) => [at + run.random.int(0, 6), revive]
  const whole = async () => {
    await revive()
    await cluster.settled()
  }
  return [
    (at) => [[at, kill(leader)], soon(at)],
    (at) => [[at, kill(leader)], soon(at)],
    (at) => [[at, kill(leader)], [at, whole]],
    (at) => [[at, stop(leader)], soon(at)],
    (at) => [[at, kill(follower)], soon(at)],
    (at) => [[at, stop(follower)], [at, whole]],
    (at) => [[at, killPair], soon(at)],
    (at) => [[at, killAll], [at, revive]],
    (at) => [[at, () => run.endPostgres(() => postgres.kill9())]],
    (at) => [[at, () => run.endPostgres(() => postgres.stop(), 'stops')], [at, kill(leader)], soon(at)],
  ]
}

scenario(
  `every client of three nodes equals SELECT, whatever happens (seed ${seed}, ${rounds} rounds)`,
  async ({ cleanup }) => {
    console.log(`cluster property test: BUSBAR_SEED=${seed} BUSBAR_ROUNDS=${rounds}`)
    const run = new EngineRun({ seed, rounds, service, postgres, troubles })
    cleanup(() => run.close())
    await run.run()
    const moves = doors.reduce((sum, door) => sum + door.moves, 0)
    console.log(`cluster property test: ${JSON.stringify({ ...run.totals, movesBetweenNodes: moves })}`)
    assert.ok(moves > rounds, 'clients have moved between nodes')
  },
  { deadlineMs: 60_000 + rounds * 90_000 },
)
