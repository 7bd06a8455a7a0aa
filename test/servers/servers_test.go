package servers

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAClientSeesWhatItSeesOverPackageNet(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			var plain []string
			onEach(t, c, func(t *testing.T, kind, addr string) {
				lines, err := c.Talk(addr, certificate.Leaf)
				require.NoError(t, err, "after %q", lines)
				require.NotEmpty(t, lines)
				if kind == "net" {
					plain = lines
					t.Log(lines)
				}
				assert.Equal(t, plain, lines)
			})
		})
	}
}

func TestExchanges(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			onEach(t, c, func(t *testing.T, _, addr string) {
				const clients = 8
				done := make(chan error, clients)
				for i := range clients {
					go func() { done <- exchanges(c, addr, 10, 1+i*1000) }()
				}
				for range clients {
					assert.NoError(t, <-done)
				}
			})
		})
	}
}

// exchanges is one client.
func exchanges(c Case, addr string, n, size int) error {
	one, err := c.Dial(addr, certificate.Leaf)
	if err != nil {
		return err
	}
	for range n {
		if err := one.Exchange(Payload(size)); err != nil {
			_ = one.Close()
			return err
		}
	}
	return one.Close()
}
