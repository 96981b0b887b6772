package ruleset

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// ErrOwnDraft means that somebody wanted to approve a draft that they have written
// themselves, alone or with others.
var ErrOwnDraft = errors.New("a draft is approved by somebody who has not written it")

// Draft is a definition on its way to become the next set.
type Draft struct {
	ID         string // chosen by the store
	Title      string
	Base       int // number of the set that it began as
	Revision   int // counts its saves, from 1
	Definition rules.Definition
	Author     string   // of this revision
	Authors    []string // everybody who has saved it, each once
	UpdatedAt  time.Time
	Approvals  []Approval // of this revision; a save drops them
}

// Approval is a second person's consent to one revision of a draft.
type Approval struct {
	By string
	At time.Time
}
