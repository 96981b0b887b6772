// Package pages is what people see: the hosted challenge page, where the address in
// a track answer leads, and the account page with their passkeys and other ways to
// prove that it is them. From both they go back to the application.
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
// Each state of the page has an address and is made by the server, so that loading
// it again or going back shows where things stand. The script asks the browser for
// passkeys and the server for what comes next; it decides nothing. A change to the
// account asks for a proof of its own, whose text is shown and bound.
//
// Everything is embedded, without fonts or libraries, and nothing comes from
// anywhere else. The page refuses to be framed unless its configuration lists who
// may, and tells only listed origins how it went.
package pages
