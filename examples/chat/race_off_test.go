//go:build !race

package main

const largeRoom = 1000
