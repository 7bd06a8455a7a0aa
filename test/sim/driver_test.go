package sim

import (
	"math/rand/v2"
	"time"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// driver is the issuer for the world's own goroutine; helpers have the numbers after it.
const driver = 1

// step performs one operation, and usually waits for its effect.
func (w *world) step() {
	number := w.taken
	w.taken++
	if w.kept != nil && !w.kept[number] {
		return
	}
	w.begin(uint64(number))
	rng := w.rng
	if rng.Float64() < w.plan.fatal {
		w.fatal()
	} else {
		switch rng.IntN(20) {
		case 0:
			w.dial()
		case 1, 2, 3, 4, 5:
			w.send()
		case 6, 7, 8, 9:
			w.read()
		case 10:
			w.clock()
		case 11:
			w.rare()
		default:
			if p := w.any(rng); p != nil {
				w.operate(rng, p.socket.As(driver), p)
			}
		}
	}
	if rng.Float64() >= w.plan.hurried {
		w.ground.rest(w)
	} else {
		seam.Yield()
	}
}

// What is drawn outside of steps.
const (
	beforeEnd = 1<<32 + iota
	afterEnd
)

// begin makes what is drawn from now on depend on nothing that was drawn before.
func (w *world) begin(part uint64) { w.source.Seed(w.seed, part<<8) }

// client returns one of the clients that have not ended, nil if there is none.
func (w *world) client() *client {
	open := w.open()
	if len(open) == 0 {
		return nil
	}
	return open[w.rng.IntN(len(open))]
}

func (w *world) open() (open []*client) {
	from := max(0, len(w.clients)-3*w.plan.crowd)
	for _, c := range w.clients[from:] {
		if !c.ended {
			open = append(open, c)
		}
	}
	return open
}

func (w *world) dial() {
	if len(w.open()) >= w.plan.crowd {
		return
	}
	conn, err := w.ground.dial()
	if err != nil {
		return // a shutdown has begun
	}
	w.clients = append(w.clients, newClient(w.recorder.Peer(conn)))
}

func (w *world) send() {
	if c := w.client(); c != nil {
		tell(c.sends, text(w.rng, w.size(w.rng, w.plan.listener.Connection.WithDefaults().ReadBufferSize, 1)))
	}
}

func (w *world) read() {
	if c := w.client(); c != nil {
		n := w.size(w.rng, bufferOf(w.plan.network), 1)
		if w.rng.IntN(20) == 0 {
			n = 0
		}
		if tell(c.reads, n) {
			w.reads++
		}
	}
}

// clock lets time pass.
func (w *world) clock() {
	w.ticks++
	w.sleep(w.rng, pick(w.rng, time.Millisecond, 100*time.Millisecond, time.Second, 3*time.Second))
}

// sleep waits for a random time up to most.
func (w *world) sleep(rng *rand.Rand, most time.Duration) {
	w.ground.sleep(time.Duration(rng.Int64N(int64(most))))
}

// size returns a random size: near a limit, or anything up to a little over it. Sizes of many
// network windows are rare enough with small limits.
func (w *world) size(rng *rand.Rand, limit, least int) int {
	limit = min(limit, 10_000, 20*bufferOf(w.plan.network))
	switch rng.IntN(8) {
	case 0:
		return limit
	case 1:
		return limit + 1
	case 2:
		return max(least, limit-1)
	case 3:
		return least
	case 4:
		return least + rng.IntN(limit+limit/2)
	default:
		return least + rng.IntN(min(limit, 64))
	}
}

// text returns n random bytes, which make a missing, doubled or swapped piece visible.
func text(rng *rand.Rand, n int) []byte {
	p := make([]byte, 0, n+8)
	for len(p) < n {
		bits := rng.Uint64()
		p = append(p, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24), byte(bits>>32), byte(bits>>40), byte(bits>>48), '\n')
	}
	return p[:n]
}

// write writes to a connection, in one of the forms, for the issuer that socket is of. p is the
// connection's player.
func (w *world) write(rng *rand.Rand, socket *history.Socket, p *player) {
	limit := w.plan.listener.Connection.WithDefaults().WriteBufferSize
	data := text(rng, w.size(rng, limit, 0))
	switch rng.IntN(6) {
	case 0, 1:
		_, _ = socket.Write(data)
	case 2:
		cut := rng.IntN(len(data) + 1)
		_ = socket.WriteBuffers([][]byte{data[:cut], nil, data[cut:]}, p.done(1))
	case 3:
		socket.Do(&protocol.Write{Data: data}, p.done(1))
	case 4:
		w.writeFile(rng, socket, len(data), p)
	default:
		_ = socket.WriteOwned(data, p.done(1))
	}
}

// operate performs an operation that does not end the connection, for the issuer that socket is of.
func (w *world) operate(rng *rand.Rand, socket *history.Socket, p *player) {
	asked := rng.IntN(4) > 0
	switch rng.IntN(19) {
	case 0:
		socket.Pause()
	case 1, 2:
		socket.Resume()
	case 3:
		w.mail.Command(socket, &protocol.Pause{}, asked)
	case 4:
		w.mail.Command(socket, &protocol.Resume{Credit: rng.IntN(4)}, asked)
	case 5, 6:
		limit := w.plan.listener.Connection.WithDefaults().WriteBufferSize
		w.mailWrite(rng, socket, w.size(rng, limit, 0))
	case 7:
		socket.Info()
	case 8:
		w.mail.Info(socket)
	case 9:
		if rng.IntN(10) == 0 {
			socket.Detach()
		}
	case 10:
		if w.plan.factory != "functions" {
			w.mail.Task(socket)
		}
	case 11:
		w.burst(rng, socket, p)
	case 12:
		w.wait(rng, socket)
	case 13:
		w.cancel(rng)
	case 14:
		w.limit(rng, socket)
	case 15:
		w.become(rng, socket, p)
	default:
		w.write(rng, socket, p)
	}
}

// limit gives a connection limits of its own.
func (w *world) limit(rng *rand.Rand, socket *history.Socket) {
	short := w.ground.patience()
	socket.SetTimeouts(protocol.Timeouts{
		Idle: pick(rng, 0, -1, short, 10*short), Read: pick(rng, 0, -1, -1, 10*short), MaxAge: pick(rng, 0, 0, -1, 10*short),
	})
}

// mailWrite writes by PID: with or without an acknowledgement, with or without a token.
func (w *world) mailWrite(rng *rand.Rand, socket *history.Socket, size int) {
	write := &protocol.Write{Data: text(rng, size)}
	if rng.IntN(3) == 0 {
		write.Token = true // replaced by the mail's own
	}
	w.mail.Command(socket, write, rng.IntN(4) > 0)
}

// burst is more writes than the queue has room for, one right after the other.
func (w *world) burst(rng *rand.Rand, socket *history.Socket, p *player) {
	o := w.plan.listener.Connection.WithDefaults()
	way := rng.IntN(4)
	for range 2 + rng.IntN(3*min(o.WriteQueueSize, 8)) {
		size := rng.IntN(min(o.WriteBufferSize, bufferOf(w.plan.network), 64) + 1)
		switch way {
		case 0:
			_, _ = socket.Write(text(rng, size))
		case 1:
			w.mailWrite(rng, socket, size)
		case 2:
			_ = socket.WriteOwned(text(rng, size), p.done(2))
		default:
			w.write(rng, socket, p)
		}
	}
}

// fatal performs an action that ends a connection.
func (w *world) fatal() {
	rng := w.rng
	if c := w.client(); c != nil && rng.IntN(2) == 0 {
		switch rng.IntN(4) {
		case 0:
			c.end(c.Reset)
		case 1:
			c.end(c.Close)
		default:
			tell(c.sends, nil)
		}
		return
	}
	p := w.any(rng)
	if p == nil {
		return
	}
	socket, asked := p.socket.As(driver), rng.IntN(4) > 0
	switch rng.IntN(10) {
	case 0:
		_ = socket.Close()
	case 1:
		w.mail.Command(socket, &protocol.Close{}, asked)
	case 2:
		socket.Do(&protocol.Close{}, p.done(1))
	case 3:
		socket.CloseWrite()
	case 4:
		w.mail.Command(socket, &protocol.CloseWrite{}, asked)
	case 5:
		socket.Abort()
	case 6:
		w.mail.Command(socket, &protocol.Abort{}, asked)
	case 7:
		socket.Do(&protocol.Abort{}, p.done(1))
	case 8:
		socket.Stop(w.system)
	default:
		socket.Poison(w.system)
	}
}

// rare performs an operation on more than one connection, or on the network.
func (w *world) rare() {
	rng := w.rng
	switch rng.IntN(6) {
	case 0:
		w.recorder.Note(history.Suspended)
		w.listener.Suspend()
		w.sleep(rng, 100*time.Millisecond)
		_ = w.listener.Resume() // the address is not taken: it was kept
		w.recorder.Note(history.Resumed)
	case 1, 2:
		w.part()
	case 3:
		w.heal()
	default:
		w.storm()
	}
}

// part cuts one connection off, for a while or until all is healed.
func (w *world) part() {
	c := w.client()
	if c == nil || !w.plan.faults {
		return
	}
	if conn, ok := parts(c.Conn); ok {
		w.recorder.NoteOf(history.Parted, c.Number())
		conn.Partition()
		w.parted = true
	}
}

func (w *world) heal() {
	if !w.parted {
		return
	}
	w.parted = false
	for _, c := range w.clients {
		if conn, ok := parts(c.Conn); ok {
			conn.Heal()
			w.recorder.NoteOf(history.Healed, c.Number())
		}
	}
}

// storm has several goroutines operate on one connection at once.
func (w *world) storm() {
	p := w.any(w.rng)
	if p == nil {
		return
	}
	for i := range 2 + w.rng.IntN(2) {
		rng, socket := rand.New(rand.NewPCG(w.rng.Uint64(), 0)), p.socket.As(driver+1+i)
		spawn(&w.helpers, func() {
			for range 1 + rng.IntN(10) {
				w.operate(rng, socket, p)
			}
		})
	}
}
