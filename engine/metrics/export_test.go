package metrics

import "github.com/sallyport/sallyport/rules"

// LoadSnapshot reads a snapshot and tells of what it is.
func LoadSnapshot(path string, meters []*rules.Meter, limit int64) (keys int, err error) {
	b, err := load(path, meters, limit)
	if err != nil || b == nil {
		return 0, err
	}
	for _, t := range b.tables {
		keys += t.keys
	}
	return keys, nil
}
