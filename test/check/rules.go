package check

// Rule is one thing that must hold, named after its guarantee.
type Rule string

// The rules.
const (
	AcceptedFirst Rule = "G1: Accepted comes once and first"
	ClosedLast    Rule = "G1: Closed comes once and last"
	NoOverlap     Rule = "G1: calls of one connection do not overlap"
	ClosingOnce   Rule = "G1: Closing comes once, at once, with the reason of the end"
	FirstCause    Rule = "G1: the first cause of the end is its reason"
	LastHandler   Rule = "G1: a call comes to the handler that was last given Accepted"
	BecomesOnce   Rule = "G1: a Become that is not refused brings one handler, in its turn"

	InputPrefix   Rule = "G2: the bytes shown are a prefix of what the peer sent"
	UnreadLeads   Rule = "G2: unread bytes lead the next Data"
	NewsOrResume  Rule = "G2: no Data without new bytes, a Resume, a Need or a new handler"
	ReadBound     Rule = "G2: no more than ReadBufferSize is shown, or than the handler needs"
	NeededFirst   Rule = "G2: no Data before the bytes that the handler needs, or the end of the stream"
	Exactly       Rule = "G2: a new handler is shown exactly the unread bytes first"
	EOFLast       Rule = "G2: EOF marks the last Data, after the peer's FIN"
	AllShown      Rule = "G2: all that was received before FIN or RST is shown"
	UnreadCounted Rule = "G2: what the handler did not consume is counted as unread"
	InputAtRest   Rule = "G2: what has come is shown as soon as nothing prevents it"
	ResumeForces  Rule = "G2: a Resume with unread bytes forces a call"
	NoDataAfter   Rule = "G2: no Data after the end was decided"
	PeerClosedTwo Rule = "G2: PeerClosed comes once, after all input, where it is wanted"

	Books        Rule = "G3: accepted = written + unsent"
	OutputPrefix Rule = "G3: the peer gets the accepted writes, whole and in order"
	RefusedWrite Rule = "G3: a refused write puts no byte on the wire"
	WholeAtFIN   Rule = "G3: before FIN comes everything that was accepted"
	FlushedEnd   Rule = "G3: an end that flushes loses nothing, unless it is cut off"
	OrderlyEnd   Rule = "G3: an end without error leaves nothing unsent"
	AllOrNothing Rule = "G3: a write takes all or nothing"

	CompletesOnce   Rule = "G4: an accepted write completes once, a refused one never"
	CompletesBefore Rule = "G4: writes complete before Closed"
	SuccessIsGone   Rule = "G4: success means that the bytes went"
	FailureIsEnd    Rule = "G4: failure is the error that ended the connection"
	CompletesAtRest Rule = "G4: a write completes as soon as its bytes went"

	QueueBound  Rule = "G5: no more than WriteQueueSize writes are pending"
	BufferBound Rule = "G5: no more than WriteBufferSize bytes are pending"
	RightError  Rule = "G5: a write is refused for a reason that there was"
	CountFirst  Rule = "G5: the count is checked first"
	Alternating Rule = "G5: Writable alternates, beginning with not ready"

	Paused       Rule = "G6: no Data after a pause until a Resume"
	PullMode     Rule = "G6: in pull mode no more Data than were asked for"
	NeverRefused Rule = "G6: Pause and Resume do not fail"

	Quiet Rule = "G7: no Data while own writes are pending"

	OwnReason Rule = "G8: a connection ends for a reason of its own"
	OwnError  Rule = "G8: a failed handler's error is the connection's"

	Cap          Rule = "G10: no more than MaxConnections are open"
	AcceptAtRest Rule = "G10: a client is accepted as soon as there is a permit"

	EndInTime Rule = "G11: an end comes within its limit"
	NotIdle   Rule = "G11: traffic, and work for it, keep a connection from the idle and the read timeout"

	DrainingOnce Rule = "G12: Draining comes once in a shutdown, once for MaxAge"

	Answered Rule = "G13: every request for an answer is answered once"
	NoLoss   Rule = "G13: a message is handled or dead-lettered, once"
	Token    Rule = "G13: a token comes back with a failure, and with nothing else"

	RefusedFull Rule = "G15: a write is refused for lack of room only while the kernel takes no more"
	RoomFollows Rule = "G15: a refusal is followed by Writable with ready once there is room"
	SenderTold  Rule = "G15: a sender whose write was refused is told of room, once"
	WaitCounts  Rule = "G15: a write that waits says how much was accepted"
	WaitEnds    Rule = "G15: a write that waits ends with room, with its context or with its connection"
	WaitUnmixed Rule = "G15: writes that wait do not mix their bytes"

	ResetNoticed Rule = "G17: a reset is noticed, whatever the handler is shown"
)

// Rules are all of them.
var Rules = []Rule{
	AcceptedFirst, ClosedLast, NoOverlap, ClosingOnce, FirstCause, LastHandler, BecomesOnce,
	InputPrefix, UnreadLeads, NewsOrResume, ReadBound, NeededFirst, Exactly, EOFLast, AllShown, UnreadCounted, InputAtRest, ResumeForces, NoDataAfter, PeerClosedTwo,
	Books, OutputPrefix, RefusedWrite, WholeAtFIN, FlushedEnd, OrderlyEnd, AllOrNothing,
	CompletesOnce, CompletesBefore, SuccessIsGone, FailureIsEnd, CompletesAtRest,
	QueueBound, BufferBound, RightError, CountFirst, Alternating,
	Paused, PullMode, NeverRefused,
	Quiet,
	OwnReason, OwnError,
	Cap, AcceptAtRest,
	EndInTime, NotIdle,
	DrainingOnce,
	Answered, NoLoss, Token,
	RefusedFull, RoomFollows, SenderTold, WaitCounts, WaitEnds, WaitUnmixed,
	ResetNoticed,
}
