package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// listCommands are those about the lists that rules test.
func listCommands() []command {
	note := func(f *flag.FlagSet) { f.String("note", "", "why; kept with what is changed") }
	return []command{
		{
			name: "lists ls", group: "Lists",
			short: "list the lists that rules can test",
			long:  `Lists the lists with their types and sizes.` + clientHelp,
			flags: jsonFlag,
			run:   listsLs,
		},
		{
			name: "lists show", args: "LIST", group: "Lists",
			short: "show a list and its items",
			long:  `Shows a list and its first items, in the order of their values.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.Int("limit", 20, "how many items, up to 1000")
				jsonFlag(f)
			},
			run: listsShow,
		},
		{
			name: "lists create", args: "LIST", group: "Lists",
			short: "create a list",
			long: `Creates an empty list. A list of type cidr holds addresses and ranges of them.
Publishing a rule set creates the lists that it declares, too.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("type", "string", "string, number or cidr")
				f.String("title", "", "name for people")
				f.String("description", "", "what is on it")
			},
			run: listsCreate,
		},
		{
			name: "lists import", args: "LIST FILE", group: "Lists",
			short: "add the items of a CSV file to a list",
			long: `Reads items from FILE ("-" reads standard input). Its first line names the
columns: value, and if wanted note and expires. All of it is imported or
nothing: lines that cannot be used are named. With --replace the file becomes
the whole list.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.Bool("replace", false, "remove the items that the file does not hold")
				note(f)
			},
			run: listsImport,
		},
		{
			name: "lists export", args: "LIST", group: "Lists",
			short: "print a list as CSV",
			long:  `Writes all items to standard output, as "lists import" reads them.` + clientHelp,
			run:   listsExport,
		},
		{
			name: "lists add", args: "LIST VALUE...", group: "Lists",
			short: "add values to a list",
			long: `Adds values; one that is there gets the new note and end. Write -- before a
number below zero.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("for", "", "how long they stay, such as 24h or 30d; for ever when left out")
				note(f)
			},
			run: listsAdd,
		},
		{
			name: "lists remove", args: "LIST VALUE...", group: "Lists",
			short: "remove values from a list",
			long:  `Removes values; one that is not there is no mistake.` + clientHelp,
			flags: note,
			run:   listsRemove,
		},
		{
			name: "lists drop", args: "LIST", group: "Lists",
			short: "delete a list with all its items",
			long: `Deletes a list. The server refuses it while the rule set in force
declares it.` + clientHelp,
			run: listsDrop,
		},
	}
}

// listHead is a list as the server describes it.
type listHead struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Title       string    `json:"title,omitempty"`
	Description string    `json:"description,omitempty"`
	Items       int       `json:"items"`
	Version     int64     `json:"version"`
	ChangedAt   time.Time `json:"changedAt"`
	Used        bool      `json:"used"`
}

type listItem struct {
	Value   string    `json:"value"`
	Note    string    `json:"note,omitempty"`
	Author  string    `json:"author,omitempty"`
	AddedAt time.Time `json:"addedAt,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
}

const listsPath = "/v1/management/lists"

func listPath(name string) string { return listsPath + "/" + url.PathEscape(name) }

// size is a number of items as people read it.
func (h listHead) size() string { return plural(h.Items, "item", "items") }

func listsLs(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var answer struct {
		Lists []listHead `json:"lists"`
	}
	if err := c.get(ctx, listsPath, &answer); err != nil {
		return err
	}
	if call.json() {
		return call.asJSON(answer)
	}
	p := call.pen()
	if len(answer.Lists) == 0 {
		p.line("There are no lists. `sallyport lists create LIST` makes one.")
		return nil
	}
	var rows [][]string
	for _, l := range answer.Lists {
		used := ""
		if l.Used {
			used = "● declared by the rules in force"
		}
		rows = append(rows, []string{l.Name, l.Type, strconv.Itoa(l.Items), when(l.ChangedAt), used, orDash(l.Title)})
	}
	p.table([]string{"LIST", "TYPE", "ITEMS", "CHANGED", "USED", "TITLE"}, rows)
	return nil
}

func listsShow(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var answer struct {
		List  listHead   `json:"list"`
		Items []listItem `json:"items"`
		Next  string     `json:"next,omitempty"`
	}
	query := url.Values{"limit": {call.value("limit")}}
	if err := c.get(ctx, listPath(call.args[0])+"/items?"+query.Encode(), &answer); err != nil {
		return aboutList(ctx, c, call.args[0], err)
	}
	if call.json() {
		return call.asJSON(answer)
	}
	p, l := call.pen(), answer.List
	p.line("%s%s", p.in(bold, l.Name), prefixed("  ", l.Title))
	p.line("%s of type %s, changed %s", l.size(), l.Type, when(l.ChangedAt))
	if l.Description != "" {
		p.line("%s", l.Description)
	}
	if len(answer.Items) > 0 {
		p.line("")
	}
	var rows [][]string
	for _, item := range answer.Items {
		until := when(item.Expires)
		if !item.Expires.IsZero() && item.Expires.Before(time.Now()) {
			until += " (expired)"
		}
		rows = append(rows, []string{item.Value, until, when(item.AddedAt), item.Author, orDash(item.Note)})
	}
	p.table([]string{"VALUE", "UNTIL", "ADDED", "BY", "NOTE"}, rows)
	if more := l.Items - len(answer.Items); more > 0 && answer.Next != "" {
		p.line("%s", p.in(dim, fmt.Sprintf("… and %d more; `sallyport lists export %s` prints all", more, l.Name)))
	}
	return nil
}

func listsCreate(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	request := map[string]string{
		"name": call.args[0], "type": call.value("type"), "title": call.value("title"), "description": call.value("description"),
	}
	var created listHead
	if err := c.post(ctx, listsPath, request, &created); err != nil {
		return err
	}
	call.pen().line("Created the list %s of type %s.", created.Name, created.Type)
	return nil
}

func listsImport(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	name, file := call.args[0], call.args[1]
	var body io.Reader = os.Stdin
	size := "" // for people
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		defer opened.Close()
		body = opened
		if info, err := opened.Stat(); err == nil {
			size = fmt.Sprintf("%s, %.1f MB", file, float64(info.Size())/1e6)
		}
	}
	method := http.MethodPost
	if call.value("replace") == "true" {
		method = http.MethodPut
	}
	header := http.Header{"Content-Type": {"text/csv"}, "Accept": {"application/json"}}
	query := url.Values{"note": {call.value("note")}}
	var changed changedList
	if call.ErrTerminal {
		fmt.Fprintf(call.Err, "Sending %s …\n", cmp.Or(size, "standard input"))
	}
	response, err := c.open(ctx, method, listPath(name)+"/items?"+query.Encode(), header, body)
	if err != nil {
		return aboutList(ctx, c, name, about(file, err))
	}
	if err := decodeAnswer(response, &changed); err != nil {
		return err
	}
	call.pen().changed(changed)
	return nil
}

func listsExport(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	response, err := c.open(ctx, http.MethodGet, listPath(call.args[0])+"/items", http.Header{"Accept": {"text/csv"}}, nil)
	if err != nil {
		return aboutList(ctx, c, call.args[0], err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(call.Out, response.Body); err != nil {
		return fmt.Errorf("the list is not complete: %w", err)
	}
	return nil
}

func listsAdd(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var stay time.Duration
	if text := call.value("for"); call.given("for") {
		if stay, err = parseStay(text); err != nil {
			return &UsageError{Command: "lists add", Message: fmt.Sprintf("--for: %q is not how long the values stay, such as 24h or 30d", text)}
		}
	}
	note := call.value("note")
	items := make([]listItem, len(call.args)-1)
	for i, value := range call.args[1:] {
		items[i] = listItem{Value: value, Note: note}
		if stay > 0 {
			items[i].Expires = time.Now().Add(stay).UTC().Truncate(time.Second)
		}
	}
	var changed changedList
	request := map[string]any{"items": items, "note": note}
	if err := c.post(ctx, listPath(call.args[0])+"/items", request, &changed); err != nil {
		return aboutList(ctx, c, call.args[0], err)
	}
	call.pen().changed(changed)
	return nil
}

// parseStay reads a length of time, which may be in days.
func parseStay(text string) (time.Duration, error) {
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > maxStayDays {
			return 0, fmt.Errorf("%q is not a number of days", days)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	stay, err := time.ParseDuration(text)
	if err == nil && stay <= 0 {
		err = fmt.Errorf("%q is not above zero", text)
	}
	return stay, err
}

// maxStayDays keeps a number of days within what a time.Duration holds.
const maxStayDays = 36_500

// changedList is a list after a change, and what the change did.
type changedList struct {
	listHead
	Added     *int `json:"added"`
	Changed   *int `json:"changed"`
	Unchanged *int `json:"unchanged"`
	Removed   *int `json:"removed"`
}

// changed says what became of a list.
func (p pen) changed(l changedList) {
	var parts []string
	for _, part := range []struct {
		count *int
		word  string
	}{{l.Added, "added"}, {l.Changed, "changed"}, {l.Unchanged, "as before"}, {l.Removed, "removed"}} {
		if part.count != nil && *part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", *part.count, part.word))
		}
	}
	did := ""
	if len(parts) > 0 {
		did = ": " + strings.Join(parts, ", ")
	}
	p.line("The list %s has %s%s.", l.Name, l.size(), did)
}

// aboutList names the list that a refused call was about when there is none, and
// the one that may be meant.
func aboutList(ctx context.Context, c client, name string, err error) error {
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		return err
	}
	var answer struct {
		Lists []listHead `json:"lists"`
	}
	if c.get(ctx, listsPath, &answer) != nil {
		return err // the first answer is what matters
	}
	names := make([]string, len(answer.Lists))
	for i, l := range answer.Lists {
		names[i] = l.Name
	}
	return fmt.Errorf("there is no list %q%s; `sallyport lists ls` lists them", name, didYouMean(name, names))
}

func listsRemove(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	query := url.Values{"value": call.args[1:], "note": {call.value("note")}}
	var changed changedList
	if err := c.send(ctx, http.MethodDelete, listPath(call.args[0])+"/items?"+query.Encode(), "", nil, &changed); err != nil {
		return aboutList(ctx, c, call.args[0], err)
	}
	call.pen().changed(changed)
	return nil
}

func listsDrop(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	if err := c.send(ctx, http.MethodDelete, listPath(call.args[0]), "", nil, nil); err != nil {
		return aboutList(ctx, c, call.args[0], err)
	}
	call.pen().line("Dropped the list %s.", call.args[0])
	return nil
}
