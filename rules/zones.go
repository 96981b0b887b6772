package rules

import (
	"fmt"
	"regexp"
	"time"
	_ "time/tzdata" // a condition must not mean less on a machine without zone files

	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// CEL looks a time zone up whenever it evaluates, which reads a file. Here a
// zone is always a literal and is looked up once, when the set is compiled.

// zonedParts are the functions of a time and a zone, by the id of their
// overload. Months and days count as CEL's definition has it.
var zonedParts = map[string]func(time.Time) int{
	overloads.TimestampToYearWithTz:                time.Time.Year,
	overloads.TimestampToMonthWithTz:               func(t time.Time) int { return int(t.Month()) - 1 },
	overloads.TimestampToDayOfYearWithTz:           func(t time.Time) int { return t.YearDay() - 1 },
	overloads.TimestampToDayOfMonthZeroBasedWithTz: func(t time.Time) int { return t.Day() - 1 },
	overloads.TimestampToDayOfMonthOneBasedWithTz:  time.Time.Day,
	overloads.TimestampToDayOfWeekWithTz:           func(t time.Time) int { return int(t.Weekday()) },
	overloads.TimestampToHoursWithTz:               time.Time.Hour,
	overloads.TimestampToMinutesWithTz:             time.Time.Minute,
	overloads.TimestampToSecondsWithTz:             time.Time.Second,
	overloads.TimestampToMillisecondsWithTz:        func(t time.Time) int { return t.Nanosecond() / 1e6 },
}

// offsetZone is a time zone written as an offset from UTC.
var offsetZone = regexp.MustCompile(`^[+-](\d\d):(\d\d)$`)

// loadZone finds a zone by its IANA name or its offset from UTC.
func loadZone(name string) (*time.Location, error) {
	if offsetZone.MatchString(name) {
		t, err := time.Parse("-07:00", name)
		if err != nil {
			return nil, fmt.Errorf("time zone %q: %w", name, err)
		}
		return t.Location(), nil
	}
	if name == "Local" {
		return nil, fmt.Errorf("time zone %q is another one on each machine", name)
	}
	return time.LoadLocation(name)
}

// zoned is the part of a time in a zone.
type zoned struct {
	interpreter.InterpretableCall
	time interpreter.InterpretableV2
	zone *time.Location
	part func(time.Time) int
}

// Exec implements CEL's InterpretableV2.
func (z *zoned) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := z.time.Exec(frame)
	t, ok := v.(types.Timestamp)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v) // keeps errors and unknowns as they are
	}
	return types.Int(z.part(t.In(z.zone)))
}

// Eval implements CEL's Interpretable.
func (z *zoned) Eval(vars interpreter.Activation) ref.Val {
	frame, err := interpreter.NewExecutionFrame(vars)
	if err != nil {
		return types.WrapErr(err)
	}
	defer frame.Close()
	return z.Exec(frame)
}

// fixZones is a step of CEL's planner that resolves zones.
func fixZones(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := step.(interpreter.InterpretableCall)
	if !ok {
		return step, nil
	}
	part, ok := zonedParts[call.OverloadID()]
	if !ok {
		return step, nil
	}
	literal, ok := call.Args()[1].(interpreter.InterpretableConst)
	if !ok {
		return nil, fmt.Errorf("the time zone of %s is not a literal", call.Function())
	}
	zone, err := loadZone(fmt.Sprint(literal.Value().Value()))
	if err != nil {
		return nil, err
	}
	return &zoned{InterpretableCall: call, time: call.Args()[0], zone: zone, part: part}, nil
}
