//go:build race

package main

// largeRoom is smaller with the race detector, which makes the room ten times as slow.
const largeRoom = 200
