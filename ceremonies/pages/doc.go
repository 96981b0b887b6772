// Package pages is the hosted challenge page: the address in a track answer
// leads here, and from here back to the application.
//
//	handler, err := pages.New(pages.Config{RelyingParty: rp, Store: store, Brand: "Example Shop"})
//	mux.Handle("/challenge", handler)
//	mux.Handle("/challenge/", handler)
//
// A person comes with a link that opens once, /challenge?c=TOKEN. Opening it
// leaves the token behind: the page's own token is in a cookie for
// /challenge/REF, and REF names the action without telling anything, so several
// actions can be open in several tabs. From then on no secret is in an address
// until the person is taken back to the application with a token that can only
// ask how the action ended.
//
// The page is one template, one script and one style sheet, embedded, without
// fonts or libraries, and nothing of it comes from anywhere else. It refuses to
// be framed unless its configuration lists who may.
package pages
