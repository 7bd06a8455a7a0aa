package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
)

// WriteMarkdown writes the report for people. Sections without a row are left out.
func (r Report) WriteMarkdown(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Berth benchmark, %s\n\n%s", r.Meta.Date.Format(time.DateOnly), r.conditions())
	section(&text, "Server CPU per message, ratio to plain Go",
		"Median of the rounds' ratios, smallest and largest in brackets. Less is better.", r.ratios())
	section(&text, "Berth against its rivals",
		"Ratios of the same rounds. The best peer is the Go server with the lowest median in the case.", r.rivals())
	section(&text, "User time per message",
		"Microseconds, medians: the server's own code, without what the kernel does for it.", r.userTimes())
	for _, c := range r.group("echo") {
		section(&text, c.Title, "Medians.", r.figures([]plan.Case{c}))
	}
	section(&text, "Scaling",
		"Server CPU per message in microseconds; growth is that of the most connections to that of the fewest, round by round.", r.scaling())
	section(&text, "Idle memory", "Anonymous server memory per idle connection after one message, in bytes.", r.memory())
	section(&text, "A handler that computes",
		"50 connections whose handler computes for 50 us before it answers. Medians; the ratio is of the rates, round by round: more is better.", r.burning())
	section(&text, "A handler that hands over",
		"The handler gives its bytes to another goroutine, which writes them. Medians; the ratio is of the CPU per message, round by round: less is better.", r.handoff())
	section(&text, "A handler that blocks",
		"50 paced connections before and while one more connection's handler sleeps.", r.figures(r.group("blocking")))
	section(&text, "Peers that do not read",
		"50 paced connections before and while 8 more send and never read.", r.figures(r.group("stalled")))
	list(&text, "Disturbed", r.Disturbances())
	list(&text, "Skipped", r.Skips())
	list(&text, "Failed", r.Failures())
	_, err := io.WriteString(w, text.String())
	return err
}

func section(text *strings.Builder, title, note string, t table) {
	if body := t.String(); body != "" {
		fmt.Fprintf(text, "\n## %s\n\n%s\n\n%s", title, note, body)
	}
}

func list(text *strings.Builder, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(text, "\n## %s\n\n", title)
	for _, item := range items {
		fmt.Fprintf(text, "- %s\n", item)
	}
}

func (r Report) conditions() string {
	var text strings.Builder
	m := r.Meta
	fmt.Fprintf(&text, "- Command: `%s` (preset %s, %d rounds, windows of %s)\n", m.Command, m.Preset, m.Rounds, m.Duration)
	fmt.Fprintf(&text, "- Machine: %d cores, %s, Linux %s, %s\n", m.Cores, m.CPU, m.Kernel, m.Go)
	fmt.Fprintf(&text, "- Load average: %s before, %s after (the benchmark alone: about %d)\n", m.Before, m.After, m.Cores)
	for _, server := range r.Servers {
		version, ok := m.Versions[server.ID]
		if !ok {
			continue
		}
		options := ""
		if len(server.Args) > 0 {
			options = " `" + strings.Join(server.Args, " ") + "`"
		}
		fmt.Fprintf(&text, "- %s (`%s`): %s%s\n", server.Title, server.ID, version, options)
	}
	return text.String()
}

// ratios is the table of performance.md: servers down, echo cases across.
func (r Report) ratios() table {
	cases := r.group("echo")
	t := table{headings: []string{""}}
	for _, c := range cases {
		t.headings = append(t.headings, c.Title)
	}
	for _, server := range r.Servers {
		cells, measured := []string{server.Title}, false
		for _, c := range cases {
			row, ok := r.row(c.ID, server.ID)
			measured = measured || ok
			cells = append(cells, ratio(row.Ratio))
		}
		if measured {
			t.add(cells...)
		}
	}
	return t
}

// userTimes has servers down, echo cases across.
func (r Report) userTimes() table {
	cases := r.group("echo")
	t := table{headings: []string{""}}
	for _, c := range cases {
		t.headings = append(t.headings, c.Title)
	}
	for _, server := range r.Servers {
		cells, measured := []string{server.Title}, false
		for _, c := range cases {
			row, _ := r.row(c.ID, server.ID)
			_, has := row.Values[metric.User]
			measured = measured || has
			cells = append(cells, median(row.Values[metric.User]))
		}
		if measured {
			t.add(cells...)
		}
	}
	return t
}

// figures lists the medians of every figure of the cases, servers down.
func (r Report) figures(cases []plan.Case) table {
	var t table
	for _, c := range cases {
		t.headings = []string{""}
		for _, id := range c.Metrics {
			t.headings = append(t.headings, id.Heading())
		}
		for _, server := range r.Servers {
			row, ok := r.row(c.ID, server.ID)
			if !ok {
				continue
			}
			cells := []string{server.Title}
			for _, id := range c.Metrics {
				cells = append(cells, median(row.Values[id]))
			}
			t.add(cells...)
		}
	}
	return t
}

// burning is what a second worker brings.
func (r Report) burning() table {
	t := table{headings: []string{"", metric.Rate.Heading(), metric.CPU.Heading(), metric.User.Heading(), metric.P99.Heading(), metric.Busy.Heading(), "rate to one worker's"}}
	for _, c := range r.group("burning") {
		for _, server := range r.Servers {
			if row, ok := r.row(c.ID, server.ID); ok {
				v := row.Values
				t.add(server.Title, median(v[metric.Rate]), median(v[metric.CPU]), median(v[metric.User]), median(v[metric.P99]), median(v[metric.Busy]), ratio(row.Ratio))
			}
		}
	}
	return t
}

// handoff is the price of work that another goroutine does.
func (r Report) handoff() table {
	t := table{headings: []string{"", "case", metric.CPU.Heading(), metric.User.Heading(), metric.Rate.Heading(), metric.P99.Heading(), metric.Busy.Heading(), "CPU to plain Go's"}}
	for _, c := range r.group("handoff") {
		for _, server := range r.Servers {
			if row, ok := r.row(c.ID, server.ID); ok {
				v := row.Values
				t.add(server.Title, c.Title, median(v[metric.CPU]), median(v[metric.User]), median(v[metric.Rate]), median(v[metric.P99]), median(v[metric.Busy]), ratio(row.Ratio))
			}
		}
	}
	return t
}

func (r Report) memory() table {
	cases := r.group("memory")
	t := table{headings: []string{""}}
	for _, c := range cases {
		t.headings = append(t.headings, fmt.Sprintf("%s, %s conns", c.Title, metric.Format(float64(c.Conns))))
	}
	for _, server := range r.Servers {
		cells, measured := []string{server.Title}, false
		for _, c := range cases {
			row, ok := r.row(c.ID, server.ID)
			measured = measured || ok
			cells = append(cells, median(row.Values[metric.Idle]))
		}
		if measured {
			t.add(cells...)
		}
	}
	return t
}
