// Package lang is the language in which a service says what it does with rooms: how a program is
// written as lines of words, what it is as JSON, and whether it makes sense. It runs nothing. A
// program has no loops and no arithmetic, so all that one can get wrong is found before it runs.
package lang
