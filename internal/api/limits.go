package api

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/events"
)

// Limits bound the calls of people who have not proven anything: client calls
// without a token, ceremonies that are begun, and sign-ins to the console. An
// address is one IPv4 address or one IPv6 /64.
type Limits struct {
	PerAddress      rate.Limit // client calls a second without a token, of one address
	AddressBurst    int
	PerTenant       rate.Limit // of all of them together
	TenantBurst     int
	Ceremonies      int // begun through the client API and the hosted page, a minute and user
	OperatorSignIns int // steps of a registration or a sign-in, a minute and address
	Remembered      int // addresses, and users, that are counted; the least recent is forgotten
}

// DefaultLimits let a shared office address sign in comfortably.
var DefaultLimits = Limits{
	PerAddress: 2, AddressBurst: 60,
	PerTenant: 200, TenantBurst: 1000,
	Ceremonies: 60, OperatorSignIns: 30, Remembered: 10_000,
}

// limiter counts what callers do.
type limiter struct {
	tenant  *rate.Limiter
	clients *table[netip.Prefix]
	signIns *table[netip.Prefix]
	now     func() time.Time
}

func newLimiter(l Limits, now func() time.Time) *limiter {
	return &limiter{
		tenant:  rate.NewLimiter(l.PerTenant, l.TenantBurst),
		clients: newTable[netip.Prefix](l.PerAddress, l.AddressBurst, l.Remembered),
		signIns: newTable[netip.Prefix](rate.Limit(l.OperatorSignIns)/60, l.OperatorSignIns, l.Remembered),
		now:     now,
	}
}

// anonymous counts one client call without a token. The address is asked first,
// so that one busy address cannot use up what the tenant has.
func (l *limiter) anonymous(address netip.Addr) error {
	now := l.now()
	if !l.clients.of(network(address)).AllowN(now, 1) || !l.tenant.AllowN(now, 1) {
		return tooMany()
	}
	return nil
}

// signIn counts one step of a sign-in to the console.
func (l *limiter) signIn(address netip.Addr) error {
	if !l.signIns.of(network(address)).AllowN(l.now(), 1) {
		return tooMany()
	}
	return nil
}

// CeremonyLimit counts the ceremonies that people begin, wherever they do: each
// leaves rows and an event. The client API and the hosted page share one.
type CeremonyLimit struct {
	users *table[events.UserID]
	now   func() time.Time
}

// NewCeremonyLimit allows each user l.Ceremonies a minute.
func NewCeremonyLimit(l Limits, now func() time.Time) *CeremonyLimit {
	return &CeremonyLimit{users: newTable[events.UserID](rate.Limit(l.Ceremonies)/60, l.Ceremonies, l.Remembered), now: now}
}

// Begin counts one ceremony of a user, or returns an *Error: too many requests.
func (l *CeremonyLimit) Begin(user events.UserID) error {
	if !l.users.of(user).AllowN(l.now(), 1) {
		return tooMany()
	}
	return nil
}

func tooMany() *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Code: codeTooMany, RetryAfter: 10 * time.Second,
		Description: "There were too many requests. Wait a few seconds and try again.",
	}
}

// network is what one customer of a provider has at least: an address, or a /64.
// Callers without an address share the zero value.
func network(address netip.Addr) netip.Prefix {
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// table holds a limiter for each of the most recent keys.
type table[K comparable] struct {
	limit rate.Limit
	burst int
	max   int

	mu     sync.Mutex
	recent list.List // of *row[K], most recent first
	rows   map[K]*list.Element
}

type row[K comparable] struct {
	key     K
	limiter *rate.Limiter
}

func newTable[K comparable](limit rate.Limit, burst, most int) *table[K] {
	return &table[K]{limit: limit, burst: burst, max: most, rows: map[K]*list.Element{}}
}

func (t *table[K]) of(key K) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.rows[key]; ok {
		t.recent.MoveToFront(found)
		return found.Value.(*row[K]).limiter
	}
	if oldest := t.recent.Back(); oldest != nil && len(t.rows) >= t.max {
		t.recent.Remove(oldest)
		delete(t.rows, oldest.Value.(*row[K]).key)
	}
	added := &row[K]{key: key, limiter: rate.NewLimiter(t.limit, t.burst)}
	t.rows[key] = t.recent.PushFront(added)
	return added.limiter
}
