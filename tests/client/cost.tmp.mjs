import { test } from 'node:test'
import { readFileSync } from 'node:fs'
import { Postgres } from './harness/postgres.mjs'
import { spawn } from 'node:child_process'
import { freePort, scratchDirectory, until, track, ended } from './harness/processes.mjs'
import { join } from 'node:path'
const rows = Number(process.env.ROWS ?? 400000), small = Number(process.env.SMALL ?? 0)
test('cost', { timeout: 900_000 }, async () => {
  const postgres = await Postgres.start()
  const out = { old: [], new: [] }
  const cpu = (pid) => { const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) / 100 }
  for (let round = 0; round < Number(process.env.ROUNDS ?? 4); round++)
    for (const which of round % 2 ? ['new', 'old'] : ['old', 'new']) {
      const db = await postgres.createDatabase()
      await postgres.query(db, 'CREATE TABLE t (id int PRIMARY KEY, tenant int, body text)')
      const port = await freePort(), dir = join(scratchDirectory('c'), 'd'), mport = await freePort()
      const start = async () => {
        const child = track(spawn(which === 'old' ? '/work/main/build/release/busbar' : '/tmp/wt-operate/build/release/busbar', ['serve'], { env: { DATABASE_URL: postgres.url(db), BUSBAR_INSECURE: 'true', BUSBAR_PORT: String(port), BUSBAR_METRICS_PORT: String(mport), BUSBAR_STORAGE_DIR: dir, BUSBAR_REPLICATION_STREAM_ID: `c${round}${which}` }, stdio: 'ignore' }))
        await until(async () => (await fetch(`http://127.0.0.1:${port}/v1/health`).catch(() => ({}))).status === 200, 'active', { deadlineMs: 60000 })
        return child
      }
      let child = await start()
      let r = await fetch(`http://127.0.0.1:${port}/v1/shape?table=t&offset=-1`)
      const handle = r.headers.get('electric-handle'); await r.text()
      child.kill('SIGTERM'); await ended(child)
      if (small) { const c = await postgres.client(db); await c.query(`DO $$ BEGIN FOR i IN 1..${small} LOOP INSERT INTO t VALUES (i, i%10, 'x'); COMMIT; END LOOP; END $$`); await c.end() }
      else await postgres.query(db, `INSERT INTO t SELECT i, i % 10, md5(i::text) FROM generate_series(1, ${rows}) i`)
      child = await start()
      const series = async (n) => Number(new RegExp(`^${n} ([0-9.e+]+)$`, 'm').exec(await (await fetch(`http://127.0.0.1:${mport}/metrics`, { headers: { connection: 'close' } })).text())?.[1])
      await until(async () => (await series('busbar_shape_log_entries_total')) >= (small || rows), 'all', { deadlineMs: 300000, everyMs: 100 })
      out[which].push(cpu(child.pid))
      child.kill('SIGTERM'); await ended(child)
    }
  console.log(JSON.stringify(out))
  const median = (a) => [...a].sort((x, y) => x - y)[a.length >> 1]
  console.log('ratio', median(out.new) / median(out.old), Math.min(...out.new) / Math.min(...out.old))
  await postgres.discard()
})
