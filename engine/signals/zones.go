package signals

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/engine/signals/ipdata"
	"github.com/sallyport/sallyport/rules"
)

// zones finds the time zone of a place. The zero value knows the zones that
// databases name, and no other.
type zones struct {
	names  []string // IANA names
	cells  string   // see at
	loaded sync.Map // name to *time.Location, nil for a name that is none
}

// facts tell the local time at the address: in the zone that the database names,
// else in that of the place.
func (z *zones) facts(record *ipdata.Record, facts *rules.Facts) {
	name := record.TimeZone
	if name == "" && record.HasPlace {
		name = z.at(record.Latitude, record.Longitude)
	}
	if name == "" {
		return
	}
	if location := z.location(name); location != nil {
		local := facts.Now.In(location)
		facts.Action.LocalHour = rules.Known(float64(local.Hour()))
		facts.Action.LocalWeekday = rules.Known(float64(local.Weekday()))
	}
}

func (z *zones) location(name string) *time.Location {
	if found, ok := z.loaded.Load(name); ok {
		return found.(*time.Location)
	}
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which would be the server's
		location = nil
	}
	z.loaded.Store(strings.Clone(name), location)
	return location
}

// The map of time zones is a tree of cells. The top is a grid of 48 by 24; a
// cell has a zone or four cells inside it. Each is two characters, a number to
// base 56.
const (
	gridColumns, gridRows = 48, 24
	zoneBase              = 56
	zoneDigit             = '#' // 0
	maxZoneBytes          = 1 << 20
)

// read reads what `make build` makes of the npm package @photostructure/tz-lookup:
// one line with the names, separated by commas, and one with the cells.
func (z *zones) read(r io.Reader) error {
	var lines []string
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxZoneBytes)
	for scanner.Scan() {
		if line := scanner.Text(); line != "" && !strings.HasPrefix(line, "//") {
			lines = append(lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("time zones: %w", err)
	}
	if len(lines) != 2 || len(lines[1]) < 2*gridColumns*gridRows {
		return errors.New("time zones: it must have one line of names and one of cells")
	}
	z.names, z.cells = strings.Split(lines[0], ","), lines[1]
	return nil
}

// at returns the name of the zone at a place, "" when there is no map.
func (z *zones) at(latitude, longitude float64) string {
	if z.cells == "" {
		return ""
	}
	// The divisors are a little larger than the range, so that its end is inside.
	x := gridColumns * (180 + longitude) / 360.00000000000006
	y := gridRows * (90 - latitude) / 180.00000000000003
	column, row := int(x), int(y)
	cell := 2 * (gridColumns*row + column)
	block := -1
	for {
		if cell < 0 || cell+1 >= len(z.cells) {
			return "" // no place, or a damaged file
		}
		value := zoneBase*(int(z.cells[cell])-zoneDigit) + int(z.cells[cell+1]) - zoneDigit
		// The largest numbers are zones, the others tell where the four cells are.
		if zone := value + len(z.names) - zoneBase*zoneBase; zone >= 0 {
			if zone >= len(z.names) {
				return ""
			}
			return z.names[zone]
		}
		block += value + 1
		x, y = 2*(x-float64(column)), 2*(y-float64(row))
		column, row = int(x), int(y)
		cell = 2*gridColumns*gridRows + 8*block + 4*row + 2*column
	}
}
