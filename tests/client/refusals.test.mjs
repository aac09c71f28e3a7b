// refusals.test.mjs: what clients are told when the database refuses something or drops a session:
// a 503 that can heal, in words that name no host (spec §17.2).
import assert from 'node:assert/strict'
import { Busbar } from './harness/busbar.mjs'
import { expectInvalid } from './harness/expect.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get } from './harness/shapes.mjs'
import { itemColumns, itemRows, newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, { env: { BUSBAR_LONG_POLL_TIMEOUT: '1s' } })

/** A snapshot that failed for a reason with a name; the client is to try again. */
function expectTrouble(response, words) {
  assert.equal(response.status, 503, `${response.status} ${response.text}`)
  assert.equal(response.header('retry-after'), '10')
  assert.equal(response.header('cache-control'), 'no-store')
  assert.equal(response.header('electric-handle'), undefined)
  assert.match(response.json.message, words)
  assert.ok(!response.text.includes('127.0.0.1'), 'the body names no host')
}

scenario('a missing privilege is a 503 that says what to run, until somebody does', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const database = await postgres.createDatabase()
  await postgres.query(
    database,
    `CREATE ROLE limited LOGIN REPLICATION; GRANT CREATE ON DATABASE ${database} TO limited;
     CREATE TABLE ${table} (${itemColumns}); INSERT INTO ${table} VALUES ${itemRows}`,
  )
  const limited = await Busbar.start({ databaseUrl: postgres.url(database, { user: 'limited' }) })
  try {
    expectTrouble(await get(limited, { table, offset: '-1' }), /must own table "public"\."t\d+"/)
    await postgres.query(database, `ALTER TABLE ${table} OWNER TO limited`)
    assert.equal((await follow(limited, { table })).checker.rows.size, 3)
    await postgres.query(database, `ALTER TABLE ${table} OWNER TO postgres; GRANT SELECT (id) ON ${table} TO limited`)
    expectTrouble(await get(limited, { table, offset: '-1', where: 'id = 1' }), /permission denied/)
    assert.equal((await get(limited, { table, offset: '-1', where: 'id = 1', columns: 'id' })).status, 200)
  } finally {
    await limited.discard()
  }
})

scenario('a clause that fails on a row is the request\'s error, names no value, and is not for ever', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  await server.query(`UPDATE ${table} SET title = 'secret' WHERE id = 3`)
  for (const [where, state] of [
    ['1 / (id - 2) > 0', '22012'],
    ['id * 2147483647 > 0', '22003'],
    ['title::int > 0', '22P02'],
  ]) {
    const refused = await get(server, { table, offset: '-1', where })
    const [text] = expectInvalid(refused, 'where')
    assert.ok(text.includes(state), text)
    assert.ok(!refused.text.includes('secret') && !refused.text.includes('milk'), text)
  }
  await server.query(`DELETE FROM ${table} WHERE id = 2`)
  const where = '1 / (id - 2) > 0'
  assert.deepEqual([...(await follow(server, { table, where })).checker.rows.values()].map((row) => row.id), ['3'])
})

scenario('a table that no shape can be on is refused with the true reason', async () => {
  const table = await newTable(server, 'id int PRIMARY KEY')
  await server.query(
    `CREATE VIEW ${table}_view AS SELECT * FROM ${table}; CREATE MATERIALIZED VIEW ${table}_kept AS SELECT * FROM ${table};
     CREATE UNLOGGED TABLE ${table}_unlogged (id int PRIMARY KEY); CREATE SEQUENCE ${table}_numbers;
     CREATE TABLE ${table}_parent (id int PRIMARY KEY); CREATE TABLE ${table}_child () INHERITS (${table}_parent);
     CREATE TABLE ${table}_root (id int PRIMARY KEY) PARTITION BY LIST (id);
     CREATE UNLOGGED TABLE ${table}_leaf PARTITION OF ${table}_root DEFAULT`,
  )
  for (const [name, words] of [
    [`${table}_view`, /"public"."t\d+_view" cannot be synced: it is a view/],
    [`${table}_kept`, /materialized view/],
    [`${table}_unlogged`, /cannot be synced: it is an unlogged table/],
    [`${table}_numbers`, /is not a table/],
    [`${table}_parent`, /cannot be synced: it has inheritance children/],
    [`${table}_root`, /cannot be synced: a partition is a foreign or unlogged table/],
    ['pg_catalog.pg_class', /a table of the system/],
    [`${table}_nothing`, /does not exist/],
    ['nowhere.items', /does not exist/],
  ]) {
    assert.match(expectInvalid(await get(server, { table: name, offset: '-1' }), 'table')[0], words, name)
  }
})

scenario('a publication that withholds rows is a 503 that says so', async () => {
  const table = await newTable(server, itemColumns, itemRows)
  const [{ pubname }] = await server.query('SELECT pubname FROM pg_publication')
  await server.query(`ALTER TABLE ${table} REPLICA IDENTITY FULL; ALTER PUBLICATION ${pubname} ADD TABLE ${table} WHERE (id > 1)`)
  expectTrouble(await get(server, { table, offset: '-1' }), /row filter or a column list/)
  await server.query(`ALTER PUBLICATION ${pubname} SET TABLE ${table}`)
  assert.equal((await follow(server, { table })).checker.rows.size, 3)
})

scenario('sessions that died while they lay idle cost nobody anything', async () => {
  const tables = []
  for (let round = 0; round < 3; round++) {
    tables.push(await newTable(server, itemColumns, itemRows))
    const answers = await Promise.all(
      tables.flatMap((table) => [
        get(server, { table, offset: '-1', where: `id > -${round}` }),
        get(server, { table, offset: 'now', log: 'changes_only', subset__where: 'id = 1' }),
      ]),
    )
    for (const answer of answers) assert.equal(answer.status, 200, answer.text)
    const ended = await server.query(
      `SELECT application_name, pg_terminate_backend(pid, 5000) FROM pg_stat_activity
       WHERE application_name LIKE 'busbar %' AND application_name <> 'busbar replication'`,
    )
    assert.ok(ended.length >= 3, JSON.stringify(ended))
  }
})
