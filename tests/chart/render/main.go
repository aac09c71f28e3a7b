// render: renders a chart as Helm does, for as many sets of values as are asked for.
//
//	render CHART < requests.json > answers.json
//
// A request is what `helm install` is told: release, namespace, values, what the cluster can do. Its answer
// holds the manifests, or the error that Helm would show.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type request struct {
	Name        string                 `json:"name"`
	Release     string                 `json:"release"`
	Namespace   string                 `json:"namespace"`
	IsUpgrade   bool                   `json:"isUpgrade"`
	KubeVersion string                 `json:"kubeVersion"`
	APIVersions []string               `json:"apiVersions"`
	Values      map[string]interface{} `json:"values"`
	// As with --skip-schema-validation.
	SkipSchema bool `json:"skipSchema"`
	// What lookup finds in the cluster.
	Existing []map[string]interface{} `json:"existing"`
	// Instead of the version that Chart.yaml names: to see what an upgrade changes.
	ChartVersion string `json:"chartVersion"`
}

type manifest struct {
	Template string      `json:"template"`
	Object   interface{} `json:"object"`
}

type answer struct {
	Name      string     `json:"name"`
	Error     string     `json:"error,omitempty"`
	Manifests []manifest `json:"manifests"`
	Notes     string     `json:"notes"`
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: render CHART < requests.json")
	}
	var requests []request
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		return err
	}
	loaded, err := loadChart(os.Args[1])
	if err != nil {
		return err
	}
	answers := []answer{}
	for _, r := range requests {
		manifests, notes, err := loaded.render(r)
		a := answer{Name: r.Name, Manifests: manifests, Notes: notes}
		if err != nil {
			a.Error = err.Error()
		}
		answers = append(answers, a)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}
