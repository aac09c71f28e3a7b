// harness/network.mjs: a network that can be cut, for one process: each node has a network namespace of
// its own, joined by a pair of virtual devices to the namespace of the test, which forwards between them
// and where PostgreSQL runs. A cut is a rule there: packets from one to another vanish, without a word
// to either. All of it is nameless, and goes with the processes that live in it.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { track, until } from '../../client/harness/processes.mjs'

/** Where PostgreSQL is. */
export const databaseHost = '10.99.0.1'
export const hostOf = (number) => `10.99.${number + 1}.2`

const run = (program, ...words) => execFileSync(program, words, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
const ip = (...words) => run('ip', ...words)

/** Why there can be no such network here; undefined if there can. */
export function whyNoNetwork() {
  if (process.getuid() !== 0) return 'network namespaces need root'
  const script = `ip link set lo up && ip link add here type veth peer name there && echo 1 >/proc/sys/net/ipv4/ip_forward &&
    ip rule add pref 50 from 10.99.1.2 to 10.99.2.2 blackhole`
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'sh', '-c', script], { encoding: 'utf8' })
  return status === 0 ? undefined : `no network namespaces here: ${String(error ?? stderr).trim()}`
}

/** Runs a file of this directory's parent in a namespace of its own; {code, output} when it has ended. */
export function inNamespace(file, env, deadlineMs) {
  return new Promise((resolve) => {
    const { NODE_TEST_CONTEXT, ...inherited } = process.env
    const child = track(
      spawn('unshare', ['--net', process.execPath, fileURLToPath(file)], {
        env: { ...inherited, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    const timer = setTimeout(() => child.kill('SIGTERM'), deadlineMs)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code: code ?? signal, output })
    })
  })
}

/** Inside: makes the network for `size` nodes; {places, cut, heal}. */
export async function makeNetwork(size) {
  ip('link', 'set', 'lo', 'up')
  ip('addr', 'add', `${databaseHost}/32`, 'dev', 'lo')
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  // Rules come before the addresses of this namespace itself, so that the way to PostgreSQL can be cut.
  ip('rule', 'add', 'pref', '100', 'lookup', 'local')
  ip('rule', 'del', 'pref', '0')
  const own = run('readlink', '/proc/self/ns/net')
  const places = []
  for (let i = 0; i < size; i++) {
    const holder = track(spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' }))
    holder.unref() // It ends with us, and not we with it.
    await until(() => {
      // It is unshare first, in our namespace, and then sleep.
      return readFileSync(`/proc/${holder.pid}/comm`, 'utf8') === 'sleep\n' && run('readlink', `/proc/${holder.pid}/ns/net`) !== own
    }, 'a network namespace')
    const router = `10.99.${i + 1}.1`
    ip('link', 'add', `node${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(holder.pid))
    ip('addr', 'add', `${router}/24`, 'dev', `node${i}`)
    ip('link', 'set', `node${i}`, 'up')
    const launcher = ['nsenter', '--target', String(holder.pid), '--net']
    const [program, ...words] = launcher
    const inside = (...command) => run(program, ...words, 'ip', ...command)
    inside('link', 'set', 'lo', 'up')
    inside('addr', 'add', `${hostOf(i)}/24`, 'dev', 'eth0')
    inside('link', 'set', 'eth0', 'up')
    inside('route', 'add', 'default', 'via', router)
    places.push({ host: hostOf(i), launcher })
  }
  const cuts = new Set()
  const rule = (what, from, to) => ip('rule', what, 'pref', '50', 'from', from, 'to', to, 'blackhole')
  return {
    places,
    /** Packets from one host to another vanish, one way. */
    cut(from, to) {
      rule('add', from, to)
      cuts.add([from, to])
    },
    heal() {
      for (const [from, to] of cuts) rule('del', from, to)
      cuts.clear()
    },
  }
}
