package api

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound the calls of people who have not proven anything: client calls
// without a token, and sign-ins to the console.
type Limits struct {
	PerAddress      rate.Limit // calls a second of one IPv4 address or one IPv6 /64
	AddressBurst    int
	PerTenant       rate.Limit // calls a second of all of them together
	TenantBurst     int
	MaxAddresses    int // addresses that are remembered; the least recent is forgotten
	OperatorSignIns int // calls under /console/api/signin and /register a minute and address
}

// DefaultLimits let a shared office address sign in comfortably.
var DefaultLimits = Limits{
	PerAddress: 2, AddressBurst: 60,
	PerTenant: 200, TenantBurst: 1000,
	MaxAddresses: 10_000, OperatorSignIns: 30,
}

// limiter counts what anonymous callers do.
type limiter struct {
	tenant  *rate.Limiter
	clients *addressTable
	signIns *addressTable
	now     func() time.Time
}

func newLimiter(l Limits, now func() time.Time) *limiter {
	return &limiter{
		tenant:  rate.NewLimiter(l.PerTenant, l.TenantBurst),
		clients: &addressTable{limit: l.PerAddress, burst: l.AddressBurst, max: l.MaxAddresses},
		signIns: &addressTable{
			limit: rate.Limit(l.OperatorSignIns) / 60, burst: l.OperatorSignIns, max: l.MaxAddresses,
		},
		now: now,
	}
}

// anonymous counts one client call without a token. The address is asked first,
// so that one busy address cannot use up what the tenant has.
func (l *limiter) anonymous(address netip.Addr) error {
	now := l.now()
	if !l.clients.of(address).AllowN(now, 1) || !l.tenant.AllowN(now, 1) {
		return tooMany()
	}
	return nil
}

// signIn counts one step of a sign-in to the console.
func (l *limiter) signIn(address netip.Addr) error {
	if !l.signIns.of(address).AllowN(l.now(), 1) {
		return tooMany()
	}
	return nil
}

func tooMany() *Error {
	return &Error{Status: http.StatusTooManyRequests, Code: codeTooMany, RetryAfter: 10 * time.Second,
		Description: "There were too many requests from this address. Wait a few seconds and try again."}
}

// addressTable holds a limiter for each of the most recent addresses.
type addressTable struct {
	limit rate.Limit
	burst int
	max   int

	mu     sync.Mutex
	recent list.List // of *tableRow, most recent first
	rows   map[netip.Prefix]*list.Element
}

type tableRow struct {
	network netip.Prefix
	limiter *rate.Limiter
}

func (t *addressTable) of(address netip.Addr) *rate.Limiter {
	bits := address.BitLen()
	if address.Is6() {
		bits = 64 // one customer gets a whole /64 at least
	}
	network, err := address.Prefix(bits)
	if err != nil { // no address: all of those share a row
		network = netip.Prefix{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if row, found := t.rows[network]; found {
		t.recent.MoveToFront(row)
		return row.Value.(*tableRow).limiter
	}
	if t.rows == nil {
		t.rows = map[netip.Prefix]*list.Element{}
	}
	if len(t.rows) >= t.max {
		oldest := t.recent.Back()
		t.recent.Remove(oldest)
		delete(t.rows, oldest.Value.(*tableRow).network)
	}
	row := &tableRow{network: network, limiter: rate.NewLimiter(t.limit, t.burst)}
	t.rows[network] = t.recent.PushFront(row)
	return row.limiter
}
