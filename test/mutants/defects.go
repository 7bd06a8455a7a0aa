package mutants

// defect is one fault put into the code on purpose: in File, the text Old, which occurs there once,
// becomes New. At least one of the tests of CaughtBy must fail then.
type defect struct {
	Name      string // for the report and the command line
	Guarantee string // of docs/guarantees.md
	What      string // what the code does wrong with it
	File      string // from the module's root
	Old, New  string
	CaughtBy  []check
}

// check is a few tests of one package.
type check struct {
	Package string // from the module's root
	Tests   string // for go test -run
	Tags    string // build tags: berthdebug overwrites memory that was given back
}

// defects has at least one for each guarantee. They are typical faults of servers: an end told
// twice, a write lost between two goroutines, a wake-up that comes a moment too early, a permit
// that is never given back.
var defects = []defect{
	{
		Name: "closed-twice", Guarantee: "G1",
		What: "Closed is delivered a second time",
		File: "connection/states.go",
		Old:  "	defer c.deliver(ctx, event)\n",
		New:  "	defer c.deliver(ctx, event)\n	defer c.deliver(ctx, event)\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAConnectionBeginsWithAcceptedAndEndsWithClosed$"},
		},
	},
	{
		Name: "end-told-late", Guarantee: "G1",
		What: "Closing comes at the end, not when the end begins",
		File: "connection/states.go",
		Old:  "	if is(signalClosing) {\n		c.tellClosing(ctx)\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestEveryOrderlyEndIsToldBeforeItsFlush$/^closed$/^simnet$"},
		},
	},
	{
		Name: "turns-overlap", Guarantee: "G1",
		What: "a goroutine that is lent to a mailbox runs it although another one does already",
		File: "actor/mailbox.go",
		Old:  "	start := !m.running\n	if start {\n		m.running = true\n		m.enter()\n",
		New:  "	start := true\n	if start {\n		m.running = true\n		m.enter()\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^(TestTurnsOfOneMailboxNeverOverlap|TestRunTakesATurnOnTheSpotUnlessOneIsScheduled)$"},
		},
	},
	{
		Name: "taken-over-turn-runs", Guarantee: "G1",
		What: "a turn that another goroutine has taken over runs all the same",
		File: "actor/mailbox.go",
		Old:  "			if !m.running || m.inside {\n				m.mu.Unlock()\n				return nil, none\n			}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestTheHandOverInRandomOrdersAndByPriorities$"},
		},
	},
	{
		Name: "unread-forgotten", Guarantee: "G2",
		What: "bytes that the handler did not consume are dropped after the call",
		File: "connection/reading.go",
		Old:  "s.source().Skipped(), s.buffer.Len()",
		New:  "s.source().Skipped(), 0",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestUnreadBytesLeadTheNextData$"},
		},
	},
	{
		Name: "reset-eats-input", Guarantee: "G2",
		What: "what the peer sent before its reset is not shown if writing meets the reset first",
		File: "connection/states.go",
		Old:  "		c.leaveOpen(c.endedBy(protocol.ReasonPeerReset))\n",
		New:  "		c.leaveOpen(false)\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestEverythingBeforeARSTIsShownAlsoWhenWritingFailsFirst$"},
		},
	},
	{
		Name: "late-handler-loses-input", Guarantee: "G2",
		What: "what the peer sent before its reset is dropped if the handler is paused or has no demand when a write meets it",
		File: "connection/states.go",
		Old:  "		case c.salvaging() && !c.flags.inputEnded && !c.flags.aborted:\n",
		New:  "		case c.salvaging() && !c.flags.inputEnded && !c.flags.aborted && c.willing():\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestEverythingBeforeAResetIsShownAlsoToAHandlerThatComesLate$/^by_a_write$/^paused$"},
		},
	},
	{
		Name: "need-ignored", Guarantee: "G2",
		What: "Data comes although the handler needs more bytes than there are",
		File: "connection/reading.go",
		Old:  "		if c.input.Len() < c.input.Needed() {\n",
		New:  "		if c.input.Len() < 0 {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestNoDataComesBeforeTheBytesThatAreNeeded$/^handlers$/^simnet$"},
		},
	},
	{
		Name: "incomplete-frame-unshown", Guarantee: "G2",
		What: "a reset drops the beginning of a frame of which the handler needs more",
		File: "connection/reading.go",
		Old:  "(eof || c.flags.unseen)",
		New:  "eof",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAResetShowsAnIncompleteFrame$/^simnet$"},
		},
	},
	{
		Name: "become-drops-unread", Guarantee: "G2",
		What: "a new handler is not shown the unread bytes before others come",
		File: "connection/host.go",
		Old:  "	if c.flags.forced = unforced; c.input.Len() > 0 {\n		c.flags.forced = due\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestANewHandlerIsShownExactlyTheUnreadBytes$/^to_handlers$/^handlers$/^simnet$"},
		},
	},
	{
		Name: "become-in-vain", Guarantee: "G1",
		What: "after a Become the next handler is one of the old kind",
		File: "connection/host.go",
		Old:  "	c.receiver = c.factory().Open()\n",
		New:  "	c.receiver = c.shared.factory.Open()\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestMessagesGoToTheHandlerThatIsThereThen$/^simnet$"},
		},
	},
	{
		Name: "need-outlives-its-handler", Guarantee: "G2",
		What: "a handler waits for the bytes that the one before it needed, which panicked in that call",
		File: "connection/host.go",
		Old:  "		c.forgetNeed()\n",
		New:  "		c.input.Need(0)\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestWhatAHandlerNeededThatPanickedIsForgotten$/^handlers$/^simnet$"},
			{Package: "test/sim", Tests: "^TestSim$"},
		},
	},
	{
		Name: "resume-overtakes-need", Guarantee: "G2",
		What: "a Resume brings Data before the bytes that the handler needs are there",
		File: "connection/reading.go",
		Old:  " && c.input.Len() >= c.input.Needed() {\n",
		New:  " {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAResumeBringsNoDataBeforeWhatIsNeeded$/^handlers$/^simnet$"},
			{Package: "test/sim", Tests: "^TestSim$"},
		},
	},
	{
		Name: "need-uses-up-demand", Guarantee: "G6",
		What: "a Data that only asks for more bytes uses up the demand of the frame",
		File: "connection/need.go",
		Old:  "			c.demand.Store(demand + 1) // the call has not counted\n",
		New:  "			c.demand.Store(demand)\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestWhatIsNeededUsesUpNoDemand$/^handlers$/^simnet$"},
			{Package: "test/sim", Tests: "^TestSim$"},
		},
	},
	{
		Name: "restarts-outlive-become", Guarantee: "G1",
		What: "the handler of a Become is told of restarts that were not its own",
		File: "connection/become.go",
		Old:  "	rare.replaced.Store(0)\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAfterAPanicTheNewHandlersSuccessorIsOfItsKind$/^handlers$/^simnet$"},
			{Package: "test/sim", Tests: "^TestSim$"},
		},
	},
	{
		Name: "plain-text-shown-as-tls", Guarantee: "G2",
		What: "after a StartTLS plain text is read and shown until the last writes before it are out",
		File: "connection/reading.go",
		Old:  "	case phase&securing != 0:\n",
		New:  "	case phase&securing != 0 && c.writer.ordered(barred):\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestStartTLSWaitsForThePlainBytes$/^simnet$"},
		},
	},
	{
		Name: "unread-goes-to-tls", Guarantee: "G2",
		What: "bytes that the handler has left are taken for the beginning of TLS",
		File: "connection/starttls.go",
		Old:  "	if c.input.Len() > 0 {\n		c.failTLS(protocol.ErrBytesBeforeTLS)\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestPlainTextBehindTheCommandIsNeverShown$/^handlers$/^simnet$"},
		},
	},
	{
		Name: "write-behind-starttls-goes-plain", Guarantee: "G3",
		What: "a write behind a StartTLS goes out in plain text, together with one before it",
		File: "connection/vector.go",
		Old:  "if e.apart() ||",
		New:  "if e.file() != nil ||",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestStartTLSWaitsForThePlainBytes$/^simnet$"},
		},
	},
	{
		Name: "decrypted-rest-forgotten", Guarantee: "G2",
		What: "bytes that TLS has decrypted, or read behind a record, wait for the next event",
		File: "connection/transport/poll_tls.go",
		Old:  "		t.more = err == nil\n",
		New:  "		t.more = false\n",
		CaughtBy: []check{
			{Package: "connection/transport", Tests: "^TestRecordsThatCameTogetherAreAllReadWithoutAnotherEvent$"},
		},
	},
	{
		Name: "last-write-dropped", Guarantee: "G3",
		What: "the writer ends while an accepted write is still on its way to it",
		File: "connection/writer.go",
		Old:  "	return w.ordered(orderFlush) && !w.ordered(blocked) && w.queue.empty() && w.c.credit.idle() && w.inbox.empty()\n",
		New:  "	return w.ordered(orderFlush) && !w.ordered(blocked) && w.queue.empty() && w.inbox.empty()\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestTheWriterDoesNotEndBeforeEveryAcceptedWriteHasCome$"},
		},
	},
	{
		Name: "two-writes-swapped", Guarantee: "G3",
		What: "a write overtakes those before it that the kernel has not taken yet",
		File: "connection/queue.go",
		Old:  "	if q.first == nil {\n		q.first = oldest\n	} else {\n		q.last.next = oldest\n	}\n	q.last = newest\n",
		New:  "	if q.first == nil {\n		q.first, q.last = oldest, newest\n	} else {\n		newest.next, q.first = q.first, oldest\n	}\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestTheWriterBringsOutEveryAcceptedByteInOrderOrCountsIt$"},
		},
	},
	{
		Name: "partial-write-forgotten", Guarantee: "G3",
		What: "a write of which the kernel took a part counts as written",
		File: "connection/writer.go",
		Old:  "		e.advance(took, &g)\n",
		New:  "		if took > 0 {\n			e.advance(int(e.left()), &g)\n		}\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestTheWriterBringsOutEveryAcceptedByteInOrderOrCountsIt$"},
		},
	},
	{
		Name: "ciphertext-rest-dropped", Guarantee: "G3",
		What: "what the kernel does not take of a record is dropped",
		File: "connection/transport/poll_tls_write.go",
		Old:  "		if errors.Is(err, ErrAgain) {\n			return err\n		}\n",
		New:  "		if errors.Is(err, ErrAgain) {\n			o.dropLocked()\n			return err\n		}\n",
		CaughtBy: []check{
			{Package: "connection/transport", Tests: "^TestOverPolledTLSEverythingArrivesInBothDirections$"},
		},
	},
	{
		Name: "buffer-returned-early", Guarantee: "G3",
		What: "the memory of a forwarded buffer goes back to the pool before it is written",
		File: "connection/socket.go",
		Old:  "	e.hold(chunk)\n	e.memory = memory\n",
		New:  "	e.memory = memory\n	chunk.Release()\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestForwardEchoesWithoutACopy$", Tags: "berthdebug"},
		},
	},
	{
		Name: "link-drops-writes", Guarantee: "G3",
		What: "an orderly end of a connection resets the one that is linked to it, and the accepted writes of that one are lost",
		File: "connection/link.go",
		Old:  "	case c.wasReset():\n		one.connection.kill(",
		New:  "	case one.connection != nil:\n		one.connection.kill(",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestALinkedCloseFlushes$/^Close$/^from_the_first_to_the_second$"},
		},
	},
	{
		Name: "dropped-while-it-ends", Guarantee: "G4",
		What: "a write is dropped after the last completions have run: its own completion never runs",
		File: "connection/slow.go",
		Old:  "	live := c.state() != closed\n",
		New:  "	const live = true\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestDroppedWritesAreCountedAndCompleted$"},
		},
	},
	{
		Name: "terminated-overtakes-done", Guarantee: "G4",
		What: "an actor that watches a connection is told of its end by a system message, which overtakes the answers in its mailbox",
		File: "connection/watchers.go",
		Old:  "		if isActor(process) {\n",
		New:  "		if isActor(process) && false {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestEveryReplyComesBeforeTerminated$"},
		},
	},
	{
		Name: "failure-completes-as-success", Guarantee: "G4",
		What: "writes that the end of the connection cut off complete without an error",
		File: "connection/writer.go",
		Old:  "		w.settle(g, err)\n",
		New:  "		w.settle(g, nil)\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestCompletionsGetTheErrorThatEndedTheConnection$"},
		},
	},
	{
		Name: "record-completes-early", Guarantee: "G4",
		What: "over TLS on poll a write counts as written once it is encrypted",
		File: "connection/transport/poll_tls_write.go",
		Old:  "		t.out.owed = n\n		return 0, err\n",
		New:  "		return n, err\n",
		CaughtBy: []check{
			{Package: "connection/transport", Tests: "^TestAPolledTLSWriteCountsOnlyRecordsThatTheKernelTook$"},
		},
	},
	{
		Name: "queue-one-too-long", Guarantee: "G5",
		What: "one write more than WriteQueueSize is accepted",
		File: "connection/credit.go",
		Old:  "	case writes >= l.writes:\n",
		New:  "	case writes > l.writes:\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestTheWriteQueueHoldsAsManyWritesAsItMay$"},
		},
	},
	{
		Name: "run-counted-as-one-write", Guarantee: "G5",
		What: "several writes of a group that share an entry give back the place of one",
		File: "connection/entry.go",
		Old:  "	for n >= len(e.data) {\n		g.writes++\n",
		New:  "	g.writes++\n	for n >= len(e.data) {\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestTheWriterBringsOutEveryAcceptedByteInOrderOrCountsIt$"},
		},
	},
	{
		Name: "pause-ignored", Guarantee: "G6",
		What: "Data comes although the handler has paused",
		File: "connection/reading.go",
		Old:  "{ return !c.paused.Load() && c.demand.Load() != 0 }",
		New:  "{ return c.demand.Load() != 0 }",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAPauseLetsNoMoreDataThrough$"},
		},
	},
	{
		Name: "frame-despite-pause", Guarantee: "G6",
		What: "a pause in the call of one frame does not hold back the next, whose bytes are there",
		File: "connection/reading.go",
		Old:  "	if !c.willing() {\n		return c.hold()\n	}\n	if c.flags.forced",
		New:  "	if !c.willing() && c.flags.forced != due {\n		return c.hold()\n	}\n	if c.flags.forced",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAPauseInTheCallOfAFrameHoldsTheNext$/^handlers$/^simnet$"},
		},
	},
	{
		Name: "decrypted-behind-a-pause", Guarantee: "G6",
		What: "what was decrypted while nothing was shown is lost",
		File: "connection/transport/poll_tls.go",
		Old:  "	t.held.Keep(t.held.Len() - n)\n",
		New:  "	t.held.Keep(0)\n",
		CaughtBy: []check{
			{Package: "connection/transport", Tests: "^TestHoldFindsACloseNotifyAndWhatCameBeforeItIsShownLater$"},
		},
	},
	{
		Name: "gate-open", Guarantee: "G7",
		What: "Data comes although own writes are pending",
		File: "connection/reading.go",
		Old:  "		return writes == 0 ||",
		New:  "		return writes >= 0 ||",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestDataComesOnlyWhileNoWriteIsPending$"},
		},
	},
	{
		Name: "wake-up-lost", Guarantee: "G7",
		What: "the release of the last write does not wake the connection that waits for it",
		File: "connection/reading.go",
		Old:  "	if c.gated.Load() && c.writesQuiet() && c.gated.CompareAndSwap(true, false) {\n		c.mailbox.Schedule()\n	}\n",
		New:  "	if c.gated.Load() && c.writesQuiet() {\n		c.gated.CompareAndSwap(true, false)\n	}\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^(TestDataComesOnlyWhileNoWriteIsPending|TestAForcedCallWaitsForTheGateToo)$"},
		},
	},
	{
		Name: "panic-drops-writes", Guarantee: "G8",
		What: "a panic resets the connection instead of closing it, and what was accepted before is lost",
		File: "connection/host.go",
		Old:  "	c.finish(ctx, reason, err)\n",
		New:  "	c.kill(reason, err)\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestWhatWasWrittenBeforeAPanicIsStillSent$"},
		},
	},
	{
		Name: "continuation-unguarded", Guarantee: "G8",
		What: "a panic in a continuation of ReenterAfter, or in a message that answers for itself, stops the actor without a reason",
		File: "connection/host.go",
		Old:  "	if !tcpactor.RunsUserCode(message) {\n",
		New:  "	if true || !tcpactor.RunsUserCode(message) {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAPanicInAContinuationCutsNoFlushOff$"},
			{Package: "test/conformance", Tests: "^TestAnActorsPanicHasReasonAndStack$"},
		},
	},
	{
		Name: "goexit-takes-the-worker", Guarantee: "G8",
		What: "no worker takes the place of one whose goroutine a handler has ended",
		File: "actor/event_loop.go",
		Old:  "				c.reinforce(1)\n			}\n			c.mu.Unlock()\n		}\n		c.joining.Done()\n",
		New:  "			}\n			c.mu.Unlock()\n		}\n		c.joining.Done()\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestATurnThatEndsItsGoroutineCostsAnEventLoopNothing$"},
		},
	},
	{
		Name: "accept-error-fatal", Guarantee: "G9",
		What: "the accept loop ends at the first error of accept",
		File: "listener/acceptor.go",
		Old:  "		if err := a.next(); err != nil && !a.failed(err) {\n",
		New:  "		if err := a.next(); err != nil && a.failed(err) {\n",
		CaughtBy: []check{
			{Package: "listener", Tests: "^TestNoErrorOfAcceptEndsAListener$"},
		},
	},
	{
		Name: "permit-forgotten", Guarantee: "G10",
		What: "the permit of a connection that has ended is not given back",
		File: "listener/internal/admission/admission.go",
		Old:  "	a.limiter.give()\n",
		New:  "",
		CaughtBy: []check{
			{Package: "listener/internal/admission", Tests: "^TestAnAdmissionIsItsModel$"},
		},
	},
	{
		Name: "permit-too-many", Guarantee: "G10",
		What: "one connection more than MaxConnections is let in",
		File: "listener/internal/admission/limiter.go",
		Old:  "{ return l.used < l.most }",
		New:  "{ return l.used <= l.most }",
		CaughtBy: []check{
			{Package: "listener/internal/admission", Tests: "^(TestThePeakOfPermitsIsTheCapExactly|TestAnAdmissionIsItsModel)$"},
		},
	},
	{
		Name: "queue-not-served", Guarantee: "G11",
		What: "a client that waits with a MaxWait is looked at when a permit comes free, and never for its time",
		File: "listener/client_queue.go",
		Old:  "			s.queue.timer.start(time.Until(next), s.serveQueueSoon)\n",
		New:  "",
		CaughtBy: []check{
			{Package: "listener", Tests: "^TestAClientWaitsForAPlaceForAsLongAsMaxWaitAndIsThenTurnedAway$"},
		},
	},
	{
		Name: "waiting-handler-for-ever", Guarantee: "G11",
		What: "WriteTimeout does not end a connection whose handler waits for room",
		File: "connection/timeouts.go",
		Old:  "		if bit == signalStall && c.awaitsRoom() {\n",
		New:  "		if bit == signalStall && c.awaitsRoom() && false {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAHandlerThatWaitsEndsAtTheWriteTimeout$/^tcp-poll$"},
		},
	},
	{
		Name: "permit-kept-after-fin", Guarantee: "G10",
		What: "a connection that waits for the peer's FIN keeps its permit",
		File: "connection/states.go",
		Old:  "		c.linger()\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAConnectionHoldsItsPlaceUntilItsFINIsSent$/^simnet$"},
		},
	},
	{
		Name: "messages-count-as-traffic", Guarantee: "G11",
		What: "the write timeout is put off by every look at the connection, progress or not",
		File: "connection/timeouts.go",
		Old:  "	if written != w.written || idle || w.idle {",
		New:  "	if written >= w.written || idle || w.idle {",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAWriteWithoutProgressEndsAtItsTimeout$"},
		},
	},
	{
		Name: "half-closed-for-ever", Guarantee: "G11",
		What: "a connection that has sent its FIN is not known to be half-closed",
		File: "connection/states.go",
		Old:  "	case c.writer.err() == nil: // CloseWrite\n		c.phase.Or(halfClosed)\n",
		New:  "	case c.writer.err() == nil:\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestTimeoutsAreExact$"},
		},
	},
	{
		Name: "shutdown-does-not-wait", Guarantee: "G12",
		What: "a shutdown returns while readers still run",
		File: "listener/shutdown.go",
		Old:  "	s.readers.Wait()\n	s.pool.Wait()\n",
		New:  "",
		CaughtBy: []check{
			{Package: "listener", Tests: "^TestAShutdownWaitsForReadersThatReturnLate$"},
		},
	},
	{
		Name: "work-cut-off-in-silence", Guarantee: "G12",
		What: "a drain does not count the connections that it closes with work under way",
		File: "listener/shutdown.go",
		Old:  "	if !over {\n		d.interrupted = d.looks.underWay(d.spawner.Live())\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestADrainCountsTheConnectionsThatItClosesWithWorkUnderWay$"},
		},
	},
	{
		Name: "end-waits-for-callback", Guarantee: "G12",
		What: "the end of a listener waits for a subscriber of the event stream that waits for that end",
		File: "listener/guard.go",
		Old:  "	case <-s.asked:\n		turn.Over()\n	}\n",
		New:  "	}\n",
		CaughtBy: []check{
			{Package: "listener", Tests: "^TestAnEndDoesNotWaitForCallbacksThatNeverReturn$"},
		},
	},
	{
		Name: "write-lost-in-silence", Guarantee: "G13",
		What: "a Write without a sender to an ended connection vanishes",
		File: "connection/commands.go",
		Old:  "		c.system().DeadLetter.SendUserMessage(c.pid, m)\n		return\n",
		New:  "		return\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAWriteByPIDToAClosingConnectionIsAnswered$"},
		},
	},
	{
		Name: "reset-reads-as-fin", Guarantee: "G2",
		What: "the end of the input that follows a reset is shown as the peer's FIN",
		File: "connection/reading.go",
		Old:  "	if errors.Is(err, io.EOF) && c.writeFails() {\n		return nil\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAnEndOfInputWaitsForTheWriteThatHasHeardOfTheReset$"},
		},
	},
	{
		Name: "failed-handler-shown-input", Guarantee: "G8",
		What: "a handler that has failed is shown what the peer sent before its reset",
		File: "connection/peer_end.go",
		Old:  "&(sated|securing) == 0",
		New:  "&securing == 0",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAHandlerThatHasFailedIsShownNoLastWords$"},
		},
	},
	{
		Name: "end-waits-for-a-write-in-vain", Guarantee: "G17",
		What: "the end of the input waits for a write under way, and nothing wakes the connection if that goes out",
		File: "connection/reading.go",
		Old:  "	c.gated.Store(true)\n	if c.credit.idle() {",
		New:  "	if c.credit.idle() {",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAnEndOfInputThatHasWaitedForAWriteComesWhenThatHasGoneOut$"},
		},
	},
	{
		Name: "closed-overtakes-closing", Guarantee: "G1",
		What: "Closed comes while another goroutine still publishes Closing",
		File: "connection/closing.go",
		Old:  "		<-c.rare.Load().published\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestClosedComesAfterASubscriberThatIsToldOnAnotherGoroutine$"},
		},
	},
	{
		Name: "mail-forgotten", Guarantee: "G13",
		What: "a message that comes while a turn finds nothing to do gets no turn",
		File: "actor/mailbox.go",
		Old:  "			m.mu.Lock()\n			if m.stirred {\n				m.mu.Unlock()\n				continue\n			}\n",
		New:  "			m.mu.Lock()\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestNoWakeUpIsLostAtTheEndOfATurn$"},
		},
	},
	{
		Name: "mail-lost-behind-closing", Guarantee: "G13",
		What: "the message at hand is lost where Closing ends the goroutine",
		File: "connection/connection.go",
		Old:  "			if !told {\n				c.Drop(",
		New:  "			if false {\n				c.Drop(",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestMailIsNotLostBehindAClosingThatEndsTheGoroutine$"},
		},
	},
	{
		Name: "answer-in-the-wrong-form", Guarantee: "G13",
		What: "a Write of another node is answered in a form that cannot be sent there",
		File: "connection/commands.go",
		Old:  "		answer = form.Answer(answer)\n",
		New:  "		_ = form.Answer(answer)\n",
		CaughtBy: []check{
			{Package: "protocol/wire", Tests: "^TestAWriteOfAnotherNodeThatAnAbortCutsOffIsAnswered$"},
		},
	},
	{
		Name: "blocked-worker-unnoticed", Guarantee: "G14",
		What: "no worker takes the place of one whose handler blocks",
		File: "actor/monitor.go",
		Old:  "		if inside&1 == 1 && inside == w.seen && !w.blocked {\n",
		New:  "		if inside&1 == 2 && inside == w.seen && !w.blocked {\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestATurnThatBlocksIsTakenOverAfterOneToTwoTicks$"},
		},
	},
	{
		Name: "burst-by-the-queue", Guarantee: "G14",
		What: "no more workers come in than turns wait in the queue, though more that block wait in the poller",
		File: "actor/monitor.go",
		Old:  "		c.extra = min(max(extraGrowth*c.extra, found), mostExtra)\n",
		New:  "		c.extra = min(max(extraGrowth*c.extra, found), c.queue.len())\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestABurstOfTurnsThatBlockHoldsTheOthersUpForFewTicks$"},
		},
	},
	{
		Name: "blocked-for-ever", Guarantee: "G14",
		What: "a worker whose handler has returned is counted as blocked from then on",
		File: "actor/event_loop.go",
		Old:  "	if w.blocked {\n		w.blocked = false\n		c.blocked--\n	}\n	for {\n",
		New:  "	for {\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestABlockedWorkerThatReturnsParksUnlessItIsNeeded$"},
		},
	},
	{
		Name: "called-back-once", Guarantee: "G14",
		What: "a worker that sleeps in the poller is called back for work the first time only",
		File: "actor/event_loop.go",
		Old:  "		c.sleeping, c.waking = false, false\n",
		New:  "		c.sleeping = false\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestTheHandOverInRandomOrdersAndByPriorities$"},
		},
	},
	{
		Name: "needed-as-it-ends", Guarantee: "G14",
		What: "a parked worker that is needed at the moment its time is over does not come",
		File: "actor/event_loop_end.go",
		Old:  "		case needed = <-w.wake: // needed at the same moment\n		default:\n",
		New:  "		default:\n",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestAWorkerThatIsNeededAtTheMomentItEndsIsNotMissed$"},
		},
	},
	{
		Name: "dozes-beside-a-turn", Guarantee: "G14",
		What: "the monitor dozes although a worker has taken a turn since it looked",
		File: "actor/monitor.go",
		Old:  "	if !c.sleeping || c.active() > 0 {\n		return false\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "actor", Tests: "^(TestAMonitorDoesNotDozeWhileAWorkerIsAwake|TestWorkThatComesAtTheMomentTheMonitorGoesToSleepIsNoticed)$"},
		},
	},
	{
		Name: "close-leaves-the-queue", Guarantee: "G14",
		What: "a turn that waits behind one that blocks waits for its end once the event loop is closed",
		File: "actor/event_loop_end.go",
		Old:  "	for c.queue.len() > 0 {\n		c.startLate(c.queue.pop())\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestATurnBehindOneThatBlocksRunsAlsoAfterClose$"},
		},
	},
	{
		Name: "room-not-told", Guarantee: "G15",
		What: "a refusal is not told to the handler, so a rise and a fall between two of its turns cancel out",
		File: "connection/room.go",
		Old:  "	c.signalOnce(signalRefused)\n	return true\n",
		New:  "	return true\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestEveryRefusalIsFollowedByReady$"},
		},
	},
	{
		Name: "full-queue-not-written", Guarantee: "G15",
		What: "a write that finds the queue full is refused although the kernel would take what is queued",
		File: "connection/room.go",
		Old:  "	if err != nil && lacksRoom(err) {\n",
		New:  "	if err != nil && lacksRoom(err) && !c.refuses(slow, n) {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAPipelinedServerAnswersWithDefaultLimits$"},
		},
	},
	{
		Name: "late-asker-unheard", Guarantee: "G15",
		What: "a write that finds the writer at the very end of its turn waits for news that has come already, for a second",
		File: "actor/mailbox.go",
		Old:  "		m.stirred = true // it may have looked already for what the caller has for it\n",
		New:  "",
		CaughtBy: []check{
			{Package: "actor", Tests: "^TestRunNowDuringATurnMakesThatTurnLookAgain$"},
		},
	},
	{
		Name: "waiting-write-forgotten", Guarantee: "G15",
		What: "a write that waits for room is not woken when the kernel takes bytes again",
		File: "connection/writer.go",
		Old:  "	if g.writes > 0 || g.bytes > 0 {\n		w.c.roomMade()\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAWriteThatWaitsIsNoneOfTheSlowConsumerPolicys$"},
		},
	},
	{
		Name: "waiting-write-wakes-itself", Guarantee: "G15",
		What: "a write that waits for room takes each look at a full kernel for news, and looks again",
		File: "connection/writer.go",
		Old:  "	if g.writes > 0 || g.bytes > 0 {\n		w.c.roomMade()\n	}\n",
		New:  "	w.c.roomMade()\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAWaitForRoomAsksTheKernelOnceOrTwice$"},
		},
	},
	{
		Name: "waiting-writes-mixed", Guarantee: "G15",
		What: "the pieces of writes that wait mix",
		File: "connection/write_context.go",
		Old:  "		defer func() { <-r.writing }()\n",
		New:  "		<-r.writing\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestWritesThatWaitDoNotMixTheirBytes$"},
		},
	},
	{
		Name: "sender-not-told", Guarantee: "G15",
		What: "an actor whose write by PID was refused is not told of room",
		File: "connection/room.go",
		Old:  "	if !c.credit.high() {\n		c.tellSenders()\n	}\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestASenderWhoseWriteWasRefusedIsToldOfRoom$/^handlers$/^simnet$"},
		},
	},
	{
		Name: "handler-at-work-is-idle", Guarantee: "G16",
		What: "a connection whose handler runs for long counts as idle",
		File: "connection/timeouts.go",
		Old:  "(leaving || limits.Idle > 0 || limits.Read > 0) && c.mailbox.Busy()",
		New:  "leaving && c.mailbox.Busy()",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAConnectionWhoseAnswerIsAwaitedIsNotIdle$"},
		},
	},
	{
		Name: "pause-is-silence", Guarantee: "G16",
		What: "the time for which the process was stopped counts as the peers' silence",
		File: "connection/clock.go",
		Old:  "max(0, min(moment-k.real, k.most))",
		New:  "max(0, moment-k.real)",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAPauseOfTheProcessEndsNothing$"},
		},
	},
	{
		Name: "limit-begins-early", Guarantee: "G16",
		What: "a limit counts the time before the look that found the wait over",
		File: "connection/timeouts.go",
		Old:  "	w.held |= limit << leftOut\n	return true\n",
		New:  "	w.held |= limit << leftOut\n	return false\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAPeerIsNotSilentWhileWeWouldNotRead$"},
		},
	},
	{
		Name: "calls-not-bytes", Guarantee: "G16",
		What: "a write counts as progress only once its call has returned",
		File: "connection/timeouts.go",
		Old:  "	went += c.written.Load()\n",
		New:  "	went = c.written.Load()\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAPeerThatTakesOneByteWithinEveryLimitIsNeverEnded$"},
		},
	},
	{
		Name: "no-last-try", Guarantee: "G16",
		What: "a limit ends a connection without a look at what its peer took since the last announcement",
		File: "connection/timeouts.go",
		Old:  "	if w.idle || w.retried&kind != 0 {\n",
		New:  "	if true {\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestAWriteIsTriedOnceMoreBeforeALimitEndsTheConnection$"},
			{Package: "test/conformance", Tests: "^TestAPeerThatTakesAByteJustBeforeEveryLimitGetsEverything$"},
		},
	},
	{
		Name: "unannounced-room", Guarantee: "G16",
		What: "on the poll transport a write that waits is not tried before the kernel announces room",
		File: "connection/transport/poll.go",
		Old:  "func (p *Poll) Retry(bool) { p.announceRoom() }",
		New:  "func (p *Poll) Retry(bool) {}",
		CaughtBy: []check{
			{Package: "connection/transport", Tests: "^TestRetryFindsRoomThatTheKernelHasNotAnnouncedToThePoller$"},
		},
	},
	{
		Name: "blocked-in-silence", Guarantee: "G15",
		What: "on the stream transport a write below TLS that waits for room is not announced",
		File: "connection/transport/stream_below.go",
		Old:  "	b.blocked = true\n	if b.writing {\n",
		New:  "	b.blocked = true\n	if false {\n",
		CaughtBy: []check{
			{Package: "connection/transport", Tests: "^(TestOnlyAWritevIsAnnouncedAsBlocked|TestAStepBlocksOnlyForItsFirstByte)$"},
		},
	},
	{
		Name: "fin-waits-for-close", Guarantee: "G18",
		What: "with TLS the end of writing is a close_notify alone, and the FIN comes with the close",
		File: "connection/transport/stream.go",
		Old:  "	if err := h.CloseWrite(); err != nil || !secured(conn) {\n",
		New:  "	if err := h.CloseWrite(); true {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestFINFollowsCloseNotifyWithoutDelay$"},
		},
	},
	{
		Name: "probes-of-its-own", Guarantee: "G18",
		What: "on the poll transport the time between two keep-alive probes is the time before the first one",
		File: "connection/transport/tuning.go",
		Old:  "	want := probes{1, seconds(k.Idle), seconds(k.Interval), k.Count}\n",
		New:  "	want := probes{1, seconds(k.Idle), seconds(k.Idle), k.Count}\n",
		CaughtBy: []check{
			{Package: "listener", Tests: "^TestAnAcceptedSocketHasTheOptionsThatPackageNetWouldGiveIt$"},
		},
	},
	{
		Name: "listeners-address", Guarantee: "G18",
		What: "on the poll transport the local address of a connection is the listener's",
		File: "connection/transport/acceptor_poll.go",
		Old:  "	if key.local.IsValid() {\n",
		New:  "	if false {\n",
		CaughtBy: []check{
			{Package: "listener", Tests: "^TestAConnectionHasTheAddressesThatPackageNetWouldGiveItAlsoAfterItsEnd$"},
		},
	},
	{
		Name: "short-file-unbooked", Guarantee: "G3",
		What: "the bytes that are missing in a file are counted nowhere",
		File: "connection/write_file.go",
		Old:  "	w.c.makeRare().missing.Add(uint64(w.queue.first.left()))\n",
		New:  "",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAShortFileFailsItsWriteAlone$"},
		},
	},
	{
		Name: "run-behind-another-write", Guarantee: "G3",
		What: "a group's write is added to its last entry although another write came after that entry",
		File: "connection/run.go",
		Old:  "	if n == nil || i.newest.Load() != n.entry {\n",
		New:  "	if n == nil {\n",
		CaughtBy: []check{
			{Package: "connection", Tests: "^TestTheWriterBringsOutEveryAcceptedByteInOrderOrCountsIt$"},
		},
	},
	{
		Name: "silent-pipe-holds-close", Guarantee: "G11",
		What: "a close waits for a pipe that gives nothing",
		File: "connection/writer.go",
		Old:  "	if w.ordered(starved) && w.c.state() >= flushing {\n",
		New:  "	if w.ordered(starved) && w.c.state() > closed {\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestASilentPipeHoldsUpNoClose$/^a_pipe$/^tcp-poll$"},
		},
	},
	{
		Name: "reset-unnoticed", Guarantee: "G17",
		What: "a reset is not noticed while the handler is shown nothing",
		File: "connection/peer_end.go",
		Old:  "	case err != nil:\n		c.lose(err)\n		return attendNow\n	case finished &&",
		New:  "	case err != nil:\n		return nil\n	case finished &&",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAResetEndsAConnectionThatShowsItsHandlerNothing$/^paused$/^simnet$"},
		},
	},
	{
		Name: "fin-unnoticed", Guarantee: "G17",
		What: "a FIN that comes while the handler is shown nothing starts no HalfCloseTimeout",
		File: "connection/peer_end.go",
		Old:  "	case finished && c.phase.Load()&halfClosed == 0:\n		c.phase.Or(halfClosed | inputOver)\n",
		New:  "	case finished && c.phase.Load()&halfClosed == 0:\n",
		CaughtBy: []check{
			{Package: "test/conformance", Tests: "^TestAFINStartsTheHalfCloseTimeoutAlsoWhereNothingIsShown$/^alone$/^paused$/^simnet$"},
		},
	},
}
