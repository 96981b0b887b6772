package rules

import (
	_ "embed"
	"fmt"
)

//go:embed example.yaml
var exampleYAML []byte

// Example is the set that a new installation begins with. The example shop uses
// its actions.
func Example() Definition {
	d, err := ParseYAML(exampleYAML)
	if err != nil {
		panic(fmt.Sprintf("embedded example.yaml: %v", err)) // a test reads the same file
	}
	return d
}
