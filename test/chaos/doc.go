// Package chaos has two tests. C1 kills the actors of a server at random under clients that check
// every byte. C2 uses a server in every way at a low rate for a long time. Both are short in go
// test ./...; the long forms:
//
//	make chaos    500 clients, a kill every 10 ms, for a minute
//	make soak     half an hour; what a process can run out of must not grow
//
//	chaos_test.go   C1: kills, and what must hold whatever is killed
//	soak_test.go    C2: the slopes
//	server_test.go  the server; its handlers check what they are told
//	client_test.go  the clients, which check what they get back
package chaos
