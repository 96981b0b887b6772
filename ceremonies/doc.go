// Package ceremonies proves that it is you. It is the relying party: it begins
// and finishes ceremonies by passkey, security key, authenticator app, e-mailed
// code and recovery code, binds each challenge to one purpose and one action,
// issues the tokens that name what their holder may do, and checks receipts of what
// was signed.
//
// Every ceremony goes the same way: Begin stores a challenge and its event, Take
// claims it once and before anything is verified, Finish writes the outcome, the
// credential, the action's state and the event in one transaction. An answer by
// code is taken by Attempt instead, which counts it against the limits in the same
// step; what a backend claims is taken once more by Claim.
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
