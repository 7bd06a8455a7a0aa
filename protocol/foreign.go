package protocol

// Foreign is a command, or a GetInfo, in a form that can be sent to another node: those of package
// wire. A connection obeys it as the command that it stands for. Its answers go to the sender in
// the same form.
type Foreign interface {
	// Native returns a Command or a *GetInfo, and the form of its answers; nil for both where the
	// message is a nil pointer. It looks at the message only.
	Native() (message any, form Form)
}

// Form is how answers reach a sender that does not get them as they are. It may be used by any
// goroutine.
type Form interface {
	// Answer returns the form of a reply: Written, WriteFailed, WriteReady, Done or Info.
	Answer(reply any) any
}
