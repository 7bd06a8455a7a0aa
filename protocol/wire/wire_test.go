package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// known are errors that must be the same value on the other node.
var known = []error{
	nil, protocol.ErrClosed, protocol.ErrWriteQueueFull, protocol.ErrWriteBufferFull, protocol.ErrWriteTooLarge, protocol.ErrNoDescriptor,
	protocol.ErrMemoryBudget, protocol.ErrDropped, protocol.ErrReadBufferFull, protocol.ErrAborted, protocol.ErrStopped,
	protocol.ErrShutdown, protocol.ErrIdleTimeout, protocol.ErrReadTimeout, protocol.ErrWriteTimeout, protocol.ErrHalfCloseTimeout,
	protocol.ErrHandshakeTimeout, protocol.ErrCloseTimeout, protocol.ErrGoexit, protocol.ErrBytesBeforeTLS,
	net.ErrClosed, os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
}

// values are Acks and Tokens that come back equal.
var values = rapid.OneOf(
	rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int().AsAny(), rapid.Int32().AsAny(), rapid.Int64().AsAny(), rapid.Uint().AsAny(),
	rapid.Uint32().AsAny(), rapid.Uint64().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
	rapid.SliceOfN(rapid.Byte(), 1, 50).AsAny(),
	rapid.Custom(func(t *rapid.T) any { return &durationpb.Duration{Seconds: rapid.Int64().Draw(t, "seconds")} }),
	rapid.Custom(func(t *rapid.T) any { return pids.Draw(t, "pid") }),
)

var pids = rapid.Custom(func(t *rapid.T) *actor.PID {
	return &actor.PID{Address: rapid.String().Draw(t, "address"), Id: rapid.String().Draw(t, "id"), RequestId: rapid.Uint32().Draw(t, "request")}
})

var stats = rapid.Custom(func(t *rapid.T) protocol.Stats {
	n := rapid.Uint64()
	return protocol.Stats{
		Read: n.Draw(t, "read"), Unread: n.Draw(t, "unread"), Written: n.Draw(t, "written"), Unsent: n.Draw(t, "unsent"),
		Dropped: n.Draw(t, "dropped"), DroppedWrites: n.Draw(t, "writes"), Duration: time.Duration(rapid.Int64().Draw(t, "duration")),
	}
})

// kinds is how many messages can cross.
const kinds = 23

// messages are all that can cross, events without their Socket.
func messages(t *rapid.T) any { return messageOf(t, rapid.IntRange(0, kinds-1).Draw(t, "kind")) }

func messageOf(t *rapid.T, kind int) any {
	value := func(name string) any { return values.Draw(t, name) }
	err := rapid.SampledFrom(known).Draw(t, "error")
	reason := protocol.Reason(rapid.IntRange(0, int(protocol.ReasonStopped)).Draw(t, "reason"))
	ack := value("ack")
	switch kind {
	case 0:
		return &protocol.Write{Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"), Ack: ack, Token: value("token")}
	case 1:
		return &protocol.Pause{Ack: ack}
	case 2:
		return &protocol.Resume{Credit: rapid.Int().Draw(t, "credit"), Ack: ack}
	case 3:
		return &protocol.Close{Ack: ack}
	case 4:
		return &protocol.CloseWrite{Ack: ack}
	case 5:
		return &protocol.Abort{Ack: ack}
	case 6:
		return &protocol.Detach{Ack: ack}
	case 7:
		return &protocol.Link{PID: pids.Draw(t, "pid"), Ack: ack}
	case 8:
		return &protocol.Unlink{Ack: ack}
	case 9:
		return &protocol.GetInfo{}
	case 10:
		return &protocol.Written{Ack: ack}
	case 11:
		return &protocol.WriteFailed{Ack: ack, Token: value("token"), Err: err}
	case 12:
		return &protocol.WriteReady{PID: pids.Draw(t, "pid")}
	case 13:
		return &protocol.Done{Ack: ack, Err: err}
	case 14:
		return &protocol.Info{
			LocalAddr: rapid.String().Draw(t, "local"), RemoteAddr: rapid.String().Draw(t, "remote"),
			State: protocol.State(rapid.IntRange(0, int(protocol.StateClosed)).Draw(t, "state")), Reason: reason, Err: err,
			Paused: rapid.Bool().Draw(t, "paused"), QueuedWrites: rapid.Int().Draw(t, "writes"), QueuedBytes: rapid.Int().Draw(t, "bytes"),
			Stats: stats.Draw(t, "stats"),
		}
	case 15:
		return &protocol.Accepted{Restarts: rapid.Int().Draw(t, "restarts")}
	case 16:
		buffer, eof := &protocol.Buffer{}, rapid.Bool().Draw(t, "eof")
		bytes := rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "bytes")
		(*protocol.Source)(buffer).AttachAt(rapid.Uint64().Draw(t, "offset"), bytes, nil, eof)
		return &protocol.Data{Buffer: buffer, EOF: eof}
	case 17:
		return &protocol.PeerClosed{}
	case 18:
		return &protocol.Writable{Ready: rapid.Bool().Draw(t, "ready")}
	case 19:
		deadline := time.Time{}
		if rapid.Bool().Draw(t, "limited") {
			deadline = time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		}
		return &protocol.Draining{Deadline: deadline}
	case 20:
		return &protocol.TLSStarted{}
	case 21:
		return &protocol.Closing{Reason: reason, Err: err}
	default:
		return &protocol.Closed{Reason: reason, Err: err, Stats: stats.Draw(t, "stats")}
	}
}

// equal compares as reflect.DeepEqual does, and protobuf messages as protobuf does.
func equal(a, b any) bool {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	if va.Type() != vb.Type() {
		return false
	}
	for i := range va.NumField() {
		x, y := va.Field(i), vb.Field(i)
		if !x.CanInterface() {
			continue
		}
		if p, ok := reflect.TypeAssert[proto.Message](x); ok && !x.IsZero() {
			if q, ok := reflect.TypeAssert[proto.Message](y); !ok || !proto.Equal(p, q) {
				return false
			}
			continue
		}
		if f, ok := reflect.TypeAssert[float64](x); ok && math.IsNaN(f) {
			continue
		}
		if p, ok := reflect.TypeAssert[[]byte](x); ok && len(p) == 0 && y.Len() == 0 {
			continue // nil or empty
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return false
		}
	}
	return true
}

// sent returns what the other node gets.
func sent(t require.TestingT, form proto.Message) proto.Message {
	bytes, err := proto.Marshal(form)
	require.NoError(t, err)
	other := form.ProtoReflect().New().Interface()
	require.NoError(t, proto.Unmarshal(bytes, other))
	return other
}

func TestEveryMessageComesBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := messages(t)
		form, err := wire.Encode(message)
		require.NoError(t, err)
		back, err := wire.Decode(sent(t, form))
		require.NoError(t, err)
		if !equal(message, back) {
			t.Fatalf("%#v became %#v", message, back)
		}
	})
}

// The test of round trips has a case for each message of package protocol.
func TestEveryCommandReplyAndEventHasAForm(t *testing.T) {
	drawn := map[string]bool{}
	for kind := range kinds {
		form, err := wire.Encode(rapid.Custom(func(t *rapid.T) any { return messageOf(t, kind) }).Example(1))
		require.NoError(t, err)
		drawn[string(form.ProtoReflect().Descriptor().Name())] = true
	}
	helpers := []string{"PID", "Value", "Error", "Stats", "Owned", "Handled", "TakeOver", "Refused"}
	var declared []string
	all := wire.File_berth_wire_proto.Messages()
	for i := range all.Len() {
		if name := string(all.Get(i).Name()); !slices.Contains(helpers, name) {
			declared = append(declared, name)
		}
	}
	assert.ElementsMatch(t, declared, slices.Collect(maps.Keys(drawn)))

	// As package protocol declares them. A function, and a *tls.Config, stay in their process.
	source := ""
	for _, name := range []string{"../commands.go", "../events.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		source += string(text)
	}
	found := 0
	for _, method := range regexp.MustCompile(`(?m)^func \(\*(\w+)\) (command|event)\(\)`).FindAllStringSubmatch(source, -1) {
		if name := method[1]; name != "Become" && name != "StartTLS" {
			assert.Contains(t, declared, name)
			found++
		}
	}
	assert.Equal(t, kinds-6, found, "all but GetInfo and the five replies")
}

// Each error that callers branch on has a number, so that it is the same value on the other node.
func TestEveryErrorOfPackageProtocolHasACode(t *testing.T) {
	source, err := os.ReadFile("../errors.go")
	require.NoError(t, err)
	declared := regexp.MustCompile(`(?m)^\t(Err\w+) +error = &sentinel`).FindAll(source, -1)
	codes := 0
	for code := range wire.Code_name {
		if code > 0 && code < int32(wire.Code_CODE_NET_CLOSED) {
			codes++
		}
	}
	assert.Len(t, declared, codes)
}

func TestTheNumbersOfReasonsAndStatesAreThoseOfPackageProtocol(t *testing.T) {
	name := func(s fmt.Stringer, prefix string) string {
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.String(), prefix)), "_", " ")
	}
	differ := map[string]string{"handshake": "handshake failed", "local closed": "closed", "local aborted": "aborted"}
	for number := range wire.Reason_name {
		words := name(wire.Reason(number), "REASON_")
		if other, ok := differ[words]; ok {
			words = other
		}
		assert.Equal(t, protocol.Reason(number).String(), strings.Replace(words, "half close", "half-close", 1))
	}
	assert.Equal(t, "unknown", protocol.Reason(len(wire.Reason_name)).String(), "a reason without a number")
	for number := range wire.State_name {
		assert.Equal(t, protocol.State(number).String(), name(wire.State(number), "STATE_"))
	}
	assert.Equal(t, "state 5", protocol.State(len(wire.State_name)).String(), "a state without a number")
}

func TestWhatCannotBeSentIsAnErrorToTheCaller(t *testing.T) {
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	type embeds struct{ *protocol.Pause }
	var none *protocol.Close
	for name, message := range map[string]any{
		"a function as Ack":      &protocol.Write{Ack: func() {}},
		"a channel as Token":     &protocol.Write{Token: make(chan int)},
		"a file":                 &protocol.Close{Ack: file},
		"a struct":               &protocol.Resume{Ack: struct{ A int }{1}},
		"a string without UTF-8": &protocol.Pause{Ack: "\xff"},
		"a nil protobuf":         &protocol.Pause{Ack: (*durationpb.Duration)(nil)},
		"a protobuf that fails":  &protocol.Pause{Ack: &actor.PID{Id: "\xff"}},
		"a PID without UTF-8":    &protocol.Link{PID: actor.NewPID("node", "\xff")},
		"a socket's file":        file,
		"nothing":                nil,
		"a nil pointer":          none,
		"an embedded command":    embeds{&protocol.Pause{}},
		"a listener's command":   &protocol.Shutdown{},
		"a reason of no name":    &protocol.Closed{Reason: 200},
		"a state of no name":     &protocol.Info{State: 200},
	} {
		form, err := wire.Encode(message)
		assert.ErrorIs(t, err, wire.ErrUnsendable, name)
		assert.Nil(t, form, name)
	}
}

func TestForgedMessagesAreErrors(t *testing.T) {
	var none *wire.Write
	for name, form := range map[string]any{
		"nothing":            nil,
		"a nil pointer":      none,
		"no message of ours": &durationpb.Duration{},
		"a part of one":      &wire.Stats{},
		"an unknown reason":  &wire.Closed{Reason: 20},
		"a negative reason":  &wire.Closing{Reason: -1},
		"an unknown state":   &wire.Info{State: 5},
		"an empty Ack":       &wire.Written{Ack: &wire.Value{}},
		"an empty protobuf":  &wire.Written{Ack: &wire.Value{Kind: &wire.Value_Message{}}},
		"nanoseconds":        &wire.Draining{Limited: true, Nanoseconds: 1e9},
	} {
		message, err := wire.Decode(form)
		assert.ErrorIs(t, err, wire.ErrMalformed, name)
		assert.Nil(t, message, name)
	}
}

func TestErrorsKeepTheirTextAndWhatTheyMatch(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, err := range []error{
		reset, fmt.Errorf("line 7: %w", protocol.ErrWriteTooLarge), fmt.Errorf("%w, %w", io.EOF, protocol.ErrIdleTimeout), errors.New("plain"),
		errors.New("berth: connection closed"), // the text of ErrClosed, and not that
	} {
		got := crossed(t, err)
		assert.Equal(t, err.Error(), got.Error())
		for _, target := range append(known[1:], syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT) {
			assert.Equal(t, errors.Is(err, target), errors.Is(got, target), "%v: %v", err, target)
		}
		var timeout interface{ Timeout() bool }
		require.ErrorAs(t, got, &timeout)
		assert.Equal(t, errors.Is(err, os.ErrDeadlineExceeded), timeout.Timeout())
	}
}

// broken is an error whose method Timeout panics.
type broken struct{ error }

func (broken) Timeout() bool { panic("no answer") }

// An error of another node is a timeout where the original is one: of the kernel's, of a context's,
// of a resolver's, of the program's own.
func TestATimeoutCrosses(t *testing.T) {
	for _, err := range []net.Error{
		&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)},
		&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded},
		&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded},
		&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.EAGAIN)},
		&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
		&net.DNSError{Err: "no answer", Name: "example.org", IsTimeout: true},
		&net.DNSError{Err: "no such host", Name: "example.org", IsNotFound: true},
	} {
		for _, original := range []error{err, fmt.Errorf("line 7: %w", err), &protocol.PanicError{Value: err}} {
			got := crossed(t, original)
			var asked interface{ Timeout() bool }
			assert.Equal(t, err.Timeout(), errors.As(got, &asked) && asked.Timeout(), "%T: %v", original, original)
			assert.Equal(t, got, crossed(t, got), "sent on, it is the same")
		}
	}
	got := crossed(t, broken{io.ErrNoProgress})
	assert.EqualError(t, got, io.ErrNoProgress.Error())
	older := (&wire.Error{Text: "x", Matches: []wire.Code{wire.Code_CODE_TIMED_OUT}}).Native() // of a node that does not know the field
	assert.True(t, older.(interface{ Timeout() bool }).Timeout())
}

func TestThePanicOfAHandlerCrossesWithoutItsStack(t *testing.T) {
	assert.Equal(t, &protocol.PanicError{Value: "boom"}, crossed(t, &protocol.PanicError{Value: "boom", Stack: []byte("goroutine 1")}))
	err := crossed(t, &protocol.PanicError{Value: fmt.Errorf("reading: %w", io.EOF)})
	assert.EqualError(t, err, "berth: handler panicked: reading: EOF")
	assert.ErrorIs(t, err, io.EOF)
}

func TestTheEndOfALinkCrosses(t *testing.T) {
	for _, err := range []*protocol.LinkDownError{{}, {PID: actor.NewPID("10.0.0.1:80", "room")}} {
		var got *protocol.LinkDownError
		require.ErrorAs(t, crossed(t, err), &got)
		assert.True(t, proto.Equal(err.PID, got.PID))
		assert.Equal(t, err.Error(), got.Error())
	}
}

// hostile is an error whose methods are not to be trusted.
type hostile struct{}

func (hostile) Error() string { panic("no text") }

func TestTheTextOfAnErrorIsBoundedAndGuarded(t *testing.T) {
	assert.ErrorContains(t, crossed(t, hostile{}), "panicked")
	for _, long := range []string{strings.Repeat("x", 1<<20), "x" + strings.Repeat("ä", 1<<20), strings.Repeat("\xffx", 1<<20)} {
		got := crossed(t, errors.New(long)).Error()
		assert.LessOrEqual(t, len(got), 4096)
		assert.GreaterOrEqual(t, len(got), 4090)
	}
	assert.EqualError(t, crossed(t, errors.New("\xff")), "\uFFFD")
}

// A node of a later version may send codes that are not known here.
func TestACodeThatIsNotKnownMatchesNothing(t *testing.T) {
	message, err := wire.Decode(&wire.Done{Error: &wire.Error{Text: "new", Matches: []wire.Code{9999, wire.Code_CODE_EOF}}})
	require.NoError(t, err)
	got := message.(*protocol.Done).Err
	assert.EqualError(t, got, "new")
	assert.ErrorIs(t, got, io.EOF)
}

func crossed(t *testing.T, err error) error {
	t.Helper()
	form, encodeErr := wire.Encode(&protocol.Done{Err: err})
	require.NoError(t, encodeErr)
	message, decodeErr := wire.Decode(sent(t, form))
	require.NoError(t, decodeErr)
	return message.(*protocol.Done).Err
}

// An Ack that came from another node goes back as it came, whatever it is: the connection's node
// need not know the type of a protobuf message in it.
func TestAnAckGoesBackUnopened(t *testing.T) {
	ack := &wire.Value{Kind: &wire.Value_Message{}}
	ack.ProtoReflect().SetUnknown(protoreflect.RawFields{0xf8, 0x07, 1}) // a field of a later version
	command, form := (&wire.Write{Data: []byte("x"), Ack: ack, Token: &wire.Value{}}).Native()
	write := command.(*protocol.Write)
	answer := form.Answer(&protocol.WriteFailed{Ack: write.Ack, Token: write.Token, Err: protocol.ErrClosed}).(*wire.WriteFailed)
	assert.True(t, proto.Equal(ack, answer.Ack))
	assert.True(t, proto.Equal(&wire.Value{}, answer.Token))

	answer2 := form.Answer(&protocol.Written{Ack: func() {}})
	assert.ErrorContains(t, decoded(t, answer2).(*protocol.Done).Err, "cannot be sent")
	assert.ErrorContains(t, decoded(t, form.Answer(7)).(*protocol.Done).Err, "cannot be sent")
}

// Another program may list the codes of an error in any order, twice, or without those that they
// imply, and may send a longer text. The error that comes of it can be sent on, and is the same
// then.
func TestAnErrorsCodesMayComeInAnyOrder(t *testing.T) {
	timeout, eof, closed := wire.Code_CODE_WRITE_TIMEOUT, wire.Code_CODE_EOF, wire.Code_CODE_NET_CLOSED
	for _, row := range []struct {
		form    *wire.Error
		matches []error
	}{
		{&wire.Error{Text: "x", Matches: []wire.Code{closed, eof}}, []error{net.ErrClosed, io.EOF}},
		{&wire.Error{Text: "x", Matches: []wire.Code{eof, eof}}, []error{io.EOF}},
		{&wire.Error{Text: "x", Matches: []wire.Code{timeout}}, []error{protocol.ErrWriteTimeout, os.ErrDeadlineExceeded}},
		{&wire.Error{Text: "x", Matches: []wire.Code{eof, 9999}}, []error{io.EOF}},
		{&wire.Error{Text: strings.Repeat("long", 4<<10), Matches: []wire.Code{eof}}, []error{io.EOF}},
	} {
		for _, row.form.Panic = range []bool{false, true} {
			first := row.form.Native()
			for _, known := range row.matches {
				assert.ErrorIs(t, first, known)
			}
			again := sent(t, wire.NewError(first)).(*wire.Error).Native()
			assert.True(t, assert.ObjectsAreEqual(first, again), "%.200v", row.form)
		}
	}
}

func decoded(t *testing.T, form any) any {
	t.Helper()
	message, err := wire.Decode(form)
	require.NoError(t, err)
	return message
}

// FuzzDecode gives bytes of the network to every form. Decode returns a message or an error. A
// message can be sent on, and is the same then.
func FuzzDecode(f *testing.F) {
	all := wire.File_berth_wire_proto.Messages()
	for _, message := range []any{
		&protocol.Write{Data: []byte("x"), Ack: 7, Token: "t"}, &protocol.Closed{Reason: protocol.ReasonStopped, Err: protocol.ErrStopped},
		&protocol.Link{PID: actor.NewPID("a", "b"), Ack: &durationpb.Duration{Seconds: 1}}, &protocol.Draining{Deadline: time.Unix(1, 2)},
		&protocol.Info{State: protocol.StateClosed, Err: &protocol.PanicError{Value: io.EOF}},
	} {
		form, err := wire.Encode(message)
		require.NoError(f, err)
		bytes, err := proto.Marshal(form)
		require.NoError(f, err)
		f.Add(form.ProtoReflect().Descriptor().Index(), bytes)
	}
	f.Fuzz(func(t *testing.T, index int, bytes []byte) {
		descriptor := all.Get(int(uint(index) % uint(all.Len())))
		kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
		require.NoError(t, err)
		form := kind.New().Interface()
		if proto.Unmarshal(bytes, form) != nil {
			return
		}
		if foreign, ok := form.(protocol.Foreign); ok {
			command, answers := foreign.Native()
			require.NotNil(t, command)
			require.NotNil(t, answers)
		}
		message, err := wire.Decode(form)
		if err != nil {
			require.ErrorIs(t, err, wire.ErrMalformed)
			return
		}
		again, err := wire.Encode(message)
		require.NoError(t, err)
		back, err := wire.Decode(sent(t, again))
		require.NoError(t, err)
		if !equal(message, back) {
			t.Fatalf("%#v became %#v", message, back)
		}
	})
}
