// altering.test.mjs: tables that are altered at random while they are written to: columns,
// partitions, publication, identity. At quiet moments every client holds what SELECT shows.
import { Follower } from './harness/clients.mjs'
import { chosenSeed, Random } from './harness/random.mjs'
import { scenario } from './harness/scenario.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const rounds = Number(process.env.BUSBAR_ROUNDS ?? 15)
const seed = chosenSeed()
const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  sql: `CREATE TABLE plain (id int PRIMARY KEY, code varchar(10), price numeric(10,2), note text NOT NULL DEFAULT '');
    CREATE TABLE root (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);
    CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20);
    CREATE TABLE free (id int PRIMARY KEY, note text)`,
  env: { BUSBAR_LONG_POLL_TIMEOUT: '1s', BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms' },
})

const inOrder = (rows) => rows.map((row) => JSON.stringify(row, Object.keys(row).sort())).sort().join('\n')

scenario(
  'F25: whatever is done to the tables, every client ends equal to SELECT',
  async ({ cleanup }) => {
    console.log(`altering: BUSBAR_SEED=${seed}`)
    const random = new Random(seed)
    const followers = [
      ['plain', {}],
      ['plain', { columns: ['id', 'code'] }],
      ['plain', { where: `note <> 'x'`, replica: 'full' }],
      ['root', {}],
      ['root', { where: 'id >= 5 AND id < 25' }],
      ['low', {}],
    ].map(([table, params]) => {
      const follower = new Follower(server.shapeUrl, { table, ...params }, { name: `${table} ${JSON.stringify(params)}` })
      cleanup(() => follower.close())
      const columns = params.columns?.join() ?? '*'
      return { follower, select: () => server.query(`SELECT ${columns} FROM ${table} WHERE ${params.where ?? 'true'}`) }
    })
    const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
    let extra = 0
    let attached = false
    let more = false
    const id = () => random.int(0, 7)
    const attach = () => {
      attached = !attached
      return attached ? 'ALTER TABLE root ATTACH PARTITION free FOR VALUES FROM (20) TO (30)' : 'ALTER TABLE root DETACH PARTITION free'
    }
    const make = () => {
      more = !more
      return more ? 'CREATE TABLE more PARTITION OF root FOR VALUES FROM (30) TO (40)' : 'DROP TABLE more'
    }
    const top = () => (more ? 30 : 10)
    const writes = [
      () => `INSERT INTO plain (id, code, price, note) VALUES (${id()}, 'c${id()}', ${id()}.5, 'n') ON CONFLICT (id) DO UPDATE SET code = excluded.code`,
      () => `UPDATE plain SET note = '${random.pick(['x', 'y', 'z'])}' WHERE id % 3 = ${random.int(0, 2)}`,
      () => `UPDATE plain SET id = id + 100 WHERE id = ${id()} AND NOT EXISTS (SELECT FROM plain p WHERE p.id = plain.id + 100)`,
      () => `DELETE FROM plain WHERE id = ${id()} OR id > 100`,
      () => `INSERT INTO root VALUES (${random.pick([0, 10, top()]) + id()}, 'r') ON CONFLICT DO NOTHING`,
      () => `UPDATE root SET note = note || '!' WHERE id % 4 = ${random.int(0, 3)}`,
      () => `UPDATE root SET id = 19 - id WHERE id = ${id()} AND NOT EXISTS (SELECT FROM root r WHERE r.id = 19 - root.id)`,
      () => `DELETE FROM root WHERE id % 5 = ${random.int(0, 4)}`,
      () => `INSERT INTO free VALUES (${20 + id()}, 'f') ON CONFLICT DO NOTHING`,
    ]
    const alterations = [
      () => `ALTER TABLE plain ALTER note ${random.chance(0.5) ? 'SET' : 'DROP'} NOT NULL`,
      () => `ALTER TABLE plain ALTER code TYPE varchar(${5 + random.int(0, 9)})`,
      () => `ALTER TABLE plain ALTER note TYPE text USING note || '*'`,
      () => `ALTER TABLE root ALTER note TYPE text USING note || '+'`,
      () => `VACUUM FULL ${random.pick(['plain', 'root'])}`,
      () => `ALTER TABLE plain ALTER price TYPE numeric(12,${2 + random.int(0, 2)})`,
      () => `ALTER TABLE plain ADD extra${++extra} int DEFAULT 7`,
      () => (extra > 0 ? `ALTER TABLE plain DROP extra${extra--}` : 'SELECT 1'),
      () => 'ALTER TABLE plain DROP code; ALTER TABLE plain ADD code varchar(10)',
      () => 'TRUNCATE plain',
      () => `ALTER TABLE ${random.pick(['plain', 'low', 'high'])} REPLICA IDENTITY DEFAULT`,
      () => [`ALTER PUBLICATION ${pubname} DROP TABLE plain`, random.pick(writes)(), `ALTER PUBLICATION ${pubname} ADD TABLE plain`],
      attach,
      make,
      () => ['ALTER TABLE root DETACH PARTITION low', `INSERT INTO low VALUES (${id()}, 'while detached') ON CONFLICT DO NOTHING`, 'ALTER TABLE root ATTACH PARTITION low FOR VALUES FROM (0) TO (10)'],
      () => 'ANALYZE plain; ANALYZE root',
    ]
    // The server may have put the table back into the publication before we do.
    const run = (statement) =>
      server.query(statement).catch((error) => {
        if (!['42710', '42704'].includes(error.code)) throw error
      })
    for (let round = 0; round < rounds; round++) {
      for (let step = 0; step < 12; step++) {
        const statements = [random.pick(random.chance(0.35) ? alterations : writes)()].flat()
        for (const statement of statements) await run(statement)
      }
      if (round % 3 === 2) {
        await server.kill9()
        for (const statement of [random.pick(writes)(), random.pick(alterations)()].flat()) await run(statement)
        await server.start()
      }
      for (const { follower, select } of followers) {
        const wanted = inOrder(await select())
        await follower.reaches((rows) => inOrder(rows) === wanted, `seed ${seed}, round ${round}:\n${wanted}\nit has`, 20_000)
      }
    }
  },
  { deadlineMs: 150_000 },
)
