package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// maxAttribute is the longest attribute of a user in bytes, maxCustom that of
// the custom data together.
const (
	maxAttribute = 1 << 10
	maxCustom    = 16 << 10
)

// userStore keeps users.
type userStore interface {
	// User reads one user and whether there is one.
	User(ctx context.Context, id events.UserID) (engine.User, bool, error)
	// Users reads a page of users and the id that the next page follows, "" on the
	// last.
	Users(ctx context.Context, filter engine.UserFilter) (users []engine.User, next events.UserID, err error)
	// UpdateUser changes attributes and returns the user afterwards. A user who is
	// not known is created.
	UpdateUser(ctx context.Context, id events.UserID, changes engine.UserChanges, by string) (engine.User, error)
	// DeleteUser ends a user and all tokens; a user who is not known is no error.
	DeleteUser(ctx context.Context, id events.UserID, by string) error
}

// wireUser is one user (GetUserResponse, and QueryUsers with an id).
type wireUser struct {
	UserID              events.UserID   `json:"userId,omitempty"`
	IsEnrolled          bool            `json:"isEnrolled"`
	Email               string          `json:"email,omitempty"`
	EmailVerified       bool            `json:"emailVerified"`
	PhoneNumber         string          `json:"phoneNumber,omitempty"`
	PhoneNumberVerified bool            `json:"phoneNumberVerified"`
	Username            string          `json:"username,omitempty"`
	DisplayName         string          `json:"displayName,omitempty"`
	Custom              json.RawMessage `json:"custom,omitempty"`
	Enrolled            []events.Method `json:"enrolledVerificationMethods"`
	Allowed             []events.Method `json:"allowedVerificationMethods"`
	Default             events.Method   `json:"defaultVerificationMethod,omitempty"`
	CreatedAt           wireTime        `json:"createdAt,omitzero"`
}

func (s *Server) userOf(u engine.User) wireUser {
	out := wireUser{
		IsEnrolled: len(u.Methods) > 0, Email: u.Email, EmailVerified: u.EmailVerified,
		PhoneNumber: u.PhoneNumber, PhoneNumberVerified: u.PhoneNumberVerified,
		Username: u.Username, DisplayName: u.DisplayName, Custom: u.Custom,
		Enrolled: append([]events.Method{}, u.Methods...), Allowed: s.methods, CreatedAt: wireTime(u.CreatedAt),
	}
	if out.IsEnrolled {
		out.Default = u.Methods[0] // they begin with that of the preferred authenticator
	}
	return out
}

// queryUsers finds users by an attribute, or the user of a token.
func (s *Server) queryUsers(k *call) error {
	filter := engine.UserFilter{
		Username: k.QueryParam("username"), Email: k.QueryParam("email"), PhoneNumber: k.QueryParam("phoneNumber"),
		After: events.UserID(k.QueryParam("lastEvaluatedUserId")),
	}
	if limit := k.QueryParam("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > events.MaxPage {
			return invalidField("limit", fmt.Sprintf("must be a number from 1 to %d.", events.MaxPage))
		}
		filter.Limit = n
	}
	answer := struct {
		Users []wireUser    `json:"users"`
		Last  events.UserID `json:"lastEvaluatedUserId,omitempty"`
	}{Users: []wireUser{}}
	ctx, cancel := k.within()
	defer cancel()

	if token := k.QueryParam("token"); token != "" {
		grant, err := s.config.Party.Authorize(ctx, token, ceremonies.UseAccess, ceremonies.UseResult)
		if err != nil {
			return fmt.Errorf("query users by token: %w", err)
		}
		user, _, err := s.config.Store.User(ctx, grant.Action.User)
		if err != nil {
			return fmt.Errorf("query users by token: %w", err)
		}
		row := s.userOf(user)
		row.UserID = grant.Action.User
		answer.Users = append(answer.Users, row)
		return k.ok(answer)
	}
	if filter.Username == "" && filter.Email == "" && filter.PhoneNumber == "" {
		return invalid("Name at least one of username, email, phoneNumber and token.")
	}
	users, next, err := s.config.Store.Users(ctx, filter)
	if err != nil {
		return fmt.Errorf("query users: %w", err)
	}
	for _, u := range users {
		row := s.userOf(u)
		row.UserID = u.ID
		answer.Users = append(answer.Users, row)
	}
	answer.Last = next
	return k.ok(answer)
}

// getUser reads one user. One who is not known is a user without authenticators
// and not a 404: that is what the SDKs' tests expect (CONTRACT 1.2).
func (s *Server) getUser(k *call) error {
	id, err := k.user()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	user, _, err := s.config.Store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("get user: %w", err)
	}
	return k.ok(s.userOf(user))
}

// userAttributes is what a backend may set (UserAttributes). In a request an
// absent field stays as it is and null clears one.
type userAttributes struct {
	Email               *string         `json:"email,omitempty"`
	EmailVerified       *bool           `json:"emailVerified,omitempty"`
	PhoneNumber         *string         `json:"phoneNumber,omitempty"`
	PhoneNumberVerified *bool           `json:"phoneNumberVerified,omitempty"`
	Username            *string         `json:"username,omitempty"`
	DisplayName         *string         `json:"displayName,omitempty"`
	Locale              *string         `json:"locale,omitempty"`
	Custom              json.RawMessage `json:"custom,omitempty"`
}

// updateUser sets attributes and answers with all of them as they are now.
func (s *Server) updateUser(k *call) error {
	id, err := k.user()
	if err != nil {
		return err
	}
	changes, err := k.userChanges()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	user, err := s.config.Store.UpdateUser(ctx, id, changes, events.ByApplication)
	if err != nil {
		return fmt.Errorf("update user: %w", err)
	}
	return k.ok(userAttributes{
		Email: unlessEmpty(user.Email), EmailVerified: &user.EmailVerified,
		PhoneNumber: unlessEmpty(user.PhoneNumber), PhoneNumberVerified: &user.PhoneNumberVerified,
		Username: unlessEmpty(user.Username), DisplayName: unlessEmpty(user.DisplayName),
		Locale: unlessEmpty(user.Locale), Custom: user.Custom,
	})
}

// userChanges reads and checks the attributes to set.
func (k *call) userChanges() (engine.UserChanges, error) {
	var sent map[string]json.RawMessage
	if err := k.decode(&sent); err != nil {
		return engine.UserChanges{}, err
	}
	var c engine.UserChanges
	for name, target := range map[string]**string{
		"email": &c.Email, "phoneNumber": &c.PhoneNumber, "username": &c.Username, "displayName": &c.DisplayName, "locale": &c.Locale,
	} {
		value, err := attribute[string](sent, name, "must be a string or null.")
		if err != nil {
			return c, err
		}
		if value != nil {
			if err := checkName(name, *value); err != nil {
				return c, err
			}
		}
		*target = value
	}
	var err error
	if c.EmailVerified, err = attribute[bool](sent, "emailVerified", "must be true, false or null."); err != nil {
		return c, err
	}
	if c.PhoneNumberVerified, err = attribute[bool](sent, "phoneNumberVerified", "must be true, false or null."); err != nil {
		return c, err
	}
	if raw, found := sent["custom"]; found {
		if len(raw) > maxCustom {
			return c, invalidField("custom", fmt.Sprintf("is longer than %d KiB.", maxCustom>>10))
		}
		if _, raw, err = customValues(raw); err != nil {
			return c, err
		}
		c.Custom = &raw
	}
	return c, nil
}

// attribute is nil when name was not sent and points to the zero value when it
// was sent as null.
func attribute[T any](sent map[string]json.RawMessage, name, must string) (*T, error) {
	raw, found := sent[name]
	if !found {
		return nil, nil
	}
	value := new(T)
	if err := json.Unmarshal(raw, value); err != nil {
		return nil, invalidField(name, must)
	}
	return value, nil
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// deleteUser ends a user. Deleting one twice is fine.
func (s *Server) deleteUser(k *call) error {
	id, err := k.user()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	if err := s.config.Store.DeleteUser(ctx, id, events.ByApplication); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return k.write(http.StatusOK, done200)
}
