package observe

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/berthtest"
)

func ids(page berth.Page) (all []string) {
	for _, row := range page.Rows {
		all = append(all, row.PID.Id)
	}
	return all
}

func TestAListIsSortedFilteredAndPaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := berthtest.Serve(t, echo)
		var byAge []string // the youngest first
		for i := range 5 {
			client := server.Dial()
			text := strings.Repeat("x", 10*(i*3%5+1)) // 10, 40, 20, 50, 30
			client.Send(text)
			client.Expect(text)
			time.Sleep(time.Second)
		}
		for _, row := range server.List(berth.Query{}).Rows {
			byAge = append(byAge, row.PID.Id)
		}
		require.Len(t, byAge, 5)
		at := func(places ...int) (all []string) {
			for _, place := range places {
				all = append(all, byAge[place])
			}
			return all
		}
		rows := server.List(berth.Query{}).Rows
		assert.Equal(t, time.Second, rows[0].Stats.Duration, "the youngest first")
		assert.Equal(t, at(4, 2, 0, 3, 1), ids(server.List(berth.Query{Sort: berth.SortRead})))
		assert.Equal(t, at(1, 3, 0, 2, 4), ids(server.List(berth.Query{Sort: berth.SortWritten, Descending: true})))
		assert.Equal(t, at(4, 3, 2, 1, 0), ids(server.List(berth.Query{Descending: true})))
		assert.ElementsMatch(t, byAge, ids(server.List(berth.Query{Sort: berth.SortUnsorted})))

		page := server.List(berth.Query{Sort: berth.SortRead, Offset: 1, Limit: 2})
		assert.Equal(t, at(2, 0), ids(page))
		assert.Equal(t, 5, page.Total)
		assert.Empty(t, server.List(berth.Query{Offset: 9}).Rows)
		assert.Len(t, server.List(berth.Query{Limit: -1, Offset: -1}).Rows, 5)

		many := server.List(berth.Query{Sort: berth.SortRead, Limit: 1, Filter: func(i *protocol.Info) bool { return i.Stats.Read > 20 }})
		assert.Equal(t, at(0), ids(many))
		assert.Equal(t, 3, many.Matched)

		socket, found := server.Find(byAge[2])
		require.True(t, found)
		assert.Equal(t, byAge[2], socket.PID().Id)
		socket.Pause()
		synctest.Wait()
		assert.Equal(t, 1, server.Info().Paused)
		_, found = server.Find("no connection")
		assert.False(t, found)
		other := berthtest.Serve(t, echo, berthtest.InSystem(server.System))
		_, found = other.Find(byAge[2])
		assert.False(t, found, "it is another server's")
	})
}

func TestMeasureTimesOneOfSixteenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var samples []time.Duration
		handler := berth.Measure(berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			line, ok := data.ReadLine()
			if ok {
				pause, err := time.ParseDuration(string(line))
				if err != nil {
					panic("no duration")
				}
				time.Sleep(pause)
				_, err = socket.Write([]byte("done\n"))
				return err
			}
			return nil
		}), func(d time.Duration) { samples = append(samples, d) })
		var options berth.Options
		options.Connection.RestartHandler.Max = 1
		server := berthtest.Serve(t, handler, berthtest.With(options), berthtest.AllowFailures())
		client := server.Dial()
		say := func(pause string) {
			client.Send(pause + "\n")
			client.ExpectLine("done")
			synctest.Wait()
		}
		times := func() protocol.HandlerTimes { return server.List(berth.Query{}).Rows[0].Handler }
		synctest.Wait()
		assert.Zero(t, times())
		say("3s")
		for range 15 {
			say("30m")
		}
		assert.Equal(t, protocol.HandlerTimes{Calls: 1, Total: 3 * time.Second, Longest: 3 * time.Second}, times())
		say("2s")
		assert.Equal(t, protocol.HandlerTimes{Calls: 2, Total: 5 * time.Second, Longest: 3 * time.Second}, times())
		client.Send("x\n") // the handler panics, and a new one goes on counting
		say("5s")
		assert.Equal(t, protocol.HandlerTimes{Calls: 3, Total: 10 * time.Second, Longest: 5 * time.Second}, times())
		assert.Equal(t, []time.Duration{3 * time.Second, 2 * time.Second, 5 * time.Second}, samples)
		client.Close()
	})
}

func TestLoopLagIsTheTimeThatWorkWaits(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		server := berthtest.Serve(t, echo, options...)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		lags := server.LoopLag(ctx)
		require.NotEmpty(t, lags)
		for _, lag := range lags {
			assert.Less(t, lag, patience)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Len(t, server.LoopLag(over), len(lags))
	})
}

// A list of 10,000 connections is to take less than 20 ms.
func BenchmarkList(b *testing.B) {
	server := berthtest.Serve(b, echo, berthtest.AllowLeaks())
	for range 10_000 {
		server.Dial()
	}
	for name, query := range map[string]berth.Query{
		"page":     {Sort: berth.SortQueued, Descending: true},
		"all":      {Sort: berth.SortUnsorted, Limit: -1},
		"filtered": {Sort: berth.SortRead, Filter: func(i *protocol.Info) bool { return strings.Contains(i.RemoteAddr, "client") }},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if server.List(query).Total != 10_000 {
					b.Fatal("not all are there")
				}
			}
		})
	}
}
