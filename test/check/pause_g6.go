package check

import (
	"slices"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/test/history"
)

// pauses follows Pause and Resume. Both go through the connection's mailbox, which is read before
// input is: a call that had returned when the last handler call ended, or at the last Rest, has had
// its effect on the next Data.
type pauses struct {
	ever    bool         // a Pause or a counted Resume has been called
	sure    *operation   // a Pause that no Resume can have followed
	open    []*operation // Resumes that may still have to be read
	recent  []*operation // since the last Rest
	now     flag         // at the last Rest
	resumed bool         // since the Rest before it, and nothing else after that
	credit  int          // the most Data that may have been asked for, in pull mode
	counted bool         // a counted Resume was called: the demand is not known
}

// flag is what is known of a connection at rest.
type flag uint8

const (
	running flag = iota
	paused
	doubtful
)

func (p *pauses) pause(o *operation) {
	p.ever = true
	p.recent = append(p.recent, o)
	p.open = slices.DeleteFunc(p.open, func(resume *operation) bool { return resume.end != unknown })
	for _, resume := range p.open {
		if resume.by != o.by {
			return // it may come after this one
		}
	}
	if p.sure == nil {
		p.sure = o
	}
}

func (p *pauses) resume(c *conn, o *operation) {
	p.sure = nil
	p.open = append(p.open, o)
	p.recent = append(p.recent, o)
	p.credit += max(o.credit, 1)
	p.ever = p.ever || o.credit > 0
}

// told notes the answer to a Pause or a Resume: it has had its effect.
func (p *pauses) told(c *conn, o *operation) {
	o.end = min(o.end, c.at)
	if o.err != nil && !isClosed(o.err) && o.err != history.DeadLetter {
		c.fail(NeverRefused, "%v: %v", o.op, o.err)
	}
	if isClosed(o.err) && c.causes.none(c) {
		c.fail(NeverRefused, "%v: %v, and nothing has ended it", o.op, o.err)
	}
}

// data checks a Data that begins.
func (p *pauses) data(c *conn) {
	if p.sure != nil && p.sure.end < c.quietFrom {
		c.fail(Paused, "the Pause was record %d", p.sure.begin)
	}
	if c.world.Options.ReadMode == connection.Pull && c.input.allCalls > p.credit {
		c.fail(PullMode, "number %d of %d", c.input.allCalls, p.credit)
	}
}

// settle notes a Rest: all mail has been read.
func (p *pauses) settle(c *conn) {
	for _, o := range p.open {
		o.end = min(o.end, c.at)
	}
	p.open = p.open[:0]
	if p.sure != nil {
		p.sure.end = min(p.sure.end, c.at)
	}
	p.resumed = false
	if len(p.recent) == 0 {
		return
	}
	last, credit, alone := p.recent[len(p.recent)-1], false, true
	p.now = running
	if last.op == history.Pause {
		p.now = paused
	}
	for _, o := range p.recent {
		credit = credit || o.credit > 0
		if o.by != last.by {
			alone = false // the order is not known
			if o.op != last.op {
				p.now = doubtful
			}
		}
	}
	p.recent = p.recent[:0]
	p.resumed = alone && last.op == history.Resume
	switch {
	case alone && last.op == history.Resume && last.credit == 0:
		p.counted = false
	case credit:
		p.counted = true
	}
}
