package api_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/rules"
)

// TestTheConsoleKnowsEveryMemberOfADefinition: the console hands whole definitions
// back, so one that its contract does not name could be lost on the way.
func TestTheConsoleKnowsEveryMemberOfADefinition(t *testing.T) {
	s := readSpec(t)
	seen := map[reflect.Type]bool{}
	var compare func(path string, in *schema, typ reflect.Type)
	compare = func(path string, in *schema, typ reflect.Type) {
		in = s.resolve(in)
		switch typ.Kind() {
		case reflect.Pointer:
			compare(path, in, typ.Elem())
		case reflect.Slice:
			compare(path+"[]", in.Items, typ.Elem())
		case reflect.Struct:
			if seen[typ] {
				return
			}
			seen[typ] = true
			declared := map[string]bool{}
			for i := range typ.NumField() {
				name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				declared[name] = true
				property, found := in.Properties[name]
				if !found {
					t.Errorf("console.yaml does not know %s.%s", path, name)
					continue
				}
				if required := slices.Contains(in.Required, name); required == strings.Contains(options, "omitempty") {
					t.Errorf("%s.%s: required is %v", path, name, required)
				}
				compare(path+"."+name, property, typ.Field(i).Type)
			}
			for name := range in.Properties {
				if !declared[name] {
					t.Errorf("package rules does not know %s.%s", path, name)
				}
			}
		}
	}
	compare("Definition", &schema{Ref: "#/components/schemas/Definition"}, reflect.TypeFor[rules.Definition]())
	if len(seen) < 9 {
		t.Errorf("only %d types were compared", len(seen))
	}
}
