// Package nodes starts processes that are nodes, each with an actor system and Proto.Actor's remote
// on loopback, so that memory and processor time can be told apart. A program starts itself again
// for each node, and calls the methods of the node's value by net/rpc over its standard input and
// output. It runs on Linux.
package nodes
