package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/Masterminds/semver"
	"github.com/xeipuuv/gojsonschema"
	"sigs.k8s.io/yaml"
)

// chart is a chart's folder in memory.
type chart struct {
	metadata  map[string]interface{} // Chart.yaml, with the field names that templates use
	values    map[string]interface{}
	schema    []byte
	templates map[string]string // by path below the chart's folder
	files     files             // all others, but for those that .helmignore names
}

func readYAML(path string) (map[string]interface{}, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]interface{}{}
	if err := yaml.UnmarshalStrict(text, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// loadChart reads every file once. Symbolic links are not followed: a packaged chart has none.
func loadChart(folder string) (*chart, error) {
	c := &chart{templates: map[string]string{}, files: files{}}
	raw, err := readYAML(filepath.Join(folder, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	c.metadata = map[string]interface{}{}
	for key, value := range raw {
		name := strings.ToUpper(key[:1]) + key[1:]
		if key == "apiVersion" {
			name = "APIVersion"
		}
		c.metadata[name] = value
	}
	if c.values, err = readYAML(filepath.Join(folder, "values.yaml")); err != nil {
		return nil, err
	}
	if c.schema, err = os.ReadFile(filepath.Join(folder, "values.schema.json")); err != nil {
		return nil, err
	}
	err = filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(name, "templates/"):
			c.templates[name] = string(text)
		case name != "Chart.yaml" && name != "values.yaml" && name != "values.schema.json" && name != ".helmignore":
			c.files[name] = text
		}
		return nil
	})
	return c, err
}

// coalesce lays what the user says over the defaults: maps are merged, everything else is replaced, and null
// removes a default.
func coalesce(defaults, given map[string]interface{}) map[string]interface{} {
	out := map[string]interface{}{}
	for key, value := range defaults {
		out[key] = value
	}
	for key, value := range given {
		if value == nil {
			delete(out, key)
			continue
		}
		below, isMap := value.(map[string]interface{})
		base, wasMap := out[key].(map[string]interface{})
		switch {
		case isMap && wasMap:
			out[key] = coalesce(base, below)
		case isMap:
			out[key] = coalesce(nil, below)
		default:
			out[key] = value
		}
	}
	return out
}

// validate says what Helm says of values that the schema refuses.
func (c *chart) validate(values map[string]interface{}) error {
	document, err := json.Marshal(values)
	if err != nil {
		return err
	}
	result, err := gojsonschema.Validate(gojsonschema.NewBytesLoader(c.schema), gojsonschema.NewBytesLoader(document))
	if err != nil {
		return err
	}
	if result.Valid() {
		return nil
	}
	lines := []string{}
	for _, problem := range result.Errors() {
		lines = append(lines, "- "+problem.String())
	}
	sort.Strings(lines)
	return fmt.Errorf("values don't meet the specifications of the schema(s) in the following chart(s):\n%s:\n%s",
		c.metadata["Name"], strings.Join(lines, "\n"))
}

var separator = regexp.MustCompile(`(?m)^---[ \t]*$`)

func (c *chart) render(r request) ([]manifest, string, error) {
	kube, err := semver.NewVersion(strings.TrimPrefix(r.KubeVersion, "v"))
	if err != nil {
		return nil, "", fmt.Errorf("kubeVersion %q: %w", r.KubeVersion, err)
	}
	if wanted, ok := c.metadata["KubeVersion"].(string); ok {
		constraint, err := semver.NewConstraint(wanted)
		if err != nil {
			return nil, "", err
		}
		if !constraint.Check(kube) {
			return nil, "", fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes v%s", wanted, kube)
		}
	}
	values := coalesce(c.values, r.Values)
	if !r.SkipSchema {
		if err := c.validate(values); err != nil {
			return nil, "", err
		}
	}
	rendered, err := c.execute(r, values)
	if err != nil {
		return nil, "", err
	}
	names := []string{}
	for name := range rendered {
		names = append(names, name)
	}
	sort.Strings(names)
	out, notes := []manifest{}, ""
	for _, name := range names {
		if strings.HasSuffix(name, "/NOTES.txt") {
			notes = rendered[name]
			continue
		}
		for _, text := range separator.Split(rendered[name], -1) {
			var object interface{}
			// Strictly: a key that is written twice is a mistake that Kubernetes would not forgive either.
			if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
				return nil, "", fmt.Errorf("%s: %w\n%s", name, err, text)
			}
			if object != nil {
				out = append(out, manifest{Template: name, Object: object})
			}
		}
	}
	return out, notes, nil
}
