package connection

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheZeroOptionsAreTheAncestorsDefaults(t *testing.T) {
	assert.Equal(t, Options{
		ReadBufferSize: 8 << 10, MaxReadBufferSize: 1 << 20, WriteBufferSize: 32 << 10, WriteQueueSize: 64,
		LowWater:         16 << 10,
		HandshakeTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, CloseTimeout: 5 * time.Second,
		LingerTimeout: time.Second, HalfCloseTimeout: time.Minute, MaxAgeGrace: 10 * time.Second, DrainQuiet: time.Second,
		WarnAfter: 10 * time.Second,
	}, Options{}.WithDefaults())
	require.NoError(t, Options{}.Validate())
}

func TestWhatIsSetStaysAndDefaultsAreFilledInOnce(t *testing.T) {
	o := Options{ReadBufferSize: 1, MaxReadBufferSize: 16, WriteBufferSize: 2, WriteQueueSize: 3, HighWater: 9, LowWater: 4, IdleTimeout: 5,
		HandshakeTimeout: 6, WriteTimeout: 7, CloseTimeout: 8, HalfCloseTimeout: 9, MaxAge: 10, MaxAgeGrace: 11, DrainQuiet: 12, LingerTimeout: 15, WarnAfter: 16,
		RestartHandler: RestartHandler{Max: 13, Within: 14}}
	assert.Equal(t, o, o.WithDefaults())
	assert.Equal(t, Options{}.WithDefaults(), Options{}.WithDefaults().WithDefaults())
}

func TestNegativeLimitsAreOff(t *testing.T) {
	o := Options{WriteBufferSize: -1, WriteQueueSize: -7, IdleTimeout: -1, HandshakeTimeout: -1, WriteTimeout: -1,
		CloseTimeout: -1, HalfCloseTimeout: -1, MaxAge: -1, MaxAgeGrace: -1, DrainQuiet: -1, WarnAfter: -1}
	require.NoError(t, o.Validate())
	o = o.WithDefaults()
	assert.Equal(t, maxBytes, o.WriteBufferSize)
	assert.Equal(t, maxCount, o.WriteQueueSize)
	for _, limit := range []time.Duration{o.IdleTimeout, o.HandshakeTimeout, o.WriteTimeout, o.CloseTimeout, o.HalfCloseTimeout,
		o.MaxAge, o.MaxAgeGrace, o.DrainQuiet, o.WarnAfter} {
		assert.Negative(t, limit)
	}
	require.NoError(t, o.Validate())
}

func TestPanicsAreCountedOverTenSecondsIfAtAll(t *testing.T) {
	assert.Zero(t, Options{}.WithDefaults().RestartHandler)
	assert.Equal(t, 10*time.Second, Options{RestartHandler: RestartHandler{Max: 1}}.WithDefaults().RestartHandler.Within)
	o := Options{RestartHandler: RestartHandler{Max: 1, Within: -7}}
	require.NoError(t, o.Validate())
	assert.Negative(t, o.WithDefaults().RestartHandler.Within)
}

func TestLowWaterIsHalfOfWhatItBelongsTo(t *testing.T) {
	assert.Equal(t, 500, Options{HighWater: 1000}.WithDefaults().LowWater)
	assert.Equal(t, 400, Options{WriteBufferSize: 800}.WithDefaults().LowWater)
}

func TestABadOptionIsOneSentence(t *testing.T) {
	for text, o := range map[string]Options{
		"ReadBufferSize cannot be off (-1)":                          {ReadBufferSize: -1},
		"ReadBufferSize 1073741825 is over 1 GiB":                    {ReadBufferSize: 1<<30 + 1},
		"MaxReadBufferSize cannot be off (-1)":                       {MaxReadBufferSize: -1},
		"MaxReadBufferSize 1073741825 is over 1 GiB":                 {MaxReadBufferSize: 1<<30 + 1},
		"MaxReadBufferSize 8191 is below the ReadBufferSize of 8192": {MaxReadBufferSize: 8191},
		"WriteQueueSize 4194304 is over 4194303":                     {WriteQueueSize: 1 << 22},
		"ReadGate 3 is none of GateQuiet":                            {ReadGate: 3},
		"ReadMode 2 is neither Push nor Pull":                        {ReadMode: 2},
		"HighWater -1 and LowWater 0 must not be negative":           {HighWater: -1},
		"HighWater 0 and LowWater -1 must not be negative":           {LowWater: -1},
		"LowWater 10 must be below HighWater 10":                     {HighWater: 10, LowWater: 10},
		"RestartHandler.Max -1 must not be negative":                 {RestartHandler: RestartHandler{Max: -1}},
		"RestartHandler.Within 1s has no Max":                        {RestartHandler: RestartHandler{Within: time.Second}},
	} {
		err := o.Validate()
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), text)
		assert.True(t, strings.HasPrefix(err.Error(), "berth: "), text)
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestAWriteBufferSizeThatTheCreditCannotCountIsOneSentence(t *testing.T) {
	if maxBytes < bytesMask {
		t.Skip("an int is no larger")
	}
	size := maxBytes
	size++
	require.EqualError(t, Options{WriteBufferSize: size}.Validate(), "berth: WriteBufferSize 1099511627776 is over 1099511627775")
}

func TestTheLargestOptionsAreGood(t *testing.T) {
	o := Options{ReadBufferSize: 1 << 30, WriteBufferSize: maxBytes, WriteQueueSize: maxCount, ReadGate: GateOff, ReadMode: Pull}
	assert.NoError(t, o.Validate())
}
