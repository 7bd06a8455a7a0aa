// Package metric names the figures the benchmark takes and says how each is written in a table.
package metric

import (
	"fmt"
	"math"
	"strings"
)

// ID is the name of a figure in the results' JSON.
type ID string

// Every figure. In all of them less is better, but for Rate.
const (
	CPU          ID = "cpu_us"           // server CPU, user and system, per message
	User         ID = "user_us"          // of that, user time: the server's own code
	Others       ID = "others"           // of a core, what neither server nor generator used
	Rate         ID = "rate"             // messages per second
	P50          ID = "p50_us"           // latency of one message, client's view
	P99          ID = "p99_us"           //
	Max          ID = "max_us"           //
	GeneratorCPU ID = "generator_cpu_us" // the load generator's own CPU per message
	Busy         ID = "generator_busy"   // share of its threads the generator used, 1 = saturated
	SetupCPU     ID = "setup_cpu_us"     // server CPU to accept one connection
	Idle         ID = "idle_bytes"       // anonymous server memory per idle connection
	CalmP99      ID = "calm_p99_us"      // latency of the other connections before the disturbance
	CalmMax      ID = "calm_max_us"      //
	DisturbedP99 ID = "disturbed_p99_us" // and during it
	DisturbedMax ID = "disturbed_max_us" //
	CalmCPU      ID = "calm_cpu_us"      // server CPU per message of the others, before
	DisturbedCPU ID = "disturbed_cpu_us" // and during
	Growth       ID = "p99_growth"       // DisturbedP99 / CalmP99
	Swallowed    ID = "swallowed_kib"    // sent to the server per connection that does not read
	Held         ID = "held_kib"         // server memory grown per connection that does not read
	Cut          ID = "cut"              // connections that do not read and that the server closed
)

var headings = map[ID]string{
	CPU:          "CPU us",
	User:         "user us",
	Others:       "cores of others",
	Rate:         "messages/s",
	P50:          "p50 us",
	P99:          "p99 us",
	Max:          "max us",
	GeneratorCPU: "generator CPU us",
	Busy:         "generator busy",
	SetupCPU:     "accept CPU us",
	Idle:         "bytes/conn",
	CalmP99:      "p99 us before",
	CalmMax:      "max us before",
	DisturbedP99: "p99 us during",
	DisturbedMax: "max us during",
	CalmCPU:      "CPU us before",
	DisturbedCPU: "CPU us during",
	Growth:       "p99 growth",
	Swallowed:    "taken KiB/conn",
	Held:         "held KiB/conn",
	Cut:          "closed by server",
}

// Heading is the figure's column heading, with its unit.
func (id ID) Heading() string {
	if heading, ok := headings[id]; ok {
		return heading
	}
	return string(id)
}

// Format writes a value with as many digits as carry meaning: three, and thousands separated.
func Format(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case math.Abs(v) >= 999.5:
		return separate(fmt.Sprintf("%.0f", v))
	case math.Abs(v) >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func separate(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
