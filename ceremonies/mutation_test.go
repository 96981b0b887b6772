package ceremonies_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// mutations is how many wrong answers of each kind are made of right ones.
const mutations = 2400

// wire is an answer as it is sent, for a mutation to take apart. Response holds the
// decoded bytes of what is signed or compared; nothing else of an answer is in it.
type wire struct {
	ID       []byte
	Response map[string][]byte
}

// read takes an answer apart. Members that are neither signed nor compared with
// something, such as transports and clientExtensionResults, are left out, so that no
// mutation is one of those.
func read(t *testing.T, raw []byte, members ...string) wire {
	t.Helper()
	var parsed struct {
		ID       string                     `json:"id"`
		Response map[string]json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(raw, &parsed); err != nil {
		t.Fatal(err)
	}
	w := wire{Response: map[string][]byte{}}
	var err error
	if w.ID, err = base64.RawURLEncoding.DecodeString(parsed.ID); err != nil {
		t.Fatal(err)
	}
	for _, member := range members {
		var text string
		if err := json.Unmarshal(parsed.Response[member], &text); err != nil {
			t.Fatal(err)
		}
		if w.Response[member], err = base64.RawURLEncoding.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// members is the answer as JSON that a mutation may still change.
func (w wire) members() (answer, response map[string]any) {
	response = map[string]any{}
	for name, value := range w.Response {
		response[name] = base64.RawURLEncoding.EncodeToString(value)
	}
	id := base64.RawURLEncoding.EncodeToString(w.ID)
	return map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response}, response
}

func (w wire) write() []byte {
	answer, _ := w.members()
	return mustJSON(answer)
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// clone is a copy whose bytes can be changed.
func (w wire) clone() wire {
	c := wire{ID: bytes.Clone(w.ID), Response: map[string][]byte{}}
	for name, value := range w.Response {
		c.Response[name] = bytes.Clone(value)
	}
	return c
}

// mutate makes a wrong answer of a right one, and says how. Other is a right answer
// to another challenge, by another passkey. Each kind of mutation changes the bytes
// that a member decodes to, or makes them something that cannot be decoded, so that
// none is equivalent to the right answer.
func mutate(r *rand.Rand, right, other wire) (name string, mutated []byte) {
	names := slices.Sorted(maps.Keys(right.Response))
	field := names[r.IntN(len(names))]
	value := right.Response[field]
	w := right.clone()
	answer, response := w.members()
	switch kind := r.IntN(16); kind {
	case 0, 1, 2, 3, 4: // the most, because fields have many bits
		bit := r.IntN(len(value) * 8)
		if field == "attestationObject" && ofMemberName(value, bit/8) {
			// The library reads the names of the object's three members in either case,
			// so that another case is the same object. Two bits are another name.
			w.Response[field][bit/8] ^= 3 << (bit % 7)
			return fmt.Sprintf("two bits of byte %d of %s", bit/8, field), w.write()
		}
		w.Response[field][bit/8] ^= 1 << (bit % 8)
		return fmt.Sprintf("bit %d of %s", bit, field), w.write()
	case 5:
		n := r.IntN(len(value))
		w.Response[field] = value[:n]
		if field == "userHandle" && n == 0 { // none at all is allowed
			w.Response[field] = value[:1]
		}
		return fmt.Sprintf("%s cut to %d bytes", field, n), w.write()
	case 6:
		w.Response[field] = append(w.Response[field], randomBytes(r, 1+r.IntN(40))...)
		return field + " with bytes behind it", w.write()
	case 7:
		at := r.IntN(len(value))
		w.Response[field] = slices.Insert(w.Response[field], at, randomBytes(r, 1+r.IntN(4))...)
		return fmt.Sprintf("%s with bytes at %d", field, at), w.write()
	case 8:
		w.Response[field] = other.Response[field]
		return field + " of another answer", w.write()
	case 9:
		another := names[(slices.Index(names, field)+1)%len(names)]
		w.Response[field], w.Response[another] = w.Response[another], w.Response[field]
		return field + " and " + another + " in each other's place", w.write()
	case 10:
		if r.IntN(2) == 0 {
			w.ID = other.ID
		} else {
			w.ID[r.IntN(len(w.ID))] ^= byte(1 + r.IntN(255))
		}
		return "another id", w.write()
	case 11:
		wrong := []any{nil, true, 7, 1.5, []any{}, map[string]any{}, []any{response[field]}, map[string]any{field: response[field]}}
		n := r.IntN(len(wrong))
		if field == "userHandle" && n == 0 {
			n = 1
		}
		response[field] = wrong[n]
		return fmt.Sprintf("%s as %v", field, wrong[n]), mustJSON(answer)
	case 12:
		text := response[field].(string)
		bad := []string{"!" + text, text[:1] + "=" + text[1:], text + "*", "%" + text, text + "\u00e9", text[:1] + " " + text[1:], text + "+/"}
		n := r.IntN(len(bad))
		response[field] = bad[n]
		return fmt.Sprintf("%s in a wrong form of base64, %d", field, n), mustJSON(answer)
	case 13: // the last of two members counts, and case does not
		twin := field
		if r.IntN(2) == 0 {
			twin = strings.ToUpper(field)
		}
		w.Response[field] = randomBytes(r, len(value))
		bad := base64.RawURLEncoding.EncodeToString(w.Response[field])
		inner := mustJSON(response)
		inner = append(inner[:len(inner)-1], fmt.Sprintf(",%q:%q}", twin, bad)...)
		answer["response"] = json.RawMessage(inner)
		return fmt.Sprintf("%s and then %s", field, twin), mustJSON(answer)
	case 14:
		key := []string{"id", "rawId", "type", "response"}[r.IntN(4)]
		if r.IntN(2) == 0 {
			delete(answer, key)
		} else {
			answer[key] = []any{nil, 1, "", []any{}, "public_key"}[r.IntN(5)]
		}
		return "another " + key, mustJSON(answer)
	default:
		raw := right.write()
		if r.IntN(2) == 0 {
			n := r.IntN(len(raw))
			return fmt.Sprintf("cut to %d bytes", n), raw[:n]
		}
		return "with bytes behind it", append(raw, []byte("{}\x00x]1")[r.IntN(6)])
	}
}

// ofMemberName reports whether a byte of an attestation object is of one of its three
// members' names.
func ofMemberName(object []byte, at int) bool {
	for _, name := range []string{"\x63fmt", "\x67attStmt", "\x68authData"} {
		if begin := bytes.Index(object, []byte(name)); begin >= 0 && at > begin && at < begin+len(name) {
			return true
		}
	}
	return false
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// refusedMutation checks that an error is a refusal and says whether the challenge
// was used up for it.
func refusedMutation(t *testing.T, seed int, name string, err error) (usedUp bool) {
	t.Helper()
	var refused *ceremonies.RefusedError
	switch {
	case err == nil:
		t.Fatalf("mutation %d was accepted: %s", seed, name)
	case !errors.As(err, &refused):
		t.Fatalf("mutation %d, %s, is a fault: %v", seed, name, err)
	}
	return refused.Reason != ceremonies.ReasonMalformed
}

func TestMutatedRegistrationsAreRefused(t *testing.T) {
	w := ceremonytest.New(t)
	s, stranger := ceremonytest.NewSoftware(t, ceremonytest.ES256), ceremonytest.NewSoftware(t, ceremonytest.ES256)
	members := []string{"clientDataJSON", "attestationObject"}
	grant := w.TrackNew("anna")
	before := w.Account("anna")
	// Self attestation signs all that there is. Under "none" the client data and
	// most of the authenticator data are the client's word, and any are right.
	begin := func() (events.ChallengeID, wire, wire) {
		enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		right := read(t, s.Create(enrolment.Options).SelfAttested(s.Key).Write(), members...)
		enrolment.Options.Challenge = randomBytes(rand.New(rand.NewPCG(1, 1)), 32)
		other := read(t, stranger.Create(enrolment.Options).SelfAttested(stranger.Key).Write(), members...)
		return enrolment.Challenge, right, other
	}
	id, right, other := begin()
	taken := 0
	for seed := range mutations {
		name, mutated := mutate(rand.New(rand.NewPCG(uint64(seed), 7)), right, other)
		_, err := w.RP.FinishEnrolment(t.Context(), grant, id, mutated, ceremonies.Client{})
		if refusedMutation(t, seed, name, err) {
			taken++
			id, right, other = begin()
		}
	}
	if diff := cmp.Diff(before, w.Account("anna")); diff != "" {
		t.Errorf("the account has changed (-before +after):\n%s", diff)
	}
	wantAction(t, w, grant, events.StateAllow, 0)
	if _, err := w.RP.FinishEnrolment(t.Context(), grant, id, right.write(), ceremonies.Client{}); err != nil {
		t.Errorf("the right answer: %v", err)
	}
	t.Logf("%d mutations, of which %d were read and verified", mutations, taken)
}

func TestMutatedAuthenticationsAreRefused(t *testing.T) {
	for name, algorithm := range map[string]int64{"ES256": ceremonytest.ES256, "EdDSA": ceremonytest.EdDSA, "RS256": ceremonytest.RS256} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t, func(c *ceremonies.Config) { c.Tries = mutations + 1 })
			s, stranger := ceremonytest.NewSoftware(t, algorithm), ceremonytest.NewSoftware(t, algorithm)
			stranger.Counter = 9 // else both passkeys have the same authenticator data
			w.EnrolSoftware("anna", s)
			w.EnrolSoftware("bert", stranger)
			w.Clock.Move(time.Second)
			grant := w.Track("anna", events.StateChallengeRequired, "")
			members := []string{"clientDataJSON", "authenticatorData", "signature", "userHandle"}
			before := w.Account("anna")
			strangers := w.Begin(w.Track("bert", events.StateChallengeRequired, ""))
			other := read(t, stranger.Get(strangers.Options).Write(), members...)
			begin := func() (events.ChallengeID, wire) {
				begun := w.Begin(grant)
				return begun.Challenge, read(t, s.Get(begun.Options).Write(), members...)
			}
			id, right := begin()
			tries, runs := 0, mutations/3
			for seed := range runs {
				name, mutated := mutate(rand.New(rand.NewPCG(uint64(seed), uint64(-algorithm))), right, other)
				_, err := w.RP.FinishStepUp(t.Context(), grant, id, mutated, ceremonies.Client{})
				if refusedMutation(t, seed, name, err) {
					tries++
					id, right = begin()
				}
			}
			if diff := cmp.Diff(before, w.Account("anna")); diff != "" {
				t.Errorf("the account has changed (-before +after):\n%s", diff)
			}
			wantAction(t, w, grant, events.StateChallengeRequired, tries)
			if _, err := w.RP.FinishStepUp(t.Context(), grant, id, right.write(), ceremonies.Client{}); err != nil {
				t.Errorf("the right answer: %v", err)
			}
			t.Logf("%d mutations, of which %d were read and verified", runs, tries)
		})
	}
}
