// Package ceremonies proves that it is you. It is the relying party: it begins
// and finishes passkey ceremonies, binds each challenge to one action, and
// issues the tokens that name what their holder may do.
//
// Every ceremony goes the same way: Begin stores a challenge and its event,
// Take claims it once and before anything is verified, Finish writes the
// outcome, the credential, the action's state and the event in one transaction.
//
// The package knows nothing of HTTP servers, SQL or rules.
package ceremonies
