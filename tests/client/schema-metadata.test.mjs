// schema-metadata.test.mjs: changes of a table that the stream's description of it does not show, while
// readers wait (spec §12, §14): those that only electric-schema tells, and generated columns.
import assert from 'node:assert/strict'
import { expectInvalid, expectMustRefetch } from './harness/expect.mjs'
import { until } from './harness/processes.mjs'
import { scenario } from './harness/scenario.mjs'
import { follow, get, isUpToDate } from './harness/shapes.mjs'
import { newTable, stageBusbar, stagePostgres } from './harness/stage.mjs'
import { openEvents, poll } from './harness/waiting.mjs'

const postgres = await stagePostgres()
const server = await stageBusbar(postgres, {
  env: { BUSBAR_LONG_POLL_TIMEOUT: '20s', BUSBAR_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms' },
})

const changesOf = (messages) => messages.filter((message) => message.headers.lsn !== undefined)

for (const shape of [{}, { columns: 'id,a' }, { replica: 'full', where: 'id < 100' }])
  scenario(`NOT NULL is set and dropped under waiting readers of ${JSON.stringify(shape)}`, async ({ cleanup }) => {
    const table = await newTable(server, 'id int PRIMARY KEY, a text, n int', `(1, 'one', 1)`)
    const words = { table, ...shape }
    const first = await follow(server, words)
    const { handle } = first
    let { offset } = first
    assert.equal(first.schema.a.not_null, undefined)
    const events = await openEvents(server, { ...words, offset, handle })
    cleanup(() => events.connection.destroy())
    for (const [round, notNull] of [true, false, true].entries()) {
      const { connection, answer } = await poll(server, { ...words, offset, handle })
      cleanup(() => connection.destroy())
      await server.query(`ALTER TABLE ${table} ALTER COLUMN a ${notNull ? 'SET' : 'DROP'} NOT NULL`)
      // Not only with the next change: a client that comes now must not read NULLs with the old one.
      for (const place of [{ offset: '-1' }, { offset: '0_0', handle }, { offset, handle }])
        await until(
          async () => {
            const response = await get(server, { ...words, ...place })
            assert.equal(response.header('electric-handle'), handle, 'the handle stays')
            return (JSON.parse(response.header('electric-schema')).a.not_null === true) === notNull
          },
          `electric-schema at ${place.offset} to say ${notNull ? 'NOT NULL' : 'nothing'}`,
        )
      await server.query(`UPDATE ${table} SET a = 'round ${round}'`)
      const woken = await answer
      assert.equal(woken.status, 200, woken.text)
      assert.equal(changesOf(woken.json)[0].value.a, `round ${round}`)
      assert.ok(isUpToDate(woken.json.at(-1)))
      assert.equal(changesOf(await events.batch())[0].value.a, `round ${round}`)
      offset = woken.header('electric-offset')
    }
  })

scenario('a generated column is added: who has all columns is refused, the others go on', async ({ cleanup }) => {
  const table = await newTable(server, 'id int PRIMARY KEY, a text', `(1, 'one')`)
  const all = await follow(server, { table })
  const some = await follow(server, { table, columns: 'id,a' })
  const waiting = await poll(server, { table, offset: all.offset, handle: all.handle })
  const going = await poll(server, { table, columns: 'id,a', offset: some.offset, handle: some.handle })
  for (const { connection } of [waiting, going]) cleanup(() => connection.destroy())
  await server.query(`ALTER TABLE ${table} ADD COLUMN g int GENERATED ALWAYS AS (id + 1) STORED`)
  expectMustRefetch(await waiting.answer)
  await until(async () => (await get(server, { table, offset: '-1' })).status !== 200, 'all columns to be refused')
  expectInvalid(await get(server, { table, offset: '-1' }), 'columns')
  await server.query(`UPDATE ${table} SET a = 'changed'`)
  const went = await going.answer
  assert.equal(went.status, 200, went.text)
  assert.deepEqual(
    changesOf(went.json).map((message) => message.value),
    [{ id: '1', a: 'changed' }],
  )
})
