// The status page: reads status.json every two seconds and draws it. What comes from clients (clauses, tenants) is
// only ever set as text.
const every = 2000
const kept = 150 // five minutes
const least = 30 // what a chart is wide for, at first
const byId = (id) => document.getElementById(id)

// --- How things are written ------------------------------------------------------------------------------------

const decimals = (value) => (value >= 100 || Number.isInteger(value) ? 0 : value >= 10 ? 1 : 2)
const plain = (value) => value.toLocaleString('en', { maximumFractionDigits: decimals(value) })

function count(value) {
  for (const [size, unit] of [[1e9, ' G'], [1e6, ' M'], [1e4, ' k']])
    if (value >= size) return plain(value / (unit === ' k' ? 1e3 : size)) + unit
  return plain(value)
}

function bytes(value) {
  let unit = 0
  for (; value >= 1024 && unit < 5; unit++) value /= 1024
  return `${plain(value)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit]}`
}

function duration(seconds) {
  if (seconds === undefined) return '–'
  if (seconds < 1) return `${plain(Math.round(seconds * 1e4) / 10)} ms`
  if (seconds < 90) return `${plain(Math.round(seconds * 10) / 10)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 90) return `${minutes} min`
  return minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} d`
}

const ago = (when, now) => (when ? (now - when < 1500 ? 'now' : `${duration((now - when) / 1000)} ago`) : '–')
const perSecond = (value) => `${count(value)}/s`
const bytesPerSecond = (value) => `${bytes(value)}/s`

// --- Elements --------------------------------------------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value)
  made.append(...children)
  return made
}

function drawn(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

const tag = (text, mood = '') => element('span', { class: `tag ${mood}` }, text)
const code = (text) => element('code', {}, text)

/** Columns are {title, cell(row), sort?(row), class?}; a cell is text or an element. */
class Table {
  #columns
  #root
  #empty
  #by
  #down = true
  #rows = []

  constructor(id, columns, { empty = 'none', by } = {}) {
    this.#root = byId(id)
    this.#columns = columns
    this.#empty = empty
    this.#by = columns.find(({ title }) => title === by)
  }

  show(rows) {
    this.#rows = rows
    this.#draw()
  }

  #draw() {
    const heads = this.#columns.map((column) => {
      const sorted = column === this.#by ? (this.#down ? 'descending' : 'ascending') : undefined
      const head = element('th', { scope: 'col', class: column.class, 'aria-sort': sorted })
      if (!column.sort) head.append(column.title)
      else {
        const button = element('button', { type: 'button' }, column.title)
        button.addEventListener('click', () => {
          this.#down = this.#by === column ? !this.#down : true
          this.#by = column
          this.#draw()
        })
        head.append(button)
      }
      return head
    })
    const rows = [...this.#rows]
    if (this.#by) {
      const { sort } = this.#by
      const order = this.#down ? -1 : 1
      rows.sort((a, b) => (sort(a) > sort(b) ? order : sort(a) < sort(b) ? -order : 0))
    }
    const lines = rows.map((row) =>
      element('tr', {}, ...this.#columns.map((column) => element('td', { class: column.class }, column.cell(row)))),
    )
    if (lines.length === 0)
      lines.push(element('tr', {}, element('td', { class: 'empty', colspan: this.#columns.length }, this.#empty)))
    // A button that has the focus must not lose it because the numbers have changed.
    const focused = [...this.#root.querySelectorAll('th button')].indexOf(document.activeElement)
    this.#root.replaceChildren(element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...lines))
    if (focused >= 0) this.#root.querySelectorAll('th button')[focused]?.focus()
  }
}

// --- Charts ----------------------------------------------------------------------------------------------------

const height = 136
const left = 2
const right = 62
const top = 8
const bottom = 16

/** The next of 1, 2, 5, 10, 20 … so that the axis stands still. */
function roundedUp(value, bytewise) {
  if (value <= 0) return 1
  const unit = bytewise ? 1024 ** Math.max(0, Math.floor(Math.log(value) / Math.log(1024))) : 1
  const scale = 10 ** Math.floor(Math.log10(value / unit))
  for (const step of [1, 2, 5, 10]) if (value <= step * scale * unit) return step * scale * unit
  return value
}

class Chart {
  #series
  #format
  #plot = drawn('svg', { class: 'plot', role: 'img' })
  #legend = element('p', { class: 'legend' })
  #points = []
  #at // of the pointer, as an index

  /** Series are [{name, value(sample)}], two at most. */
  constructor(title, series, format) {
    this.#series = series
    this.#format = format
    this.#plot.setAttribute('aria-label', title)
    byId('charts').append(element('figure', { class: 'chart' }, element('h3', {}, title), this.#legend, this.#plot))
    const point = (event) => {
      const box = this.#plot.getBoundingClientRect()
      const width = box.width
      const x = event.clientX - box.left
      const span = Math.max(least, this.#points.length)
      this.#at = Math.round(((x - left) / (width - left - right)) * (span - 1)) - (span - this.#points.length)
      this.draw(this.#points)
    }
    this.#plot.addEventListener('pointermove', point)
    this.#plot.addEventListener('pointerleave', () => {
      this.#at = undefined
      this.draw(this.#points)
    })
  }

  draw(samples) {
    this.#points = samples
    const values = this.#series.map(({ value }) => samples.map((sample) => value(sample)))
    // A unit is a pixel, so that letters keep their shape.
    const width = Math.max(160, this.#plot.clientWidth)
    this.#plot.setAttribute('viewBox', `0 0 ${width} ${height}`)
    const bytewise = this.#format === bytes || this.#format === bytesPerSecond
    const most = roundedUp(Math.max(0, ...values.flat().filter(Number.isFinite)), bytewise)
    const span = Math.max(least, samples.length)
    const x = (index) => left + ((span - samples.length + index) / (span - 1)) * (width - left - right)
    const y = (value) => top + (1 - value / most) * (height - top - bottom)
    const parts = []
    for (const share of [0, 0.5, 1]) {
      parts.push(drawn('line', { class: 'grid', x1: left, x2: width - right, y1: y(share * most), y2: y(share * most) }))
      const label = drawn('text', { x: width - right + 5, y: y(share * most) + 3 })
      label.textContent = this.#format(share * most)
      parts.push(label)
    }
    values.forEach((line, which) => {
      const kind = which === 0 ? '' : ' second'
      for (const run of runs(line)) {
        const path = run.map(([index, value]) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join('L')
        const [first, last] = [run[0][0], run[run.length - 1][0]]
        parts.push(drawn('path', { class: `area${kind}`, d: `M${path}L${x(last)} ${y(0)}L${x(first)} ${y(0)}Z` }))
        parts.push(drawn('path', { class: `line${kind}`, d: `M${path}` }))
      }
    })
    const shown = this.#at >= 0 && this.#at < samples.length ? this.#at : samples.length - 1
    if (this.#at >= 0 && this.#at < samples.length)
      parts.push(drawn('line', { class: 'cross', x1: x(shown), x2: x(shown), y1: top, y2: height - bottom }))
    const time = drawn('text', { x: left, y: height - 3 })
    time.textContent = samples.length > 0 && this.#at === shown ? new Date(samples[shown].now).toLocaleTimeString() : `${duration((span * every) / 1000)} ago`
    parts.push(time)
    this.#plot.replaceChildren(...parts)
    this.#legend.replaceChildren(
      ...this.#series.map(({ name }, which) => {
        const value = values[which][shown]
        return element('span', { class: which === 0 ? '' : 'second' }, `${name} `, element('b', {}, Number.isFinite(value) ? this.#format(value) : '–'))
      }),
    )
  }
}

/** Stretches of a line in which every value is known. */
function runs(line) {
  const all = []
  let open
  line.forEach((value, index) => {
    if (!Number.isFinite(value)) open = undefined
    else if (open) open.push([index, value])
    else all.push((open = [[index, value]]))
  })
  return all
}

// --- What happened between two readings --------------------------------------------------------------------------

/** The value below which this share of new observations lies; undefined if there were none. */
function quantile(share, before, after, bounds) {
  const fresh = after.map((value, index) => value - (before[index] ?? 0))
  const total = fresh.reduce((sum, value) => sum + value, 0)
  if (total <= 0) return undefined
  let rank = share * total
  for (let index = 0; index < fresh.length; index++) {
    if (rank <= fresh[index] && fresh[index] > 0) {
      const from = index === 0 ? 0 : bounds[index - 1]
      const to = bounds[index] ?? bounds[bounds.length - 1]
      return from + (to - from) * (rank / fresh[index])
    }
    rank -= fresh[index]
  }
  return bounds[bounds.length - 1]
}

/** Observations of the last minute: of two seconds there are too few for a quantile. */
function lately(samples, name, share) {
  const now = samples[samples.length - 1]
  const before = samples[Math.max(0, samples.length - 31)]
  return quantile(share, before.said.histograms[name], now.said.histograms[name], now.said.bounds)
}

function sampleOf(said, samples) {
  const last = samples[samples.length - 1]?.said
  const seconds = last ? (said.now - last.now) / 1000 : 0
  const restarted = last && last.started !== said.started
  const rates = {}
  for (const [name, value] of Object.entries(said.counters))
    rates[name] = seconds > 0 && !restarted ? Math.max(0, value - last.counters[name]) / seconds : NaN
  return { now: said.now, said, rates }
}

// --- The page ----------------------------------------------------------------------------------------------------

const samples = []
const charts = [
  new Chart('Changes from PostgreSQL', [{ name: 'changes', value: (s) => s.rates.changes }, { name: 'transactions', value: (s) => s.rates.transactions }], perSecond),
  new Chart('From commit to client', [{ name: 'median', value: (s) => s.median }, { name: '99 %', value: (s) => s.slowest }], duration),
  new Chart('Requests', [{ name: 'shape requests', value: (s) => s.rates.requests }], perSecond),
  new Chart('Sent to clients', [{ name: 'bytes', value: (s) => s.rates.sent_bytes }], bytesPerSecond),
  new Chart('WAL held back', [{ name: 'kept by the slot', value: (s) => s.said.slot?.retained_bytes }, { name: 'not confirmed', value: (s) => s.said.slot?.lag_bytes }], bytes),
  new Chart('Memory', [{ name: 'memory', value: (s) => s.said.gauges.resident_bytes }], bytes),
]

const moods = { leader: 'good', waiting: '', follower: 'good', starting: 'warn', misconfigured: 'bad', away: 'bad' }
const nodes = new Table('nodes', [
  { title: 'Node', cell: (n) => n.name, class: 'nowrap' },
  { title: 'Role', cell: (n) => tag(n.role, moods[n.role]) },
  { title: 'Term', cell: (n) => String(n.term), class: 'number' },
  { title: 'Received', cell: (n) => code(n.received_lsn), class: 'number' },
  { title: 'Confirmed', cell: (n) => code(n.confirmed_lsn), class: 'number' },
  { title: 'Says', cell: (n) => n.reason ?? (n.accepts_writes ? 'streams' : 'its disk takes no writes'), class: 'wide' },
])

let now = 0
const shapes = new Table(
  'shapes',
  [
    { title: 'Table', cell: (s) => s.table, sort: (s) => s.table, class: 'nowrap' },
    { title: 'Definition', cell: definition, class: 'wide' },
    { title: 'State', cell: (s) => tag(s.state, { making: 'warn', lagging: 'warn' }[s.state]), sort: (s) => s.state },
    { title: 'Clients', cell: (s) => count(s.clients), sort: (s) => s.clients, class: 'number' },
    { title: 'Size', cell: (s) => bytes(s.bytes), sort: (s) => s.bytes, class: 'number' },
    { title: 'Last read', cell: (s) => ago(s.read_at, now), sort: (s) => s.read_at, class: 'number' },
    { title: 'Made', cell: (s) => ago(s.made_at, now), sort: (s) => s.made_at, class: 'number' },
    { title: 'Handle', cell: (s) => code(s.handle), class: 'nowrap' },
  ],
  { empty: 'no shapes', by: 'Clients' },
)

function definition(shape) {
  const parts = []
  if (shape.where) parts.push(code(`WHERE ${shape.where}`))
  if (shape.parameters.length > 0) parts.push(element('span', { class: 'dim' }, ` with ${JSON.stringify(shape.parameters)}`))
  if (shape.columns) parts.push(element('span', { class: 'dim' }, ` columns ${shape.columns.join(', ')}`))
  if (shape.changes_only) parts.push(' ', tag('changes only'))
  if (shape.tenant !== null) parts.push(' ', tag(`tenant ${shape.tenant}`))
  return element('span', {}, ...(parts.length > 0 ? parts : [element('span', { class: 'dim' }, 'every row')]))
}

const tenants = new Table(
  'tenants',
  [
    { title: 'Tenant', cell: (t) => (t.tenant === null ? element('span', { class: 'dim' }, 'all others') : t.tenant), sort: (t) => t.tenant ?? '' },
    { title: 'Load', cell: loadBar, sort: (t) => t.load, class: 'wide' },
    { title: 'Requests', cell: (t) => perSecond(t.rates.requests), sort: (t) => t.rates.requests, class: 'number' },
    { title: 'Sent', cell: (t) => bytesPerSecond(t.rates.sent_bytes), sort: (t) => t.rates.sent_bytes, class: 'number' },
    { title: 'Written', cell: (t) => bytesPerSecond(t.rates.log_bytes), sort: (t) => t.rates.log_bytes, class: 'number' },
    { title: 'Shapes', cell: (t) => count(t.shapes), sort: (t) => t.shapes, class: 'number' },
  ],
  { by: 'Load' },
)

function loadBar(tenant) {
  const filled = element('i')
  filled.style.width = `${Math.round(tenant.share * 100)}%`
  return element('span', {}, `${Math.round(tenant.share * 100)} %`, element('span', { class: 'bar' }, filled))
}

/** Our SQL names the schema of every operator and type, which says nothing to a human. */
const readable = (sql) => sql.replaceAll(/OPERATOR\(pg_catalog\.([^)]+)\)/g, '$1').replaceAll('::pg_catalog.', '::')

const removals = new Table(
  'removals',
  [
    { title: 'When', cell: (r) => ago(r.when, now), class: 'nowrap' },
    { title: 'Table', cell: (r) => r.table, class: 'nowrap' },
    { title: 'Reason', cell: (r) => tag(r.reason, ['deleted', 'expired', 'unused'].includes(r.reason) ? '' : 'warn') },
    { title: 'Because', cell: (r) => r.why, class: 'wide' },
  ],
  { empty: 'none since this node began' },
)
const slow = new Table(
  'slow',
  [
    { title: 'When', cell: (q) => ago(q.when, now), class: 'nowrap' },
    { title: 'Took', cell: (q) => duration(q.seconds), class: 'number' },
    { title: 'What', cell: (q) => tag(q.kind) },
    { title: 'Table', cell: (q) => q.table, class: 'nowrap' },
    { title: 'Rows', cell: (q) => count(q.rows), class: 'number' },
    { title: 'Condition', cell: (q) => (q.where ? code(readable(q.where)) : ''), class: 'wide' },
  ],
  { empty: 'none since this node began' },
)
const configuration = new Table(
  'configuration',
  [
    { title: 'Setting', cell: (c) => code(c.name), class: 'nowrap' },
    { title: 'Value', cell: (c) => code(c.value), class: 'wide' },
    { title: 'Meaning', cell: (c) => element('span', { class: 'dim' }, c.meaning), class: 'wide' },
  ],
  { empty: 'everything is as it comes' },
)

function tile(title, value, note, mood = '') {
  return element('article', { class: `tile ${mood}` }, element('h3', {}, title), element('strong', {}, value), element('span', {}, note))
}

function drawTiles(said, sample) {
  const { gauges, slot, storage } = said
  const held = slot?.exists ? bytes(slot.retained_bytes) : '–'
  const slotMood = !slot ? '' : !slot.exists || slot.wal_status === 'lost' ? 'bad' : slot.wal_status === 'unreserved' ? 'warn' : ''
  const full = storage.disk_size > 0 ? 1 - storage.disk_free / storage.disk_size : 0
  byId('tiles').replaceChildren(
    tile('Clients waiting', count(gauges.waiting), `${count(gauges.connections)} connections`),
    tile('Shapes', count(said.shapes.total), `${count(said.shapes.by_state.making ?? 0)} being made, ${count(gauges.snapshots_queued)} queued`),
    tile('Changes', Number.isFinite(sample.rates.changes) ? perSecond(sample.rates.changes) : '–', `${count(said.counters.changes)} since it began`),
    tile('Commit to client', duration(sample.median), `99 % within ${duration(sample.slowest)}`),
    tile('Commit to disk', duration(sample.durable), `${bytes(gauges.unconfirmed_bytes)} not confirmed`),
    tile('WAL kept by the slot', held, slot ? `${slot.name}: ${slot.wal_status ?? 'missing'}${slot.safe_bytes === null || slot.safe_bytes === undefined ? '' : `, lost in ${bytes(slot.safe_bytes)}`}` : 'PostgreSQL was not asked yet', slotMood),
    tile('Memory', bytes(gauges.resident_bytes), Number.isFinite(sample.rates.cpu_seconds) ? `${plain(Math.round(sample.rates.cpu_seconds * 100))} % of a core` : ' '),
    tile('Disk', storage.disk_size > 0 ? bytes(storage.disk_free) : '–', `free; ${bytes(Object.values(storage.parts).reduce((sum, part) => sum + part, 0))} in use`, full > 0.95 ? 'bad' : full > 0.85 ? 'warn' : ''),
  )
}

function drawTenants(said, before) {
  byId('tenants-card').hidden = !said.tenants.column
  if (!said.tenants.column) return
  byId('tenants-summary').textContent = `${count(said.tenants.total)} by column ${said.tenants.column}; load of the last minute`
  const seconds = before ? (said.now - before.now) / 1000 : 0
  const rows = said.tenants.listed.map((tenant) => {
    const then = before?.tenants.listed.find((one) => one.tenant === tenant.tenant)
    const rates = {}
    for (const name of ['requests', 'sent_bytes', 'log_bytes'])
      rates[name] = seconds > 0 && then ? Math.max(0, tenant[name] - then[name]) / seconds : 0
    return { ...tenant, rates, load: rates.requests * 1024 + rates.sent_bytes + rates.log_bytes }
  })
  const all = rows.reduce((sum, { load }) => sum + load, 0)
  for (const row of rows) row.share = all > 0 ? row.load / all : 0
  tenants.show(rows)
}

function drawShapes(said) {
  const words = byId('shapes-filter').value.trim().toLowerCase()
  const { listed, total, clients } = said.shapes
  const found = listed.filter((shape) =>
    [shape.table, shape.where, shape.handle, shape.tenant ?? '', ...shape.parameters].join(' ').toLowerCase().includes(words),
  )
  byId('shapes-summary').textContent =
    `${count(total)} with ${count(clients)} waiting clients` +
    (listed.length < total ? `; shown are the ${listed.length} most used, last read and largest` : '')
  shapes.show(found)
}

function drawConfiguration(said) {
  configuration.show(said.configuration.filter(({ changed }) => changed || !byId('changed-only').checked))
}

function draw() {
  const sample = samples[samples.length - 1]
  const { said } = sample
  now = said.now
  const node = said.nodes.find(({ self }) => self)
  document.title = `Busbar · ${said.stream} · ${node.role}`
  byId('subtitle').textContent = `stream ${said.stream} · version ${said.version} · up ${duration((said.now - said.started) / 1000)}`
  const health = byId('health')
  const words = { leader: 'Streaming', follower: 'Following', waiting: 'Another node leads', starting: 'No stream', misconfigured: 'Needs a human' }
  health.className = `health ${!node.accepts_writes ? 'bad' : { leader: 'good', follower: 'good', waiting: 'warn', starting: 'warn', misconfigured: 'bad' }[node.role] ?? ''}`
  health.lastElementChild.textContent = node.accepts_writes ? (words[node.role] ?? node.role) : 'Disk is full'
  drawTiles(said, sample)
  charts.forEach((chart) => chart.draw(samples))
  nodes.show(said.nodes)
  drawShapes(said)
  drawTenants(said, samples.length > 1 ? samples[Math.max(0, samples.length - 31)].said : undefined)
  removals.show(said.removals)
  slow.show(said.slow_queries)
  drawConfiguration(said)
}

function complain(text) {
  byId('trouble').textContent = text ?? ''
  byId('trouble').hidden = !text
}

async function read() {
  try {
    const response = await fetch('status.json', { signal: AbortSignal.timeout(10_000) })
    if (!response.ok) throw new Error(`status ${response.status}`)
    const said = await response.json()
    samples.push(sampleOf(said, samples))
    if (samples.length > kept) samples.shift()
    const sample = samples[samples.length - 1]
    sample.median = lately(samples, 'client', 0.5)
    sample.slowest = lately(samples, 'client', 0.99)
    sample.durable = lately(samples, 'durable', 0.5)
    complain()
    draw()
  } catch (error) {
    complain(`This node does not answer (${error.message}); trying again.`)
    byId('health').className = 'health bad'
    byId('health').lastElementChild.textContent = 'No answer'
  }
}

let paused = false
async function turn() {
  if (!paused && !document.hidden) await read()
  setTimeout(turn, every)
}

byId('pause').addEventListener('click', (event) => {
  paused = !paused
  event.target.textContent = paused ? 'Go on' : 'Pause'
  event.target.setAttribute('aria-pressed', String(paused))
})

const themes = ['auto', 'light', 'dark']
function setTheme(name) {
  if (name === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = name
  const button = byId('theme')
  button.textContent = name[0].toUpperCase() + name.slice(1)
  button.setAttribute('aria-label', `Colours: ${name === 'auto' ? 'as the system has them' : name}`)
  try {
    localStorage.setItem('busbar-theme', name)
  } catch {
    // A browser that keeps nothing shows the page all the same.
  }
}
byId('theme').addEventListener('click', () => {
  const shown = document.documentElement.dataset.theme ?? 'auto'
  setTheme(themes[(themes.indexOf(shown) + 1) % themes.length])
})
try {
  setTheme(themes.includes(localStorage.getItem('busbar-theme')) ? localStorage.getItem('busbar-theme') : 'auto')
} catch {
  setTheme('auto')
}
byId('shapes-filter').addEventListener('input', () => samples.length > 0 && drawShapes(samples[samples.length - 1].said))
byId('changed-only').addEventListener('change', () => samples.length > 0 && drawConfiguration(samples[samples.length - 1].said))
turn()
