// trouble.test.mjs: nodes that are paused, killed together, restarted one after the other, that come
// with an empty disk or leave for good, PostgreSQL restarted, strangers at the door: no client is told
// to begin anew, none ends up with a wrong row, and PostgreSQL keeps what some node still needs.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { Busbar } from '../client/harness/busbar.mjs'
import { until } from '../client/harness/processes.mjs'
import { scenario } from '../client/harness/scenario.mjs'
import { follow } from '../client/harness/shapes.mjs'
import { stagePostgres } from '../client/harness/stage.mjs'
import { stageCluster } from './harness/cluster.mjs'
import { scene, sceneSql } from './harness/scene.mjs'

const graceMs = 3_000
const postgres = await stagePostgres()
const cluster = await stageCluster(postgres, { sql: sceneSql, env: { BUSBAR_CLUSTER_GRACE: `${graceMs / 1000}s` } })
const { nodes } = cluster

const under = (cleanup, trouble) => scene({ postgres, cluster, cleanup }, trouble)
const patiently = { deadlineMs: 120_000 }

function pause(node, cleanup) {
  const { pid } = node
  process.kill(pid, 'SIGSTOP')
  const go = () => {
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // It has ended since.
    }
  }
  cleanup(go)
  return go
}

/** Where the slot stands, as a number. */
async function confirmed() {
  const [row] = await cluster.query(
    `SELECT (confirmed_flush_lsn - '0/0')::text AS lsn FROM pg_replication_slots WHERE slot_name = $1`,
    [nodes[0].slot],
  )
  return BigInt(row.lsn)
}

async function passes(position, what) {
  let last
  const there = async () => (last = await confirmed()) >= position
  await until(there, () => `the slot to pass ${position}, ${what}; it is at ${last}`, { deadlineMs: 40_000, everyMs: 50 })
}

const leads = (other) => () => cluster.leader().then((node) => (node !== undefined && node !== other ? node : undefined))
const anotherLeads = (old) => until(leads(old), 'another node to lead', { deadlineMs: 60_000, everyMs: 50 })

scenario('a leader that was paused finds another in its place, and follows it', async ({ cleanup }) => {
  await under(cleanup, async ({ addReader, wrote }) => {
    const old = await cluster.leader()
    const began = Date.now()
    const go = pause(old, cleanup)
    // It does not answer, so nobody is asked but the others.
    const next = await until(
      async () => {
        for (const node of nodes.filter((node) => node !== old)) {
          const view = await cluster.view(node)
          if (view?.members.some((one) => one.self && one.role === 'leader')) return node
        }
        return undefined
      },
      'another node to lead',
      { deadlineMs: 60_000, everyMs: 50 },
    )
    console.log(`# another node leads ${Date.now() - began} ms after the leader stopped`)
    await wrote(30)
    go()
    addReader(nodes.indexOf(old)) // It begins with what the one that comes back tells.
    await until(async () => (await cluster.settled()) === next || (await cluster.leader()) !== old, 'the old one to follow')
  })
}, patiently)

scenario('a paused follower holds the slot for the grace and no longer, and catches up', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    const [follower] = await cluster.followers()
    const began = Date.now()
    const go = pause(follower, cleanup)
    await wrote(3)
    const position = await cluster.walPosition() // Some of what is before it came after the pause.
    let held = 0
    for (;;) {
      const now = await confirmed()
      if (Date.now() - began > graceMs - 1_000) break
      held++
      assert.ok(now < position, `${Date.now() - began} ms after the pause the slot is at ${now}, which the follower cannot have`)
      await delay(50)
    }
    await passes(position, 'when the grace is over')
    console.log(`# the slot was held in ${held} looks, and went on ${Date.now() - began} ms after the pause`)
    go()
  })
}, patiently)

scenario('each follower in turn is killed, and the leader goes on', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    for (const follower of await cluster.followers()) {
      await follower.kill9()
      await wrote(20)
      await follower.start({ wait: false })
      await cluster.settled()
    }
  })
}, patiently)

scenario('both followers are killed at once, and the leader goes on alone', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    const pair = await cluster.followers()
    await Promise.all(pair.map((node) => node.kill9()))
    const position = await cluster.walPosition()
    await wrote(20)
    await passes(position, 'without the followers')
    await Promise.all(pair.map((node) => node.start({ wait: false })))
  })
}, patiently)

scenario('all nodes are killed at once, and come back with the same shapes', async ({ cleanup }) => {
  const { handle } = await follow(nodes[0], { table: 'items' })
  const after = await under(cleanup, async () => {
    await Promise.all(nodes.map((node) => node.kill9()))
    await Promise.all(nodes.map((node) => node.start({ wait: false })))
  })
  assert.equal(after, handle)
}, patiently)

scenario('PostgreSQL is restarted, then killed', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    await postgres.stop()
    await postgres.start()
    await wrote(10)
    await cluster.settled()
    await postgres.kill9()
    await postgres.start()
    await wrote(10)
  })
}, patiently)

scenario('a node with an empty disk joins under load, and has all that the others lose', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    const [follower, other] = await cluster.followers()
    await follower.kill9()
    rmSync(follower.storageDir, { recursive: true })
    await wrote(10)
    await follower.start({ wait: false })
    const leader = await cluster.settled()
    await Promise.all([leader.kill9(), other.kill9()])
    await anotherLeads(leader)
    await wrote(10)
    await Promise.all([leader.start({ wait: false }), other.start({ wait: false })])
  })
}, patiently)

scenario('the leader and its disk are lost', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    const leader = await cluster.leader()
    await leader.kill9()
    rmSync(leader.storageDir, { recursive: true })
    await leader.start({ wait: false })
    await anotherLeads(undefined)
    await wrote(10)
  })
}, patiently)

scenario('a rolling restart of three nodes', async ({ cleanup }) => {
  let slowest = 0
  await under(cleanup, async ({ wrote }) => {
    for (const node of nodes) {
      const began = Date.now()
      const { code, signal } = await node.terminate()
      slowest = Math.max(slowest, Date.now() - began)
      assert.deepEqual({ code, signal }, { code: 0, signal: null })
      await wrote(5)
      await node.start({ wait: false })
      await cluster.settled()
    }
  })
  console.log(`# the slowest node took ${slowest} ms to stop`)
}, patiently)

scenario('while nothing is written to tables, the slot goes on', async () => {
  await cluster.settled()
  await cluster.query('INSERT INTO unseen SELECT generate_series(1, 1000)')
  await passes(await cluster.walPosition(), 'on an idle database')
}, patiently)

scenario('a node that leaves for good holds nothing back', async ({ cleanup }) => {
  await under(cleanup, async ({ wrote }) => {
    const [gone] = await cluster.followers()
    assert.equal((await gone.terminate()).code, 0)
    await wrote(20)
    await passes(await cluster.walPosition(), 'without the node that left')
    await cluster.settled()
    await gone.start({ wait: false }) // for the other tests
  })
}, patiently)

const seriesOf = async (node, name) =>
  Number((await node.metrics()).split('\n').find((line) => line.startsWith(`${name} `))?.slice(name.length + 1))

scenario('who joins gets the one copy that is made, who leaves moves nothing, and readers elsewhere notice neither', async ({ cleanup }) => {
  await under(cleanup, async ({ readers, wrote }) => {
    const leader = await cluster.leader()
    const [comes, other] = await cluster.followers()
    const elsewhere = readers.filter((reader) => reader.node !== comes)
    assert.ok(elsewhere.length >= 2)
    const nodesTried = () => elsewhere.map((reader) => reader.at)
    const copies = async () => [
      await seriesOf(leader, 'busbar_cluster_copies_sent_total'),
      await seriesOf(other, 'busbar_cluster_copies_received_total'),
    ]
    const tried = nodesTried()
    const [sent, received] = await copies()
    assert.equal((await comes.terminate()).code, 0)
    rmSync(comes.storageDir, { recursive: true })
    await wrote(10)
    await comes.start({ wait: false })
    await cluster.settled()
    await wrote(10)
    assert.deepEqual(await copies(), [sent + 1, received])
    assert.equal(await seriesOf(comes, 'busbar_cluster_copies_received_total'), 1)
    assert.equal((await comes.terminate()).code, 0)
    await wrote(20)
    assert.deepEqual(await copies(), [sent + 1, received])
    assert.deepEqual(nodesTried(), tried, 'nobody who reads elsewhere had to look for another node')
    assert.equal(await cluster.leader(), leader)
    await comes.start({ wait: false }) // for the other tests
  })
}, patiently)

/** What a stranger hears at the node's port for members, until it is closed: the number of bytes. */
function knock(node, open, words) {
  return new Promise((resolve, reject) => {
    const [, port] = node.clusterAddress.split(':')
    const socket = open({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false })
    let heard = 0
    socket.setTimeout(15_000, () => socket.destroy(new Error('the stranger is kept waiting')))
    socket.on('error', (error) => (/waiting/.test(error.message) ? reject(error) : undefined))
    socket.on('data', (bytes) => (heard += bytes.length))
    socket.on('close', () => resolve(heard))
    if (words) socket.write(words)
  })
}

scenario('strangers at the port of the members are turned away, and harm nobody', async ({ cleanup }) => {
  await under(cleanup, async () => {
    const strangers = []
    for (const node of nodes) {
      for (let i = 0; i < 10; i++) {
        strangers.push(knock(node, connect, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'))
        strangers.push(knock(node, connect, Buffer.from([22, 3, 1, 255, 255, 1])))
        strangers.push(knock(node, connect)) // says nothing
        strangers.push(knock(node, connectTls)) // has no certificate
      }
    }
    const heard = await Promise.all(strangers)
    assert.ok(Math.max(...heard) < 1_000, 'no stranger is told anything but that it is one')
  })
  for (const node of nodes) {
    const { members } = await cluster.view(node)
    assert.equal(members.length, 3)
  }
}, patiently)

/** A process at the place of `node`, with some settings changed. Both sides' lines about it. */
async function impostor(node, env, options, cleanup) {
  await cluster.settled()
  assert.equal((await node.terminate()).code, 0)
  const stranger = await Busbar.prepare({
    databaseUrl: node.environment.DATABASE_URL,
    streamId: node.streamId,
    env: { ...node.environment, ...env },
    ...options,
  })
  cleanup(() => stranger.discard())
  for (const name of ['BUSBAR_PORT', 'BUSBAR_METRICS_PORT', 'BUSBAR_STORAGE_DIR', 'BUSBAR_REPLICATION_STREAM_ID']) {
    const own = { BUSBAR_PORT: stranger.port, BUSBAR_METRICS_PORT: stranger.metricsPort }
    own.BUSBAR_STORAGE_DIR = stranger.storageDir
    own.BUSBAR_REPLICATION_STREAM_ID = stranger.streamId
    stranger.environment[name] = String(own[name])
  }
  await stranger.start({ wait: false })
  return stranger
}

for (const [who, change, words] of [
  ['another secret', { env: { BUSBAR_CLUSTER_SECRET: 'not what the others share' } }, /secret|certificate/i],
  ['another stream', { options: { streamId: `other_${process.pid}` } }, /BUSBAR_REPLICATION_STREAM_ID differs/],
]) {
  scenario(`a node with ${who} is refused, in a clear line`, async ({ cleanup }) => {
    await cluster.settled()
    const [node] = await cluster.followers()
    const others = nodes.filter((one) => one !== node)
    const stranger = await impostor(node, change.env ?? {}, change.options ?? {}, cleanup)
    const about = (process) => process.output(400).split('\n').filter((line) => /warn|error/.test(line) && words.test(line))
    await until(() => about(stranger).length > 0, () => `the stranger to say why:\n${stranger.output()}`, { deadlineMs: 30_000 })
    await delay(2_000) // It goes on trying.
    assert.ok(about(stranger).length <= 4 * others.length, `said over and over:\n${about(stranger).join('\n')}`)
    for (const other of others) {
      const view = await cluster.view(other)
      const member = view.members.find((one) => one.name === node.clusterAddress)
      assert.ok(!member?.reachable, JSON.stringify(view))
      assert.ok(about(other).length <= 8, `said over and over:\n${about(other).join('\n')}`)
    }
    console.log(`# the stranger says: ${about(stranger)[0]}`)
    await stranger.kill9()
    await node.start({ wait: false })
    await cluster.settled()
  }, patiently)
}
