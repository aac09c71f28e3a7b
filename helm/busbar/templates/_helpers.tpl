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
{{- else }}
- name: BUSBAR_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret.name | default $own }}
      key: {{ ternary .Values.auth.existingSecret.key "BUSBAR_SECRET" (not (empty .Values.auth.existingSecret.name)) }}
{{- end }}
{{- end -}}

{{/*
What values contradict each other, said in words: a schema can only say that something is wrong.
*/}}
{{- define "busbar.check" -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail "replicaCount must be 0 or 1: nodes of Busbar do not form a cluster yet. A second node would only wait for the first one's replication slot, with shapes of its own." -}}
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
{{- if ne (int $ways) 1 -}}
{{- fail "set exactly one of auth.secret, auth.existingSecret.name and auth.insecure" -}}
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
