package events

// Status is how well a part of Sallyport does its work.
type Status string

// The statuses that /readyz reports for each part.
const (
	StatusOK       Status = "ok"
	StatusDegraded Status = "degraded" // works later or with less; nothing is lost
	StatusDown     Status = "down"     // does not work at all
)

// Health is the status of one part and, unless it is ok, one sentence for the
// operator: what fails, since when, and what it means.
type Health struct {
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"`
}
