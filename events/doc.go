// Package events holds what services do with their events, on top of package
// streaming: each package in this folder is an event set, the server's side of
// one contract with clients. This one has the answers that all of them give.
package events
