{{/*
The name of all objects. A StatefulSet adds a hash of eleven characters to its name for a label, and labels
have at most 63.
*/}}
{{- define "busbar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
The Service without an address of its own, by which nodes have names.
*/}}
{{- define "busbar.nodesName" -}}
{{- include "busbar.fullname" . }}-nodes
{{- end -}}

{{/*
"true" if nodes are members of a cluster, else nothing.
*/}}
{{- define "busbar.isCluster" -}}
{{- if or .Values.cluster.enabled .Values.autoscaling.enabled .Values.keda.enabled (gt (int .Values.replicaCount) 1) -}}
true
{{- end -}}
{{- end -}}

{{/*
What finds the pods of this release. It must never change: a StatefulSet's selector cannot be altered.
*/}}
{{- define "busbar.selectorLabels" -}}
app.kubernetes.io/name: busbar
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "busbar.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "busbar.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "busbar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "busbar.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/*
The environment that holds secrets: from the chart's own Secret or from yours.
*/}}
{{- define "busbar.secretEnv" -}}
{{- $own := include "busbar.fullname" . -}}
{{- $database := .Values.database.existingSecret -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $database.name | default $own }}
      key: {{ ternary $database.urlKey "DATABASE_URL" (not (empty $database.name)) }}
{{- if or (and $database.name $database.pooledUrlKey) (and (not $database.name) .Values.database.pooledUrl) }}
- name: BUSBAR_POOLED_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $database.name | default $own }}
      key: {{ ternary $database.pooledUrlKey "BUSBAR_POOLED_DATABASE_URL" (not (empty $database.name)) }}
{{- end }}
{{- if .Values.auth.insecure }}
- name: BUSBAR_INSECURE
  value: "true"
{{- else if or .Values.auth.secret .Values.auth.existingSecret.name }}
- name: BUSBAR_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret.name | default $own }}
      key: {{ ternary .Values.auth.existingSecret.key "BUSBAR_SECRET" (not (empty .Values.auth.existingSecret.name)) }}
{{- end }}
{{- if or .Values.auth.moreSecrets .Values.auth.existingSecret.moreKey }}
- name: BUSBAR_SECRETS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret.name | default $own }}
      key: {{ .Values.auth.existingSecret.moreKey | default "BUSBAR_SECRETS" }}
{{- end }}
{{- end -}}

{{/*
The environment of the gate: where its files are mounted.
*/}}
{{- define "busbar.gateEnv" -}}
{{- $gate := .Values.gate -}}
{{- if or $gate.policy $gate.existingPolicy.configMap }}
- name: BUSBAR_POLICY_FILE
  value: /etc/busbar/policy/{{ ternary $gate.existingPolicy.key "policy.yaml" (not (empty $gate.existingPolicy.configMap)) }}
{{- end }}
{{- if $gate.keys.secret }}
- name: BUSBAR_JWT_KEY_FILE
  value: /etc/busbar/token-keys/{{ $gate.keys.key }}
{{- end }}
{{- with $gate.keyUrl }}
- name: BUSBAR_JWT_KEY_URL
  value: {{ . | quote }}
{{- end }}
{{- if $gate.grantKeys.secret }}
- name: BUSBAR_GRANT_KEY_FILE
  value: /etc/busbar/grant-keys/{{ $gate.grantKeys.key }}
{{- end }}
{{- end -}}

{{/*
Whole folders, not single files: only those change in a pod that runs.
*/}}
{{- define "busbar.gateMounts" -}}
{{- $gate := .Values.gate -}}
{{- if or $gate.policy $gate.existingPolicy.configMap }}
- name: policy
  mountPath: /etc/busbar/policy
  readOnly: true
{{- end }}
{{- if $gate.keys.secret }}
- name: token-keys
  mountPath: /etc/busbar/token-keys
  readOnly: true
{{- end }}
{{- if $gate.grantKeys.secret }}
- name: grant-keys
  mountPath: /etc/busbar/grant-keys
  readOnly: true
{{- end }}
{{- end -}}

{{- define "busbar.gateVolumes" -}}
{{- $gate := .Values.gate -}}
{{- if or $gate.policy $gate.existingPolicy.configMap }}
- name: policy
  configMap:
    name: {{ $gate.existingPolicy.configMap | default (printf "%s-policy" (include "busbar.fullname" .)) }}
{{- end }}
{{- if $gate.keys.secret }}
- name: token-keys
  secret:
    secretName: {{ $gate.keys.secret }}
    items:
      - key: {{ $gate.keys.key }}
        path: {{ $gate.keys.key }}
{{- end }}
{{- if $gate.grantKeys.secret }}
- name: grant-keys
  secret:
    secretName: {{ $gate.grantKeys.secret }}
    items:
      - key: {{ $gate.grantKeys.key }}
        path: {{ $gate.grantKeys.key }}
{{- end }}
{{- end -}}

{{/*
The environment of a member. The name of the Service without an address has an address for each pod, ready or
not; a pod's own name is below it. Names are looked up at each use, because a pod that comes back has another
address.
*/}}
{{- define "busbar.clusterEnv" -}}
{{- $nodes := printf "%s.%s.svc:%d" (include "busbar.nodesName" .) .Release.Namespace (int .Values.ports.cluster) -}}
{{- $existing := .Values.cluster.existingSecret -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: BUSBAR_CLUSTER_DNS
  value: {{ $nodes }}
- name: BUSBAR_CLUSTER_ADDRESS
  value: $(POD_NAME).{{ $nodes }}
- name: BUSBAR_CLUSTER_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ $existing.name | default (printf "%s-cluster" (include "busbar.fullname" .)) }}
      key: {{ ternary $existing.key "BUSBAR_CLUSTER_SECRET" (not (empty $existing.name)) }}
{{- end -}}

{{/*
What values contradict each other, said in words: a schema can only say that something is wrong.
*/}}
{{- define "busbar.check" -}}
{{- if include "busbar.isCluster" . -}}
{{- if and .Values.cluster.secret .Values.cluster.existingSecret.name -}}
{{- fail "set only one of cluster.secret and cluster.existingSecret.name" -}}
{{- end -}}
{{- if ne .Values.podManagementPolicy "Parallel" -}}
{{- fail "the nodes of a cluster need podManagementPolicy Parallel: one that waits for another to be ready could wait for ever" -}}
{{- end -}}
{{- if has (int .Values.ports.cluster) (list (int .Values.ports.http) (int .Values.ports.metrics)) -}}
{{- fail "ports.cluster, ports.http and ports.metrics must differ" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "set only one of autoscaling.enabled and keda.enabled: both would choose the number of nodes" -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.triggers) -}}
{{- fail "keda.enabled needs keda.triggers, which say what it scales on" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.targetCPUUtilizationPercentage) (not .Values.autoscaling.podMetric.name) -}}
{{- fail "autoscaling.enabled needs targetCPUUtilizationPercentage or podMetric" -}}
{{- end -}}
{{- if and .Values.autoscaling.podMetric.name (not .Values.autoscaling.podMetric.averageValue) -}}
{{- fail "autoscaling.podMetric.name needs autoscaling.podMetric.averageValue" -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas must not be more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- $now := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "busbar.fullname" .) -}}
{{- if and $now (not (contains "BUSBAR_CLUSTER_DNS" (toJson $now))) (or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled .Values.keda.enabled) -}}
{{- fail "this release runs a single node, whose shapes new nodes would not wait for: upgrade with cluster.enabled=true and one node first, and to more when it is active" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.database.url .Values.database.existingSecret.name -}}
{{- fail "set only one of database.url and database.existingSecret.name" -}}
{{- end -}}
{{- if and .Values.database.pooledUrl .Values.database.existingSecret.name -}}
{{- fail "with database.existingSecret the pooler's URL is in that Secret, too: set database.existingSecret.pooledUrlKey instead of database.pooledUrl" -}}
{{- end -}}
{{- if not (or .Values.database.url .Values.database.existingSecret.name) -}}
{{- fail "set database.url to postgresql://user:password@host:5432/database, or database.existingSecret.name to a Secret that holds it" -}}
{{- end -}}
{{- $ways := 0 -}}
{{- range list .Values.auth.secret .Values.auth.existingSecret.name .Values.auth.insecure -}}
{{- if . -}}{{- $ways = add1 $ways -}}{{- end -}}
{{- end -}}
{{- $gate := .Values.gate -}}
{{- $tokens := or $gate.keys.secret $gate.keyUrl -}}
{{- if or $tokens $gate.grantKeys.secret -}}
{{- if .Values.auth.insecure -}}
{{- fail "auth.insecure contradicts gate: who answers everybody asks for no tokens" -}}
{{- end -}}
{{- if gt (int $ways) 1 -}}
{{- fail "set only one of auth.secret and auth.existingSecret.name" -}}
{{- end -}}
{{- else if ne (int $ways) 1 -}}
{{- fail "set exactly one of auth.secret, auth.existingSecret.name and auth.insecure, or gate" -}}
{{- end -}}
{{- if and .Values.auth.moreSecrets (not .Values.auth.secret) -}}
{{- fail "auth.moreSecrets needs auth.secret; those of a Secret of yours are named by auth.existingSecret.moreKey" -}}
{{- end -}}
{{- if and .Values.auth.existingSecret.moreKey (not .Values.auth.existingSecret.name) -}}
{{- fail "auth.existingSecret.moreKey needs auth.existingSecret.name" -}}
{{- end -}}
{{- if and $gate.keys.secret $gate.keyUrl -}}
{{- fail "set only one of gate.keys.secret and gate.keyUrl: tokens have one source of keys" -}}
{{- end -}}
{{- if and $gate.policy $gate.existingPolicy.configMap -}}
{{- fail "set only one of gate.policy and gate.existingPolicy.configMap" -}}
{{- end -}}
{{- $policy := or $gate.policy $gate.existingPolicy.configMap -}}
{{- if and $policy (not $tokens) -}}
{{- fail "a policy says what tokens open: set gate.keys.secret or gate.keyUrl, which verify them" -}}
{{- end -}}
{{- if and $tokens (not $policy) -}}
{{- fail "without a policy tokens open nothing: set gate.policy or gate.existingPolicy.configMap" -}}
{{- end -}}
{{- if and .Values.database.caCertificate.configMap .Values.database.caCertificate.secret -}}
{{- fail "set only one of database.caCertificate.configMap and database.caCertificate.secret" -}}
{{- end -}}
{{- if eq (int .Values.ports.http) (int .Values.ports.metrics) -}}
{{- fail "ports.http and ports.metrics must differ" -}}
{{- end -}}
{{- if le (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSeconds) 8 | int) -}}
{{- fail "terminationGracePeriodSeconds must be more than 8 seconds longer than preStopSeconds, or Kubernetes kills Busbar while it answers its waiting clients" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled (not .Values.networkPolicy.egress.to) -}}
{{- fail "networkPolicy.egress.enabled needs networkPolicy.egress.to, which says how PostgreSQL is reached" -}}
{{- end -}}
{{- end -}}
