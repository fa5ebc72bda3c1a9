// Package events holds what services do with their events, on top of package
// streaming: each event set is the server's side of one contract with
// clients.
package events
