package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// draftCommands are those about rule sets on their way.
func draftCommands() []command {
	return []command{
		{
			name: "drafts ls", group: "Drafts",
			short: "list the drafts of rule sets",
			long:  `Lists the drafts, the one that was saved last first.` + clientHelp,
			flags: jsonFlag,
			run:   draftsLs,
		},
		{
			name: "drafts show", args: "DRAFT", group: "Drafts",
			short: "show what a draft changes and what is wrong",
			long: `Shows what publishing the draft would change, its problems and findings, and
whether its tests pass. DRAFT is its id, or the beginning of it. With --yaml it
prints the rule set itself, for "rules apply" or an editor.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.Bool("yaml", false, "print the rule set")
				jsonFlag(f)
			},
			run: draftsShow,
		},
		{
			name: "drafts save", args: "DRAFT FILE", group: "Drafts",
			short: "save a file as the next revision of a draft",
			long: `Saves the rule set in FILE ("-" reads standard input) as the newest revision of a
draft, which drops the approvals of the one before, and says what keeps it from
being published. With --revision, the server refuses it if somebody has saved a
later one than N. A draft whose set is not in force any more cannot be published:
take the changes over into FILE, then say with --base what they come from.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("title", "", "another title")
				f.Int("base", -1, "number of the rule set that FILE changes; that of the draft when left out")
				f.Int("revision", -1, "refuse unless revision N is the newest")
				jsonFlag(f)
			},
			run: draftsSave,
		},
		{
			name: "drafts approve", args: "DRAFT", group: "Drafts",
			short: "tell where an operator approves a draft",
			long: `Prints the address of the draft's page in the console, where an operator who
did not work on it approves it. An approval is a second person's word. The
management secret is nobody in particular, so this command cannot give it.` + clientHelp,
			run: draftsApprove,
		},
		{
			name: "drafts publish", args: "DRAFT", group: "Drafts",
			short: "publish a draft",
			long: `Publishes the newest revision of a draft as the next rule set. The server
refuses it while it has a problem, while a test fails, when another set was
published since it began, and, with SALLYPORT_RULES_APPROVAL=required, until an
operator who did not work on it has approved it in the console.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("note", "", "why the rules change; the draft's title when left out")
				jsonFlag(f)
			},
			run: draftsPublish,
		},
		{
			name: "drafts delete", args: "DRAFT", group: "Drafts",
			short: "delete a draft",
			long:  `Deletes a draft and all its revisions.` + clientHelp,
			run:   draftsDelete,
		},
	}
}

// draftsPath is where a server has its drafts.
const draftsPath = "/v1/management/drafts"

// draftHead is a draft without its definition.
type draftHead struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Base      int       `json:"base"`
	Revision  int       `json:"revision"`
	Author    string    `json:"author"`
	Authors   []string  `json:"authors"`
	UpdatedAt time.Time `json:"updatedAt"`
	Approvals []struct {
		By string    `json:"by"`
		At time.Time `json:"at"`
	} `json:"approvals"`
	Approved bool `json:"approved"`
}

// draftList is every draft, and what they are compared with.
type draftList struct {
	Current          int         `json:"current"` // number of the set in force
	ApprovalRequired bool        `json:"approvalRequired"`
	Drafts           []draftHead `json:"drafts"`
}

// state says what a draft waits for.
func (l draftList) state(d draftHead) string {
	switch {
	case d.Base != l.Current:
		return fmt.Sprintf("set %d is in force by now", l.Current)
	case d.Approved:
		return "approved"
	case l.ApprovalRequired:
		return "waits for approval"
	}
	return "can be published"
}

// shortID is as much of an id as people need.
func shortID(id string) string { return id[:min(len(id), len("draft-")+6)] }

// draft finds the draft whose id begins with text.
func (c client) draft(ctx context.Context, text string) (draftHead, draftList, error) {
	var list draftList
	if err := c.get(ctx, draftsPath, &list); err != nil {
		return draftHead{}, list, err
	}
	var found []draftHead
	for _, d := range list.Drafts {
		if text != "" && (strings.HasPrefix(d.ID, text) || strings.HasPrefix(strings.TrimPrefix(d.ID, "draft-"), text)) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], list, nil
	case 0:
		return draftHead{}, list, fmt.Errorf("there is no draft %q; `sallyport drafts ls` lists them", text)
	}
	return draftHead{}, list, fmt.Errorf("%d drafts begin with %q; write more of the id", len(found), text)
}

// saveDraft keeps a rule set as a new draft.
func (c call) saveDraft(ctx context.Context, to client, text []byte, read checked) error {
	title := strings.TrimSpace(c.value("draft"))
	var list draftList
	if err := to.get(ctx, draftsPath, &list); err != nil {
		return err
	}
	query := url.Values{"title": {title}, "base": {strconv.Itoa(list.Current)}}
	if c.given("base") {
		query.Set("base", c.value("base"))
	}
	if err := c.keepDraft(ctx, to, http.MethodPost, draftsPath+"?"+query.Encode(), text, read); err != nil || c.json() {
		return err
	}
	for _, d := range list.Drafts {
		if d.Title == title {
			c.pen().line("There was a draft of this title before, %s; `sallyport drafts save %s FILE` saves a revision of it instead.",
				shortID(d.ID), shortID(d.ID))
			break
		}
	}
	return nil
}

// keepDraft sends a draft to the server and says what changes and what is wrong.
// A draft need not compile, but it must be possible to read it.
func (c call) keepDraft(ctx context.Context, to client, method, path string, text []byte, read checked) error {
	file := c.args[len(c.args)-1]
	if !read.parsed {
		return read.refusal(file, "nothing was saved")
	}
	current, number, err := to.definitionOf(ctx, "current")
	if err != nil {
		return err
	}
	var saved draftHead
	if err := to.send(ctx, method, path, "application/yaml", text, &saved); err != nil {
		return about(file, err)
	}
	if c.json() {
		return c.asJSON(saved)
	}
	p, changes := c.pen(), rules.Diff(&current, &read.definition)
	if len(changes) == 0 {
		p.line("Nothing differs from rule set %d, which is in force.", number)
	} else {
		p.line("%s\n", p.in(bold, fmt.Sprintf("From rule set %d, which is in force:", number)))
		p.changes(changes)
	}
	p.line("")
	p.problems(file, read.problems)
	p.tests(read.tests)
	if saved.Revision > 1 {
		p.line("%s", p.in(bold, fmt.Sprintf("Saved as revision %d of the draft %s, “%s”.", saved.Revision, shortID(saved.ID), saved.Title)))
	} else {
		p.line("%s", p.in(bold, fmt.Sprintf("Saved as the draft %s, “%s”.", shortID(saved.ID), saved.Title)))
	}
	switch failed := read.failed(); {
	case len(read.problems) > 0:
		p.line("It cannot be published yet: it has %s.", plural(len(read.problems), "problem", "problems"))
	case failed > 0:
		p.line("It cannot be published yet: %d of %s.", failed, plural(len(read.tests), "test fails", "tests fail"))
	}
	return nil
}

func draftsSave(ctx context.Context, call call) error {
	text, err := readInput(call.args[1])
	if err != nil {
		return err
	}
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	read, err := checkRules(ctx, text)
	if err != nil {
		return err
	}
	head, _, err := c.draft(ctx, call.args[0])
	if err != nil {
		return err
	}
	query := url.Values{"revision": {strconv.Itoa(head.Revision)}}
	for _, name := range []string{"title", "base", "revision"} {
		if call.given(name) {
			query.Set(name, call.value(name))
		}
	}
	return call.keepDraft(ctx, c, http.MethodPut, draftsPath+"/"+url.PathEscape(head.ID)+"?"+query.Encode(), text, read)
}

func draftsLs(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var list draftList
	if err := c.get(ctx, draftsPath, &list); err != nil {
		return err
	}
	if call.json() {
		return call.asJSON(list)
	}
	p := call.pen()
	if len(list.Drafts) == 0 {
		p.line("There are no drafts. `sallyport rules apply FILE --draft TITLE` saves one.")
		return nil
	}
	var rows [][]string
	for _, d := range list.Drafts {
		rows = append(rows, []string{
			shortID(d.ID), strconv.Itoa(d.Base), strconv.Itoa(d.Revision), when(d.UpdatedAt), d.Author, list.state(d), d.Title,
		})
	}
	p.table([]string{"DRAFT", "FROM SET", "REVISION", "SAVED", "BY", "STATE", "TITLE"}, rows)
	return nil
}

func draftsShow(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	head, list, err := c.draft(ctx, call.args[0])
	if err != nil {
		return err
	}
	path := draftsPath + "/" + url.PathEscape(head.ID)
	response, err := c.open(ctx, http.MethodGet, path, http.Header{"Accept": {"application/yaml"}}, nil)
	if err != nil {
		return err
	}
	text, err := readAnswer(response)
	if err != nil {
		return err
	}
	if call.value("yaml") == "true" {
		return call.writeRules(text)
	}
	definition, err := rules.ParseYAML(text)
	if err != nil {
		return fmt.Errorf("read the draft: %w", err)
	}
	current, _, err := c.definitionOf(ctx, "current")
	if err != nil {
		return err
	}
	var checked struct {
		Problems []rules.Problem `json:"problems"`
		Findings []finding       `json:"findings"`
	}
	if err := c.post(ctx, path+"/check", struct{}{}, &checked); err != nil {
		return err
	}
	var tested struct {
		Tests []rules.TestResult `json:"tests"`
	}
	if err := c.post(ctx, path+"/test", struct{}{}, &tested); err != nil {
		return err
	}
	changes := rules.Diff(&current, &definition)
	if call.json() {
		return call.asJSON(struct {
			draftHead
			Changes  []rules.Change     `json:"changes"`
			Problems []rules.Problem    `json:"problems"`
			Findings []finding          `json:"findings"`
			Tests    []rules.TestResult `json:"tests"`
		}{head, changes, checked.Problems, checked.Findings, tested.Tests})
	}
	p := call.pen()
	p.line("%s  %s", p.in(bold, head.Title), p.in(dim, head.ID))
	p.line("revision %d by %s, %s; from rule set %d; %s", head.Revision, head.Author, when(head.UpdatedAt), head.Base, list.state(head))
	for _, a := range head.Approvals {
		p.line("%s", p.in(green, fmt.Sprintf("✓ approved by %s, %s", a.By, when(a.At))))
	}
	p.line("")
	if len(changes) == 0 {
		p.line("  Nothing differs from rule set %d, which is in force.", list.Current)
	}
	p.changes(changes)
	p.line("")
	for _, problem := range checked.Problems {
		p.line("  %s %s", p.in(red, "✗"), problemLine("", problem))
	}
	p.findings(checked.Findings)
	p.tests(tested.Tests)
	return nil
}

// draftPage is the address of a draft's page in the console.
func (c client) draftPage(id string) string {
	return c.base + "/console/rules?" + url.Values{"draft": {id}}.Encode()
}

func draftsApprove(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	head, _, err := c.draft(ctx, call.args[0])
	if err != nil {
		return err
	}
	p := call.pen()
	if head.Approved {
		p.line("Revision %d of “%s” is approved. Its page:", head.Revision, head.Title)
	} else {
		p.line("Only a person can approve “%s”: an operator who did not work on it, in the console:", head.Title)
	}
	p.line("%s", c.draftPage(head.ID))
	return nil
}

func draftsPublish(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	head, list, err := c.draft(ctx, call.args[0])
	if err != nil {
		return err
	}
	var published publishedSet
	request := map[string]any{"revision": head.Revision, "note": call.value("note")}
	if err := c.post(ctx, draftsPath+"/"+url.PathEscape(head.ID)+"/publish", request, &published); err != nil {
		var refused *RefusedError
		if errors.As(err, &refused) && refused.Status == http.StatusConflict && head.Base != list.Current {
			return fmt.Errorf("%w\n`sallyport rules diff --server FILE` shows what differs from rule set %d; "+
				"`sallyport drafts save %s FILE --base %d` saves a revision that takes it into account",
				err, list.Current, shortID(head.ID), list.Current)
		}
		return unapproved(err, "“"+head.Title+"”", "`sallyport drafts approve "+shortID(head.ID)+"` tells where")
	}
	if call.json() {
		return call.asJSON(published)
	}
	p := call.pen()
	p.line("%s", p.in(bold, fmt.Sprintf("Published “%s” as rule set %d.", head.Title, published.Number)))
	return nil
}

func draftsDelete(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	head, _, err := c.draft(ctx, call.args[0])
	if err != nil {
		return err
	}
	if err := c.send(ctx, http.MethodDelete, draftsPath+"/"+url.PathEscape(head.ID), "", nil, nil); err != nil {
		return err
	}
	call.pen().line("Deleted the draft “%s”.", head.Title)
	return nil
}
