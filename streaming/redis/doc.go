// Package redis makes servers on one Redis one cluster, with each other and with servers of
// Node.js that have @socket.io/redis-adapter 8: it speaks what that one speaks, by Redis' publish
// and subscribe.
//
// A [Node] is one server in the cluster. Its adapters, one for each namespace, share one connection
// that publishes and one that is subscribed.
//
// What others publish is not trusted to be in order: it is bounded, and what cannot be read is
// refused, counted and logged.
package redis
