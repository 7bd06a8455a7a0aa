package main

// transaction is what lies between MULTI and EXEC.
type transaction struct {
	open   bool
	spoilt bool // a command was refused: EXEC does nothing
	queue  []call
	bytes  int // of the queued arguments
}

// call is a queued command, with arguments of its own.
type call struct {
	command *command
	args    [][]byte
}

// mostQueued is how much the commands of one transaction may take together, arguments and 24 bytes
// for each of them. Redis counts them in maxmemory-clients, which is off by default.
const mostQueued = 64 << 20

func multi(s *session, _ [][]byte) {
	if s.transaction.open {
		s.out.err("ERR MULTI calls can not be nested")
		return
	}
	s.transaction = transaction{open: true}
	s.out.raw(ok)
}

func discard(s *session, _ [][]byte) {
	if !s.transaction.open {
		s.out.err("ERR DISCARD without MULTI")
		return
	}
	s.transaction = transaction{}
	s.out.raw(ok)
}

// queue keeps a command for EXEC, in one piece of memory.
func (s *session) queue(c *command, args [][]byte) {
	t := &s.transaction
	size := 0
	for _, arg := range args {
		size += len(arg) + 24
	}
	if t.bytes += size; t.bytes > mostQueued {
		s.refuse("ERR transaction too large")
		t.queue = nil
		return
	}
	kept, memory := make([][]byte, len(args)), make([]byte, 0, size)
	for i, arg := range args {
		from := len(memory)
		memory = append(memory, arg...)
		kept[i] = memory[from:len(memory):len(memory)]
	}
	t.queue = append(t.queue, call{c, kept})
	s.out.raw(queued)
}

// exec runs the queued commands. Nothing comes between them: the lock of the keyspace is held.
func exec(s *session, _ [][]byte) {
	t := s.transaction
	s.transaction = transaction{}
	switch {
	case !t.open:
		s.out.err("ERR EXEC without MULTI")
		return
	case t.spoilt:
		s.out.err("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	s.owned = false // an argument shares its memory with the others of its command
	s.out.array(len(t.queue))
	s.runAll(t.queue)
	for _, p := range s.publications {
		s.server.channels.publish(p[0], p[1])
	}
	s.publications = nil
}

func (s *session) runAll(queue []call) {
	store := s.server.store
	store.mu.Lock()
	s.inExec = true
	defer func() {
		s.inExec = false
		store.mu.Unlock()
	}()
	for _, c := range queue {
		store.dropDue()
		c.command.run(s, c.args)
	}
}
