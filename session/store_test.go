package session_test

import (
	"testing"
	"time"

	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/test/storetest"
)

func TestMemoryIsAStore(t *testing.T) {
	storetest.Run(t, 50*time.Millisecond, func(_ *testing.T, settings storetest.Settings) session.Store {
		return session.NewMemory(session.MemoryOptions{Sessions: settings.Sessions, Expiry: settings.Expiry})
	})
}
