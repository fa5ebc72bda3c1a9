// Package presence lets the servers of a cluster know of each other, in each namespace: which there are, what
// each of them has, and what it answers when it is asked.
//
// Each server owns rows, small pieces of JSON by name, of which all others keep copies: it sends each change with
// a number, and all of its rows to whoever has missed a change. It gives a sign of life every [Beat]. The rows of
// one that has given none for a [Lease] are removed, as are those of one that takes leave.
//
// All of that goes over [streaming.Namespace.Tell]. What others tell is not trusted: it is bounded, and what is out
// of order is refused as a whole, counted and logged.
package presence
