package bridge_test

import (
	"testing"

	"github.com/sallyport/sallyport/rules/bridge"
)

const usual = `custom.amount > 1000 && (ip.countryCode in ["DE", "FR"] || ip.address in list.suspects) && !device.isNew && size(custom.payee) > 3`

// BenchmarkParse reads a condition of usual size, which includes compiling it.
func BenchmarkParse(b *testing.B) {
	bridged := bridge.New(&definition)
	for b.Loop() {
		if _, problems := bridged.Parse(usual); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkFormat writes the same tree, which includes compiling it.
func BenchmarkFormat(b *testing.B) {
	bridged := bridge.New(&definition)
	tree, problems := bridged.Parse(usual)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	for b.Loop() {
		if _, problems := bridged.Format(tree); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkJSONLogic writes the same tree as JsonLogic and reads it again.
func BenchmarkJSONLogic(b *testing.B) {
	bridged := bridge.New(&definition)
	tree, problems := bridged.Parse(usual)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	for b.Loop() {
		logic, problems := bridged.JSONLogic(tree)
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		if _, problems = bridged.ReadJSONLogic(logic); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
