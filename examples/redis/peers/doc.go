// Package peers tests examples/redis from outside: with go-redis, with redis-cli and
// redis-benchmark, and beside redis-server, whose replies it must repeat. It is a module of its
// own, so that what these tests depend on stays out of Berth's.
//
// Tests that need a program of Redis' are skipped where it is not installed:
//
//	apt-get install redis-server redis-tools
//
// The program in cpu measures the processor time per request beside redcon and redis-server.
package peers
