// Package events holds what services do with their events, on top of package
// streaming: each package in this folder is an event set, the server's side of
// one contract with clients. This one has what they have in common: the answers
// that all of them give, and how a client that is back has again what it had.
package events
