package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// protocols runs a test with a client of each version of the protocol.
func protocols(t *testing.T, check func(t *testing.T, ctx context.Context, client *redis.Client)) {
	addr := example(t)
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", version), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), program.Limit)
			defer cancel()
			client := redis.NewClient(&redis.Options{Addr: addr, Protocol: version, MaxRetries: -1, ClientName: "tests"})
			t.Cleanup(func() { assert.NoError(t, client.Close()) })
			require.NoError(t, client.FlushAll(ctx).Err())
			check(t, ctx, client)
		})
	}
}

// rows are commands in order, with what go-redis makes of the reply: a value, or the error's text.
var rows = []struct {
	args []any
	want any
}{
	{[]any{"PING"}, "PONG"},
	{[]any{"ECHO", "hello"}, "hello"},
	{[]any{"SET", "a", "1"}, "OK"},
	{[]any{"GET", "a"}, "1"},
	{[]any{"GET", "none"}, redis.Nil},
	{[]any{"SET", "a", "2", "NX"}, redis.Nil},
	{[]any{"SET", "b", "2", "XX"}, redis.Nil},
	{[]any{"SET", "b", "2", "EX", 100}, "OK"},
	{[]any{"TTL", "b"}, int64(100)},
	{[]any{"TTL", "a"}, int64(-1)},
	{[]any{"EXPIRE", "a", 50}, int64(1)},
	{[]any{"TTL", "a"}, int64(50)},
	{[]any{"INCR", "a"}, int64(2)},
	{[]any{"EXISTS", "a", "b", "c"}, int64(2)},
	{[]any{"DEL", "a", "b", "c"}, int64(2)},
	{[]any{"MSET", "x", "1", "y", ""}, "OK"},
	{[]any{"MGET", "x", "none", "y"}, []any{"1", nil, ""}},
	{[]any{"LPUSH", "l", "a", "b", "c"}, int64(3)},
	{[]any{"LRANGE", "l", 0, 1}, []any{"c", "b"}},
	{[]any{"INCR", "l"}, "WRONGTYPE Operation against a key holding the wrong kind of value"},
	{[]any{"HSET", "h", "f", "v"}, int64(1)},
	{[]any{"NONSENSE"}, "ERR unknown command 'NONSENSE', with args beginning with: "},
	{[]any{"CLIENT", "GETNAME"}, "tests"},
	{[]any{"SET", "x"}, "ERR wrong number of arguments for 'set' command"},
	{[]any{"DBSIZE"}, int64(4)},
}

func TestCommands(t *testing.T) {
	protocols(t, func(t *testing.T, ctx context.Context, client *redis.Client) {
		for _, row := range rows {
			got, err := client.Do(ctx, row.args...).Result()
			var text string
			switch want := row.want.(type) {
			case error:
				require.ErrorIs(t, err, want, "%v", row.args)
				continue
			case string:
				if err != nil {
					text = err.Error()
					require.Equal(t, want, text, "%v", row.args)
					continue
				}
			}
			require.NoError(t, err, "%v", row.args)
			require.Equal(t, row.want, got, "%v", row.args)
		}
		fields, err := client.HGetAll(ctx, "h").Result()
		require.NoError(t, err)
		require.Equal(t, map[string]string{"f": "v"}, fields)
		known, err := client.Command(ctx).Result()
		require.NoError(t, err)
		assert.Equal(t, []any{int8(-3), true, int8(1)}, []any{known["set"].Arity, !known["set"].ReadOnly, known["set"].FirstKeyPos})
		text, err := client.Info(ctx).Result()
		require.NoError(t, err)
		assert.Contains(t, text, "redis_version:")
	})
}

func TestAKeyExpires(t *testing.T) {
	protocols(t, func(t *testing.T, ctx context.Context, client *redis.Client) {
		require.NoError(t, client.Set(ctx, "a", "1", 30*time.Millisecond).Err())
		require.Eventually(t, func() bool { return errors.Is(client.Get(ctx, "a").Err(), redis.Nil) }, program.Limit, time.Millisecond)
		require.Zero(t, client.DBSize(ctx).Val())
	})
}

func TestValuesOfAnySize(t *testing.T) {
	protocols(t, func(t *testing.T, ctx context.Context, client *redis.Client) {
		for _, size := range []int{0, 1, 4095, 4096, 65535, 65536, 1 << 20, 40 << 20} {
			value := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			require.NoError(t, client.Set(ctx, "v", value, 0).Err())
			got, err := client.Get(ctx, "v").Result()
			require.NoError(t, err)
			if got != value {
				t.Fatalf("%d bytes came back as %d others", size, len(got))
			}
		}
	})
}

// go-redis sends a whole pipeline before it reads the first reply. 200,000 replies are more than
// the kernel holds, so the server must go on reading while its replies wait.
func TestALongPipeline(t *testing.T) {
	protocols(t, func(t *testing.T, ctx context.Context, client *redis.Client) {
		const commands = 200_000
		text := strings.Repeat("x", 40)
		pipe := client.Pipeline()
		for range commands {
			pipe.Echo(ctx, text)
		}
		replies, err := pipe.Exec(ctx)
		require.NoError(t, err)
		require.Len(t, replies, commands)
		for _, reply := range replies {
			require.Equal(t, text, reply.(*redis.StringCmd).Val())
		}
	})
}

func TestTransactionsAreAtomic(t *testing.T) {
	protocols(t, func(t *testing.T, ctx context.Context, client *redis.Client) {
		const clients, rounds = 8, 100
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for range rounds {
					replies, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
						pipe.Incr(ctx, "one")
						pipe.Incr(ctx, "two")
						return nil
					})
					if assert.NoError(t, err) {
						assert.Equal(t, replies[0].(*redis.IntCmd).Val(), replies[1].(*redis.IntCmd).Val(), "another transaction came between")
					}
				}
			})
		}
		all.Wait()
		assert.Equal(t, []any{"800", "800"}, client.MGet(ctx, "one", "two").Val())
	})
}

func TestPubSub(t *testing.T) {
	protocols(t, func(t *testing.T, ctx context.Context, client *redis.Client) {
		const subscribers, messages = 20, 200
		var all sync.WaitGroup
		var ready sync.WaitGroup
		ready.Add(subscribers)
		for range subscribers {
			all.Go(func() {
				subscription := client.Subscribe(ctx, "news", "other")
				defer subscription.Close()
				for range 2 {
					_, err := subscription.Receive(ctx) // the confirmation
					assert.NoError(t, err)
				}
				ready.Done()
				for i := range messages {
					message, err := subscription.ReceiveMessage(ctx)
					if !assert.NoError(t, err) {
						return
					}
					assert.Equal(t, fmt.Sprint(i), message.Payload)
				}
				assert.NoError(t, subscription.Unsubscribe(ctx))
			})
		}
		ready.Wait()
		for i := range messages {
			n, err := client.Publish(ctx, []string{"news", "other"}[i%2], i).Result()
			require.NoError(t, err)
			require.EqualValues(t, subscribers, n)
		}
		all.Wait()
		require.Eventually(t, func() bool { return client.Publish(ctx, "news", "x").Val() == 0 }, program.Limit, time.Millisecond)
	})
}
