// Command bench measures Berth and its peers on one machine in one run: server CPU per message,
// rate, latency, memory. README.md says how and why.
package main
