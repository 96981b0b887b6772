// Package bridge turns the tree of a no-code builder into a condition and back,
// and speaks JsonLogic for the wire protocol's management API.
//
// A tree has the JSON shape of react-querybuilder's groups and rules. A condition
// is CEL, which says more than a tree can: whatever a tree has no words for
// becomes a locked leaf that keeps its text, comments included, and is written
// back as it stands. So nothing is lost on the way, and a tree that was not
// touched means what the condition meant.
//
//	b := bridge.New(&definition)
//	tree, problems := b.Parse(`custom.amount > 100 && device.isNew`)
//	when, problems := b.Format(tree)
//
// Text never becomes code: a value is always written as a literal with its
// quotes, a name must be one that the definition declares, and a locked leaf must
// be a whole expression of its own. What Format returns compiles to a boolean.
//
// The package decides nothing and evaluates nothing. That package rules does.
package bridge
