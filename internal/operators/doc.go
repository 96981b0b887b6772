// Package operators holds the people who use the console: accounts, roles,
// invites, passkey sign-in and sessions. It is kept apart from the applications'
// users on purpose: a person's passkey never resolves to an operator.
package operators
