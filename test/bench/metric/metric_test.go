package metric_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/test/bench/metric"
)

func TestAFigureIsWrittenWithTheDigitsThatCarryMeaning(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 8: "8", 0.456: "0.46", 9.999: "10.00", 42.25: "42.2", 250: "250", 250.4: "250",
		999.6: "1,000", 1234.5: "1,234", 1234567: "1,234,567", -4321: "-4,321", math.Inf(1): "-",
	} {
		assert.Equal(t, want, metric.Format(value), "%v", value)
	}
	assert.Equal(t, "-", metric.Format(math.NaN()))
}

func TestAFigureWithoutAHeadingIsShownByItsName(t *testing.T) {
	assert.Equal(t, "CPU us", metric.CPU.Heading())
	assert.Equal(t, "new_one", metric.ID("new_one").Heading())
}
