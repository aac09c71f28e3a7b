// chart.test.mjs: what the chart makes of ten sets of values, and what it refuses.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { Issuer } from '../client/harness/gate.mjs'
import { binary, metricNames, metricsOf, read, render, renderAll, schemaErrors, scratch, sets, settingNames, unknownFields } from './harness.mjs'

const rendered = Object.fromEntries(
  renderAll(Object.entries(sets).map(([name, values]) => ({ name, values }))).map((one) => [one.name, one]),
)
const { minimal, production } = rendered
const own = ({ objects }) => objects.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === 'busbar')

/** The labels of `selector` are all among `labels`. */
const selects = (selector, labels) => Object.entries(selector).every(([key, value]) => labels[key] === value)

test('there are at least ten sets', () => assert.ok(Object.keys(sets).length >= 10))

for (const [name, answer] of Object.entries(rendered)) {
  const each = (what, body) => test(`${name}: ${what}`, body)

  each('renders, and every manifest obeys Kubernetes’ schema', async () => {
    assert.equal(answer.error, undefined)
    for (const object of answer.objects)
      assert.deepEqual(await schemaErrors(object), [], `${object.kind} ${object.metadata.name}`)
  })

  each('every object has a name of its own, the namespace and the labels', () => {
    const names = answer.objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    assert.equal(new Set(names).size, names.length, names.join(' '))
    for (const { kind, metadata } of own(answer)) {
      assert.equal(metadata.namespace, 'apps', kind)
      assert.equal(metadata.labels['app.kubernetes.io/instance'], 'shop', kind)
      assert.match(metadata.name, /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/, kind)
      for (const value of Object.values(metadata.labels)) assert.match(value, /^([\w.-]{0,62}\w)?$/, kind)
    }
  })

  each('all that selects pods selects these', () => {
    const { labels } = answer.pod.metadata
    const set = answer.one('StatefulSet')
    assert.ok(selects(set.spec.selector.matchLabels, labels))
    const services = answer.all('Service')
    assert.equal(services.length, 2)
    for (const service of services) assert.ok(selects(service.spec.selector, labels), service.metadata.name)
    for (const kind of ['PodDisruptionBudget', 'NetworkPolicy'])
      for (const { spec } of answer.all(kind)) assert.ok(selects((spec.selector ?? spec.podSelector).matchLabels, labels))
    for (const { labelSelector } of answer.pod.spec.topologySpreadConstraints)
      assert.ok(selects(labelSelector.matchLabels, labels))
  })

  each('the StatefulSet’s Service has no address of its own and knows nodes that are not ready', () => {
    const { spec } = answer.one('Service', '-nodes')
    assert.equal(answer.one('StatefulSet').spec.serviceName, answer.one('Service', '-nodes').metadata.name)
    assert.equal(spec.clusterIP, 'None')
    assert.equal(spec.publishNotReadyAddresses, true)
  })

  each('every port that is named exists', () => {
    const ports = answer.container.ports.map((port) => port.name)
    for (const { spec, metadata } of answer.all('Service'))
      for (const port of spec.ports) assert.ok(ports.includes(port.targetPort), `${metadata.name} ${port.targetPort}`)
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      if (answer.container[probe]?.httpGet) assert.ok(ports.includes(answer.container[probe].httpGet.port), probe)
    for (const { spec } of answer.all('NetworkPolicy'))
      for (const { ports: open } of spec.ingress) for (const { port } of open) assert.ok(ports.includes(port), port)
    for (const { spec } of answer.all('Ingress'))
      for (const { http } of spec.rules)
        for (const { backend } of http.paths) {
          const service = answer.one('Service', backend.service.name)
          assert.ok(service.spec.ports.some((port) => port.name === backend.service.port.name))
        }
  })

  each('the environment has only names that the binary knows, each once', () => {
    const names = answer.container.env.map((one) => one.name)
    for (const { configMapRef } of answer.container.envFrom ?? [])
      if (configMapRef) names.push(...Object.keys(answer.one('ConfigMap', configMapRef.name).data))
    assert.equal(new Set(names).size, names.length, names.join(' '))
    const known = settingNames().flat()
    // A name of Electric's that has no counterpart here; the binary accepts it and says so.
    known.push('CLEANUP_REPLICATION_SLOTS_ON_SHUTDOWN')
    known.push('POD_NAME') // what the address of a member is made of
    for (const one of names) assert.ok(known.includes(one), `busbar serve --help does not list ${one}`)
    assert.ok(names.includes('DATABASE_URL'))
  })

  each('no secret is outside of Secrets, and every key that is referred to is there', () => {
    const outside = answer.objects.filter(({ kind }) => kind !== 'Secret')
    const text = JSON.stringify(outside) + answer.notes
    const { database = {}, auth = {}, cluster = {} } = sets[name]
    for (const secret of [database.url, database.pooledUrl, auth.secret, ...(auth.moreSecrets ?? []), cluster.secret]) {
      if (!secret) continue
      assert.ok(secret.length < 5 || !text.includes(secret))
      const password = /:([^:@/]+)@/.exec(secret)?.[1]
      if (password?.startsWith('canary') || password?.includes('%')) assert.ok(!text.includes(password))
    }
    for (const { name: variable, valueFrom } of answer.container.env) {
      const reference = valueFrom?.secretKeyRef
      const secret = reference && answer.all('Secret').find(({ metadata }) => metadata.name === reference.name)
      if (secret) assert.ok(reference.key in secret.data, `${variable}: ${reference.name} has no ${reference.key}`)
      else if (reference) assert.match(JSON.stringify(sets[name]), new RegExp(`"${reference.name}"`))
    }
  })

  each('no two nodes share a volume', () => {
    const { spec } = answer.one('StatefulSet')
    const mount = answer.container.volumeMounts.find((one) => one.mountPath === '/var/lib/busbar')
    const template = spec.volumeClaimTemplates?.find(({ metadata }) => metadata.name === mount.name)
    const volume = spec.template.spec.volumes?.find((one) => one.name === mount.name)
    assert.ok(template ? !volume : volume.emptyDir, 'a claim for each node, or a volume of the pod’s own')
    for (const one of spec.template.spec.volumes ?? []) assert.ok(!one.persistentVolumeClaim && !one.hostPath)
    if (template) assert.match(template.spec.accessModes.join(), /^ReadWriteOnce(Pod)?$/)
    const storage = answer.container.env.find((one) => one.name === 'BUSBAR_STORAGE_DIR').value
    assert.ok(storage.startsWith(`${mount.mountPath}/`), 'a folder below it: a new volume has files of its own')
  })

  each('every volume that is mounted exists', () => {
    const volumes = [...(answer.pod.spec.volumes ?? []), ...(answer.one('StatefulSet').spec.volumeClaimTemplates ?? [])]
    const names = volumes.map((one) => one.name ?? one.metadata.name)
    for (const { volumeMounts = [] } of [...answer.pod.spec.containers, ...(answer.pod.spec.initContainers ?? [])])
      for (const one of volumeMounts) assert.ok(names.includes(one.name), one.name)
  })

  each('every file that a setting names is in a volume that has it', () => {
    for (const { name: variable, value } of answer.container.env.filter((one) => one.name.endsWith('_FILE'))) {
      const mount = answer.container.volumeMounts.find((one) => value.startsWith(`${one.mountPath}/`))
      assert.ok(mount?.readOnly && !mount.subPath, variable)
      const { configMap, secret } = answer.pod.spec.volumes.find((one) => one.name === mount.name)
      const file = value.slice(mount.mountPath.length + 1)
      for (const { path } of (configMap ?? secret).items ?? []) assert.equal(path, file, variable)
      const own = configMap && answer.all('ConfigMap').find(({ metadata }) => metadata.name === configMap.name)
      if (own) assert.ok(file in own.data, `${variable}: ${configMap.name} has no ${file}`)
      else assert.match(JSON.stringify(sets[name]), new RegExp(`"${configMap?.name ?? secret.secretName}"`), variable)
    }
  })

  each('the container may do nothing but its work', () => {
    const { spec } = answer.pod
    assert.equal(spec.automountServiceAccountToken, false)
    assert.equal(spec.enableServiceLinks, false)
    assert.equal(spec.securityContext.runAsNonRoot, true)
    assert.equal(spec.securityContext.seccompProfile.type, 'RuntimeDefault')
    assert.deepEqual(answer.container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    for (const account of answer.all('ServiceAccount')) assert.equal(account.automountServiceAccountToken, false)
    for (const kind of ['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'])
      assert.deepEqual(answer.all(kind), [])
  })

  each('there is time to end in order', () => {
    const wait = Number(answer.container.lifecycle?.preStop.exec.command[1] ?? 0)
    const inOrder = Number(/stop_limit limit\{std::chrono::seconds\{(\d+)\}/.exec(read('app/main.cpp'))[1])
    assert.ok(answer.pod.spec.terminationGracePeriodSeconds > wait + inOrder)
  })

  each('Prometheus finds every node once', () => {
    for (const { spec } of answer.all('ServiceMonitor')) {
      const found = answer.all('Service').filter(({ metadata }) => selects(spec.selector.matchLabels, metadata.labels))
      assert.deepEqual(found.map(({ metadata }) => metadata.name), [answer.one('Service', '-nodes').metadata.name])
      assert.equal(found[0].metadata.labels[spec.jobLabel], 'busbar', 'the job that alerts ask for')
      for (const { port } of spec.endpoints) assert.ok(found[0].spec.ports.some(({ name }) => name === port))
    }
  })

  each('notes say how to reach it and what is left behind', () => {
    assert.match(answer.notes, /http:\/\/\S+\.apps:\d+\/v1\/shape/)
    assert.match(answer.notes, /pg_drop_replication_slot\('busbar_slot_[a-z0-9_]+'\)/)
  })
}

test('no manifest has a field that Kubernetes does not know', () => {
  const objects = Object.values(rendered).flatMap((one) => one.objects)
  const texts = new Map(objects.map((object) => [JSON.stringify(object), object]))
  assert.deepEqual(unknownFields([...texts.values()]), [])
})

test('the checks themselves see a misspelt field and a wrong type', async () => {
  const service = minimal.one('Service', '-nodes')
  const misspelt = { ...service, spec: { ...service.spec, publishNotReadyAdresses: true } }
  assert.match(unknownFields([misspelt]).join(), /publishNotReadyAdresses/)
  assert.notDeepEqual(await schemaErrors({ ...service, spec: { ...service.spec, ports: 'http' } }), [])
})

const url = 'postgresql://u:p@db/x'
const good = { database: { url }, auth: { secret: 's' } }
const gate = { gate: { policy: { tables: { items: { where: true } } }, keys: { secret: 'issuer' } } }
const refused = {
  'more nodes than a cluster has': [{ ...good, replicaCount: 65 }, /replicaCount: Must be less than or equal to 64/],
  'a short secret of the cluster': [{ ...good, cluster: { secret: 'short' } }, /cluster\.secret: Does not match/],
  'two secrets of the cluster': [
    { ...good, replicaCount: 2, cluster: { secret: 'x'.repeat(16), existingSecret: { name: 'x' } } },
    /only one of cluster\.secret/,
  ],
  'members that wait for each other': [
    { ...good, replicaCount: 2, podManagementPolicy: 'OrderedReady' },
    /podManagementPolicy Parallel/,
  ],
  'one port for clients and members': [
    { ...good, replicaCount: 2, ports: { cluster: 3000 } },
    /ports\.cluster, ports\.http and ports\.metrics must differ/,
  ],
  'two that choose the number of nodes': [
    { ...good, autoscaling: { enabled: true }, keda: { enabled: true, triggers: [{ type: 'cpu', metadata: {} }] } },
    /only one of autoscaling\.enabled and keda\.enabled/,
  ],
  'KEDA without triggers': [{ ...good, keda: { enabled: true } }, /keda\.triggers/],
  'autoscaling on nothing': [
    { ...good, autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 } },
    /targetCPUUtilizationPercentage or podMetric/,
  ],
  'a metric without a target': [
    { ...good, autoscaling: { enabled: true, podMetric: { name: 'load' } } },
    /podMetric\.averageValue/,
  ],
  'more at least than at most': [
    { ...good, autoscaling: { enabled: true, minReplicas: 7 } },
    /minReplicas must not be more/,
  ],
  'no database': [{ auth: { secret: 's' } }, /set database\.url .* or database\.existingSecret\.name/],
  'a database twice': [{ ...good, database: { url, existingSecret: { name: 'x' } } }, /only one of database\.url/],
  'a pooler’s URL beside a Secret': [
    { ...good, database: { pooledUrl: url, existingSecret: { name: 'x' } } },
    /pooledUrlKey/,
  ],
  'a URL of another kind': [{ ...good, database: { url: 'mysql://db/x' } }, /database\.url: Does not match pattern/],
  'no secret': [{ database: { url } }, /exactly one of auth\.secret/],
  'two secrets': [{ ...good, auth: { secret: 's', insecure: true } }, /exactly one of auth\.secret/],
  'two secrets beside tokens': [
    { ...good, ...gate, auth: { secret: 's', existingSecret: { name: 'x' } } },
    /only one of auth\.secret/,
  ],
  'tokens where nobody is asked': [{ ...good, ...gate, auth: { insecure: true } }, /auth\.insecure contradicts gate/],
  'a secret with a comma': [{ ...good, auth: { secret: 's', moreSecrets: ['a,b'] } }, /moreSecrets/],
  'more secrets without a first': [
    { database: { url }, auth: { existingSecret: { name: 'x' }, moreSecrets: ['t'] } },
    /moreSecrets needs auth\.secret/,
  ],
  'a key of no Secret': [{ ...good, auth: { secret: 's', existingSecret: { moreKey: 'more' } } }, /moreKey needs/],
  'a policy without keys': [{ ...good, gate: { policy: { tables: {} } } }, /gate\.keys\.secret or gate\.keyUrl/],
  'keys without a policy': [{ ...good, gate: { keys: { secret: 'x' } } }, /tokens open nothing/],
  'two policies': [
    { ...good, gate: { ...gate.gate, existingPolicy: { configMap: 'x' } } },
    /only one of gate\.policy/,
  ],
  'two sources of keys': [
    { ...good, gate: { ...gate.gate, keyUrl: 'https://issuer.example/jwks' } },
    /only one of gate\.keys\.secret/,
  ],
  'keys that anybody on the way can exchange': [
    { ...good, gate: { policy: { tables: {} }, keyUrl: 'http://issuer.example/jwks' } },
    /gate\.keyUrl/,
  ],
  'two authorities': [
    { ...good, database: { url, caCertificate: { secret: 'a', configMap: 'b' } } },
    /only one of database\.caCertificate/,
  ],
  'one port for both': [{ ...good, ports: { http: 3000, metrics: 3000 } }, /must differ/],
  'too little time to end': [{ ...good, terminationGracePeriodSeconds: 12 }, /longer than preStopSeconds/],
  'an Ingress without hosts': [{ ...good, ingress: { enabled: true } }, /ingress\.hosts/],
  'egress without a way to PostgreSQL': [
    { ...good, networkPolicy: { enabled: true, egress: { enabled: true } } },
    /networkPolicy\.egress\.to/,
  ],
  'a shared volume': [{ ...good, persistence: { accessModes: ['ReadWriteMany'] } }, /accessModes/],
  'a value that does not exist': [{ ...good, replicas: 1 }, /Additional property replicas is not allowed/],
  'a setting that is not one': [{ ...good, settings: { log_level: 'info' } }, /settings/],
}
for (const [what, [values, why]] of Object.entries(refused))
  test(`refused: ${what}`, () => assert.match(render(values).error ?? 'nothing', why))

test('a single node becomes a cluster in two steps: what would lead without its shapes is refused', () => {
  const alone = render(good).one('StatefulSet')
  const more = { ...good, replicaCount: 3 }
  assert.equal(render(more).error, undefined, 'nothing is there yet')
  assert.match(render(more, { existing: [alone] }).error, /cluster\.enabled=true and one node first/)
  const first = render({ ...good, cluster: { enabled: true } }, { existing: [alone] })
  assert.equal(first.error, undefined)
  assert.match(first.notes, /raise replicaCount/)
  const second = render(more, { existing: [first.one('StatefulSet')] })
  assert.equal(second.error, undefined)
  assert.deepEqual(second.pod, first.pod, 'so that the first is not replaced when others come')
})

test('the secret of the cluster is made once', () => {
  const secretOf = (answer) => answer.one('Secret', '-cluster').data.BUSBAR_CLUSTER_SECRET
  const more = { ...good, replicaCount: 3 }
  const [first, other] = renderAll([{ values: more }, { values: more }])
  assert.ok(Buffer.from(secretOf(first), 'base64').length >= 16)
  assert.notEqual(secretOf(first), secretOf(other))
  const existing = [first.one('Secret', '-cluster')]
  const again = render(more, { existing, isUpgrade: true })
  assert.equal(secretOf(again), secretOf(first))
  assert.deepEqual(again.pod, first.pod)
  const given = render({ ...more, cluster: { secret: 'given by somebody' } }, { existing })
  assert.equal(Buffer.from(secretOf(given), 'base64').toString(), 'given by somebody')
  assert.notDeepEqual(given.pod, first.pod, 'nodes with another secret are no members: they begin again')
  const yours = render({ ...more, cluster: { existingSecret: { name: 'yours', key: 'word' } } })
  assert.deepEqual(yours.all('Secret').map(({ metadata }) => metadata.name), ['shop-busbar'])
})

test('a single node knows nothing of a cluster', () => {
  assert.doesNotMatch(JSON.stringify(minimal.objects), /CLUSTER|"cluster"/)
})

test('members find each other by the name of the Service without an address, and have names below it', () => {
  for (const name of ['cluster', 'autoscaled', 'keda']) {
    const answer = rendered[name]
    const value = (variable) => answer.container.env.find((one) => one.name === variable).value
    const { metadata, spec } = answer.one('Service', '-nodes')
    const { port } = spec.ports.find((one) => one.name === 'cluster')
    const dns = value('BUSBAR_CLUSTER_DNS')
    assert.equal(dns, `${metadata.name}.apps.svc:${port}`)
    assert.equal(value('BUSBAR_CLUSTER_ADDRESS'), `$(POD_NAME).${dns}`)
    const order = answer.container.env.map((one) => one.name)
    assert.ok(order.indexOf('POD_NAME') < order.indexOf('BUSBAR_CLUSTER_ADDRESS'), 'only what is before it is filled in')
    assert.equal(answer.container.ports.find((one) => one.name === 'cluster').containerPort, port)
    assert.ok(answer.one('Service', 'busbar').spec.ports.every((one) => one.name !== 'cluster'), 'clients need not reach it')
    assert.equal(answer.one('StatefulSet').spec.podManagementPolicy, 'Parallel')
    assert.match(answer.notes, /busbar cluster status/)
  }
})

test('only members reach the port of members, and they are let out to it', () => {
  const { spec } = rendered.cluster.one('NetworkPolicy')
  const pods = [{ podSelector: { matchLabels: rendered.cluster.one('StatefulSet').spec.selector.matchLabels } }]
  const of = (rules) => rules.filter(({ ports }) => ports.some(({ port }) => port === 'cluster'))
  assert.deepEqual(of(spec.ingress).map(({ from }) => from), [pods])
  assert.deepEqual(of(spec.egress).map(({ to }) => to), [pods])
})

test('who scales sets the number of nodes, and an upgrade leaves it alone', () => {
  for (const [name, kind] of [['autoscaled', 'HorizontalPodAutoscaler'], ['keda', 'ScaledObject']]) {
    const answer = rendered[name]
    const set = answer.one('StatefulSet')
    assert.ok(!('replicas' in set.spec), name)
    const { scaleTargetRef } = answer.one(kind).spec
    assert.deepEqual(scaleTargetRef, { apiVersion: set.apiVersion, kind: set.kind, name: set.metadata.name })
  }
  assert.equal(rendered.cluster.one('StatefulSet').spec.replicas, 3)
  const { spec } = rendered.autoscaled.one('HorizontalPodAutoscaler')
  assert.deepEqual([spec.minReplicas, spec.maxReplicas], [3, 9])
  assert.deepEqual(spec.metrics.map(({ type }) => type), ['ContainerResource', 'Pods'])
  const older = render(sets.autoscaled, { kubeVersion: '1.26.0' }).one('HorizontalPodAutoscaler')
  assert.deepEqual(older.spec.metrics[0].resource.name, 'cpu')
  const keda = rendered.keda.one('ScaledObject').spec
  assert.deepEqual([keda.minReplicaCount, keda.maxReplicaCount], [2, 6])
  assert.deepEqual(keda.triggers.map(({ type }) => type), ['prometheus', 'prometheus'])
  assert.ok(keda.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds >= 300)
})

test('what scales by the load asks for series that Busbar has, in PromQL', () => {
  const [adapter] = [...read('helm/README.md').matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text]) => parse(text))
  const [{ seriesQuery, name, metricsQuery }] = adapter.rules.custom
  const [metric] = rendered.autoscaled.one('HorizontalPodAutoscaler').spec.metrics.filter(({ type }) => type === 'Pods')
  assert.equal(metric.pods.metric.name, name.as)
  const filled = { Series: metricsOf(seriesQuery)[0], LabelMatchers: 'namespace="apps"', GroupBy: 'pod' }
  const queries = [seriesQuery, metricsQuery.replace(/<<\.(\w+)>>/g, (_, word) => filled[word])]
  queries.push(...rendered.keda.one('ScaledObject').spec.triggers.map(({ metadata }) => metadata.query))
  const known = metricNames()
  for (const query of queries)
    assert.ok(metricsOf(query).length > 0 && metricsOf(query).every((one) => known.has(one)), query)
  const file = join(scratch(), 'queries.yaml')
  const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr }))
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }))
  execFileSync('promtool', ['check', 'rules', file], { stdio: 'pipe' })
  for (const name of ['autoscaled', 'keda'])
    assert.ok(rendered[name].one('ConfigMap', 'busbar').data.BUSBAR_TENANT_COLUMN, `${name}: without it there are no such series`)
})

test('tokens alone are enough, and what the policy is called in the pod is what values have', () => {
  const names = rendered.gated.container.env.map((one) => one.name)
  assert.ok(!names.includes('BUSBAR_SECRET') && !names.includes('BUSBAR_INSECURE'))
  const text = rendered.gated.one('ConfigMap', '-policy').data['policy.yaml']
  assert.deepEqual(parse(text), sets.gated.gate.policy)
  const given = render({ ...good, gate: { ...gate.gate, policy: '# as it is\ntables: {items: {where: true}}\n' } })
  assert.match(given.one('ConfigMap', '-policy').data['policy.yaml'], /^# as it is\ntables: /)
  const more = rendered['gated-by-url'].one('Secret').data.BUSBAR_SECRETS
  assert.equal(Buffer.from(more, 'base64').toString(), 'canary-old,canary-older')
})

test('a policy that changes replaces no pod, a secret that is added does', () => {
  const before = render({ ...good, ...gate }).pod
  const policy = { tables: { items: { where: 'id > 1' } } }
  assert.deepEqual(render({ ...good, gate: { ...gate.gate, policy } }).pod, before)
  const more = render({ ...good, ...gate, auth: { secret: 's', moreSecrets: ['t'] } }).pod
  assert.notDeepEqual(more.metadata.annotations, before.metadata.annotations)
})

test('Busbar reads the policy of the chart, and a token opens what it says', () => {
  const issuer = new Issuer('ES256')
  const folder = scratch()
  const { container } = rendered.gated
  const env = { ...rendered.gated.one('ConfigMap', 'busbar').data }
  for (const { name, value } of container.env.filter((one) => one.name.endsWith('_FILE'))) {
    env[name] = join(folder, basename(value))
    const text = name === 'BUSBAR_POLICY_FILE' ? rendered.gated.one('ConfigMap', '-policy').data['policy.yaml'] : issuer.keyFile
    writeFileSync(env[name], text)
  }
  const claims = { iss: 'https://issuer.example', aud: 'busbar', agency_id: 'a7', role: 'member' }
  const check = (more) =>
    execFileSync(binary, ['policy', 'check', '--token', '-'], { input: issuer.token({ ...claims, ...more }), env, encoding: 'utf8' })
  assert.match(check({}), /public\.proposals\n.*rule 1 does not apply[\s\S]*open by rule 2/)
  assert.match(check({ role: 'owner' }), /public\.proposals\n +open by rule 1/)
  assert.throws(() => check({ aud: 'another' }), ({ status, stdout }) => status === 2 && /refused: .*aud/.test(stdout))
})

test('refused: an old Kubernetes', () => {
  assert.match(render(good, { kubeVersion: '1.24.9' }).error, /kubeVersion/)
  const { error, objects } = render(good, { kubeVersion: '1.25.0' })
  assert.equal(error, undefined)
  assert.ok(!JSON.stringify(objects).includes('persistentVolumeClaimRetentionPolicy'), 'it came with 1.27')
})

test('what other values set, and every secret, is refused among the settings, by all its names', () => {
  const all = [minimal, production, rendered.cluster, rendered.gated, rendered['gated-by-url']].flatMap(({ container }) => container.env)
  const managed = new Set(all.map(({ name }) => name))
  managed.add('BUSBAR_INSECURE').add('BUSBAR_CLUSTER_PEERS')
  for (const names of settingNames().filter(([first]) => managed.has(first)))
    for (const name of names)
      assert.match(render({ ...good, settings: { [name]: 'x' } }).error ?? `${name} accepted`, /settings/)
})

test('every other setting is accepted, and numbers are written out', () => {
  const managed = /^DATABASE_URL$|_(POOLED_DATABASE_URL|CA_CERTIFICATE_FILE|SECRETS?|POLICY_FILE|KEY_FILE|KEY_URL|INSECURE|PORT|STORAGE_DIR|PEERS|DNS|CLUSTER_ADDRESS)$/
  const names = settingNames().map(([first]) => first).filter((name) => !managed.test(name))
  assert.ok(names.length > 15)
  const answer = render({ ...good, settings: Object.fromEntries(names.map((name) => [name, 123456789])) })
  assert.equal(answer.error, undefined)
  for (const name of names) assert.equal(answer.one('ConfigMap').data[name], '123456789')
})

test('a rollout cannot deadlock: ready does not mean leading, and no pod waits for another', () => {
  assert.deepEqual(minimal.container.readinessProbe.httpGet, { path: '/readyz', port: 'http' })
  assert.equal(minimal.one('StatefulSet').spec.podManagementPolicy, 'Parallel')
  assert.equal(minimal.one('StatefulSet').spec.updateStrategy.type, 'RollingUpdate')
  // A probe of the process alone: PostgreSQL's absence must not restart it.
  assert.deepEqual(minimal.container.livenessProbe.httpGet, { path: '/livez', port: 'http' })
  const startup = minimal.container.startupProbe
  assert.ok(startup.periodSeconds * startup.failureThreshold >= 600)
})

test('one node may be evicted', () => {
  assert.equal(minimal.one('PodDisruptionBudget').spec.maxUnavailable, 1)
})

test('an upgrade of the chart alone replaces no pod and alters nothing that cannot be altered', () => {
  const [before, after] = renderAll([{ values: good }, { values: good, chartVersion: '9.9.9', isUpgrade: true }])
  const [old, now] = [before, after].map((one) => one.one('StatefulSet').spec)
  now.template.spec.containers[0].image = old.template.spec.containers[0].image
  assert.deepEqual(now, old)
  assert.notDeepEqual(after.one('StatefulSet').metadata.labels, before.one('StatefulSet').metadata.labels)
})

test('a changed setting or secret replaces the pod', () => {
  const template = (values) => JSON.stringify(render(values).pod)
  const before = template(good)
  assert.notEqual(template({ ...good, settings: { BUSBAR_LOG_LEVEL: 'debug' } }), before)
  assert.notEqual(template({ ...good, auth: { secret: 'other' } }), before)
  assert.notEqual(template({ ...good, database: { url: `${url}2` } }), before)
})

test('a default can be taken away with null', async () => {
  const optional = ['settings', 'resources', 'podSecurityContext', 'securityContext', 'tolerations', 'extraEnv', 'extraObjects']
  for (const key of optional) {
    const { error, objects } = render({ ...good, [key]: null })
    assert.equal(error, undefined, key)
    for (const object of objects) assert.deepEqual(await schemaErrors(object), [], key)
  }
})

test('a long name of the release leaves room for what Kubernetes appends', () => {
  const release = 'r'.repeat(53)
  const answer = render(good, { release })
  assert.ok(answer.one('StatefulSet').metadata.name.length <= 52)
  assert.ok(answer.one('Service', '-nodes').metadata.name.length <= 63)
})

test('the security policy of a namespace that is restricted lets it in', () => {
  for (const answer of Object.values(rendered)) {
    const { hostNetwork, hostPID, hostIPC, volumes = [] } = answer.pod.spec
    assert.ok(!hostNetwork && !hostPID && !hostIPC)
    for (const { name, ...source } of volumes)
      assert.ok(['configMap', 'secret', 'emptyDir', 'projected'].includes(Object.keys(source)[0]), name)
  }
})

test('the ConfigMap of the dashboard and the rules come out as the files have them', () => {
  const dashboard = JSON.parse(production.one('ConfigMap', '-dashboard').data['busbar.json'])
  assert.deepEqual(dashboard, JSON.parse(read('helm/busbar/files/dashboard.json')))
  const rules = production.one('PrometheusRule').spec.groups.flatMap((group) => group.rules)
  const down = rules.find(({ alert }) => alert === 'BusbarDown')
  assert.equal(down.annotations.runbook_url, 'https://runbooks.example.com/busbar#busbardown')
  assert.match(down.annotations.summary, /\{\{ \$labels\.instance \}\}/, 'Prometheus’ templates are not Helm’s')
  assert.deepEqual(down.labels, { severity: 'critical', team: 'platform' })
  assert.ok(rules.some(({ alert }) => alert === 'BusbarIdle'))
  assert.ok(!rules.some(({ alert }) => alert === 'BusbarShapesRemoved'))
})
