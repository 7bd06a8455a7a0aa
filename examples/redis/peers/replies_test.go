package peers

import (
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// conversations are commands of one connection each, whose replies must be Redis' own.
var conversations = map[string]string{
	"strings": `
		set a 1 | get a | get none | set a 2 xx | set a 3 nx | get a | set b 1 xx | set b 1 nx | SeT b 2 | GET b
		set a | set | get | get a b | set a 1 bad | set a 1 nx xx | set a 1 ex | set a 1 ex 0 | set a 1 ex -1 | set a 1 px x
		set a 1 ex 10 px 10 | set a 1 ex 9223372036854775807 | set a 1 px 9223372036854775807 | set a 1 ex 100 nx | ttl a
		set a 1 ex x ex | set a 1 ex x nx xx | set a 1 ex x bad | set a 1 ex 10 ex 200 | ttl a
		set a 1 ex 100 | ttl a | set a 2 | ttl a | set a 1 PX 100000 | ttl a | set a 1 EX 100 XX | get a`,
	"incr": `
		incr n | incr n | get n | set n 9223372036854775806 | incr n | incr n | set n -1 | incr n | set n x | incr n
		set n 01 | incr n | set n +1 | incr n | set n 1.5 | incr n | set n -9223372036854775808 | incr n | incr | lpush l 1 | incr l`,
	"several keys": `
		mset a 1 b 2 c 3 | mget a none c | mget | mset a | mset a 1 b | exists a a none b | exists | del a none b b | del | exists a
		lpush l x | mget l c | set c 1 ex 100 | mset c 2 | ttl c | dbsize | flushall | dbsize | flushall async | flushall bad`,
	"expire": `
		ttl none | expire none 10 | set a 1 | ttl a | expire a 10 | ttl a | expire a x | expire a | expire a 10 bad | expire a 20 nx
		expire a 20 xx | ttl a | expire a 10 gt | expire a 30 gt | expire a 40 lt | expire a 10 lt | ttl a | expire a 1 nx xx
		expire a 1 gt lt | expire a 9223372036854775807 | expire a -1 | exists a | set a 1 | expire a 0 | get a
		set b 1 | expire b 10 gt | expire b 10 lt | ttl b`,
	"lists": `
		lpush l a | lpush l b c | lrange l 0 -1 | lrange l 0 0 | lrange l -2 -1 | lrange l 1 100 | lrange l 5 9 | lrange l 2 1
		lrange l -100 0 | lrange none 0 -1 | lrange l x 1 | lrange l 1 | lpush l | set s 1 | lpush s 1 | lrange s 0 -1 | get l`,
	"hashes": `
		hset h f v | hset h f w g x | hgetall h | hgetall none | hset h f | hset h f v g | hset h | hgetall | set s 1 | hset s f v
		hgetall s | get h | lpush h 1`,
	"connection": `
		ping | ping hello | ping a b | echo x | echo | echo a b | select 0 | select x | select -1 | select 2147483647
		select 2147483648 | select -2147483649 | select 9223372036854775808 | client setname me | client getname
		client setname | client nonsense | client | client id x | config get save | config get appendonly | config get none
		config get | config | config bad | client getname x | command bad | command count x | hello 4 | hello x | hello 2 bad | hello 3 auth x | hello 2 setname | info nonsense | quit`,
	"unknown": `
		foo | foo bar | foo bar baz | get\r\nx | "" | foo aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjjkkkkkkkkkkllllllllllmmmmmmmmmm more
		éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé x
		client ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé
		ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff x`,
	"transactions": `
		exec | discard | multi | set a 1 | incr a | get a | exec | multi | multi | set a 5 | exec | get a | multi | set a 7 | discard
		get a | multi | foo | set a 8 | exec | get a | multi | get | exec | multi | lpush a x | set b 2 | exec | get b | multi | exec
		multi | client bad | exec | multi | client getname x | exec | multi | config bad | config | exec | multi | hello x | exec
		multi | ping | echo x | publish c m | exec | exec extra | multi extra | multi | hgetall a | exec`,
	"pub/sub": `
		publish c m | unsubscribe | unsubscribe a | subscribe a | subscribe a b | ping | ping x | get a | foo | client getname | client bad | subscribe
		unsubscribe a | ping | unsubscribe | ping | get a | subscribe c | quit`,
}

// protocolErrors are streams that end the connection.
var protocolErrors = []string{
	"*x\r\n", "*01\r\n", "*1\r\nPING\r\n", "*1\r\n$x\r\n", "*1\r\n$-1\r\n", "*1\r\n$536870913\r\n", "PING\r\n*2147483648\r\n",
	"ECHO \"a\r\n", "ECHO 'a'b\r\n", strings.Repeat("a", 70000), "*" + strings.Repeat("1", 70000), "*1\r\n$" + strings.Repeat("1", 70000),
	"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "PING\r\nQUIT\r\nPING\r\n",
}

func words(command string) []string {
	args := strings.Fields(command)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(strings.Trim(arg, `"`), `\r\n`, "\r\n")
	}
	return args
}

// Every reply is the one that redis-server gives, byte for byte, in both versions of the protocol.
func TestRepliesAreThoseOfRedis(t *testing.T) {
	ours, theirs := example(t), redisServer(t)
	for _, three := range []bool{false, true} {
		for name, commands := range conversations {
			t.Run(name+map[bool]string{false: " in RESP2", true: " in RESP3"}[three], func(t *testing.T) {
				us, them := dial(t, ours), dial(t, theirs)
				for _, w := range []*wire{us, them} {
					w.send("FLUSHALL")
					w.value()
					if three {
						w.send("HELLO", "3")
						w.value()
					}
				}
				for _, command := range strings.FieldsFunc(commands, func(r rune) bool { return r == '|' || r == '\n' }) {
					args := words(command)
					if len(args) == 0 {
						continue
					}
					us.send(args...)
					them.send(args...)
					replies := 1
					if strings.Contains(args[0], "subscribe") && len(args) > 2 {
						replies = len(args) - 1
					}
					for range replies {
						assert.Equal(t, them.value(), us.value(), "%q", args)
					}
				}
			})
		}
	}
	for _, stream := range protocolErrors {
		us, them := dial(t, ours), dial(t, theirs)
		for _, w := range []*wire{us, them} {
			_, _ = io.WriteString(w.conn, stream) // the server may close before it has taken everything
		}
		assert.Equal(t, them.ends(), us.ends(), "%.40q", stream)
	}
}

// redisServer starts one, without files, and returns the path of its socket.
func redisServer(t *testing.T) string {
	t.Helper()
	path, socket := tool(t, "redis-server"), filepath.Join(t.TempDir(), "redis.sock")
	program.StartCommand(t, exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", t.TempDir()))
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // it says nowhere that a program could look when it is ready
		conn, err := net.Dial("unix", socket)
		if err == nil {
			require.NoError(t, conn.Close())
			return socket
		}
		require.Less(t, time.Since(began), program.Limit, "redis-server does not start: %v", err)
	}
}
