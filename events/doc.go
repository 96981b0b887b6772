// Package events holds the words that every part of Sallyport shares: ids,
// verification methods, action states and the records of the audit log.
//
// The package knows no other package of ours and does no I/O. An audit event
// is made in three steps:
//
//	draft, err := events.NewDraft(record, personal, now) // bytes are fixed here
//	event := draft.At(position)                           // the log numbers it
//	leaf := event.Leaf()                                  // what a proof commits to
//
// The body of an event never holds a personal value. It holds a salted hash in
// its place; the values and the salt stand beside the body and can be erased
// without changing the body, the leaf or any proof over it.
package events
