//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// keyed writes a client's TLS 1.3 records by itself: crypto/tls sends no KeyUpdate. The client's
// tls.Conn must write nothing any more; it can read.
type keyed struct {
	t      *testing.T
	conn   net.Conn
	secret []byte
	number uint64 // of the next record
}

// Types of records, and the KeyUpdate that asks for one.
const (
	handshakeType   = 22
	applicationType = 23
	updateRequested = "\x18\x00\x00\x01\x01"
)

func (k *keyed) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, k.secret, string(append(info, 0)), n)
	require.NoError(k.t, err)
	return out
}

// record returns one record.
func (k *keyed) record(kind byte, text string) []byte {
	block, err := aes.NewCipher(k.expand("key", 16))
	require.NoError(k.t, err)
	seal, err := cipher.NewGCM(block)
	require.NoError(k.t, err)
	nonce := k.expand("iv", 12)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^k.number)
	k.number++
	header := []byte{applicationType, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(text)+1+seal.Overhead()))
	return seal.Seal(bytes.Clone(header), nonce, append([]byte(text), kind), header)
}

// update returns a KeyUpdate that asks for one, and uses the next keys from then on.
func (k *keyed) update() []byte {
	record := k.record(handshakeType, updateRequested)
	k.secret, k.number = k.expand("traffic upd", sha256.Size), 0
	return record
}

// keyed returns both ends after the handshake.
func (h *harbour) keyed() (*transport.PollTLS, *announced, *tls.Conn, *keyed) {
	var log bytes.Buffer
	config := trusting.Clone()
	config.KeyLogWriter = &log
	c, a, client := h.secure(config)
	if client.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		h.t.Skip("this machine's first choice is another cipher suite")
	}
	k := &keyed{t: h.t, conn: client.NetConn()}
	for line := range bytes.Lines(log.Bytes()) {
		if fields := bytes.Fields(line); string(fields[0]) == "CLIENT_TRAFFIC_SECRET_0" {
			var err error
			k.secret, err = hex.DecodeString(string(fields[2]))
			require.NoError(h.t, err)
		}
	}
	return c, a, client, k
}

func (k *keyed) send(records ...[]byte) {
	_, err := k.conn.Write(bytes.Join(records, nil))
	require.NoError(k.t, err)
}

func TestAKeyUpdateIsAnsweredByTheRead(t *testing.T) {
	c, a, client, k := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{}).keyed()
	for range 3 {
		before := sent(c)
		k.send(k.update(), k.record(applicationType, "hello"))
		got, err := take(t, c, a, 100)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
		assert.Greater(t, sent(c), before)
		bring(t, c, a, []byte("answer"))
		b := make([]byte, 6)
		_, err = io.ReadFull(client, b)
		require.NoError(t, err, "the next keys are used")
		assert.Equal(t, "answer", string(b))
	}
}

// A KeyUpdate in pieces is kept as a part of any record is.
func TestAKeyUpdateMayComeByteByByte(t *testing.T) {
	c, a, _, k := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{NoDelay: true}).keyed()
	for _, one := range append(k.update(), k.record(applicationType, "hello")...) {
		for c.Ready(100) {
			_, err := c.Fill(new(transport.Input), 100)
			require.Equal(t, transport.ErrAgain, err)
		}
		k.send([]byte{one})
		receive(t, a.readable)
	}
	got, err := take(t, c, a, 100)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}

// The socket is full, so the answer waits behind the record that is written in part. Reading goes
// on, and no goroutine waits.
func TestAnAnswerToAKeyUpdateWaitsForRoomWithoutBlockingTheRead(t *testing.T) {
	c, a, client, k := newHarbour(t, "tcp4", "127.0.0.1:0", narrow).keyed()
	sent, counted := text(1<<20, 7), 0
	for {
		n, err := c.Writev([][]byte{sent[counted:]})
		counted += n
		if err != nil {
			require.Equal(t, transport.ErrAgain, err)
			break
		}
	}
	k.send(k.update(), k.record(applicationType, "hello"))
	got, err := take(t, c, a, 100)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	all := make(chan []byte, 1)
	go func() {
		b := make([]byte, len(sent))
		_, err := io.ReadFull(client, b)
		assert.NoError(t, err)
		all <- b
	}()
	bring(t, c, a, sent[counted:])
	same(t, sent, receive(t, all))
}

// No writer waits, so the goroutine that announces room writes the answer. What fills the socket is
// no TLS: the client is not to decrypt anything.
func TestAnAnswerToAKeyUpdateGoesOutWithoutAWriter(t *testing.T) {
	c, a, _, k := newHarbour(t, "tcp4", "127.0.0.1:0", narrow).keyed()
	filled := 0
	for idle := 0; idle < 1000; idle++ {
		n, _ := c.Poll.Writev([][]byte{make([]byte, 1000)})
		if filled += n; n > 0 {
			idle = 0
		}
		runtime.Gosched()
	}
	k.send(k.update(), k.record(applicationType, "hello"))
	_, err := take(t, c, a, 100)
	require.NoError(t, err)
	const answer = 5 + len(updateRequested) + 1 + 16 // header, type, tag
	_, err = io.ReadFull(k.conn, make([]byte, filled+answer))
	require.NoError(t, err)
	assert.Empty(t, a.writable)
}

// A peer that asks for answers and reads none is not read any more: the answers would need memory
// without a limit.
func TestAPeerThatReadsNoAnswersIsNotRead(t *testing.T) {
	c, a, _, k := newHarbour(t, "tcp4", "127.0.0.1:0", narrow).keyed()
	clog(t, c)
	const asks = 3500
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for range asks {
			if _, err := k.conn.Write(append(k.update(), k.record(applicationType, "x")...)); err != nil {
				return
			}
		}
	}()
	read := 0
	for c.Unread() == 0 || c.Ready(100) {
		var in transport.Input
		n, err := c.Fill(&in, 100)
		in.Release()
		if err == transport.ErrAgain && !c.Ready(100) && c.Unread() == 0 {
			receive(t, a.readable)
		}
		read += n
		require.Less(t, read, asks, "all was read, and all answers are kept")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, k.conn) // the answers; a tls.Conn bears 16 of them without data
	}()
	for read < asks {
		got, err := take(t, c, a, 100)
		require.NoError(t, err)
		read += len(got)
	}
	receive(t, asked)
	c.Abort()
	receive(t, ended)
}
