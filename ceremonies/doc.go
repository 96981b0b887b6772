// Package ceremonies proves that it is you. It is the relying party: it begins
// and finishes passkey ceremonies, binds each challenge to one action, and
// issues the tokens that name what their holder may do.
//
// Every ceremony goes the same way: Begin stores a challenge and its event,
// Take claims it once and before anything is verified, Finish writes the
// outcome, the credential, the action's state and the event in one transaction.
//
// In the trail every ceremony of a person that began ends exactly once: succeeded,
// failed, or abandoned, which is also how those end that were open when the person
// denied the action or was deleted. A denial is an event of its action and names no
// ceremony. The exception is a code that was sent or shown to enrol: people mistype,
// so its ceremony may fail up to three times, and goes on in between. Sign-ins and
// claims begin for nobody; only their end is in the trail, once it is known whose.
//
// The package knows nothing of HTTP servers, SQL or rules.
package ceremonies
