package connection

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// published returns the types of what is published in the life of one connection.
func publishedInALife(t *testing.T, subscriber func(any)) (types []string) {
	run, end := lives(t, func(event any) { types = append(types, fmt.Sprintf("%T", event)) }, subscriber)
	run()
	end()
	return types
}

func TestWithoutASubscriberNoEventIsMade(t *testing.T) {
	assert.Empty(t, publishedInALife(t, nil))
}

func TestASubscriberHearsTheWholeLife(t *testing.T) {
	assert.Equal(t, []string{"*connection.Opened", "*connection.Closing", "*connection.Closed"}, publishedInALife(t, func(any) {}))
}
