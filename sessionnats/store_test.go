package sessionnats_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/sessionnats"
	"github.com/go-berth/berth/test/storetest"
)

func TestItIsAStore(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var buckets atomic.Int32
	storetest.Run(t, time.Second, func(t *testing.T, settings storetest.Settings) session.Store {
		return c.open(t, sessionnats.Options{
			Bucket: fmt.Sprintf("bucket%d", buckets.Add(1)), Sessions: int64(settings.Sessions), Expiry: settings.Expiry, Timeout: patience,
		})
	})
}
