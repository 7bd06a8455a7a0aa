//go:build !unix

package main

import (
	"errors"
	"time"
)

func processorTime() (time.Duration, error) {
	return 0, errors.New("this system does not tell what processor time a process has used in a way that this program knows")
}

func familyTime() time.Duration { return 0 }
