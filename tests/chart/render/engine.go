package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"text/template"

	"github.com/Masterminds/semver"
	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

// A template that includes itself for ever must end in an error.
const includesMax = 1000

// files is what templates see as .Files. Helm's methods, by the same names.
type files map[string][]byte

func (f files) Get(name string) string      { return string(f[name]) }
func (f files) GetBytes(name string) []byte { return f[name] }

func (f files) Lines(name string) []string {
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}

func (f files) Glob(pattern string) files {
	out := files{}
	for name, content := range f {
		if matched, _ := path.Match(pattern, name); matched {
			out[name] = content
		}
	}
	return out
}

func (f files) AsConfig() string {
	out := map[string]string{}
	for name, content := range f {
		out[path.Base(name)] = string(content)
	}
	return toYAML(out)
}

func (f files) AsSecrets() string {
	out := map[string][]byte{} // bytes become base64 in JSON, and so in YAML
	for name, content := range f {
		out[path.Base(name)] = content
	}
	return toYAML(out)
}

type kubeVersion struct{ Version, Major, Minor string }

func (k kubeVersion) String() string     { return k.Version }
func (k kubeVersion) GitVersion() string { return k.Version }

type versionSet []string

func (v versionSet) Has(wanted string) bool {
	for _, known := range v {
		if known == wanted {
			return true
		}
	}
	return false
}

type capabilities struct {
	KubeVersion kubeVersion
	APIVersions versionSet
}

func toYAML(value interface{}) string {
	text, err := yaml.Marshal(value)
	if err != nil {
		return "" // as Helm: a template cannot handle errors
	}
	return strings.TrimSuffix(string(text), "\n")
}

func fromYAML(text string) map[string]interface{} {
	out := map[string]interface{}{}
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		out["Error"] = err.Error()
	}
	return out
}

func fromYAMLArray(text string) []interface{} {
	out := []interface{}{}
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		out = []interface{}{err.Error()}
	}
	return out
}

func toJSON(value interface{}) string {
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

func fromJSON(text string) map[string]interface{} {
	out := map[string]interface{}{}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		out["Error"] = err.Error()
	}
	return out
}

func fromJSONArray(text string) []interface{} {
	out := []interface{}{}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		out = []interface{}{err.Error()}
	}
	return out
}

// functions are sprig's without those that look at the machine, and Helm's own.
func functions(root *template.Template, existing []map[string]interface{}) template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	f["getHostByName"] = func(string) string { return "" }
	f["toYaml"] = toYAML
	f["fromYaml"] = fromYAML
	f["fromYamlArray"] = fromYAMLArray
	f["toJson"] = toJSON
	f["fromJson"] = fromJSON
	f["fromJsonArray"] = fromJSONArray
	f["required"] = func(message string, value interface{}) (interface{}, error) {
		if text, isText := value.(string); value == nil || (isText && text == "") {
			return nil, errors.New(message)
		}
		return value, nil
	}
	f["fail"] = func(message string) (string, error) { return "", errors.New(message) }
	// Without objects there is no cluster to look into, as with `helm template`.
	f["lookup"] = func(apiVersion, kind, namespace, name string) map[string]interface{} {
		for _, object := range existing {
			metadata, _ := object["metadata"].(map[string]interface{})
			if object["apiVersion"] == apiVersion && object["kind"] == kind &&
				metadata["namespace"] == namespace && metadata["name"] == name {
				return object
			}
		}
		return map[string]interface{}{}
	}
	depth := map[string]int{}
	f["include"] = func(name string, data interface{}) (string, error) {
		if depth[name] > includesMax {
			return "", fmt.Errorf("rendering template %q: it includes itself", name)
		}
		depth[name]++
		defer func() { depth[name]-- }()
		var out strings.Builder
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	f["tpl"] = func(text string, data interface{}) (string, error) {
		copied, err := root.Clone()
		if err != nil {
			return "", err
		}
		copied.Funcs(functions(copied, existing)) // so that what `text` defines can be included
		parsed, err := copied.New("gotpl").Option("missingkey=zero").Parse(text)
		if err != nil {
			return "", err
		}
		var out strings.Builder
		err = parsed.Execute(&out, data)
		return withoutNoValue(out.String()), err
	}
	return f
}

// withoutNoValue: Go writes "<no value>" for a key that is missing, Helm nothing.
func withoutNoValue(text string) string { return strings.ReplaceAll(text, "<no value>", "") }

// execute renders every template that is not a collection of parts, by its name below the chart's.
func (c *chart) execute(r request, values map[string]interface{}) (map[string]string, error) {
	kube := semver.MustParse(strings.TrimPrefix(r.KubeVersion, "v"))
	metadata := map[string]interface{}{"IsRoot": true}
	for key, value := range c.metadata {
		metadata[key] = value
	}
	if r.ChartVersion != "" {
		metadata["Version"] = r.ChartVersion
		metadata["AppVersion"] = r.ChartVersion
	}
	revision := 1
	if r.IsUpgrade {
		revision = 2
	}
	data := map[string]interface{}{
		"Values": values,
		"Chart":  metadata,
		"Files":  c.files,
		"Release": map[string]interface{}{
			"Name": r.Release, "Namespace": r.Namespace, "Service": "Helm", "Revision": revision,
			"IsInstall": !r.IsUpgrade, "IsUpgrade": r.IsUpgrade,
		},
		"Capabilities": capabilities{
			KubeVersion: kubeVersion{
				Version: "v" + kube.String(), Major: fmt.Sprint(kube.Major()), Minor: fmt.Sprint(kube.Minor()),
			},
			APIVersions: r.APIVersions,
		},
	}
	root := template.New("gotpl").Option("missingkey=zero")
	root.Funcs(functions(root, r.Existing))
	name, _ := c.metadata["Name"].(string)
	for file, text := range c.templates {
		if _, err := root.New(name + "/" + file).Parse(text); err != nil {
			return nil, err
		}
	}
	out := map[string]string{}
	for file := range c.templates {
		if strings.HasPrefix(path.Base(file), "_") {
			continue
		}
		whole := name + "/" + file
		data["Template"] = map[string]interface{}{"Name": whole, "BasePath": name + "/templates"}
		var text strings.Builder
		if err := root.ExecuteTemplate(&text, whole, data); err != nil {
			return nil, err
		}
		out[whole] = withoutNoValue(text.String())
	}
	return out, nil
}
