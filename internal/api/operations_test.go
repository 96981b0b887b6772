package api_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
)

func TestReadiness(t *testing.T) {
	lag := uint64(7)
	state := map[string]api.State{"log": api.OK}
	w := start(t, func(c *api.Config) {
		c.Parts = func(context.Context) []api.Part {
			return []api.Part{
				{Name: "log", State: state["log"]}, {Name: "nats", State: api.Degraded, Detail: "not there", Lag: &lag}, {Name: "archive", State: api.Off},
			}
		}
	})
	ready := func() answer { return w.do(request{method: "GET", path: "/readyz"}) }
	if a := ready().ok(); a.get("ready") != true || a.get("parts.1.lag") != 7.0 || a.str("version") != "test" {
		t.Errorf("ready: %s", a.text)
	}
	state["log"] = api.Down
	if a := ready(); a.status != 503 || a.get("ready") != false {
		t.Errorf("not ready: %d %s", a.status, a.text)
	}
	w.do(request{method: "GET", path: "/healthz"}).ok()
	metrics := w.do(request{method: "GET", path: "/metrics"}).ok().text
	for _, line := range []string{`sallyport_part_up{part="nats"} 0.5`, `sallyport_part_lag_events{part="nats"} 7`, `sallyport_part_up{part="log"} 0`, "sallyport_log_head 1"} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestMetricsCountWhatHappens(t *testing.T) {
	w := start(t)
	w.track("ann", "k", 500)
	w.track("ann", "k", 500) // the same decision
	w.track("ann", "l", 20000)
	w.do(request{method: "GET", path: "/v1/none/of/this"})
	metrics := w.do(request{method: "GET", path: "/metrics"}).ok().text
	for _, line := range []string{
		`sallyport_decisions_total{outcome="CHALLENGE",reason="enrolment-policy",state="ALLOW"} 1`,
		`sallyport_decisions_total{outcome="BLOCK",reason="rule",state="BLOCK"} 1`,
		`sallyport_request_seconds_count{outcome="BLOCK",route="POST /v1/users/:userId/actions/:action",status="200"} 1`,
		`sallyport_request_seconds_count{outcome="",route="unrouted",status="404"} 1`,
		`sallyport_rule_set 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s in\n%s", line, regexp.MustCompile(`(?m)^(# |go_|process_).*\n`).ReplaceAllString(metrics, ""))
		}
	}
	if strings.Contains(metrics, "ann") || strings.Contains(metrics, "none/of") {
		t.Error("the metrics name people or paths")
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	w := start(t, func(c *api.Config) {
		c.Pages = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("private detail") })
	})
	a := w.do(request{method: "GET", path: "/challenge?c=x"}).refused(500, "internal_error")
	if strings.Contains(a.text, "private detail") || !strings.Contains(w.logged(), "private detail") || !strings.Contains(w.logged(), a.str("requestId")) {
		t.Errorf("answer %s\nlog %s", a.text, w.logged())
	}
}

func TestNothingIsDecidedWhileNothingCanBeKept(t *testing.T) {
	w := start(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.call("POST", "/v1/users/ann/actions/payment", object{}).refused(503, "unavailable")
	if a.header.Get("Retry-After") != "1" || a.get("state") != nil {
		t.Errorf("answer %s", a.text)
	}
	if a := w.do(request{method: "GET", path: "/readyz"}); a.status != 503 {
		t.Errorf("ready: %s", a.text)
	}
}

func TestSecurityHeaders(t *testing.T) {
	w := start(t, func(c *api.Config) { c.PublicURL = "https://sallyport.example" })
	a := w.call("GET", "/v1/users/ann", nil).ok()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=31536000", "Cache-Control": "no-store",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a := w.do(request{method: "GET", path: "/v1/v1/users/ann", auth: basic(secret)}).ok(); a.get("isEnrolled") != false {
		t.Errorf("the Go SDK's doubled path: %s", a.text) // CONTRACT 0.8
	}
}

func TestPasskeysAreTakenOverFromAnotherSystem(t *testing.T) {
	w := start(t)
	phone := newDevice()
	enrol := func(user string) answer {
		return w.call("POST", "/v1/users/"+user+"/authenticators", object{
			"verificationMethod": "PASSKEY", "credentialId": b64(phone.credential.ID), "credentialPublicKey": b64(phone.credential.Key.AttestationData()),
			"name": "Old phone", "email": nil,
		})
	}
	a := enrol("ann").ok()
	if a.str("authenticator.webauthnCredential.name") != "Old phone" || a.str("authenticator.userId") != "ann" {
		t.Errorf("enrolled: %s", a.text)
	}
	w.wantEvents(events.KindAuthenticatorAdded)
	if again := enrol("ann").ok(); again.str("authenticator.userAuthenticatorId") != a.str("authenticator.userAuthenticatorId") {
		t.Errorf("sent again: %s", again.text)
	}
	enrol("bob").refused(409, "conflict")
	w.wantEvents()

	token := w.track("ann", "k", 500)
	if token.str("state") != "CHALLENGE_REQUIRED" {
		t.Fatalf("tracked: %s", token.text)
	}
	w.prove(phone, token.str("token")).ok()
	w.newEvents()
	if a := w.call("DELETE", "/v1/users/ann/authenticators/"+a.str("authenticator.userAuthenticatorId"), nil).ok(); a.get("success") != true {
		t.Errorf("removed: %s", a.text)
	}
	w.wantEvents(events.KindAuthenticatorRemoved)
	if a := w.call("GET", "/v1/users/ann", nil).ok(); a.get("isEnrolled") != false {
		t.Errorf("user: %s", a.text)
	}
	enrol("ann").refused(409, "conflict") // a credential id that was removed is never taken again
	w.wantEvents()
	if list := w.call("GET", "/v1/authenticators", nil).ok().list(); len(list) != 5 || list[0]["verificationMethod"] != "PASSKEY" || list[1]["userVerificationRequirement"] != "preferred" || list[3]["relyingParty"] != nil {
		t.Errorf("configurations %v", list)
	}
}
