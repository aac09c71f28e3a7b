// failures.test.mjs: docs/failures.md, the table of known failures, names tests that there are, and the tests
// that carry a number of that table are named in its row.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('../..', import.meta.url))
const last = 70
const number = (n) => `F${String(n).padStart(2, '0')}`

/** {name, labels} of a scenario whose name may begin with "F12, F13: ". */
function named(text) {
  const [, labels, name] = /^(F\d\d(?:, F\d\d)*): (.*)$/s.exec(text) ?? [, '', text]
  return { name, labels: labels === '' ? [] : labels.split(', ') }
}

/** The tests of a file of node's: the first argument of scenario() and test(), and names kept in a list. */
function nodeTests(source) {
  const quoted = /(['"`])((?:\\.|(?!\1)[^\\\n])*)\1/.source
  const calls = [...source.matchAll(new RegExp(`\\b(?:scenario|test)\\(\\s*${quoted}`, 'g'))]
  const listed = [...source.matchAll(new RegExp(quoted, 'g'))].filter(([, , text]) => /^F\d\d[,:]/.test(text))
  return [...new Set([...calls, ...listed].map(([, , text]) => text.replace(/\\(.)/g, '$1')))].map(named)
}

/** The tests of a file of GoogleTest's; a comment "// F12, F13" above one labels it. */
function googleTests(source) {
  const found = /((?:^\/\/.*\n)*)^TEST(?:_F|_P)?\(\s*\w+\s*,\s*(\w+)/gm
  return [...source.matchAll(found)].map(([, comment, name]) => ({
    name,
    labels: [...comment.matchAll(/^\/\/ (F\d\d(?:, F\d\d)*)/gm)].flatMap(([, labels]) => labels.split(', ')),
  }))
}

/** "client/crowd" → its tests, for all test files of the repository. */
function allTests() {
  const files = new Map()
  const visit = (directory) => {
    for (const entry of readdirSync(join(top, 'tests', directory), { withFileTypes: true })) {
      if (entry.name === 'node_modules') continue
      const path = join(directory, entry.name)
      if (entry.isDirectory()) visit(path)
      const [, base, kind] = /^(.*)(\.test\.mjs|_test\.cpp)$/.exec(path) ?? []
      if (base === undefined || base === 'client/failures') continue // whose own examples are no tests
      const source = readFileSync(join(top, 'tests', path), 'utf8')
      files.set(base, kind === '_test.cpp' ? googleTests(source) : nodeTests(source))
    }
  }
  visit('')
  return files
}

/** Whether `reference` is `name`; "…" stands for any text, as what a test file makes of a variable. */
function means(reference, name) {
  const parts = reference.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(name)
}

/** What is wrong with the table `markdown`, given the tests that there are. */
function faults(markdown, tests) {
  const wrong = []
  const rows = new Map()
  for (const line of markdown.split('\n').filter((line) => /^\| *F\d/.test(line))) {
    const cells = line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())
    const [row, what, does, proof] = cells
    if (cells.length !== 4 || !what || !does || !proof) wrong.push(`${row} has not four columns with a text each`)
    if (rows.has(row)) wrong.push(`${row} is there twice`)
    const references = [...(proof ?? '').matchAll(/`([a-z]+\/[\w/-]+): ([^`]+)`/g)].map(([, file, name]) => ({ file, name }))
    rows.set(row, references)
    if (references.length === 0 && !/^(does not apply|no test yet): ./.test(proof ?? ''))
      wrong.push(`${row} has no test and does not say why`)
    for (const { file, name } of references) {
      if (!tests.has(file)) wrong.push(`${row}: there is no test file ${file}`)
      else if (!tests.get(file).some((one) => means(name, one.name))) wrong.push(`${row}: ${file} has no test "${name}"`)
    }
  }
  for (let n = 1; n <= last; n++) if (!rows.has(number(n))) wrong.push(`${number(n)} has no row`)
  for (const row of rows.keys()) if (!(Number(row.slice(1)) <= last)) wrong.push(`${row} is no number of the list`)
  for (const [file, list] of tests)
    for (const { name, labels } of list)
      for (const label of labels)
        if (!rows.get(label)?.some((one) => one.file === file && means(one.name, name)))
          wrong.push(`${file}: "${name}" is labelled ${label}, whose row does not name it`)
  return wrong
}

test('every known failure has a row, and every row names tests that there are', () => {
  assert.deepEqual(faults(readFileSync(join(top, 'docs/failures.md'), 'utf8'), allTests()), [])
})

test('a row that is missing, doubled, empty or wrong is noticed, and so is a label that no row knows', () => {
  const tests = new Map([
    ['client/one', nodeTests("scenario('F01, F03: a ${b} c', x)\nscenario(\n  `it\\'s ${d}`, x)")],
    ['unit/two', googleTests('// F02: why\nTEST_F(Suite, IsThere) {\n// F04\nint x;\nTEST(Suite, Other) {\n')],
  ])
  assert.deepEqual(tests.get('client/one'), [
    { name: 'a ${b} c', labels: ['F01', 'F03'] },
    { name: "it's ${d}", labels: [] },
  ])
  assert.deepEqual(tests.get('unit/two'), [
    { name: 'IsThere', labels: ['F02'] },
    { name: 'Other', labels: [] },
  ])
  const rows = {
    1: 'a | b | `client/one: a … c`',
    2: "a | b | `unit/two: IsThere`, `client/one: it's …`",
    3: 'a | b | beside, `client/one: a …`',
  }
  for (let n = 4; n <= last; n++) rows[n] = 'a | b | no test yet: why'
  const found = (changes, more = '') =>
    faults(Object.entries({ ...rows, ...changes }).map(([n, text]) => text && `| ${number(n)} | ${text} |\n`).join('') + more, tests)
  assert.deepEqual(found({}), [])
  assert.deepEqual(found({ 9: '' }), ['F09 has no row'])
  assert.deepEqual(found({}, '| F09 | a | b | does not apply: why |\n'), ['F09 is there twice'])
  assert.deepEqual(found({}, '| F71 | a | b | does not apply: why |\n'), ['F71 is no number of the list'])
  assert.deepEqual(found({ 9: 'a | b | later' }), ['F09 has no test and does not say why'])
  assert.equal(found({ 9: 'a | no test yet: why' }).length, 2)
  assert.deepEqual(found({ 9: 'a | b | `unit/two: IsThereNot`' }), ['F09: unit/two has no test "IsThereNot"'])
  assert.deepEqual(found({ 9: 'a | b | `unit/three: IsThere`' }), ['F09: there is no test file unit/three'])
  assert.deepEqual(found({ 3: 'a | b | `unit/two: Other`' }), [
    'client/one: "a ${b} c" is labelled F03, whose row does not name it',
  ])
})
