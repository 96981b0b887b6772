package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// A custom data point is a field of the definition. Its id is whose value it is
// and its name, such as action-amount: names hold no dash.

// dataTypes are the types of the wire protocol that a field can have.
var dataTypes = map[string]rules.FieldType{"text": rules.TypeString, "number": rules.TypeNumber, "boolean": rules.TypeBool}

// fieldRequest is a custom data point as it is sent.
type fieldRequest struct {
	Name        optional[string] `json:"name"`
	DataType    optional[string] `json:"dataType"`
	ModelType   optional[string] `json:"modelType"`
	Description optional[string] `json:"description"`
	IsPublic    optional[bool]   `json:"isPublic"`
}

// field is the field that a complete request declares.
func (r *fieldRequest) field() (rules.Field, error) {
	f := rules.Field{Name: r.Name.value, Type: dataTypes[r.DataType.value], Description: r.Description.value, Public: r.IsPublic.value}
	switch {
	case r.DataType.value == "multiselect":
		return f, invalidField("dataType", "multiselect is not available here: send one value as text, or each choice as a boolean of its own.")
	case f.Type == "":
		return f, invalidField("dataType", "must be text, number or boolean.")
	}
	switch r.ModelType.value {
	case string(rules.OfUser):
		f.Scope = rules.OfUser
	case string(rules.OfAction):
		f.Scope = rules.OfAction
	default:
		return f, invalidField("modelType", "must be action or user.")
	}
	return f, nil
}

func fieldID(f *rules.Field) string {
	if f.Scope == rules.OfUser {
		return string(rules.OfUser) + "-" + f.Name
	}
	return string(rules.OfAction) + "-" + f.Name
}

func indexOfField(d *rules.Definition, id string) int {
	return slices.IndexFunc(d.Fields, func(f rules.Field) bool { return fieldID(&f) == id })
}

func fieldJSON(f *rules.Field) []byte {
	var dataType string
	for name, typ := range dataTypes {
		if typ == f.Type {
			dataType = name
		}
	}
	model, _, _ := strings.Cut(fieldID(f), "-")
	return object(
		with("id", fieldID(f)), with("name", f.Name), with("dataType", dataType), with("modelType", model),
		member{"description", appendString(nil, f.Description)}, with("isPublic", f.Public),
	)
}

const noField = "There is no custom data point of this id."

func (s *Server) listFields(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	items := make([][]byte, len(d.Fields))
	for i := range d.Fields {
		items[i] = fieldJSON(&d.Fields[i])
	}
	return k.send(array(items))
}

func (s *Server) createField(k *call) error {
	var request fieldRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	field, err := request.field()
	if err != nil {
		return err
	}
	err = s.edit(k, editNote("Custom data point", field.Name, "created"), func(d *rules.Definition) error {
		if indexOfField(d, fieldID(&field)) >= 0 {
			return alreadyThere("There is a custom data point " + strconv.Quote(field.Name) + " already.")
		}
		d.Fields = append(slices.Clone(d.Fields), field)
		return nil
	})
	if err != nil {
		return err
	}
	return k.send(fieldJSON(&field))
}

func (s *Server) showField(k *call) error {
	id, err := k.param("id")
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	i := indexOfField(&d, id)
	if i < 0 {
		return notFound(noField)
	}
	return k.send(fieldJSON(&d.Fields[i]))
}

// changeField changes what is said of a field. Its name and type stay, since
// conditions and recorded values depend on them.
func (s *Server) changeField(k *call) error {
	id, err := k.param("id")
	if err != nil {
		return err
	}
	var request fieldRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	var changed rules.Field
	err = s.edit(k, editNote("Custom data point", id, "changed"), func(d *rules.Definition) error {
		i := indexOfField(d, id)
		if i < 0 {
			return notFound(noField)
		}
		changed = d.Fields[i]
		model, _, _ := strings.Cut(id, "-")
		switch {
		case request.Name.sent && request.Name.value != changed.Name:
			return invalidField("name", "cannot be changed: create another custom data point.")
		case request.DataType.sent && dataTypes[request.DataType.value] != changed.Type:
			return invalidField("dataType", "cannot be changed: create another custom data point.")
		case request.ModelType.sent && request.ModelType.value != model:
			return invalidField("modelType", "cannot be changed: create another custom data point.")
		}
		request.Description.set(&changed.Description)
		request.IsPublic.set(&changed.Public)
		d.Fields = slices.Clone(d.Fields)
		d.Fields[i] = changed
		return nil
	})
	if err != nil {
		return err
	}
	return k.send(fieldJSON(&changed))
}

// dropField removes a field that no rule reads.
func (s *Server) dropField(k *call) error {
	id, err := k.param("id")
	if err != nil {
		return err
	}
	var after rules.Definition
	err = s.edit(k, editNote("Custom data point", id, "removed"), func(d *rules.Definition) error {
		i := indexOfField(d, id)
		if i < 0 {
			return notFound(noField)
		}
		d.Fields = slices.Delete(slices.Clone(d.Fields), i, i+1)
		after = *d
		return nil
	})
	if err != nil {
		return stillUsed(err, &after, "The custom data point "+id)
	}
	return k.write(200, done200)
}
