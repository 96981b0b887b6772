package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/operators"
)

// csv sends a file with the management secret.
func (w *world) csv(method, path, text string) answer {
	w.t.Helper()
	return w.do(request{
		method: method, path: "/v1/management" + path, auth: basic(managerWord), body: text, header: http.Header{"Content-Type": {"text/csv"}},
	})
}

// exported reads a list as a file.
func (w *world) exported(name string) answer {
	w.t.Helper()
	return w.do(request{
		method: "GET", path: "/v1/management/lists/" + name + "/items", auth: basic(managerWord), header: http.Header{"Accept": {"text/csv"}},
	}).ok()
}

// did is what a change of a list says that it did.
func did(a answer) string {
	return fmt.Sprintf("%v added, %v changed, %v unchanged, %v removed", a.get("added"), a.get("changed"), a.get("unchanged"), a.get("removed"))
}

// values are those of a page of items.
func values(a answer) []string {
	var out []string
	items, _ := a.get("items").([]any)
	for _, i := range items {
		out = append(out, i.(map[string]any)["value"].(string))
	}
	return out
}

func TestListsAreKeptWithTheManagementAPI(t *testing.T) {
	w := start(t)
	created := w.manage("POST", "/lists", object{"name": "suspects", "type": "cidr", "title": "Suspects", "description": "Seen in fraud"}).ok()
	if created.str("name") != "suspects" || created.str("type") != "cidr" || created.get("items") != 0.0 || created.get("used") != false {
		t.Errorf("created %s", created.text)
	}
	w.wantEvents(events.KindListChanged)
	w.manage("POST", "/lists", object{"name": "suspects", "type": "cidr"}).refused(409, "conflict")

	until := w.clock().Add(time.Hour).Format(time.RFC3339)
	added := w.manage("POST", "/lists/suspects/items", object{"note": "case 7", "items": []object{
		{"value": "192.0.2.7", "note": "seen", "expires": until}, {"value": "198.51.100.0/24"},
	}}).ok()
	if added.get("items") != 2.0 || did(added) != "2 added, 0 changed, 0 unchanged, 0 removed" {
		t.Errorf("added %s", added.text)
	}
	page := w.manage("GET", "/lists/suspects/items?limit=1", nil).ok()
	if page.str("items.0.value") != "192.0.2.7" || page.str("items.0.note") != "seen" || page.str("items.0.author") != events.ByManagement ||
		page.str("items.0.expires") == "" || page.str("next") != "192.0.2.7" || page.str("list.title") != "Suspects" {
		t.Errorf("page %s", page.text)
	}
	rest := w.manage("GET", "/lists/suspects/items?after="+url.QueryEscape(page.str("next")), nil).ok()
	if got := values(rest); !slices.Equal(got, []string{"198.51.100.0/24"}) || rest.get("next") != nil || rest.get("items.0.expires") != nil {
		t.Errorf("page %s", rest.text)
	}
	w.wantEvents(events.KindListChanged)

	w.csv("POST", "/lists/suspects/items?note=more", "value,note\n203.0.113.5,\"a, b\"\n").ok()
	file := w.exported("suspects")
	if lines := strings.Split(strings.TrimSpace(file.text), "\r\n"); len(lines) != 4 || !strings.HasPrefix(file.header.Get("Content-Type"), "text/csv") ||
		!strings.Contains(file.header.Get("Content-Disposition"), "suspects.csv") {
		t.Errorf("%v\n%s", file.header, file.text)
	}
	if a := w.csv("PUT", "/lists/suspects/items", file.text).ok(); a.get("items") != 3.0 || did(a) != "0 added, 0 changed, 3 unchanged, 0 removed" {
		t.Errorf("imported what was exported: %s", a.text)
	}
	if a := w.csv("PUT", "/lists/suspects/items", "value\n192.0.2.7\n").ok(); a.get("items") != 1.0 || did(a) != "0 added, 1 changed, 0 unchanged, 2 removed" {
		t.Errorf("replaced %s", a.text)
	}
	if a := w.manage("DELETE", "/lists/suspects/items?value=192.0.2.7&value=192.0.2.8&note=cleared", nil).ok(); a.get("items") != 0.0 {
		t.Errorf("removed %s", a.text)
	}
	w.newEvents()
	if a := w.manage("DELETE", "/lists/suspects", nil).ok(); a.get("success") != true {
		t.Errorf("dropped %s", a.text)
	}
	w.wantEvents(events.KindListChanged)
	if a := w.manage("GET", "/lists", nil).ok(); fmt.Sprint(a.get("lists")) != "[]" {
		t.Errorf("lists %s", a.text)
	}
}

func TestListsRefuseWhatTheyCannotHold(t *testing.T) {
	w := start(t)
	w.manage("POST", "/lists", object{"name": "amounts", "type": "number"}).ok()
	w.manage("POST", "/lists/amounts/items", object{"items": []object{{"value": 12.50}, {"value": "7"}}}).ok()
	w.newEvents()
	many := make([]object, 10_001)
	for i := range many {
		many[i] = object{"value": i}
	}
	for name, row := range map[string]struct {
		method, path string
		body         any
		field        string
	}{
		"a name with a hyphen":  {"POST", "/lists", object{"name": "a-b", "type": "string"}, "name"},
		"no type":               {"POST", "/lists", object{"name": "a"}, "type"},
		"a title of two lines":  {"POST", "/lists", object{"name": "a", "type": "string", "title": "a\nb"}, "title"},
		"a word for a number":   {"POST", "/lists/amounts/items", object{"items": []object{{"value": "many"}}}, "items[0]"},
		"a value that is a map": {"POST", "/lists/amounts/items", object{"items": []object{{"value": object{}}}}, "items[0]"},
		"no value":              {"POST", "/lists/amounts/items", object{"items": []object{{"note": "x"}}}, "items[0]"},
		"no items":              {"POST", "/lists/amounts/items", object{}, "items"},
		"too many items":        {"POST", "/lists/amounts/items", object{"items": many}, "items"},
		"nothing to remove":     {"DELETE", "/lists/amounts/items", nil, "value"},
		"no number to remove":   {"DELETE", "/lists/amounts/items?value=x", nil, "value"},
		"a page without end":    {"GET", "/lists/amounts/items?limit=1001", nil, "limit"},
		"a long note":           {"DELETE", "/lists/amounts/items?value=1&note=" + strings.Repeat("x", 501), nil, "note"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.manage(row.method, row.path, row.body).refused(400, "invalid_request"); a.str("details.0.field") != row.field {
				t.Errorf("details %v, want field %s", a.get("details"), row.field)
			}
		})
	}
	for _, r := range []struct{ method, path string }{
		{"GET", "/lists/none"}, {"DELETE", "/lists/none"}, {"GET", "/lists/none/items"}, {"DELETE", "/lists/none/items?value=x"},
	} {
		w.manage(r.method, r.path, nil).refused(404, "not_found")
	}
	broken := w.csv("POST", "/lists/amounts/items", "value,expires\n1,\n2,soon\nthree,\n").refused(400, "invalid_request")
	if broken.get("details.0.line") != 3.0 || broken.str("details.0.field") != "expires" || broken.get("details.1.line") != 4.0 {
		t.Errorf("details %v", broken.get("details"))
	}
	if broken.str("details.0.message") != `The expiry "soon" is neither a date such as 2026-12-31 nor a time such as 2026-12-31T18:00:00Z.` {
		t.Errorf("details %v", broken.get("details"))
	}
	w.csv("PUT", "/lists/amounts/items", strings.Repeat("#", api.MaxListBody+1)).refused(413, "payload_too_large")
	w.wantEvents()
	if got := values(w.manage("GET", "/lists/amounts/items", nil).ok()); !slices.Equal(got, []string{"12.5", "7"}) {
		t.Errorf("items %v", got)
	}
}

func TestListsRefuseWhatNobodyMeans(t *testing.T) {
	w := start(t)
	w.manage("POST", "/lists", object{"name": "suspects", "type": "cidr"}).ok()
	w.newEvents()
	past := w.clock().Add(-time.Minute).UTC().Format(time.RFC3339)
	const network = `"10.0.0.1/8" is an address of a network rather than a network; write 10.0.0.0/8 for the network or 10.0.0.1 for the address.`
	over := "has passed already; leave the item out, or the expiry for one that stays."
	for name, row := range map[string]struct{ value, expires, says string }{
		"an address of a network": {"10.0.0.1/8", "", network},
		"no address":              {"nowhere", "", `"nowhere" is neither an address nor a CIDR range.`},
		"an item that is over":    {"192.0.2.7", past, over},
	} {
		t.Run(name, func(t *testing.T) {
			item := object{"value": row.value}
			if row.expires != "" {
				item["expires"] = row.expires
			}
			added := w.manage("POST", "/lists/suspects/items", object{"items": []object{{"value": "192.0.2.1"}, item}}).refused(400, "invalid_request")
			if added.str("details.0.field") != "items[1]" || !strings.HasSuffix(added.str("details.0.message"), row.says) ||
				!strings.HasPrefix(added.str("errorDescription"), "Nothing was changed: items[1]: the ") || !strings.HasSuffix(added.str("errorDescription"), row.says) {
				t.Errorf("added: %s", added.text)
			}
			file := w.csv("POST", "/lists/suspects/items", "value,expires\n192.0.2.1,\n"+row.value+","+row.expires+"\n").refused(400, "invalid_request")
			if file.get("details.0.line") != 3.0 || !strings.HasSuffix(file.str("details.0.message"), row.says) {
				t.Errorf("imported: %s", file.text)
			}
		})
	}
	removed := w.manage("DELETE", "/lists/suspects/items?value="+url.QueryEscape("10.0.0.1/8"), nil).refused(400, "invalid_request")
	if removed.str("errorDescription") != "value: "+network {
		t.Errorf("removed: %s", removed.text)
	}
	w.wantEvents()

	missing := w.manage("GET", "/lists/suspect", nil).refused(404, "not_found")
	if missing.str("errorDescription") != `There is no list "suspect"; did you mean suspects?` {
		t.Errorf("a slip: %s", missing.text)
	}
	missing = w.manage("GET", "/lists/nothing_like_it/items", nil).refused(404, "not_found")
	if missing.str("errorDescription") != `There is no list "nothing_like_it".` {
		t.Errorf("another name: %s", missing.text)
	}
}

func TestItemsThatAreOverAreShownAndNotExported(t *testing.T) {
	w := start(t)
	w.manage("POST", "/lists", object{"name": "vips", "type": "string"}).ok()
	until := w.clock().Add(time.Minute).UTC().Format(time.RFC3339)
	w.csv("POST", "/lists/vips/items", "value,expires\nann,"+until+"\nbob,\n").ok()
	if page := w.manage("GET", "/lists/vips/items", nil).ok(); page.get("items.0.expired") != nil {
		t.Errorf("page %s", page.text)
	}
	w.pass(2 * time.Minute)
	page := w.manage("GET", "/lists/vips/items", nil).ok()
	if page.get("items.0.expired") != true || page.get("items.1.expired") != nil {
		t.Errorf("page %s", page.text)
	}
	file := w.exported("vips")
	if strings.Contains(file.text, "ann") || !strings.Contains(file.text, "bob") {
		t.Errorf("file %s", file.text)
	}
	if a := w.csv("PUT", "/lists/vips/items", file.text).ok(); a.get("items") != 1.0 {
		t.Errorf("imported what was exported: %s", a.text)
	}
}

func TestASetsListsAreThereAndStay(t *testing.T) {
	w := start(t)
	text := testRules + "lists:\n  - {name: suspects, type: cidr, description: Seen in fraud}\n"
	w.manage("POST", "/rule-sets", text).ok()
	w.wantEvents(events.KindListChanged, events.KindRuleSetPublished)
	if a := w.manage("GET", "/lists/suspects", nil).ok(); a.get("used") != true || a.str("description") != "Seen in fraud" {
		t.Errorf("list %s", a.text)
	}
	kept := w.manage("DELETE", "/lists/suspects", nil).refused(409, "conflict")
	if kept.str("errorDescription") != `Rule set 2, which is in force, declares the list "suspects". Publish a set that does not, then drop the list.` {
		t.Errorf("dropped: %s", kept.text)
	}
	w.wantEvents()
	w.manage("POST", "/rule-sets", testRules).ok()
	w.manage("DELETE", "/lists/suspects", nil).ok()
	w.wantEvents(events.KindRuleSetPublished, events.KindListChanged)
}

func TestListsAreKeptWithTheConsole(t *testing.T) {
	w := start(t)
	b, reviewer := w.operator(operators.Analyst), w.operator(operators.Reviewer)
	w.newEvents()
	b.do("POST", "/lists/create", object{"name": "vips", "type": "string"}).ok()
	b.do("POST", "/lists/add", object{"name": "vips", "items": []object{{"value": "ann"}, {"value": "bob"}}}).ok()
	if a := b.do("POST", "/lists/remove", object{"name": "vips", "values": []string{"bob"}}).ok(); a.get("items") != 1.0 {
		t.Errorf("removed %s", a.text)
	}
	upload := func(query, text string) answer {
		a := w.do(request{method: "POST", path: "/console/api/lists/import?name=vips" + query, body: text, header: http.Header{
			"Content-Type": {"text/csv"}, "Cookie": {b.cookie.Name + "=" + b.cookie.Value}, "X-Sallyport-CSRF": {b.csrf},
		}})
		checkDeclared(t, "POST", "/lists/import", a)
		return a
	}
	if a := upload("", "value\ncyd\n").ok(); a.get("items") != 2.0 {
		t.Errorf("imported %s", a.text)
	}
	if a := upload("&replace=true", "value\ndan\n").ok(); a.get("items") != 1.0 {
		t.Errorf("replaced %s", a.text)
	}
	upload("", "value\n\"\x00\"\n").refused(400, "invalid_request")
	page := reviewer.do("GET", "/list?name=vips", nil).ok()
	if got := values(page); !slices.Equal(got, []string{"dan"}) || !strings.HasPrefix(page.str("items.0.author"), "operator:") {
		t.Errorf("page %s", page.text)
	}
	if a := reviewer.do("GET", "/list/export?name=vips", nil).ok(); !strings.Contains(a.text, `"dan"`) {
		t.Errorf("file %s", a.text)
	}
	if a := reviewer.do("GET", "/lists", nil).ok(); a.str("lists.0.name") != "vips" {
		t.Errorf("lists %s", a.text)
	}
	changed := events.KindListChanged
	w.wantEvents(changed, changed, changed, changed, changed)
	for path, body := range map[string]object{
		"/lists/create": {"name": "x", "type": "string"}, "/lists/drop": {"name": "vips"},
		"/lists/add": {"name": "vips", "items": []object{{"value": "x"}}}, "/lists/remove": {"name": "vips", "values": []string{"dan"}},
	} {
		reviewer.do("POST", path, body).refused(403, "forbidden")
	}
	w.wantEvents()
	b.do("POST", "/lists/drop", object{"name": "vips"}).ok()
	b.do("GET", "/list?name=vips", nil).refused(404, "not_found")
}
