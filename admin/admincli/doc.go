// Package admincli holds the commands that show hubs and act on them by the
// admin API of a running Caddy: ls, top, emit, kick and tail.
package admincli
