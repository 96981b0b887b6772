package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/bridge"
)

// A value list is a list of the store that the definition in force declares. Its
// alias is the list's name with hyphens. The store keeps items by value; their
// order on the wire, which Terraform compares, is that of their times.

// MaxWireItems is how many items a value list may have to be shown with all of
// them. Longer ones are read page by page through the list's own endpoints.
const MaxWireItems = 50_000

// listPage is how many items are read from the store at a time.
const listPage = 5000

// titleStore changes what people call a list.
type titleStore interface {
	// DescribeList sets title and description; engine.ErrNotFound.
	DescribeList(ctx context.Context, head lists.Head, by string) (lists.Head, error)
}

// listRequest is a value list as it is sent.
type listRequest struct {
	Name     optional[string]            `json:"name"`
	ItemType optional[string]            `json:"itemType"`
	IsActive optional[bool]              `json:"isActive"`
	Items    optional[[]json.RawMessage] `json:"valueListItems"`
}

// items checks what was sent and gives each a time of its own, so that their
// order is kept.
func (r *listRequest) items(typ rules.ListType, now time.Time) ([]lists.Item, error) {
	out := make([]lists.Item, 0, len(r.Items.value))
	seen := make(map[string]bool, len(r.Items.value))
	for i, sent := range r.Items.value {
		field := fmt.Sprintf("valueListItems[%d]", i)
		var value string
		if err := json.Unmarshal(sent, &value); err != nil || len(sent) == 0 || sent[0] != '"' {
			if typ != rules.ListOfNumbers {
				return nil, invalidField(field, "must be a text, not "+valueText(sent)+".")
			}
			value = string(sent)
		}
		canonical, err := lists.Canonical(typ, value)
		if err != nil {
			return nil, invalidField(field, valueText(sent)+" "+err.Error()+".")
		}
		if !seen[canonical] {
			seen[canonical] = true
			out = append(out, lists.Item{Value: canonical, Author: events.ByManagement, AddedAt: now.Add(time.Duration(len(out)) * time.Microsecond)})
		}
	}
	return out, nil
}

// aliasOf is the alias of a value list by its name, as the wire protocol makes
// it: "Blocked countries" becomes blocked-countries.
func aliasOf(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

// noValueList is said of a list that was there a moment ago.
const noValueList = "There is no value list of this alias."

// noneOfAlias says that an alias is none, and which was probably meant.
func (s *Server) noneOfAlias(ctx context.Context, alias string) string {
	text := "There is no value list " + strconv.Quote(alias)
	heads, err := s.config.Store.Lists(ctx)
	if err != nil { // a suggestion is not worth another answer
		return text + "."
	}
	aliases := make([]string, len(heads))
	for i, h := range heads {
		aliases[i] = bridge.ListAlias(h.Name)
	}
	if near := rules.Nearest(alias, aliases); near != "" {
		return text + "; did you mean " + near + "?"
	}
	return text + "."
}

// pathValueList is the list that the path names by its alias.
func (s *Server) pathValueList(ctx context.Context, k *call) (lists.Head, error) {
	alias, err := k.param("alias")
	if err != nil {
		return lists.Head{}, err
	}
	name := bridge.ListName(alias)
	if strings.Contains(alias, "_") || !rules.IsListName(name) {
		return lists.Head{}, notFound(s.noneOfAlias(ctx, alias))
	}
	head, err := s.config.Store.List(ctx, name)
	if errors.Is(err, engine.ErrNotFound) {
		return head, missing(err, s.noneOfAlias(ctx, alias))
	}
	if err != nil {
		return head, fmt.Errorf("read list: %w", err)
	}
	return head, nil
}

// valueListJSON writes a value list. Items that have expired are gone.
func (s *Server) valueListJSON(ctx context.Context, head lists.Head, inactive bool) ([]byte, error) {
	items := []lists.Item{}
	for after, more := "", head.Items <= MaxWireItems; more; {
		page, err := s.config.Store.ListItems(ctx, head.Name, after, listPage)
		if err != nil {
			return nil, missing(fmt.Errorf("read items: %w", err), noValueList)
		}
		items = append(items, page...)
		if more = len(page) == listPage && len(items) <= MaxWireItems; more {
			after = page[len(page)-1].Value
		}
	}
	if head.Items > MaxWireItems || len(items) > MaxWireItems {
		return nil, invalid(fmt.Sprintf("This list has more than %d items. Read them page by page from /v1/management/lists/%s/items.", MaxWireItems, head.Name))
	}
	now := s.now()
	items = slices.DeleteFunc(items, func(i lists.Item) bool { return !i.Expires.IsZero() && !i.Expires.After(now) })
	slices.SortStableFunc(items, func(a, b lists.Item) int { return a.AddedAt.Compare(b.AddedAt) })
	values, itemType := []byte("["), "string"
	for i, item := range items {
		if i > 0 {
			values = append(values, ',')
		}
		if head.Type == rules.ListOfNumbers {
			number, err := strconv.ParseFloat(item.Value, 64)
			if err != nil {
				return nil, fmt.Errorf("read item of %s: %w", head.Name, err)
			}
			values = append(values, with("", number).value...)
			continue
		}
		values = appendString(values, item.Value)
	}
	if head.Type == rules.ListOfNumbers {
		itemType = "number"
	}
	return object(
		with("name", cmp.Or(head.Title, head.Name)), with("alias", bridge.ListAlias(head.Name)), with("itemType", itemType),
		with("isActive", !inactive), member{"valueListItems", append(values, ']')},
	), nil
}

// inactive tells whether the definition says that a list is.
func inactive(d *rules.Definition, name string) bool {
	return slices.ContainsFunc(d.Lists, func(l rules.List) bool { return l.Name == name && l.Inactive })
}

func (s *Server) sendValueList(ctx context.Context, k *call, head lists.Head) error {
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	body, err := s.valueListJSON(ctx, head, inactive(&d, head.Name))
	if err != nil {
		return err
	}
	return k.send(body)
}

// listValueLists lists all lists that are short enough, with their items.
func (s *Server) listValueLists(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	heads, err := s.config.Store.Lists(ctx)
	if err != nil {
		return fmt.Errorf("read lists: %w", err)
	}
	var bodies [][]byte
	left := MaxWireItems
	for _, head := range heads {
		if left -= head.Items; left < 0 {
			return invalid(fmt.Sprintf("The lists have more than %d items together. Read them one by one.", MaxWireItems))
		}
		body, err := s.valueListJSON(ctx, head, inactive(&d, head.Name))
		if err != nil {
			return err
		}
		bodies = append(bodies, body)
	}
	return k.send(array(bodies))
}

func (s *Server) createValueList(k *call) error {
	if err := s.mayEdit(); err != nil {
		return err
	}
	var request listRequest
	if err := k.decodeUpTo(MaxWireList, &request); err != nil {
		return err
	}
	head := lists.Head{Title: request.Name.value, Name: bridge.ListName(aliasOf(request.Name.value))}
	switch request.ItemType.value {
	case "", "string": // lists of addresses are made with the list's own endpoints
		head.Type = rules.ListOfStrings
	case "number":
		head.Type = rules.ListOfNumbers
	default:
		return invalidField("itemType", "must be string or number.")
	}
	if err := checkName("name", head.Title); err != nil {
		return err
	}
	if !rules.IsListName(head.Name) {
		return invalidField("name", "must begin with a letter and have at most 64 characters; its letters from a to z and digits become the list's alias.")
	}
	items, err := request.items(head.Type, s.now())
	if err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	head, err = s.config.Store.CreateList(ctx, head, events.ByManagement)
	if errors.Is(err, engine.ErrConflict) {
		return alreadyThere("There is a value list " + strconv.Quote(aliasOf(request.Name.value)) + " already.")
	}
	if err != nil {
		return fmt.Errorf("create list: %w", err)
	}
	if head, err = s.fillValueList(ctx, k, head, items, request.IsActive); err != nil {
		// Nobody has used it yet, and the caller will try again.
		return errors.Join(err, s.config.Store.DropList(context.WithoutCancel(ctx), head.Name, events.ByManagement))
	}
	s.listsChanged(k)
	return s.sendValueList(ctx, k, head)
}

// fillValueList gives a new list its items and declares it. The head that it
// returns names the list in any case.
func (s *Server) fillValueList(ctx context.Context, k *call, head lists.Head, items []lists.Item, active optional[bool]) (lists.Head, error) {
	filled, err := s.config.Store.ChangeList(ctx, head.Name, items, nil, true, events.ByManagement, "")
	if err != nil {
		return head, fmt.Errorf("fill list: %w", err)
	}
	return filled.Head, s.edit(k, editNote("Value list", head.Title, "created"), func(d *rules.Definition) error {
		declare(d, rules.List{Name: head.Name, Type: head.Type, Inactive: active.sent && !active.value})
		return nil
	})
}

// declare declares a list, in place of another declaration of its name.
func declare(d *rules.Definition, l rules.List) {
	d.Lists = slices.Clone(d.Lists)
	if i := slices.IndexFunc(d.Lists, func(other rules.List) bool { return other.Name == l.Name }); i >= 0 {
		d.Lists[i].Inactive = l.Inactive
		return
	}
	d.Lists = append(d.Lists, l)
}

func (s *Server) showValueList(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	head, err := s.pathValueList(ctx, k)
	if err != nil {
		return err
	}
	return s.sendValueList(ctx, k, head)
}

// changeValueList changes the name, which the alias does not follow, and replaces
// the items, of which those that are sent again stay as they are. Both need no
// approval, since they are no part of a rule set.
func (s *Server) changeValueList(k *call) error {
	var request listRequest
	if err := k.decodeUpTo(MaxWireList, &request); err != nil {
		return err
	}
	if err := errors.Join(request.Name.required("name"), checkName("name", request.Name.value)); err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	head, err := s.pathValueList(ctx, k)
	if err != nil {
		return err
	}
	if itemType := request.ItemType; itemType.sent && (itemType.value == "number") != (head.Type == rules.ListOfNumbers) {
		return invalidField("itemType", "cannot be changed: create another value list.")
	}
	items, err := request.items(head.Type, s.now())
	if err != nil {
		return err
	}
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	if request.IsActive.sent && request.IsActive.value == inactive(&d, head.Name) {
		err := s.edit(k, editNote("Value list", head.Name, "changed"), func(d *rules.Definition) error {
			declare(d, rules.List{Name: head.Name, Type: head.Type, Inactive: !request.IsActive.value})
			return nil
		})
		if err != nil {
			return err
		}
	}
	if request.Name.sent && request.Name.value != head.Title {
		head.Title = request.Name.value
		if head, err = s.config.Store.DescribeList(ctx, head, events.ByManagement); err != nil {
			return missing(fmt.Errorf("rename list: %w", err), noValueList)
		}
	}
	if request.Items.sent {
		if items, err = s.keepItems(ctx, head.Name, items); err != nil {
			return missing(err, noValueList)
		}
		did, err := s.config.Store.ChangeList(ctx, head.Name, items, nil, true, events.ByManagement, "")
		if err != nil {
			return missing(fmt.Errorf("replace items: %w", err), noValueList)
		}
		head = did.Head
		s.listsChanged(k)
	}
	return s.sendValueList(ctx, k, head)
}

// dropValueList takes the declaration away, which fails while a rule tests the
// list, and then the list.
func (s *Server) dropValueList(k *call) error {
	if err := s.mayEdit(); err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	head, err := s.pathValueList(ctx, k)
	if err != nil {
		return err
	}
	var after rules.Definition
	err = s.edit(k, editNote("Value list", head.Name, "removed"), func(d *rules.Definition) error {
		d.Lists = slices.DeleteFunc(slices.Clone(d.Lists), func(l rules.List) bool { return l.Name == head.Name })
		after = *d
		return nil
	})
	if err != nil {
		return stillUsed(err, &after, "The value list "+bridge.ListAlias(head.Name))
	}
	if err := s.config.Store.DropList(ctx, head.Name, events.ByManagement); err != nil {
		return notDropped(err, head.Name, noValueList)
	}
	s.listsChanged(k)
	return k.write(200, done200)
}
