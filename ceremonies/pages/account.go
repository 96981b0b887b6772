package pages

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// accountView shows how a person can prove themselves.
type accountView struct {
	Cards []card
	Adds  []addition
}

// card is one authenticator.
type card struct {
	ID         events.AuthenticatorID
	Method     events.Method
	Name       string
	Icon       string // folder of the provider's icons, "" for the method's own
	Facts      string // synced or not, or how many codes are left
	Created    string // RFC 3339, as are the others; "" when unknown
	Used       string
	CreatedDay string // for who has scripts turned off
	UsedDay    string
	Default    bool
	Preferable bool
	Renewable  bool // recovery codes, which are made anew and not removed one by one
	Manageable bool
}

// addition is a way that can be added: the change, and the key of its words.
type addition struct {
	What, Text string
	Method     events.Method
}

// signals are what a browser may tell a person's password managers (WebAuthn L3,
// section 5.1.10).
type signals struct {
	RelyingParty string   `json:"rpId"`
	User         string   `json:"userId"` // base64url, as are the passkeys
	Name         string   `json:"name"`
	DisplayName  string   `json:"displayName"`
	Accepted     []string `json:"accepted"`
}

func (h *handler) signals(account ceremonies.Account) *signals {
	s := &signals{
		RelyingParty: h.rp.ID(), User: base64.RawURLEncoding.EncodeToString(account.Handle), Accepted: []string{},
		Name: cmp.Or(account.Username, account.Email, string(account.User)),
	}
	s.DisplayName = cmp.Or(account.DisplayName, s.Name)
	for _, a := range account.Authenticators {
		if len(a.CredentialID) > 0 {
			s.Accepted = append(s.Accepted, base64.RawURLEncoding.EncodeToString(a.CredentialID))
		}
	}
	return s
}

// name is what to call an authenticator: the person's own word for it, or the
// method's in the page's language where it has only the English one it came with.
func (v visit) name(a ceremonies.Authenticator) string {
	switch a.Name {
	case "Recovery codes":
		return v.words.say("account.recovery")
	case "", "Passkey", "Security key", "Authenticator app":
		return v.words.say("ways." + string(a.Method))
	}
	return a.Name
}

func (h *handler) accountView(v visit) *accountView {
	view := &accountView{}
	all := h.strongest(v.account.Authenticators)
	preferred := v.account.Preferred().ID
	has := map[events.Method]bool{}
	for _, a := range all {
		if !h.rp.Offers(a.Method) {
			continue
		}
		has[a.Method] = true
		codes := a.Method == events.MethodRecoveryCode
		c := card{
			ID: a.ID, Method: a.Method, Name: v.name(a), Created: stamp(a.CreatedAt), Used: stamp(a.LastVerifiedAt),
			CreatedDay: v.words.day(a.CreatedAt), UsedDay: v.words.day(a.LastVerifiedAt),
			Default: a.ID == preferred && len(v.account.Authenticators) > 1, Preferable: a.ID != preferred && !codes,
			Renewable: codes, Manageable: !codes,
		}
		switch a.Method {
		case events.MethodPasskey, events.MethodSecurityKey:
			if h.rp.Providers().Icon(a.AAGUID, false) != "" {
				c.Icon = "/challenge/assets/icon/" + a.AAGUID + "/"
			}
			c.Facts = v.words.say("account.bound")
			if a.Synced {
				c.Facts = v.words.say("account.synced")
			}
			if provider := h.rp.Providers().Name(a.AAGUID); provider != "" && provider != c.Name {
				c.Facts = provider + " · " + c.Facts
			}
		case events.MethodEmailOTP:
			c.Facts = v.words.say("ways.EMAIL_OTP")
		case events.MethodRecoveryCode:
			c.Facts = v.words.say("account.left", "{n}", strconv.Itoa(v.account.Codes), "{all}", strconv.Itoa(ceremonies.RecoveryCodes))
		}
		view.Cards = append(view.Cards, c)
	}
	provable := len(h.rp.Changing(v.account, v.action)) > 0
	for _, add := range []struct {
		method       events.Method
		what         string
		first, again string
	}{
		{events.MethodPasskey, changePasskey, "account.passkey", "account.passkey"},
		{events.MethodSecurityKey, changeKey, "account.key", "account.key"},
		{events.MethodAuthenticatorApp, changeApp, "account.app", ""},
		{events.MethodEmailOTP, changeEmail, "account.email", "account.newemail"},
		{events.MethodRecoveryCode, changeCodes, "account.codes", "account.newcodes"},
	} {
		text := add.first
		if has[add.method] {
			text = add.again
		}
		if text == "" || !h.rp.Offers(add.method) {
			continue
		}
		free := add.method != events.MethodRecoveryCode && h.rp.MayEnrol(v.grant, v.account, v.action, add.method, string(add.method)) == nil
		if provable || free {
			view.Adds = append(view.Adds, addition{add.what, text, add.method})
		}
	}
	return view
}

// strongest puts the strongest authenticators first, as they are where a proof is
// asked for.
func (h *handler) strongest(list []ceremonies.Authenticator) []ceremonies.Authenticator {
	order := h.rp.Methods()
	return slices.SortedStableFunc(slices.Values(list), func(a, b ceremonies.Authenticator) int {
		return slices.Index(order, a.Method) - slices.Index(order, b.Method)
	})
}

// warnings say what a removal means: what is left, and what it does not do.
func (h *handler) warnings(v visit, removed events.AuthenticatorID) []string {
	var left []string
	passkey := false
	for _, a := range h.strongest(h.rp.Changing(v.account, v.action)) {
		if a.ID != removed {
			left = append(left, v.name(a))
		} else {
			passkey = len(a.CredentialID) > 0
		}
	}
	var out []string
	if len(left) == 0 {
		out = append(out, v.words.say("warn.last"))
	} else {
		out = append(out, v.words.say("warn.left", "{left}", strings.Join(left, v.words.Comma)))
	}
	if passkey {
		out = append(out, v.words.say("warn.provider"))
	}
	return out
}

// icon serves a provider's icon, so that a page with several passkeys of one
// provider holds it once and the next page not at all.
func (h *handler) icon(w http.ResponseWriter, r *http.Request) {
	address := h.rp.Providers().Icon(r.PathValue("aaguid"), r.PathValue("shade") == "dark")
	head, encoded, _ := strings.Cut(strings.TrimPrefix(address, "data:"), ";base64,")
	picture, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(picture) == 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", head)
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Header().Set("Content-Security-Policy", imagePolicy)
	_, _ = w.Write(picture) // a browser that went away is nobody's fault
}

// stamp is a time for the script, which writes it in the person's own time and
// way; day is the same for who has scripts turned off.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (w words) day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(w.Date)
}
