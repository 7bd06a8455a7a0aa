package admission

import (
	"time"

	"golang.org/x/time/rate"
)

// pace bounds how many connections begin in a second. The zero pace bounds nothing. Its admission
// guards it.
type pace struct{ limiter *rate.Limiter }

// set changes the bound; 0 means none. Permits that were saved up or used up before stay so.
func (p *pace) set(perSecond float64, burst int) {
	switch {
	case perSecond <= 0:
		p.limiter = nil
	case p.limiter == nil:
		p.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
	default:
		p.limiter.SetLimit(rate.Limit(perSecond))
		p.limiter.SetBurst(burst)
	}
}

// wait returns how long it is until the next connection may begin; 0 means that it may begin now.
func (p *pace) wait() time.Duration {
	if p.limiter == nil {
		return 0
	}
	missing := 1 - p.limiter.Tokens()
	if missing <= 0 {
		return 0
	}
	return time.Duration(min(missing/float64(p.limiter.Limit())*float64(time.Second), float64(longestWait)))
}

// longestWait is the longest wait before the next look: a wait that a Duration cannot hold must not
// become zero.
const longestWait = time.Hour

// take counts one connection that begins, if it may begin.
func (p *pace) take() bool { return p.limiter == nil || p.limiter.Allow() }
