package faultnet_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/faultnet"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

func TestNoopPassesEverythingAtOnce(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "hello")
		synctest.Wait()
		time.Sleep(ms)
		l.write(from, "world")
		closeWrite(l.t, from)
		p := make([]byte, 5)
		_, err := io.ReadFull(to, p)
		require.NoError(l.t, err)
		l.expect(to, ms, arrival{ms, "world"})
	}, faultnet.Noop{})
}

func TestLatencyDelaysEachPieceByAsMuch(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		go func() {
			l.write(from, "one")
			time.Sleep(30 * ms)
			l.write(from, "two")
			time.Sleep(30 * ms)
			_ = from.(interface{ CloseWrite() error }).CloseWrite()
		}()
		l.expect(to, 160*ms, arrival{100 * ms, "one"}, arrival{130 * ms, "two"})
	}, faultnet.Latency{Delay: 100 * ms})
}

func TestJitterIsWithinItsBoundsAndKeepsTheOrder(t *testing.T) {
	delays := map[time.Duration]bool{}
	eachWay(t, func(l *line, from, to net.Conn) {
		var text strings.Builder
		for i := range 50 {
			sent := l.since()
			letter := string(rune('a' + i%26))
			text.WriteString(letter)
			l.write(from, letter)
			p := make([]byte, 1)
			_, err := to.Read(p)
			require.NoError(l.t, err)
			require.Equal(l.t, letter, string(p))
			delay := l.since() - sent
			assert.LessOrEqual(l.t, (delay - 100*ms).Abs(), 20*ms)
			delays[delay] = true
		}
		for range 20 { // all at once: they overtake each other in time, and not in order
			l.write(from, "x")
			synctest.Wait()
		}
		closeWrite(l.t, from)
		got, err := l.arrivals(to)
		require.NoError(l.t, err)
		var rest strings.Builder
		for _, a := range got {
			rest.WriteString(a.text)
		}
		assert.Equal(l.t, strings.Repeat("x", 20), rest.String())
	}, faultnet.Latency{Delay: 100 * ms, Jitter: 20 * ms})
	assert.Greater(t, len(delays), 50, "they differ")
}

func TestBandwidthLetsSoManyBytesThroughInASecond(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "b")
		time.Sleep(5 * sec) // an idle time gives no credit
		_, err := to.Read(make([]byte, 1))
		require.NoError(l.t, err)
		l.began = time.Now()
		l.write(from, strings.Repeat("b", 2500))
		closeWrite(l.t, from)
		got, err := l.arrivals(to)
		require.NoError(l.t, err)
		assert.Equal(l.t, 2500*ms, l.since())
		total := 0
		for _, a := range got {
			total += len(a.text)
			assert.Equal(l.t, time.Duration(total)*ms, a.at, "a byte in a millisecond")
		}
		assert.Equal(l.t, 2500, total)
		assert.Len(l.t, got, 250)
	}, faultnet.Bandwidth{BytesPerSecond: 1000})
}

func TestSlowCloseDelaysTheEndAlone(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "hello")
		closeWrite(l.t, from)
		l.expect(to, 7*sec, arrival{0, "hello"})
	}, faultnet.SlowClose{Delay: 7 * sec})
	eachWay(t, func(l *line, from, to net.Conn) {
		resets(l.t, from)
		_, err := l.arrivals(to)
		assert.ErrorIs(l.t, err, syscall.ECONNRESET)
		assert.Zero(l.t, l.since(), "a reset is no close")
	}, faultnet.SlowClose{Delay: 7 * sec})
}

func TestTimeoutLetsNothingThroughAndCloses(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "hello")
		l.expect(to, 3*sec)
		_, err := from.Read(make([]byte, 1))
		assert.Equal(l.t, io.EOF, err, "both ends")
		assert.Equal(l.t, 3*sec, l.since())
	}, faultnet.Timeout{After: 3 * sec})
}

func TestTimeoutWithoutATimeHoldsEverythingBackUntilHealed(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		go func() {
			l.write(from, "one")
			time.Sleep(sec)
			l.write(from, "two")
			time.Sleep(100 * time.Hour)
			l.network.Heal()
			time.Sleep(sec)
			l.write(from, "three")
			_ = from.(interface{ CloseWrite() error }).CloseWrite()
		}()
		text := make([]byte, 6)
		_, err := io.ReadFull(to, text)
		require.NoError(l.t, err)
		assert.Equal(l.t, "onetwo", string(text))
		assert.Equal(l.t, 100*time.Hour+sec, l.since())
		l.expect(to, 100*time.Hour+2*sec, arrival{100*time.Hour + 2*sec, "three"})
	}, faultnet.Timeout{})
}

func TestResetPeerResetsBothEnds(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "hello")
		got, err := l.arrivals(to)
		assert.ErrorIs(l.t, err, syscall.ECONNRESET)
		assert.Empty(l.t, got)
		assert.Equal(l.t, 3*sec, l.since())
		_, err = from.Read(make([]byte, 1))
		assert.ErrorIs(l.t, err, syscall.ECONNRESET)
	}, faultnet.ResetPeer{After: 3 * sec})
}

func TestSlicerCutsIntoPieces(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "abcdefgh")
		closeWrite(l.t, from)
		l.expect(to, 30*ms, arrival{0, "abc"}, arrival{10 * ms, "def"}, arrival{20 * ms, "gh"})
	}, faultnet.Slicer{Size: 3, Delay: 10 * ms})
	sizes := map[int]int{}
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, strings.Repeat("s", 1000))
		closeWrite(l.t, from)
		got, err := l.arrivals(to)
		require.NoError(l.t, err)
		for i, a := range got[:len(got)-1] {
			assert.Equal(l.t, time.Duration(i)*ms, a.at)
			sizes[len(a.text)]++
		}
	}, faultnet.Slicer{Size: 10, Variation: 3, Delay: ms})
	assert.Len(t, sizes, 7, "from 7 to 13: %v", sizes)
	for size := range sizes {
		assert.LessOrEqual(t, max(size-10, 10-size), 3)
	}
}

func TestLimitDataClosesAfterSoManyBytes(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "abc")
		synctest.Wait()
		l.write(from, "defgh")
		got, err := io.ReadAll(to)
		require.NoError(l.t, err)
		assert.Equal(l.t, "abcde", string(got))
		_, err = from.Read(make([]byte, 1))
		assert.Equal(l.t, io.EOF, err, "both ends")
		assert.Zero(l.t, l.since())
	}, faultnet.LimitData{Bytes: 5})
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "abcde")
		l.expect(to, 0, arrival{0, "abcde"})
	}, faultnet.LimitData{Bytes: 5})
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "abcd")
		closeWrite(l.t, from)
		l.expect(to, 0, arrival{0, "abcd"})
		l.write(to, "back")
		p := make([]byte, 4)
		_, err := io.ReadFull(from, p)
		require.NoError(l.t, err, "below the limit nothing is closed")
	}, faultnet.LimitData{Bytes: 5})
}

func TestAToxicForOneDirectionLeavesTheOtherAlone(t *testing.T) {
	delays := func(t *testing.T, toxic faultnet.Toxic) (read, written time.Duration) {
		inBubble(t, func(l *line) {
			p := make([]byte, 1)
			l.write(l.peer, "x")
			_, err := l.user.Read(p)
			require.NoError(t, err)
			read = l.since()
			l.write(l.user, "x")
			_, err = l.peer.Read(p)
			require.NoError(t, err)
			written = l.since() - read
		}, toxic)
		return read, written
	}
	read, written := delays(t, faultnet.Inbound(faultnet.Latency{Delay: sec}))
	assert.Equal(t, [2]time.Duration{sec, 0}, [2]time.Duration{read, written})
	read, written = delays(t, faultnet.Outbound(faultnet.Latency{Delay: sec}))
	assert.Equal(t, [2]time.Duration{0, sec}, [2]time.Duration{read, written})
	read, written = delays(t, faultnet.Latency{Delay: sec})
	assert.Equal(t, [2]time.Duration{sec, sec}, [2]time.Duration{read, written})
	// A toxic with an end of its own, for one direction, still ends the whole.
	inBubble(t, func(l *line) {
		_, err := l.peer.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Equal(t, sec, l.since())
	}, faultnet.Inbound(faultnet.ResetPeer{After: sec}))
}

func TestToxicsWorkOneBehindTheOther(t *testing.T) {
	for says, test := range map[string]struct {
		toxics []faultnet.Toxic
		want   []arrival
		end    time.Duration
	}{
		"latency, bandwidth": {[]faultnet.Toxic{faultnet.Latency{Delay: sec}, faultnet.Bandwidth{BytesPerSecond: 4}},
			[]arrival{{1250 * ms, "a"}, {1500 * ms, "b"}, {1750 * ms, "c"}, {2 * sec, "d"}}, 2 * sec},
		"slicer, latency": {[]faultnet.Toxic{faultnet.Slicer{Size: 2, Delay: ms}, faultnet.Latency{Delay: sec}},
			[]arrival{{sec, "ab"}, {sec + ms, "cd"}}, sec + 2*ms},
		"latency twice":      {[]faultnet.Toxic{faultnet.Latency{Delay: sec}, faultnet.Latency{Delay: sec}}, []arrival{{2 * sec, "abcd"}}, 2 * sec},
		"slow close, noop":   {[]faultnet.Toxic{faultnet.SlowClose{Delay: sec}, faultnet.Noop{}}, []arrival{{0, "abcd"}}, sec},
		"limit, latency":     {[]faultnet.Toxic{faultnet.LimitData{Bytes: 3}, faultnet.Latency{Delay: sec}}, []arrival{{sec, "abc"}}, sec},
		"timeout, latency":   {[]faultnet.Toxic{faultnet.Timeout{After: sec}, faultnet.Latency{Delay: sec}}, nil, 2 * sec},
		"two timeouts":       {[]faultnet.Toxic{faultnet.Timeout{After: 2 * sec}, faultnet.Timeout{After: sec}}, nil, sec},
		"limit, timeout":     {[]faultnet.Toxic{faultnet.LimitData{Bytes: 3}, faultnet.Timeout{After: sec}}, nil, sec},
		"timeout, slicer":    {[]faultnet.Toxic{faultnet.Timeout{After: sec}, faultnet.Slicer{Size: 1, Delay: ms}}, nil, sec},
		"timeout, bandwidth": {[]faultnet.Toxic{faultnet.Timeout{After: sec}, faultnet.Bandwidth{BytesPerSecond: 1}}, nil, sec},
	} {
		t.Run(says, func(t *testing.T) {
			eachWay(t, func(l *line, from, to net.Conn) {
				l.write(from, "abcd")
				closeWrite(l.t, from)
				l.expect(to, test.end, test.want...)
			}, test.toxics...)
		})
	}
}

// Toxics that only delay or cut, in any combination, deliver everything in order, with the end
// last.
func TestToxicsThatEndNothingLoseNothing(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var toxics []faultnet.Toxic
			for range 1 + random.IntN(3) {
				switch all := faultnet.Toxics(random); random.IntN(5) {
				case 0:
					toxics = append(toxics, all[0])
				case 1:
					toxics = append(toxics, all[1])
				case 2:
					toxics = append(toxics, faultnet.Bandwidth{BytesPerSecond: 100 + random.IntN(100_000)})
				case 3:
					toxics = append(toxics, all[3])
				case 4:
					toxics = append(toxics, all[6])
				}
			}
			l := open(t, seed, toxics...)
			defer l.close()
			sent := [2][]byte{make([]byte, random.IntN(100_000)), make([]byte, random.IntN(100_000))}
			ends := [2]net.Conn{l.user, l.peer}
			heal := time.Duration(random.Int64N(int64(20 * time.Second)))
			if random.IntN(2) == 0 {
				time.AfterFunc(heal, l.network.Heal)
			}
			done := make(chan struct{})
			for i := range ends {
				for j := range sent[i] {
					sent[i][j] = byte(random.Uint32())
				}
				go func() {
					_, err := ends[i].Write(sent[i])
					assert.NoError(t, err)
					assert.NoError(t, ends[i].(interface{ CloseWrite() error }).CloseWrite())
				}()
				go func() {
					got, err := io.ReadAll(ends[1-i])
					assert.NoError(t, err)
					assert.True(t, bytes.Equal(sent[i], got), "other bytes than were sent: %d of %d", len(got), len(sent[i]))
					done <- struct{}{}
				}()
			}
			<-done
			<-done
			if t.Failed() {
				t.Fatalf("seed %d: %#v", seed, toxics)
			}
		})
	}
}
