// Package presence lets the servers of a cluster know of each other, in each namespace: which there are, and what
// each of them answers when it is asked.
//
// A server gives a sign of life every [Beat]. One that has given none for a [Lease] is forgotten, as is one that
// takes leave.
//
// All of that goes over [streaming.Namespace.Tell]. What others tell is not trusted: it is bounded, and what is out
// of order is refused as a whole, counted and logged.
package presence
