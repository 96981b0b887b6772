package pages

import (
	"fmt"
	"strings"
)

// texts are the words of the page in one language, by key. {brand} and {host}
// stand for the application's name and the host that the person goes back to.
//
// Notes have a title and a text. Keys under "say" are what the script can say
// when a ceremony did not work out: what happened, who can act, no blame.
type texts map[string]string

// English is the only language so far; others join as further tables.
const English = "en"

// languages are the tables that there are, by language tag.
func languages() map[string]texts {
	return map[string]texts{English: {
		"title": "Confirm it's you – {brand}",

		"ask.title":   "Confirm it's you",
		"ask.asks":    "{brand} asks you to approve:",
		"ask.plain":   "{brand} asks you to confirm that it's you.",
		"ask.who":     "Signed in as",
		"ask.button":  "Continue with passkey",
		"ask.waiting": "Waiting for your passkey…",
		"ask.follow":  "Follow the steps your device shows.",
		"ask.hint":    "Your device asks for your fingerprint, face or screen lock.",
		"ask.privacy": "We never see your fingerprint or face.",
		"ask.other":   "You can also use your phone or a security key.",
		"ask.again":   "Try again",
		"ask.deny":    "I didn't ask for this",

		"help.title": "Don't have your passkey here?",
		"help.phone": "On another device: try again and choose “phone or tablet” in the window your browser opens.",
		"help.key":   "On a security key: plug it in or hold it close, then try again.",
		"help.back":  "Go back to {host} without approving",
		"help.quit":  "Close this page, and nothing is approved.",

		"deny.title": "Stop this request?",
		"deny.text":  "If you didn't ask for this, somebody else may be using your account. We'll stop the request and tell {brand}.",
		"deny.yes":   "Yes, stop it",
		"deny.no":    "No, go back",

		"enrol.title":   "Create a passkey",
		"enrol.text":    "Next time, confirm it's you with your fingerprint, face or screen lock. There is no code to type and nothing to remember.",
		"enrol.button":  "Create a passkey",
		"enrol.waiting": "Creating your passkey…",
		"enrol.later":   "Not now",
		"enrol.after":   "That worked. One more step.",

		"done.title":    "All done",
		"done.ready":    "Your passkey is ready",
		"done.already":  "You already have a passkey here",
		"done.taken":    "You're being taken back to {host}.",
		"done.close":    "You can close this page and go back to {brand}.",
		"done.continue": "Continue to {host}",

		"note.back": "Go back to {host}",

		"note.expired.title":     "This request has run out",
		"note.expired.text":      "Nothing was approved. Go back to {brand} and start again.",
		"note.used.title":        "This link was opened before",
		"note.used.text":         "To keep you safe it opens only once, in one browser. Go back to {brand} and start again.",
		"note.gone.title":        "This request is closed",
		"note.gone.text":         "There is nothing to confirm here any more. Go back to {brand} and start again if you need to.",
		"note.denied.title":      "Thank you for telling us",
		"note.denied.text":       "We stopped this request and told {brand}. If somebody else may know your password, change it there.",
		"note.tries.title":       "Let's stop here",
		"note.tries.text":        "That didn't work several times, so we closed this request to keep your account safe. Go back to {brand} to start again, or ask its support for help.",
		"note.failed.title":      "This request is closed",
		"note.failed.text":       "It was not approved. Go back to {brand} and start again if you need to.",
		"note.blocked.title":     "This can't go ahead",
		"note.blocked.text":      "{brand} can't do this right now. If you think that's a mistake, ask its support for help.",
		"note.review.title":      "This is being checked",
		"note.review.text":       "{brand} is taking a closer look. There is nothing for you to do here.",
		"note.nothing.title":     "Nothing to do",
		"note.nothing.text":      "This needs no confirmation. You can go back to {brand}.",
		"note.unable.title":      "We can't confirm it here",
		"note.unable.text":       "Your account has no passkey that can approve this. Go back to {brand}, or ask its support for help.",
		"note.unsupported.title": "This browser can't use passkeys",
		"note.unsupported.text":  "Open {brand} in an up-to-date browser and start again there. If you came here from inside another app, use your phone's own browser.",
		"note.trouble.title":     "Something went wrong",
		"note.trouble.text":      "It's our fault, not yours. Please load this page again in a moment.",

		"say.cancelled":   "Your passkey was not used. Try again, or use another way if you don't have it here.",
		"say.absent":      "It looks like your passkey isn't on this device. Try again, or use another way below.",
		"say.unknown":     "That passkey is no longer linked to your account. Try another one.",
		"say.rejected":    "We couldn't check that passkey. Try again, or use another one.",
		"say.slow":        "That took too long. Please try again.",
		"say.address":     "Passkeys don't work at this address. Go back to {brand} and open this page again.",
		"say.offline":     "We couldn't reach {brand}. Check your connection and try again.",
		"say.often":       "That was too often. Wait a few seconds, then try again.",
		"say.other":       "Something went wrong. Please try again.",
		"say.unsaved":     "No passkey was saved. You can try again, or leave it for now.",
		"say.unsupported": "This device can't save a passkey. Leave it for now, or use a security key.",
		"say.reference":   "Reference for support:",

		"noscript": "This page talks to your passkey with JavaScript, which is turned off. Turn it on and load the page again.",
	}}
}

// text is one text with its names filled in. An unknown key is an error of the
// program, and the template stops at it.
func (t texts) text(key, brand, host string) (string, error) {
	text, ok := t[key]
	if !ok {
		return "", fmt.Errorf("there is no text %q", key)
	}
	return fill(text, brand, host), nil
}

// under returns the texts whose keys begin with one of the prefixes, filled in.
func (t texts) under(brand, host string, prefixes ...string) map[string]string {
	out := map[string]string{}
	for key, text := range t {
		for _, prefix := range prefixes {
			if strings.HasPrefix(key, prefix) {
				out[key] = fill(text, brand, host)
			}
		}
	}
	return out
}

func fill(text, brand, host string) string {
	if host == "" {
		host = brand
	}
	return strings.NewReplacer("{brand}", brand, "{host}", host).Replace(text)
}
