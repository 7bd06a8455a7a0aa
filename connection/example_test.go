package connection_test

import (
	"fmt"
	"time"

	"github.com/go-berth/berth/connection"
)

// The zero value is useful: WithDefaults shows what it means.
func ExampleOptions_WithDefaults() {
	o := connection.Options{}.WithDefaults()
	fmt.Println(o.ReadBufferSize, o.WriteBufferSize, o.WriteQueueSize, o.CloseTimeout)
	// Output: 8192 32768 64 5s
}

// The error about an option that is not valid is one sentence.
func ExampleOptions_Validate() {
	fmt.Println(connection.Options{IdleTimeout: 5 * time.Minute, HighWater: 1 << 10}.Validate())
	fmt.Println(connection.Options{HighWater: 1 << 10, LowWater: 2 << 10}.Validate())
	// Output:
	// <nil>
	// berth: LowWater 2048 must be below HighWater 1024
}
