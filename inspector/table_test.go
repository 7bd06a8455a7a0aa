package inspector_test

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/inspector"
	"github.com/go-berth/berth/protocol"
)

// many is the number of connections that the table must be smooth with.
const many = 10_000

// pages returns all rows of a query, page by page.
func pages(t *testing.T, i *inspector.Inspector, query string, limit int) (rows []connection) {
	t.Helper()
	for {
		page := get[table](t, i, "/api/connections?"+query+"&limit="+strconv.Itoa(limit)+"&offset="+strconv.Itoa(len(rows)))
		require.Len(t, page.Rows, min(limit, page.Total-len(rows)))
		require.Equal(t, len(rows), page.Offset)
		rows = append(rows, page.Rows...)
		if len(rows) >= page.Total || len(page.Rows) == 0 {
			require.Len(t, rows, page.Total)
			return rows
		}
	}
}

func TestEveryOrderOfTheTable(t *testing.T) {
	const many = 600
	i := start(t, inspector.Options{}, newSource(crowd(many)...))
	stages := map[string]int{"opening": 0, "open": 1, "flushing": 2, "closing": 3}
	for name, compare := range map[string]func(a, b connection) int{
		"buffered": func(a, b connection) int { return cmp.Compare(a.QueuedBytes, b.QueuedBytes) },
		"read":     func(a, b connection) int { return cmp.Compare(a.Read, b.Read) },
		"written":  func(a, b connection) int { return cmp.Compare(a.Written, b.Written) },
		"age":      func(a, b connection) int { return cmp.Compare(a.Age, b.Age) },
		"state":    func(a, b connection) int { return cmp.Compare(stages[a.State], stages[b.State]) },
		"handler":  func(a, b connection) int { return cmp.Compare(a.HandlerFor, b.HandlerFor) },
		"remote":   func(a, b connection) int { return strings.Compare(a.Remote, b.Remote) },
	} {
		for _, order := range []string{"asc", "desc"} {
			rows := pages(t, i, "sort="+name+"&order="+order, 500)
			require.Len(t, rows, many)
			assert.True(t, slices.IsSortedFunc(rows, func(a, b connection) int {
				if order == "desc" {
					return compare(b, a)
				}
				return compare(a, b)
			}), "%s %s", name, order)
			ids := map[string]bool{}
			for _, row := range rows {
				ids[row.ID] = true
			}
			assert.Len(t, ids, many, "%s %s: each connection is on one page", name, order)
		}
	}
}

// The server cuts the page: an answer is small, whatever the number of connections, and quick.
func TestAPageOfTenThousandIsQuick(t *testing.T) {
	i := start(t, inspector.Options{}, newSource(crowd(many)...))
	best := time.Hour
	for range 10 {
		began := time.Now()
		w := answer(i, request(http.MethodGet, "/api/connections?sort=rate"))
		best = min(best, time.Since(began))
		require.Equal(t, http.StatusOK, w.Code)
		require.Less(t, w.Body.Len(), 50<<10)
	}
	assert.Less(t, best, time.Second)
	t.Logf("the quickest of ten answers took %v", best)
}

func TestFilters(t *testing.T) {
	sockets := crowd(500)
	first, second := newSource(sockets[:300]...), newSource(sockets[300:]...)
	i := start(t, inspector.Options{}, first, second)
	for query, keeps := range map[string]func(c connection) bool{
		"":                   func(connection) bool { return true },
		"filter=10.0.2":      func(c connection) bool { return strings.Contains(c.Remote, "10.0.2") },
		"filter=%20$0012%20": func(c connection) bool { return strings.Contains(c.ID, "$0012") },
		"filter=LISTENER$0":  func(connection) bool { return true },
		"filter=nothing":     func(connection) bool { return false },
		"state=paused":       func(c connection) bool { return c.Paused },
		"state=throttled":    func(c connection) bool { return c.Throttled },
		"state=queued":       func(c connection) bool { return c.QueuedWrites > 0 },
		"state=flushing":     func(c connection) bool { return c.State == "flushing" },
		"state=opening":      func(c connection) bool { return c.State == "opening" },
		"server=1":           func(c connection) bool { return c.Server == 1 },
		"server=0&state=open&filter=:1": func(c connection) bool {
			return c.Server == 0 && c.State == "open" && strings.Contains(c.Remote, ":1")
		},
	} {
		count := 0
		for n, s := range sockets {
			c := connection{ID: s.pid.Id, Remote: s.info.RemoteAddr, State: s.info.State.String(), Paused: s.info.Paused, QueuedWrites: s.info.QueuedWrites, Throttled: s.info.Throttled}
			if n >= 300 {
				c.Server = 1
			}
			if keeps(c) {
				count++
			}
		}
		rows := pages(t, i, query, 90)
		assert.Len(t, rows, count, query)
		for _, row := range rows {
			assert.True(t, keeps(row), "%s: %+v", query, row)
		}
	}
}

func TestABadQueryGetsOneSentence(t *testing.T) {
	i := start(t, inspector.Options{}, newSource(crowd(3)...))
	for path, says := range map[string]string{
		"connections?limit=0":      `limit "0" is no whole number from 1 to 500`,
		"connections?limit=501":    `limit "501" is no whole number from 1 to 500`,
		"connections?limit=some":   `limit "some" is no whole number from 1 to 500`,
		"connections?offset=-1":    `offset "-1" is no whole number`,
		"connections?server=1":     `server "1" is no whole number from 0 to 0`,
		"connections?window=11":    `window "11" is no whole number from 1 to 10`,
		"connections?sort=colour":  `sort "colour" is none of age, buffered`,
		"connections?state=asleep": `state "asleep" is none of opening, open`,
		"connections?order=up":     `order "up" is neither asc nor desc`,
		"tree?limit=x":             `limit "x" is no whole number`,
		"tree?server=9":            `server "9" is no whole number`,
		"closed?limit=x":           `limit "x" is no whole number`,
		"closed?server=-1":         `server "-1" is no whole number`,
		"history?after=noon":       `after "noon" is no number of milliseconds`,
	} {
		w := answer(i, request(http.MethodGet, "/api/"+path))
		assert.Equal(t, http.StatusBadRequest, w.Code, path)
		assert.Contains(t, decode(t, w.Body.Bytes())["error"], says, path)
	}
	assert.Equal(t, http.StatusNotFound, answer(i, request(http.MethodGet, "/api/connection?id=none")).Code)
	assert.Equal(t, http.StatusNotFound, answer(i, request(http.MethodGet, "/api/nothing")).Code)
	assert.Equal(t, http.StatusMethodNotAllowed, answer(i, request(http.MethodDelete, "/api/connections")).Code)
	beyond := get[table](t, i, "/api/connections?offset=100")
	assert.Equal(t, 3, beyond.Total)
	assert.Empty(t, beyond.Rows)
}

// A rate is that of the window, or of the life of a connection that is younger. One that is older
// than the first sample has none before the second.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newSocket("old", protocol.Info{Stats: protocol.Stats{Read: 5000, Duration: time.Hour}})
		young := newSocket("young", protocol.Info{Stats: protocol.Stats{Read: 600, Written: 300, Duration: 3 * time.Second}})
		i, err := inspector.New(inspector.Options{}, newSource(old, young))
		require.NoError(t, err)
		defer i.Close()
		rate := func(id string, window int) (read, written float64) {
			for _, row := range get[table](t, i, "/api/connections?window="+strconv.Itoa(window)).Rows {
				if row.ID == id {
					return row.ReadRate, row.WriteRate
				}
			}
			require.Fail(t, "no such row", id)
			return 0, 0
		}
		read, written := rate("young", 5)
		assert.InDelta(t, 200, read, 0.01)
		assert.InDelta(t, 100, written, 0.01)
		read, written = rate("old", 5)
		assert.Zero(t, read, "5,000 bytes of an hour are no rate of 5 s")
		assert.Zero(t, written)

		for range 10 { // 100 bytes a second, then 1,000
			time.Sleep(time.Second)
			old.set(func(info *protocol.Info) { info.Stats.Read += 100; info.Stats.Duration += time.Second })
			rate("old", 5)
		}
		read, _ = rate("old", 5)
		assert.InDelta(t, 100, read, 0.01)
		for range 2 {
			time.Sleep(time.Second)
			old.set(func(info *protocol.Info) { info.Stats.Read += 1000 })
			rate("old", 5)
		}
		read, _ = rate("old", 2)
		assert.InDelta(t, 1000, read, 0.01)
		read, _ = rate("old", 5)
		assert.InDelta(t, (3*100+2*1000)/5.0, read, 0.01)
		read, _ = rate("old", 10)
		assert.InDelta(t, (8*100+2*1000)/10.0, read, 0.01)
		rows := get[table](t, i, "/api/connections?sort=rate&window=2").Rows
		assert.Equal(t, "old", rows[0].ID)

		// A second request within 400 ms gets the same sample.
		old.set(func(info *protocol.Info) { info.Stats.Read += 1 << 20 })
		again, _ := rate("old", 2)
		assert.InDelta(t, 1000, again, 0.01)

		// Samples that nothing asks for are released.
		time.Sleep(40 * time.Second)
		read, _ = rate("old", 5)
		assert.Zero(t, read)
	})
}

func TestFilterTextIsEscaped(t *testing.T) {
	i := start(t, inspector.Options{}, newSource(newSocket(`<img src=x onerror="x">&`, protocol.Info{})))
	w := answer(i, request(http.MethodGet, "/api/connections?filter="+url.QueryEscape("<img")))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.NotContains(t, w.Body.String(), "<img", "JSON that is taken for HTML has no tags")
	assert.Contains(t, w.Body.String(), `\u003cimg`)
}
