// partitions.test.mjs: shapes on partitioned tables and on their leaves: rows that move, leaves that
// come and go, columns in another order, truncation; each ends equal to SELECT.
import assert from 'node:assert/strict'
import { Follower } from './harness/clients.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { rowKey } from './harness/shapes.mjs'
import { stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '2s' } })

let trees = 0

/**
 * root ── low [0,100)
 *      ├─ high [100,200)
 *      └─ sub [200,400) ── deep [200,300)
 */
async function newTree() {
  const root = `tree${++trees}`
  await server.query(`
    CREATE TABLE ${root} (id int PRIMARY KEY, title text NOT NULL, note text) PARTITION BY RANGE (id);
    CREATE TABLE ${root}_low PARTITION OF ${root} FOR VALUES FROM (0) TO (100);
    CREATE TABLE ${root}_high PARTITION OF ${root} FOR VALUES FROM (100) TO (200);
    CREATE TABLE ${root}_sub PARTITION OF ${root} FOR VALUES FROM (200) TO (400) PARTITION BY RANGE (id);
    CREATE TABLE ${root}_deep PARTITION OF ${root}_sub FOR VALUES FROM (200) TO (300);
    INSERT INTO ${root} VALUES (1, 'low', NULL), (101, 'high', ''), (201, 'deep', 'x')`)
  return root
}

const inOrder = (rows) => rows.map((row) => JSON.stringify(row, Object.keys(row).sort())).sort()

async function selected(table, where = 'true') {
  return server.query(`SELECT id::text, title, note FROM ${table} WHERE ${where}`)
}

class Shape extends Follower {
  constructor(cleanup, table, { where, ...params } = {}) {
    super(server.shapeUrl, { table, where, ...params })
    this.table = table
    this.where = where
    cleanup(() => this.close())
  }

  async equalsSelect(what) {
    const wanted = inOrder(await selected(this.table, this.where))
    await this.reaches((rows) => JSON.stringify(inOrder(rows)) === JSON.stringify(wanted), `${what}: ${wanted}`)
  }

  /** The operations since the message numbered `from`, in short. */
  operations(from = 0) {
    return this.changes.slice(from).map(({ headers, value }) => `${headers.operation} ${value.id}`)
  }
}

async function allEqual(shapes, what) {
  for (const shape of shapes) await shape.equalsSelect(what)
}

const unbroken = (...shapes) => {
  for (const shape of shapes) assert.equal(shape.refetches, 0, `${shape.table} goes on`)
}

async function hasIdentity(table) {
  await until(
    async () => (await server.query(`SELECT relreplident FROM pg_class WHERE relname = '${table}'`))[0].relreplident === 'f',
    `${table} to get its identity`,
  )
}

scenario('F09: a root, its middle and its leaves side by side, each named as itself', async ({ cleanup }) => {
  const root = await newTree()
  const shapes = ['', '_low', '_sub', '_deep'].map((end) => new Shape(cleanup, root + end))
  const some = new Shape(cleanup, root, { where: `title <> 'gone'` })
  await allEqual([...shapes, some], 'the snapshots')
  await server.query(`
    INSERT INTO ${root} VALUES (2, 'two', NULL), (102, 'b', NULL), (202, 'c', 'y');
    UPDATE ${root} SET title = title || '!' WHERE id % 100 = 2;
    DELETE FROM ${root} WHERE id IN (1, 101)`)
  await server.query(`UPDATE ${root}_deep SET title = 'gone' WHERE id = 201`)
  await allEqual([...shapes, some], 'the changes')
  unbroken(...shapes, some)
  const [whole, low, sub, deep] = shapes
  const keys = (shape) => new Set(shape.messages.filter((m) => m.key).map((m) => m.key.split('/')[0]))
  assert.deepEqual(keys(whole), new Set([`"public"."${root}"`]))
  assert.deepEqual(keys(low), new Set([`"public"."${root}_low"`]))
  assert.deepEqual(keys(sub), new Set([`"public"."${root}_sub"`]))
  assert.deepEqual(keys(deep), new Set([`"public"."${root}_deep"`]))
  // One change, one place: the copies for the tables above have the leaf's position.
  const placeOf = (shape) => shape.changes.find((m) => m.headers.operation === 'insert' && m.value.id === '202' && m.headers.lsn).headers
  assert.equal(placeOf(whole).lsn, placeOf(deep).lsn)
  assert.equal(placeOf(whole).op_position, placeOf(deep).op_position)
  assert.equal(placeOf(sub).op_position, placeOf(deep).op_position)
})

scenario('a row that moves between leaves is deleted and inserted under its root', async ({ cleanup }) => {
  const root = await newTree()
  const whole = new Shape(cleanup, root)
  const byTitle = new Shape(cleanup, root, { where: `title = 'low'`, replica: 'full' })
  const low = new Shape(cleanup, `${root}_low`)
  const deep = new Shape(cleanup, `${root}_deep`)
  const all = [whole, byTitle, low, deep]
  await allEqual(all, 'the snapshots')
  const before = whole.changes.length
  await server.query(`UPDATE ${root} SET id = 250 WHERE id = 1`)
  await allEqual(all, 'the move')
  assert.deepEqual(whole.operations(before), ['delete 1', 'insert 250'])
  assert.deepEqual(deep.operations(1), ['insert 250'])
  assert.deepEqual(low.operations(1), ['delete 1'])
  unbroken(...all)
})

scenario('the same key may move: its delete comes before its insert', async ({ cleanup }) => {
  const root = `tree${++trees}`
  await server.query(`
    CREATE TABLE ${root} (id int, title text, note text, PRIMARY KEY (id, title)) PARTITION BY LIST (title);
    CREATE TABLE ${root}_a PARTITION OF ${root} FOR VALUES IN ('a');
    CREATE TABLE ${root}_b PARTITION OF ${root} FOR VALUES IN ('b');
    CREATE TABLE ${root}_free (id int, title text, note text) PARTITION BY LIST (note);
    CREATE TABLE ${root}_free_x PARTITION OF ${root}_free FOR VALUES IN ('x');
    CREATE TABLE ${root}_free_y PARTITION OF ${root}_free FOR VALUES IN ('y');
    INSERT INTO ${root} VALUES (1, 'a', 'n'); INSERT INTO ${root}_free VALUES (1, 'a', 'x')`)
  const whole = new Shape(cleanup, root)
  const free = new Shape(cleanup, `${root}_free`)
  await allEqual([whole, free], 'the snapshots')
  for (let round = 0; round < 5; round++) {
    await server.query(`BEGIN; UPDATE ${root} SET title = 'b'; UPDATE ${root} SET title = 'a'; COMMIT`)
    await server.query(`UPDATE ${root}_free SET note = CASE note WHEN 'x' THEN 'y' ELSE 'x' END`)
  }
  await allEqual([whole, free], 'the moves')
  assert.equal(whole.operations(1).length, 20)
  assert.deepEqual(free.operations(1).slice(0, 2), ['delete 1', 'insert 1'])
  unbroken(whole, free)
})

scenario('F43: a leaf made later is followed from its first row on, and gets its identity', async ({ cleanup }) => {
  const root = await newTree()
  const shapes = [new Shape(cleanup, root), new Shape(cleanup, `${root}_sub`)]
  await allEqual(shapes, 'the snapshots')
  await server.query(`CREATE TABLE ${root}_later PARTITION OF ${root}_sub FOR VALUES FROM (300) TO (400)`)
  await server.query(`INSERT INTO ${root} VALUES (301, 'a', NULL), (302, 'b', NULL)`)
  await allEqual(shapes, 'the inserts')
  await hasIdentity(`${root}_later`)
  await server.query(`UPDATE ${root} SET title = 'c' WHERE id IN (1, 301); DELETE FROM ${root}_later WHERE id = 302`)
  await server.query(`UPDATE ${root} SET id = 2 WHERE id = 301`)
  await allEqual(shapes, 'updates and deletes in old and new leaves')
  unbroken(...shapes)
})

scenario('F43: changes in a leaf that has no identity yet cost a refetch, and only to whom they concern', async ({ cleanup }) => {
  const root = await newTree()
  const other = await newTree()
  const whole = new Shape(cleanup, root)
  const high = new Shape(cleanup, `${root}_high`)
  const apart = new Shape(cleanup, other)
  const all = [whole, high, apart]
  await allEqual(all, 'the snapshots')
  // In one transaction, so that the identity cannot come in between.
  await server.query(`
    CREATE TABLE ${root}_later PARTITION OF ${root} FOR VALUES FROM (400) TO (500);
    BEGIN; INSERT INTO ${root} VALUES (401, 'a', NULL), (402, 'b', NULL);
    UPDATE ${root} SET title = 'c' WHERE id = 401; DELETE FROM ${root} WHERE id = 402; COMMIT`)
  await until(() => whole.refetches === 1, () => `the refetch ${JSON.stringify(whole.messages)}`)
  await allEqual(all, 'the changes')
  await hasIdentity(`${root}_later`)
  await server.query(`UPDATE ${root} SET title = 'd' WHERE id IN (1, 101, 401)`)
  await allEqual(all, 'the update after it')
  assert.equal(whole.refetches, 1)
  unbroken(high, apart)
})

scenario('a table attached with its rows, in another column order', async ({ cleanup }) => {
  const root = await newTree()
  const whole = new Shape(cleanup, root)
  const low = new Shape(cleanup, `${root}_low`)
  await allEqual([whole, low], 'the snapshots')
  await server.query(`
    CREATE TABLE ${root}_other (note text, dropped int, title text NOT NULL, id int NOT NULL);
    ALTER TABLE ${root}_other DROP COLUMN dropped;
    INSERT INTO ${root}_other VALUES ('n', 'was there', 501), (NULL, 'too', 502)`)
  await server.query(`ALTER TABLE ${root} ATTACH PARTITION ${root}_other FOR VALUES FROM (500) TO (600)`)
  const leaf = new Shape(cleanup, `${root}_other`)
  await server.query(`INSERT INTO ${root} VALUES (503, 'new', 'm')`)
  // Its rows came without a change, so that the root's shape begins anew.
  await allEqual([whole, low, leaf], 'the attached rows')
  await server.query(`
    UPDATE ${root} SET note = 'changed', title = upper(title) WHERE id > 500 OR id = 1;
    DELETE FROM ${root}_other WHERE id = 502; UPDATE ${root} SET id = 3 WHERE id = 501`)
  await allEqual([whole, low, leaf], 'the changes in it')
  assert.equal(whole.refetches, 1)
  unbroken(low)
})

scenario('F18: TRUNCATE of a leaf: its shapes and the root begin anew, its siblings go on', async ({ cleanup }) => {
  const root = await newTree()
  const [whole, low, high, deep] = ['', '_low', '_high', '_deep'].map((end) => new Shape(cleanup, root + end))
  const all = [whole, low, high, deep]
  await allEqual(all, 'the snapshots')
  await server.query(`TRUNCATE ${root}_low`)
  await until(() => whole.refetches === 1 && low.refetches === 1, 'both refetches')
  await allEqual(all, 'after the leaf')
  unbroken(high, deep)
  await server.query(`TRUNCATE ${root}; INSERT INTO ${root} VALUES (7, 'fresh', NULL)`)
  await until(() => whole.refetches >= 2 && low.refetches >= 2, 'the refetches')
  await until(() => high.refetches === 1 && deep.refetches === 1, 'those of the other leaves')
  await allEqual(all, 'after the root')
})

scenario('columns added to and dropped from the root reach its shapes through the leaves', async ({ cleanup }) => {
  const root = await newTree()
  const whole = new Shape(cleanup, root)
  const some = new Shape(cleanup, root, { columns: ['id', 'title', 'note'] })
  await allEqual([whole, some], 'the snapshots')
  await server.query(`ALTER TABLE ${root} ADD COLUMN more int; INSERT INTO ${root} VALUES (202, 'x', NULL, 5)`)
  await until(() => whole.refetches === 1, 'the refetch')
  await whole.reaches((rows) => rows.some((row) => row.more === '5'), 'the new column')
  await some.equalsSelect('without it')
  unbroken(some)
})

scenario('after kill -9 the root goes on where it was', async ({ cleanup }) => {
  const restarted = await stageBusbar(postgres, {
    sql: `CREATE TABLE root (id int PRIMARY KEY, title text) PARTITION BY RANGE (id);
      CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10);
      CREATE TABLE turned (title text, id int NOT NULL);
      ALTER TABLE root ATTACH PARTITION turned FOR VALUES FROM (10) TO (20);
      INSERT INTO root VALUES (1, 'a'), (11, 'b')`,
  })
  const follower = new Follower(restarted.shapeUrl, { table: 'root' })
  cleanup(() => follower.close())
  const state = (rows) => rows.map((row) => `${row.id}${row.title}`).sort().join()
  await follower.reaches((rows) => state(rows) === '11b,1a', 'the snapshot')
  await restarted.query(`UPDATE root SET title = title || '1'`)
  await follower.reaches((rows) => state(rows) === '11b1,1a1', 'the update')
  await restarted.kill9()
  await restarted.query(`UPDATE root SET title = title || '2'; INSERT INTO root VALUES (12, 'c')`)
  await restarted.start()
  await restarted.query(`UPDATE root SET id = 2 WHERE id = 12`)
  await follower.reaches((rows) => state(rows) === '11b12,1a12,2c', 'what came since', 30_000)
  assert.equal(follower.refetches, 0)
  assert.ok(follower.messages.every((m) => !m.key || m.key.startsWith(rowKey('public', 'root', []))))
})

scenario(
  'random changes, moves and new leaves, with readers that join',
  async ({ cleanup }) => {
    const root = await newTree()
    const seed = Number(process.env.BUSBAR_SEED ?? Date.now() % 1_000_000)
    console.log(`partitions: BUSBAR_SEED=${seed}`)
    let number = seed
    const random = (below) => {
      number = (Math.imul(number, 1_103_515_245) + 12_345) >>> 0
      return (number >>> 8) % below
    }
    const tables = ['', '_low', '_high', '_sub', '_deep'].map((end) => root + end)
    const shapes = tables.map((table) => new Shape(cleanup, table))
    let top = 400
    for (let round = 0; round < 6; round++) {
      const leaf = `${root}_r${round}`
      const bounds = `FOR VALUES FROM (${top}) TO (${top + 100})`
      await server.query(
        round % 3 === 2
          ? `CREATE TABLE ${leaf} (note text, title text NOT NULL, id int NOT NULL);
             INSERT INTO ${leaf} VALUES (NULL, 'attached', ${top + 50}); ALTER TABLE ${root} ATTACH PARTITION ${leaf} ${bounds}`
          : `CREATE TABLE ${leaf} PARTITION OF ${root} ${bounds}`,
      )
      top += 100
      for (let step = 0; step < 15; step++) {
        const id = () => (random(top / 100) * 100 + random(8)) % top
        const place = () => { const at = id(); return at >= 300 && at < 400 ? at - 300 : at }
        const statements = [
          `INSERT INTO ${root} VALUES (${place()}, 't${step}', NULL) ON CONFLICT DO NOTHING`,
          `UPDATE ${root} SET title = 'u${step}', note = 'n' WHERE id % 8 = ${random(8)}`,
          `DELETE FROM ${root} WHERE id = ${id()}`,
          `UPDATE ${root} SET id = n.id FROM (SELECT ${place()} AS id) n
             WHERE ${root}.id = (SELECT min(id) FROM ${root}) AND NOT EXISTS (SELECT FROM ${root} o WHERE o.id = n.id)`,
        ]
        await server.query(statements[random(4)])
      }
      // What an attached table brought is found with the first change in it.
      await server.query(`INSERT INTO ${root} VALUES (${top - 1}, 'first', NULL)`)
      shapes.push(new Shape(cleanup, leaf), new Shape(cleanup, root, { where: `title ${round % 2 ? '<' : '>='} 'u'` }))
      for (const shape of shapes) await shape.equalsSelect(`round ${round}, seed ${seed}`)
    }
  },
  { deadlineMs: 120_000 },
)
