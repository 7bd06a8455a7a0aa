package listener

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
)

// memory returns the limits of MemoryBudget with their defaults. Total 0 means that there is no
// budget.
func (o Options) memory() connection.BudgetLimits {
	l := connection.BudgetLimits{
		Total: max(o.MemoryBudget, 0), HighWater: o.MemoryHighWater, LowWater: o.MemoryLowWater, Timeout: o.MemoryTimeout,
	}
	if l.HighWater == 0 {
		l.HighWater = l.Total / 5 * 4
	}
	if l.LowWater == 0 {
		l.LowWater = l.HighWater / 4 * 3 // of the default high water: 60% of the budget
	}
	if l.Timeout == 0 {
		l.Timeout = 30 * time.Second
	}
	return l
}

func (o Options) validateMemory() error {
	if o.MemoryBudget <= 0 {
		if o.MemoryHighWater != 0 || o.MemoryLowWater != 0 || o.MemoryTimeout > 0 {
			return errors.New("berth: MemoryHighWater, MemoryLowWater and MemoryTimeout limit nothing without a MemoryBudget")
		}
		return nil
	}
	l, read := o.memory(), int64(transport.ChunkSize(o.Connection.WithDefaults().ReadBufferSize))
	switch {
	case o.MemoryHighWater < 0 || o.MemoryLowWater < 0:
		return fmt.Errorf("berth: MemoryHighWater %d and MemoryLowWater %d must not be negative", o.MemoryHighWater, o.MemoryLowWater)
	case l.HighWater > l.Total:
		return fmt.Errorf("berth: MemoryHighWater %d is over the MemoryBudget of %d", l.HighWater, l.Total)
	case l.HighWater < read:
		return fmt.Errorf("berth: MemoryBudget %d has a high water of %d, and one full read buffer takes %d", l.Total, l.HighWater, read)
	case l.LowWater >= l.HighWater:
		return fmt.Errorf("berth: MemoryLowWater %d must be below MemoryHighWater %d", l.LowWater, l.HighWater)
	}
	return nil
}

// The limits of what the kernel holds of a connection if there is a MemoryBudget.
const (
	// fewSockets is the least number of connections that the budget is divided by.
	fewSockets = 16
	// leastKernel is the least that a connection gets. Less would cost much speed.
	leastKernel = 16 << 10
	// mostKernel is the share from which on there is no limit: such a budget leaves room for the
	// kernel's own choice.
	mostKernel = 1 << 20
)

// kernelShare returns what the kernel may hold of one more connection, in each direction whose
// buffer the options do not name: a quarter of the MemoryBudget divided by the connections that are
// open, and leastKernel at least. A connection keeps the share of the moment when it was accepted,
// so the shares of n connections come to about half the budget times 1+ln(n/16). 0 means no limit.
func (s *server) kernelShare(o *Options) (recv, send int) {
	if o.MemoryBudget <= 0 || o.RecvBufferSize != 0 && o.SendBufferSize != 0 {
		return 0, 0
	}
	share := o.MemoryBudget / int64(4*max(s.open(), fewSockets))
	if share >= mostKernel {
		return 0, 0
	}
	recv = max(int(share), leastKernel)
	send = recv
	if o.RecvBufferSize != 0 {
		recv = 0
	}
	if o.SendBufferSize != 0 {
		send = 0
	}
	return recv, send
}

// newBudget returns nil without a MemoryBudget.
func (s *server) newBudget() *connection.Budget {
	limits := s.options().memory()
	if limits.Total == 0 {
		return nil
	}
	return connection.NewBudget(limits, func(pressed bool, held int64) {
		if pressed {
			s.publish(&BudgetHigh{Addr: s.addr, Buffered: held, Budget: limits.Total})
		} else {
			s.publish(&BudgetLow{Addr: s.addr, Buffered: held, Budget: limits.Total})
		}
	})
}
