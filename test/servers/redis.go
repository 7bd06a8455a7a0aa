package servers

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/tidwall/redcon"
)

// store is tidwall/redcon with go-redis. An exchange is a SET and a GET.
func store() Case {
	return Case{
		Name: "redcon",
		Serve: func(l net.Listener, _ tls.Certificate) func() error {
			s := &values{all: map[string][]byte{}}
			server := redcon.NewServerNetwork("tcp", "", s.command, func(redcon.Conn) bool { return true }, nil)
			return running(func() error { return server.Serve(l) }, l.Close) // Close of a redcon server does this, once Serve has begun
		},
		Dial: func(addr string, _ *x509.Certificate) (Client, error) {
			c := redisClient(addr)
			key := rand.Text()
			return client{
				exchange: func(payload []byte) error {
					ctx, cancel := context.WithTimeout(context.Background(), Timeout)
					defer cancel()
					if err := c.Set(ctx, key, payload, 0).Err(); err != nil {
						return err
					}
					got, err := c.Get(ctx, key).Bytes()
					if err != nil {
						return err
					}
					return same(payload, got)
				},
				close: c.Close,
			}, nil
		},
		Talk: talkRedis,
	}
}

// values are what the server keeps.
type values struct {
	mu  sync.Mutex
	all map[string][]byte
	pub redcon.PubSub
}

func (s *values) command(conn redcon.Conn, command redcon.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name := strings.ToLower(string(command.Args[0])); {
	case name == "ping":
		conn.WriteString("PONG")
	case name == "quit":
		conn.WriteString("OK")
		_ = conn.Close()
	case name == "set" && len(command.Args) > 2:
		s.all[string(command.Args[1])] = append([]byte(nil), command.Args[2]...)
		conn.WriteString("OK")
	case name == "get" && len(command.Args) == 2:
		if value, ok := s.all[string(command.Args[1])]; ok {
			conn.WriteBulk(value)
		} else {
			conn.WriteNull()
		}
	case name == "subscribe" && len(command.Args) == 2:
		s.pub.Subscribe(conn, string(command.Args[1]))
	case name == "publish" && len(command.Args) == 3:
		conn.WriteInt(s.pub.Publish(string(command.Args[1]), string(command.Args[2])))
	default:
		conn.WriteError("ERR unknown command '" + name + "'")
	}
}

func redisClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, Protocol: 2, PoolSize: 1, MaxRetries: -1, DisableIdentity: true,
		DialTimeout: Timeout, ReadTimeout: Timeout, WriteTimeout: Timeout,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

func talkRedis(addr string, _ *x509.Certificate) ([]string, error) {
	t := &talk{}
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	c := redisClient(addr)
	defer c.Close()
	t.step("get nothing", func() error {
		t.sayf("%v", c.Get(ctx, "none").Err())
		return nil
	})
	for _, size := range []int{0, 10, 1 << 20, 8 << 20} {
		t.step("set and get", func() error {
			if err := c.Set(ctx, "key", Payload(size), 0).Err(); err != nil {
				return err
			}
			got, err := c.Get(ctx, "key").Bytes()
			t.sayf("%d bytes, the same %v", len(got), same(Payload(size), got) == nil)
			return err
		})
	}
	t.step("a pipeline", func() error {
		pipe := c.Pipeline()
		for i := range 1000 {
			pipe.Set(ctx, fmt.Sprint("k", i), i, 0)
			pipe.Get(ctx, fmt.Sprint("k", i))
		}
		answers, err := pipe.Exec(ctx)
		t.sayf("%d answers, the last %s", len(answers), answers[len(answers)-1].(*redis.StringCmd).Val())
		return err
	})
	t.step("an unknown command", func() error {
		t.sayf("%v", c.Do(ctx, "nothing").Err())
		return nil
	})
	t.step("subscribe", func() error {
		s := c.Subscribe(ctx, "news")
		defer s.Close()
		if _, err := s.Receive(ctx); err != nil {
			return err
		}
		n, err := c.Publish(ctx, "news", "hello").Result()
		if err != nil {
			return err
		}
		m, err := s.ReceiveMessage(ctx)
		t.sayf("%d subscriber, %v", n, m)
		return err
	})
	t.step("quit", func() error {
		raw, err := dial(addr)
		if err != nil {
			return err
		}
		defer raw.Close()
		if _, err := io.WriteString(raw, "PING\r\nQUIT\r\nPING\r\n"); err != nil {
			return err
		}
		all, err := io.ReadAll(raw)
		t.sayf("%q", all)
		return err
	})
	t.step("what is no command", func() error {
		raw, err := dial(addr)
		if err != nil {
			return err
		}
		defer raw.Close()
		if _, err := io.WriteString(raw, "*1\r\n$x\r\n"); err != nil {
			return err
		}
		all, err := io.ReadAll(raw)
		t.sayf("%q", all)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return t.result()
}
