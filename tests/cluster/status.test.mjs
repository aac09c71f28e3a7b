// status.test.mjs: what the cluster says of itself to those who run it: `busbar cluster status`, the
// series, and a node that finds its own address among those of a name.
import assert from 'node:assert/strict'
import { Busbar, runToExit } from '../client/harness/busbar.mjs'
import { Postgres } from '../client/harness/postgres.mjs'
import { freePort, until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { stageBusbar, stagePostgres } from '../client/harness/stage.mjs'
import { clusterSecret, stageCluster } from './harness/cluster.mjs'

const postgres = await stagePostgres()
const sql = `CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL); INSERT INTO items SELECT i, 'title ' || i FROM generate_series(1, 100) i`
const secret = 'sesame & more'

/** `busbar cluster status` for the node: {code, stdout, stderr}. */
const status = (node, flags = [], environment = { BUSBAR_SECRET: node.secret }) =>
  runToExit(['cluster', 'status', ...flags], { BUSBAR_PORT: String(node.port), ...environment })

/** A table's lines, each split into its columns. */
const linesOf = ({ stdout }) => stdout.trimEnd().split('\n').map((line) => line.split(/\s{2,}/))

/** The value of a series, or undefined. */
async function series(node, name) {
  const line = (await node.metrics()).split('\n').find((one) => one.startsWith(`${name} `))
  return line && Number(line.slice(name.length + 1))
}

scenario('the status shows each member, and notices that one has gone', async () => {
  const cluster = await stageCluster(postgres, { sql, secret })
  const leader = await cluster.leader()
  const [follower, other] = await cluster.followers()
  const read = await fetch(`${follower.shapeUrl}?${new URLSearchParams({ table: 'items', offset: '-1', secret })}`)
  assert.equal(read.status, 200)

  for (const node of cluster.nodes) {
    const said = await until(async () => {
      const one = await status(node, ['--strict'])
      return linesOf(one).filter(([, , , , , , , , shapes]) => shapes === '1').length === 3 && one
    }, 'every member to be said to have the shape')
    assert.deepEqual([said.code, said.stderr], [0, ''])
    const [head, ...members] = linesOf(said)
    assert.deepEqual(head, ['MEMBER', 'ROLE', 'TERM', 'REACHABLE', 'IN SYNC', 'BEHIND', 'APPLIED', 'FLUSHED', 'SHAPES', 'VERSION'])
    const [last] = members.pop()
    assert.match(last, new RegExp(`^${leader.clusterAddress} leads in term \\d+\\.`))
    const names = cluster.nodes.map((one) => one.clusterAddress + (one === node ? ' *' : ''))
    assert.deepEqual(members.map(([name]) => name).sort(), names.sort())
    for (const [name, role, term, reachable, inSync, , applied, flushed] of members) {
      assert.equal(role, name.startsWith(leader.clusterAddress) ? 'leader' : 'follower')
      assert.deepEqual([reachable, inSync], ['yes', 'yes'])
      assert.ok(Number(term) > 0)
      for (const lsn of [applied, flushed]) assert.match(lsn, /^[0-9A-F]+\/[0-9A-F]+$/)
    }
  }
  const json = JSON.parse((await status(leader, ['--json'])).stdout)
  assert.equal(json.leader, leader.clusterAddress)

  const refused = await status(leader, [], {})
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /BUSBAR_SECRET/)

  await until(async () => (await series(leader, 'busbar_cluster_members{state="reachable"}')) === 3, 'three members in the series')
  await until(async () => (await series(leader, 'busbar_cluster_is_leader')) === 1, 'the leader to be one in the series')
  assert.equal(await series(follower, 'busbar_cluster_is_leader'), 0)
  assert.equal(await series(leader, 'busbar_cluster_takeovers_total'), 1)
  assert.ok((await series(leader, 'busbar_cluster_relayed_bytes_total')) > 0)
  assert.equal(await series(leader, 'busbar_cluster_term'), json.term)
  const behind = `busbar_cluster_follower_behind{member="${other.clusterAddress}"}`
  await until(async () => (await series(leader, behind)) === 0, 'the follower to lack nothing')
  assert.equal(await series(follower, behind), undefined, 'only a leader knows')
  await until(async () => (await series(other, 'busbar_cluster_in_sync')) === 1, 'the follower to be in sync')

  await other.kill9()
  const away = await until(async () => {
    const one = await status(leader, ['--strict'])
    return one.code === 1 && one
  }, 'the member to be away')
  assert.match(away.stdout, new RegExp(`^${other.clusterAddress} .* no, for \\d+ ms`, 'm'))
  assert.equal((await status(leader)).code, 0, 'a node leads, and that is enough')
  await until(async () => (await series(leader, 'busbar_cluster_members{state="away"}')) === 1, 'the series to say so')
  await cluster.query(`INSERT INTO items VALUES (1000, 'while it is away')`)
  await until(async () => (await series(leader, behind)) > 0, 'it to fall behind')
})

scenario('a node that is asked for a cluster says what it is', async ({ cleanup }) => {
  const single = await stageBusbar(postgres)
  const alone = await status(single, [], {})
  assert.equal(alone.code, 1)
  assert.match(alone.stderr, /single node/)
  assert.equal(await series(single, 'busbar_cluster_term'), undefined)
  await single.terminate()
  const gone = await status(single, [], {})
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /no answer at port/)

  // Without PostgreSQL nobody leads.
  const address = `127.0.0.1:${await freePort()}`
  const lost = await Busbar.prepare({
    databaseUrl: `postgresql://nobody@127.0.0.1:${await freePort()}/none`,
    env: { BUSBAR_CLUSTER_PEERS: address, BUSBAR_CLUSTER_ADDRESS: address, BUSBAR_CLUSTER_SECRET: clusterSecret },
  })
  cleanup(() => lost.discard())
  await lost.start({ wait: false })
  const leaderless = await until(async () => {
    const one = await status(lost, [], {})
    return one.stdout !== '' && one
  }, () => `an answer:\n${lost.output()}`)
  assert.equal(leaderless.code, 1)
  assert.match(leaderless.stdout, /^No node leads\./m)
})

scenario('a leader that has lost PostgreSQL says so, to those who ask any node and in the series', async ({ cleanup }) => {
  const server = await Postgres.start()
  cleanup(() => server.discard())
  const cluster = await stageCluster(server, { sql, size: 2 })
  cleanup(() => cluster.discard())
  const leader = await cluster.leader()
  const since = async (node) =>
    (await cluster.view(node))?.members.find((one) => one.name === leader.clusterAddress)?.without_postgres_since
  for (const node of cluster.nodes) assert.equal(await since(node), undefined)
  const before = Date.now()
  await server.stop()
  for (const node of cluster.nodes) {
    const when = await until(() => since(node), () => `the leader to be said to be without PostgreSQL:\n${leader.output(20)}`)
    assert.match(when, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.ok(Date.parse(when) >= before - 1_000 && Date.parse(when) <= Date.now(), when)
    const said = await status(node, [], {})
    assert.equal(said.code, 1, 'nobody leads anything')
    assert.match(said.stdout, /leader, without PostgreSQL since 2\S+Z  /)
    assert.match(said.stdout, /leads in term \d+, but without PostgreSQL\./)
  }
  await until(async () => (await series(leader, 'busbar_cluster_is_leader')) === 0, 'the series to say that nobody leads')
  await server.start()
  await cluster.settled()
  for (const node of cluster.nodes) {
    await until(async () => (await status(node, [], {})).code === 0, 'a node to lead again')
    assert.equal(await since(node), undefined)
  }
})

scenario('a node whose address is a name is not a member twice when the cluster’s name has its address', async ({ cleanup }) => {
  // As in Kubernetes: the members are all addresses of one name, its own among them, and each is
  // called by a name of its own. Here the second one finds the first, which finds only itself.
  const database = await postgres.createDatabase()
  await postgres.query(database, sql)
  const dns = `localhost:${await freePort()}`
  const streamId = `names${process.pid}`
  const nodes = []
  for (const address of [dns, `localhost:${await freePort()}`]) {
    const node = await Busbar.prepare({
      databaseUrl: postgres.url(database),
      streamId,
      env: { BUSBAR_CLUSTER_DNS: dns, BUSBAR_CLUSTER_ADDRESS: address, BUSBAR_CLUSTER_SECRET: clusterSecret },
    })
    cleanup(() => node.discard())
    node.clusterAddress = address
    nodes.push(node)
    await node.start({ wait: false })
  }
  const names = nodes.map((node) => node.clusterAddress).sort()
  await Promise.all(nodes.map((node) => node.active()))
  for (const node of nodes) {
    const view = await until(async () => {
      const { stdout } = await status(node, ['--json'], {})
      const said = stdout && JSON.parse(stdout)
      return said && said.leader && said.members.length >= 2 && said.members.every((one) => one.reachable) && said
    }, () => `both members:\n${nodes.map((one) => one.output(20)).join('\n====\n')}`)
    assert.deepEqual(view.members.map((one) => one.name).sort(), names)
    assert.deepEqual(view.members.filter((one) => one.self).map((one) => one.name), [node.clusterAddress])
    assert.doesNotMatch(node.output(400), /call themselves|is refused/)
  }
})
