package ceremonies_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

func key(id string) ceremonies.Key {
	return ceremonies.Key{ID: id, Secret: []byte(strings.Repeat(id, 32))}
}

func newTokens(t *testing.T, c *ceremonytest.Clock, keys ...ceremonies.Key) *ceremonies.Tokens {
	t.Helper()
	tokens, err := ceremonies.NewTokens(ceremonies.TokenConfig{Tenant: "acme", Keys: keys, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

var someGrant = ceremonies.Grant{
	ID: "id-1", Use: ceremonies.UseAccess, Scopes: ceremonies.ScopeRead, Generation: 3,
	Action: events.ActionID{User: "user/1 ä", Code: "payment", Key: "order-1"},
}

func TestTokenSaysWhatWasSigned(t *testing.T) {
	c := ceremonytest.NewClock()
	tokens := newTokens(t, c, key("a"))
	token, err := tokens.Sign(someGrant)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Verify(token, ceremonies.UseResult, ceremonies.UseAccess)
	if err != nil {
		t.Fatal(err)
	}
	want := someGrant
	want.Expires = c.Now().Add(ceremonies.TokenTTL)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
}

// The claims are a contract: mobile SDKs read idempotencyKey at the top level.
func TestTokenClaims(t *testing.T) {
	c := ceremonytest.NewClock()
	token, err := newTokens(t, c, key("a")).Sign(someGrant)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	var got [2]map[string]any
	for i := range got {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	want := [2]map[string]any{
		{"alg": "HS256", "typ": "JWT", "kid": "a"},
		{
			"tenant": "acme", "sub": "user/1 ä", "action": "payment", "idempotencyKey": "order-1", "use": "access",
			"scopes": "read:authenticators", "gen": 3.0, "jti": "id-1", "iat": 1795348800.0, "exp": 1795349400.0,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
}

func TestTokenIsRefused(t *testing.T) {
	c := ceremonytest.NewClock()
	tokens := newTokens(t, c, key("a"), key("b"))
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		m := jwt.MapClaims{
			"tenant": "acme", "sub": "u", "action": "payment", "idempotencyKey": "k", "use": "access", "gen": 1, "jti": "j",
			"iat": c.Now().Unix(), "exp": c.Now().Add(time.Minute).Unix(),
		}
		if change != nil {
			change(m)
		}
		return m
	}
	sign := func(method jwt.SigningMethod, kid string, secret any, m jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, m)
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	set := func(name string, value any) jwt.MapClaims {
		return claims(func(m jwt.MapClaims) { m[name] = value })
	}
	a := key("a").Secret
	good := sign(jwt.SigningMethodHS256, "b", key("b").Secret, claims(nil))
	if _, err := tokens.Verify(good, ceremonies.UseAccess); err != nil {
		t.Fatalf("a token of the second key: %v", err)
	}
	tests := map[string]struct {
		token string
		want  error
	}{
		"no algorithm":           {sign(jwt.SigningMethodNone, "a", jwt.UnsafeAllowNoneSignatureType, claims(nil)), ceremonies.ErrTokenInvalid},
		"another algorithm":      {sign(jwt.SigningMethodHS512, "a", a, claims(nil)), ceremonies.ErrTokenInvalid},
		"an unknown key":         {sign(jwt.SigningMethodHS256, "c", key("c").Secret, claims(nil)), ceremonies.ErrTokenInvalid},
		"a key under a wrong id": {sign(jwt.SigningMethodHS256, "b", a, claims(nil)), ceremonies.ErrTokenInvalid},
		"no key id":              {sign(jwt.SigningMethodHS256, "", a, claims(nil)), ceremonies.ErrTokenInvalid},
		"a changed body":         {changeBody(good), ceremonies.ErrTokenInvalid},
		"no signature":           {good[:strings.LastIndexByte(good, '.')+1], ceremonies.ErrTokenInvalid},
		"garbage":                {"garbage", ceremonies.ErrTokenInvalid},
		"nothing":                {"", ceremonies.ErrTokenInvalid},
		"another tenant":         {sign(jwt.SigningMethodHS256, "a", a, set("tenant", "other")), ceremonies.ErrTokenInvalid},
		"another use":            {sign(jwt.SigningMethodHS256, "a", a, set("use", "result")), ceremonies.ErrTokenInvalid},
		"no use":                 {sign(jwt.SigningMethodHS256, "a", a, set("use", "")), ceremonies.ErrTokenInvalid},
		"no user":                {sign(jwt.SigningMethodHS256, "a", a, set("sub", "")), ceremonies.ErrTokenInvalid},
		"no action":              {sign(jwt.SigningMethodHS256, "a", a, set("action", "")), ceremonies.ErrTokenInvalid},
		"no idempotency key":     {sign(jwt.SigningMethodHS256, "a", a, set("idempotencyKey", "")), ceremonies.ErrTokenInvalid},
		"its very last second":   {sign(jwt.SigningMethodHS256, "a", a, set("exp", c.Now().Unix())), ceremonies.ErrTokenExpired},
		"no end":                 {sign(jwt.SigningMethodHS256, "a", a, claims(func(m jwt.MapClaims) { delete(m, "exp") })), ceremonies.ErrTokenExpired},
		"expired and of another use": {sign(jwt.SigningMethodHS256, "a", a, claims(func(m jwt.MapClaims) {
			m["exp"], m["use"] = c.Now().Unix()-1, "result"
		})), ceremonies.ErrTokenInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tokens.Verify(test.token, ceremonies.UseAccess)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestTokenOfOneUseServesNoOther(t *testing.T) {
	c := ceremonytest.NewClock()
	tokens := newTokens(t, c, key("a"))
	uses := []ceremonies.Use{ceremonies.UseAccess, ceremonies.UseResult, ceremonies.UseLink, ceremonies.UsePage}
	for _, made := range uses {
		for _, asked := range uses {
			t.Run(fmt.Sprintf("%s as %s", made, asked), func(t *testing.T) {
				grant := someGrant
				grant.Use = made
				token, err := tokens.Sign(grant)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tokens.Verify(token, asked); (err == nil) != (made == asked) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestExpiredTokenStillNamesItsAction(t *testing.T) {
	c := ceremonytest.NewClock()
	tokens := newTokens(t, c, key("a"))
	token, err := tokens.Sign(someGrant)
	if err != nil {
		t.Fatal(err)
	}
	c.Move(ceremonies.TokenTTL)
	grant, err := tokens.Verify(token, ceremonies.UseAccess)
	if !errors.Is(err, ceremonies.ErrTokenExpired) || grant.Action != someGrant.Action {
		t.Errorf("got %+v, %v", grant, err)
	}
}

func TestTokensConfiguration(t *testing.T) {
	tests := map[string]ceremonies.TokenConfig{
		"no tenant":        {Keys: []ceremonies.Key{key("a")}},
		"no key":           {Tenant: "acme"},
		"a short secret":   {Tenant: "acme", Keys: []ceremonies.Key{{ID: "a", Secret: make([]byte, 31)}}},
		"a key without id": {Tenant: "acme", Keys: []ceremonies.Key{{Secret: make([]byte, 32)}}},
		"two keys, one id": {Tenant: "acme", Keys: []ceremonies.Key{key("a"), key("a")}},
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ceremonies.NewTokens(config); err == nil {
				t.Error("it was accepted")
			}
		})
	}
	t.Run("a key does not print its secret", func(t *testing.T) {
		k := ceremonies.Key{ID: "a", Secret: []byte("hush")}
		if text := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(text, "hush") || strings.Contains(text, "104") {
			t.Errorf("it printed %s", text)
		}
	})
}

func changeBody(token string) string {
	parts := strings.Split(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"payment"`, `"paymenT"`, 1)))
	return strings.Join(parts, ".")
}

func BenchmarkSign(b *testing.B) {
	tokens, err := ceremonies.NewTokens(ceremonies.TokenConfig{Tenant: "acme", Keys: []ceremonies.Key{key("a")}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := tokens.Sign(someGrant); err != nil {
			b.Fatal(err)
		}
	}
}
