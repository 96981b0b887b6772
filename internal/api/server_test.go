package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
)

func keys(o map[string]any) map[string]bool {
	set := map[string]bool{}
	for k := range o {
		set[k] = true
	}
	return set
}

func TestTrackAnswersWithEverythingTheContractNames(t *testing.T) {
	w := start(t)
	a := w.call("POST", "/v1/users/ann/actions/payment", object{
		"idempotencyKey": "order-1", "email": "ann@acme.example", "ipAddress": "81.2.69.142", "deviceId": "d1",
		"userAgent": "Mozilla/5.0", "custom": object{"amount": 13, "note": "later fields are fine"}, "redirectToSettings": nil,
		"redirectUrl": shopOrigin + "/done?x=1", "crypto": object{"assetAmount": nil}, "unheardOf": []int{1},
	}).ok()
	want := keys(object{
		"idempotencyKey": 0, "state": 0, "url": 0, "token": 0, "isEnrolled": 0, "enrolledVerificationMethods": 0,
		"allowedVerificationMethods": 0, "ruleIds": 0,
	})
	if diff := cmp.Diff(want, keys(a.json)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if a.str("state") != "REVIEW_REQUIRED" || a.str("idempotencyKey") != "order-1" || a.get("isEnrolled") != false {
		t.Errorf("answer %s", a.text)
	}
	if diff := cmp.Diff([]any{"odd"}, a.get("ruleIds")); diff != "" {
		t.Errorf("a backend is told live matches only (-want +got):\n%s", diff)
	}
	if strings.Count(a.str("token"), ".") != 2 || !strings.HasPrefix(a.str("url"), publicURL+"/challenge?c=") {
		t.Errorf("token and url: %s", a.text)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	for _, private := range []string{"ann", "81.2.69.142", "d1\"", "Mozilla", a.str("token"), secret} {
		if strings.Contains(w.logged(), private) {
			t.Errorf("the log tells %q:\n%s", private, w.logged())
		}
	}
	if !strings.Contains(w.logged(), `"route":"POST /v1/users/:userId/actions/:action"`) {
		t.Errorf("the log lacks the route: %s", w.logged())
	}
	w.wantEvents(events.KindActionTracked)
}

func TestTrackDecides(t *testing.T) {
	for name, row := range map[string]struct {
		amount  float64
		state   string
		ruleIDs []any
	}{
		"no rule matches":              {amount: 1, state: "ALLOW", ruleIDs: []any{}},
		"a challenge of an unenrolled": {amount: 500, state: "ALLOW", ruleIDs: []any{"large"}},
		"a block":                      {amount: 20000, state: "BLOCK", ruleIDs: []any{"huge", "large"}},
		"a review":                     {amount: 13, state: "REVIEW_REQUIRED", ruleIDs: []any{"odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			a := w.track("ann", "k", row.amount)
			if a.str("state") != row.state {
				t.Errorf("state %s, want %s", a.str("state"), row.state)
			}
			if diff := cmp.Diff(row.ruleIDs, a.get("ruleIds")); diff != "" {
				t.Errorf("ruleIds (-want +got):\n%s", diff)
			}
			w.wantEvents(events.KindActionTracked)
		})
	}
}

func TestTrackReadsTheUserFromThePathOnce(t *testing.T) {
	for name, row := range map[string]struct{ path, user string }{
		"plain":                       {path: "ann", user: "ann"},
		"a space and an at, as Node":  {path: "1%20a@b", user: "1 a@b"},
		"an escaped slash":            {path: "a%2Fb", user: "a/b"},
		"a percent sign":              {path: "50%25", user: "50%"},
		"an escape of an escape":      {path: "%2541", user: "%41"},
		"an escape beside a slash":    {path: "a%2F%2541", user: "a/%41"},
		"a plus":                      {path: "a+b", user: "a+b"},
		"letters beyond ASCII":        {path: "z%C3%BCrich", user: "zürich"},
		"an e-mail address, encoded":  {path: "a%40b.example", user: "a@b.example"},
		"a name of a sibling's route": {path: "authenticators", user: "authenticators"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			w.call("POST", "/v1/users/"+row.path+"/actions/payment", object{}).ok()
			list := w.wantEvents(events.KindActionTracked)
			if got := list[0].Action.User; string(got) != row.user {
				t.Errorf("user %q, want %q", got, row.user)
			}
			if n := len(w.call("GET", "/v1/users/"+row.path+"/actions", nil).ok().list()); n != 1 {
				t.Errorf("the query finds %d actions", n)
			}
		})
	}
}

func TestTrackTakesWhatSDKsSend(t *testing.T) {
	for name, r := range map[string]request{
		"no body at all":                {},
		"an empty body":                 {body: ""},
		"null":                          {body: "null"},
		"nulls everywhere":              {body: `{"custom":null,"email":null,"redirectUrl":null,"scope":null,"redirectToSettings":null}`},
		"a charset in the content type": {body: `{}`, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}},
		"no content type":               {body: `{}`, header: http.Header{"Content-Type": nil}},
		"an empty custom value":         {body: `{"custom":{"amount":null,"x":"","y":false}}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			r.method, r.path, r.auth = "POST", "/v1/users/ann/actions/payment", basic(secret)
			if a := w.do(r).ok(); a.str("idempotencyKey") == "" {
				t.Errorf("no key was made: %s", a.text)
			}
			w.wantEvents(events.KindActionTracked)
		})
	}
}

func TestBadInputIsRefusedWithASentence(t *testing.T) {
	const track = "/v1/users/ann/actions/payment"
	w := start(t)
	for name, row := range map[string]struct {
		request
		status int
		code   string
		says   string // part of the sentence
		field  string
		line   float64
	}{
		"malformed JSON":              {request: request{method: "POST", path: track, body: "{\n  \"email\": x}"}, status: 400, code: "invalid_request", says: "JSON", line: 2},
		"JSON that ends early":        {request: request{method: "POST", path: track, body: `{"email": "a`}, status: 400, code: "invalid_request", says: "JSON", line: 1},
		"an array":                    {request: request{method: "POST", path: track, body: `[]`}, status: 400, code: "invalid_request", says: "object"},
		"a wrong type":                {request: request{method: "POST", path: track, body: `{"email": 5}`}, status: 400, code: "invalid_request", says: "email: must be a string", field: "email", line: 1},
		"custom that is a list":       {request: request{method: "POST", path: track, body: `{"custom": [1]}`}, status: 400, code: "invalid_request", says: "object", field: "custom"},
		"a custom value that nests":   {request: request{method: "POST", path: track, body: `{"custom": {"a": {"b": 1}}}`}, status: 400, code: "invalid_request", says: "string, a number or a boolean", field: "custom.a"},
		"a number beyond any":         {request: request{method: "POST", path: track, body: `{"custom": {"a": 1e999}}`}, status: 400, code: "invalid_request", says: "number"},
		"NUL in a text":               {request: request{method: "POST", path: track, body: `{"email": "a\u0000b"}`}, status: 400, code: "invalid_request", says: "email", field: "email"},
		"NUL in the user":             {request: request{method: "POST", path: "/v1/users/a%00b/actions/payment", body: `{}`}, status: 400, code: "invalid_request", says: "NUL"},
		"broken UTF-8 in the user":    {request: request{method: "POST", path: "/v1/users/a%ff/actions/payment", body: `{}`}, status: 400, code: "invalid_request", says: "UTF-8"},
		"broken UTF-8 in the body":    {request: request{method: "POST", path: track, body: "{\"email\": \"a\xff\"}"}, status: 400, code: "invalid_request", says: "UTF-8"},
		"an over-long field":          {request: request{method: "POST", path: track, body: object{"email": strings.Repeat("a", 5000)}}, status: 400, code: "invalid_request", says: "email", field: "email"},
		"an over-long user":           {request: request{method: "POST", path: "/v1/users/" + strings.Repeat("u", 300) + "/actions/payment", body: `{}`}, status: 400, code: "invalid_request", says: "userId"},
		"a bad action code":           {request: request{method: "POST", path: "/v1/users/ann/actions/pay%20now", body: `{}`}, status: 400, code: "invalid_request", says: "action"},
		"a scope that does not exist": {request: request{method: "POST", path: track, body: `{"scope": "everything"}`}, status: 400, code: "invalid_request", says: "scope", field: "scope"},
		"a redirect elsewhere":        {request: request{method: "POST", path: track, body: object{"redirectUrl": "https://evil.example/"}}, status: 400, code: "invalid_request", says: "SALLYPORT_ORIGINS", field: "redirectUrl"},
		"a redirect that looks right": {request: request{method: "POST", path: track, body: object{"redirectUrl": shopOrigin + ".evil.example/"}}, status: 400, code: "invalid_request", says: "redirectUrl"},
		"a redirect with a user":      {request: request{method: "POST", path: track, body: object{"redirectUrl": "https://shop.example@evil.example/"}}, status: 400, code: "invalid_request", says: "redirectUrl"},
		"a redirect to another port":  {request: request{method: "POST", path: track, body: object{"redirectUrl": "http://localhost:8081/"}}, status: 400, code: "invalid_request", says: "redirectUrl"},
		"a script as redirect":        {request: request{method: "POST", path: track, body: object{"redirectUrl": "javascript:alert(1)"}}, status: 400, code: "invalid_request", says: "redirectUrl"},
		"a form":                      {request: request{method: "POST", path: track, body: "a=b", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, status: 415, code: "unsupported_media_type", says: "application/json"},
		"a body of 65 KiB":            {request: request{method: "POST", path: track, body: `{"email":"` + strings.Repeat("a", 65<<10) + `"}`}, status: 413, code: "payload_too_large", says: "64 KiB"},
		"no such endpoint":            {request: request{method: "GET", path: "/v1/nothing"}, status: 404, code: "not_found", says: "endpoint"},
		"no such endpoint at all":     {request: request{method: "GET", path: "/"}, status: 404, code: "not_found", says: "endpoint"},
		"a method that is not there":  {request: request{method: "PUT", path: track, body: `{}`}, status: 405, code: "method_not_allowed", says: "method"},
		"an action that is not there": {request: request{method: "GET", path: track + "/none"}, status: 404, code: "not_found", says: "action"},
		"an update of no action":      {request: request{method: "PATCH", path: track + "/none", body: `{"state":"REVIEW_REQUIRED"}`}, status: 404, code: "not_found", says: "action"},
		"a state that does not exist": {request: request{method: "PATCH", path: track + "/none", body: `{"state":"DONE"}`}, status: 400, code: "invalid_request", says: "state", field: "state"},
		"a date that is none":         {request: request{method: "GET", path: "/v1/users/ann/actions?fromDate=yesterday"}, status: 400, code: "invalid_request", says: "fromDate"},
		"a filter state that is none": {request: request{method: "GET", path: "/v1/users/ann/actions?state=DONE"}, status: 400, code: "invalid_request", says: "state"},
		"validate without a token":    {request: request{method: "POST", path: "/v1/validate"}, status: 400, code: "invalid_request", says: "token"},
		"users without a filter":      {request: request{method: "GET", path: "/v1/users"}, status: 400, code: "invalid_request", says: "email"},
		"users with a wrong limit":    {request: request{method: "GET", path: "/v1/users?email=a&limit=0"}, status: 400, code: "invalid_request", says: "limit"},
		"a user with a wrong type":    {request: request{method: "PATCH", path: "/v1/users/ann", body: `{"emailVerified":"yes"}`}, status: 400, code: "invalid_request", says: "emailVerified", field: "emailVerified"},
		"no such authenticator":       {request: request{method: "DELETE", path: "/v1/users/ann/authenticators/none"}, status: 404, code: "not_found", says: "authenticator"},
		"enrolment of another method": {request: request{method: "POST", path: "/v1/users/ann/authenticators", body: `{"verificationMethod":"SMS","phoneNumber":"+41790000000"}`}, status: 400, code: "invalid_request", says: "SMS is not an enabled verification method"},
		"enrolment without a method":  {request: request{method: "POST", path: "/v1/users/ann/authenticators", body: `{}`}, status: 400, code: "invalid_request", says: "verificationMethod"},
		"enrolment without a key":     {request: request{method: "POST", path: "/v1/users/ann/authenticators", body: `{"verificationMethod":"PASSKEY","credentialId":"AAAA"}`}, status: 400, code: "invalid_request", says: "credentialPublicKey"},
		"enrolment with a wrong key":  {request: request{method: "POST", path: "/v1/users/ann/authenticators", body: `{"verificationMethod":"PASSKEY","credentialId":"AAAA","credentialPublicKey":"AAAA"}`}, status: 400, code: "invalid_request", says: "COSE"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, url: w.url, store: w.store, seen: w.seen}
			row.auth = basic(secret)
			a := w.do(row.request).refused(row.status, row.code)
			if !strings.Contains(a.str("errorDescription"), row.says) {
				t.Errorf("%q does not say %q", a.str("errorDescription"), row.says)
			}
			if row.field != "" && a.str("details.0.field") != row.field {
				t.Errorf("details name %v, want field %q", a.get("details"), row.field)
			}
			if row.line != 0 && a.get("details.0.line") != row.line {
				t.Errorf("details name %v, want line %v", a.get("details"), row.line)
			}
			if row.status == http.StatusMethodNotAllowed && !strings.Contains(a.header.Get("Allow"), "POST") {
				t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
			w.wantEvents()
		})
	}
	if strings.Contains(w.logged(), "evil.example") || strings.Contains(w.logged(), "/v1/nothing") {
		t.Error("the log repeats what strangers send")
	}
}

func TestDuplicatesAtOnceAreOneAction(t *testing.T) {
	w := start(t)
	answers := make([]answer, 50)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { // amounts differ: the recorded decision counts
			answers[i] = w.call("POST", "/v1/users/ann/actions/payment",
				object{"idempotencyKey": "once", "custom": object{"amount": float64(i%2) * 20000}})
		})
	}
	all.Wait()
	for _, a := range answers {
		if a.ok().str("state") != answers[0].str("state") {
			t.Errorf("two states: %s and %s", a.str("state"), answers[0].str("state"))
		}
	}
	w.wantEvents(events.KindActionTracked)
	if n := len(w.call("GET", "/v1/users/ann/actions", nil).ok().list()); n != 1 {
		t.Errorf("%d actions", n)
	}
}

func TestActionsAreReadMovedAndListed(t *testing.T) {
	w := start(t)
	w.track("ann", "k", 13)
	w.call("POST", "/v1/users/ann/actions/login", object{"idempotencyKey": "l", "userAgent": "UA", "ipAddress": "81.2.69.142"}).ok()
	w.wantEvents(events.KindActionTracked, events.KindActionTracked)

	const path = "/v1/users/ann/actions/payment/k"
	a := w.call("GET", path, nil).ok()
	if a.str("state") != "REVIEW_REQUIRED" || a.str("priorityRuleId") != "odd" || a.str("rules.0.name") != "Odd payment" ||
		a.str("output.outcome") != "REVIEW" || a.get("verificationMethod") != nil {
		t.Errorf("action %s", a.text)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", a.str("createdAt")); err != nil {
		t.Error(err)
	}
	if strings.Contains(a.text, "shadow") {
		t.Errorf("a shadow rule shows: %s", a.text)
	}

	w.call("PATCH", path, object{"state": "CHALLENGE_SUCCEEDED"}).refused(400, "invalid_request")
	w.wantEvents()
	for range 2 { // the second time nothing is written
		if a := w.call("PATCH", path, object{"state": "REVIEW_SUCCEEDED"}).ok(); a.str("state") != "REVIEW_SUCCEEDED" {
			t.Errorf("moved to %s", a.text)
		}
	}
	w.wantEvents(events.KindActionUpdated)
	w.call("PATCH", path, object{"state": "REVIEW_FAILED"}).refused(400, "invalid_request")
	if a := w.track("ann", "k", 1); a.str("state") != "REVIEW_SUCCEEDED" {
		t.Errorf("tracked again: %s", a.text)
	}
	w.wantEvents()

	for query, want := range map[string]int{
		"": 2, "?codes=payment": 1, "?codes=payment,login": 2, "?state=ALLOW": 1, "?codes=login&state=BLOCK": 0,
		"?fromDate=" + w.clock().Add(time.Hour).Format(time.RFC3339): 0, "?fromDate=2020-01-01T00:00:00.000Z": 2,
	} {
		list := w.call("GET", "/v1/users/ann/actions"+query, nil).ok().list()
		if len(list) != want {
			t.Errorf("query %q finds %d, want %d", query, len(list), want)
		}
		for _, item := range list {
			if item["actionCode"] == "login" && (item["ipAddress"] != "81.2.69.142" || item["userAgent"] != "UA") {
				t.Errorf("item %v", item)
			}
		}
	}
	w.call("GET", "/v1/users/ann/actions?codes="+strings.Repeat("payment,", 51), nil).refused(400, "invalid_request")
	if a := w.call("GET", "/v1/users/nobody/actions", nil).ok(); strings.TrimSpace(a.text) != "[]" {
		t.Errorf("nobody's actions: %s", a.text)
	}
	w.pass(31 * 24 * time.Hour)
	if n := len(w.call("GET", "/v1/users/ann/actions?fromDate=2020-01-01", nil).ok().list()); n != 0 {
		t.Errorf("a query reaches %d actions of last month", n)
	}
}

func TestUsers(t *testing.T) {
	w := start(t)
	unknown := w.call("GET", "/v1/users/ann", nil).ok()
	want := object{
		"isEnrolled": false, "emailVerified": false, "phoneNumberVerified": false,
		"enrolledVerificationMethods": []any{}, "allowedVerificationMethods": []any{"PASSKEY", "SECURITY_KEY", "AUTHENTICATOR_APP", "EMAIL_OTP", "RECOVERY_CODE"},
	}
	if diff := cmp.Diff(want, map[string]any(unknown.json)); diff != "" {
		t.Errorf("unknown user (-want +got):\n%s", diff)
	}

	set := w.call("PATCH", "/v1/users/ann", object{"email": "ann@acme.example", "emailVerified": true, "displayName": "Ann", "custom": object{"vip": true}}).ok()
	want = object{"email": "ann@acme.example", "emailVerified": true, "phoneNumberVerified": false, "displayName": "Ann", "custom": object{"vip": true}}
	if diff := cmp.Diff(want, map[string]any(set.json)); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	merged := w.call("POST", "/v1/users/ann", object{"phoneNumber": "+41790000000", "displayName": nil}).ok() // as the Ruby SDK does
	want["phoneNumber"] = "+41790000000"
	delete(want, "displayName")
	if diff := cmp.Diff(want, map[string]any(merged.json)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	w.wantEvents(events.KindUserUpdated, events.KindUserUpdated)

	for query, found := range map[string]int{
		"?email=ann@acme.example": 1, "?phoneNumber=%2B41790000000": 1, "?username=ann": 0, "?email=ann@acme.example&limit=1": 1,
		"?email=ann@acme.example&lastEvaluatedUserId=ann": 0,
	} {
		a := w.call("GET", "/v1/users"+query, nil).ok()
		users, _ := a.get("users").([]any)
		if users == nil || len(users) != found {
			t.Errorf("%s: %s", query, a.text)
		}
		if found == 1 && a.str("users.0.userId") != "ann" {
			t.Errorf("%s: %s", query, a.text)
		}
	}
	token := w.track("ann", "k", 1).str("token")
	if a := w.call("GET", "/v1/users?token="+token, nil).ok(); a.str("users.0.userId") != "ann" {
		t.Errorf("by token: %s", a.text)
	}
	w.call("GET", "/v1/users?token=garbage", nil).refused(401, "invalid_token")
	w.wantEvents(events.KindActionTracked)

	for range 2 {
		if a := w.call("DELETE", "/v1/users/ann", nil).ok(); a.get("success") != true {
			t.Errorf("deleted: %s", a.text)
		}
	}
	w.wantEvents(events.KindUserDeleted)
	if a := w.call("GET", "/v1/users/ann", nil).ok(); a.get("email") != nil || a.get("isEnrolled") != false {
		t.Errorf("after: %s", a.text)
	}
	w.client("GET", "/user-authenticators", token, nil).refused(401, "invalid_token")
	w.track("ann", "k2", 1) // comes back, but the old token does not
	w.client("GET", "/user-authenticators", token, nil).refused(401, "invalid_token")
	if strings.Contains(w.logged(), "ann") || strings.Contains(w.logged(), "+4179") {
		t.Error("the log names people")
	}
}

func TestValidateIsARead(t *testing.T) {
	w := start(t)
	phone := w.enrol("ann")
	w.newEvents()
	token := w.track("ann", "k", 500).str("token")
	w.wantEvents(events.KindActionTracked)
	validate := func(body object) answer {
		t.Helper()
		return w.call("POST", "/v1/validate", body).ok()
	}
	before := validate(object{"token": token})
	want := object{"isValid": false, "state": "CHALLENGE_REQUIRED", "userId": "ann", "action": "payment", "actionCode": "payment", "idempotencyKey": "k"}
	got := map[string]any(before.json)
	delete(got, "stateUpdatedAt")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open challenge (-want +got):\n%s", diff)
	}
	proof := w.prove(phone, token).ok()
	w.newEvents()
	for _, word := range []string{token, proof.str("accessToken"), proof.str("accessToken")} {
		a := validate(object{"token": word, "userId": "ann", "action": "payment"})
		if a.get("isValid") != true || a.str("state") != "CHALLENGE_SUCCEEDED" || a.str("verificationMethod") != "PASSKEY" {
			t.Errorf("proven: %s", a.text)
		}
	}
	for name, body := range map[string]object{
		"garbage":               {"token": "garbage"},
		"another user":          {"token": token, "userId": "bob"},
		"another action":        {"token": token, "action": "login"},
		"a link is no token":    {"token": strings.TrimPrefix(w.track("ann", "k", 500).str("url"), publicURL+"/challenge?c=")},
		"a forged signature":    {"token": token[:len(token)-4] + "AAAA"},
		"none as its algorithm": {"token": "eyJhbGciOiJub25lIn0." + strings.Split(token, ".")[1] + "."},
	} {
		if a := validate(body); a.get("isValid") != false || a.get("userId") != nil || a.get("state") != nil {
			t.Errorf("%s: %s", name, a.text)
		}
	}
	w.pass(11 * time.Minute)
	if a := validate(object{"token": token}); a.get("isValid") != false || a.str("error") != "expired_token" {
		t.Errorf("expired: %s", a.text)
	}
	w.wantEvents()
}
