package admission

// limiter counts the permits of a listener, one for each open connection that is counted. Its
// admission guards it.
type limiter struct {
	most int
	used int // more than most only after most was lowered
}

func (l *limiter) free() bool { return l.used < l.most }

func (l *limiter) take() { l.used++ }

func (l *limiter) give() { l.used-- }
