// Package redis makes servers on one Redis one cluster, with each other and with servers of Node.js: it
// speaks what @socket.io/redis-adapter 8 speaks, by Redis' publish and subscribe or the sharded kind of
// that, or what @socket.io/redis-streams-adapter 0.3 speaks, by a stream.
//
// A [Node] is one server in the cluster. Its adapters, one for each namespace, share one connection
// that publishes and one that is subscribed, and in the mode streams one that reads.
//
// What others publish is not trusted to be in order: it is bounded, and what cannot be read is
// refused, counted and logged.
package redis
