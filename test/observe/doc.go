// Package observe has tests of what an operator sees of a server: events, lists and warnings. It
// has no other code.
package observe
