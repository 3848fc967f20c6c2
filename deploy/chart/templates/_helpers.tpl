{{/* Name of everything in the release. */}}
{{- define "palimpsest.name" -}}
{{- if contains "palimpsest" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-palimpsest" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* Labels by which pods of the release are selected. */}}
{{- define "palimpsest.selector" -}}
app.kubernetes.io/name: palimpsest
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of everything. */}}
{{- define "palimpsest.labels" -}}
{{ include "palimpsest.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Seconds until a pod is killed: drain and stop in whole seconds, and 5 for the process to end. */}}
{{- define "palimpsest.grace" -}}
{{ add (ceil .Values.drainSeconds) (ceil .Values.stopSeconds) 5 }}
{{- end -}}

{{/* Name of the claim that holds a single server's data. */}}
{{- define "palimpsest.dataClaim" -}}
{{ .Values.data.existingClaim | default (printf "%s-data" (include "palimpsest.name" .)) }}
{{- end -}}

{{/* Name of the claim that holds models. */}}
{{- define "palimpsest.cacheClaim" -}}
{{ .Values.cache.existingClaim | default (printf "%s-cache" (include "palimpsest.name" .)) }}
{{- end -}}

{{/* Fails where the values make no server that could run. */}}
{{- define "palimpsest.check" -}}
{{- $all := .Values.roles.all -}}
{{- $others := or .Values.roles.api.enabled .Values.roles.videos.enabled .Values.roles.encoders.enabled -}}
{{- if not .Values.database.existingSecret -}}
{{- if $others -}}
{{- fail "roles api, videos and encoders share a database: set database.existingSecret, or enable roles.all alone" -}}
{{- end -}}
{{- if and $all.enabled (or (ne (int $all.replicas) 1) $all.autoscaling.enabled) -}}
{{- fail "without a database roles.all is one pod: set its replicas to 1 and its autoscaling off, or set database.existingSecret" -}}
{{- end -}}
{{- if .Values.store.url -}}
{{- fail "store.url needs a database, which says what lies in it: set database.existingSecret" -}}
{{- end -}}
{{- else if not .Values.store.url -}}
{{- fail "pods that share a database share a store too: set store.url, such as s3://bucket/prefix" -}}
{{- end -}}
{{- if not (or $all.enabled .Values.roles.api.enabled) -}}
{{- fail "nothing takes requests: enable roles.api or roles.all" -}}
{{- end -}}
{{- end -}}
