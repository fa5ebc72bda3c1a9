// Package measure counts things at a cost that a server does not feel: plain
// atomics in arrays of a fixed size, without locks and without allocations.
package measure
