package inspector

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mostPicture is how many bytes a picture in the documents takes at most.
const mostPicture = 100 << 10

// screenshots saves pictures of the pages while some clients talk, some do not read, and others
// come and go. It asserts only that the pictures are there and small.
func (w *world) screenshots(t *testing.T) {
	stop := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(stop)
	defer w.silence(t)
	for n := range 25 {
		conn := w.clients[700+n*7]
		busy.Go(func() { talk(conn, 200*(n+1), time.Duration(20+5*n)*time.Millisecond, stop) })
	}
	for n := range 3 { // these do not read
		conn := w.clients[701+n*11]
		busy.Go(func() { _, _ = conn.Write(make([]byte, 8<<20)) })
	}
	busy.Go(func() { w.comeAndGo(stop) })
	time.Sleep(15 * time.Second) // there is something to plot

	for _, picture := range []struct{ name, scheme, hash, ready string }{
		{"inspector-light.png", "light", "#/", `document.querySelectorAll(".facts div").length > 0`},
		{"inspector-dark.png", "dark", "#/", `document.querySelectorAll(".facts div").length > 0`},
		{"inspector-connections.png", "light", "#/connections?sort=rate", rows + `.length === 50`},
		{"inspector-tree.png", "dark", "#/tree", `document.querySelectorAll("#tree .connections > li").length === 50`},
	} {
		_, err := chromedp.Call(w.browser, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: picture.scheme}},
		})
		require.NoError(t, err)
		w.open(t, picture.hash)
		w.await(t, picture.ready)
		time.Sleep(2 * time.Second) // rates need two samples
		shot, err := chromedp.Run(w.browser, chromedp.CaptureScreenshot())
		require.NoError(t, err)
		shot = small(t, shot)
		assert.Less(t, len(shot), mostPicture, picture.name)
		require.NoError(t, os.WriteFile(filepath.Join(*screenshots, picture.name), shot, 0o644))
	}
}

// small returns a picture with its 256 most frequent colours: half the bytes, and no visible
// difference for text and lines.
func small(t *testing.T, picture []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	counts := map[color.RGBA]int{}
	bounds := full.Bounds()
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(full.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return counts[b] - counts[a] })
	var few color.Palette
	for _, c := range colours[:min(256, len(colours))] {
		few = append(few, c)
	}
	nearest := map[color.RGBA]uint8{}
	for c := range counts {
		nearest[c] = uint8(few.Index(c))
	}
	fewer := image.NewPaletted(bounds, few)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			fewer.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	require.NoError(t, encoder.Encode(&file, fewer))
	return file.Bytes()
}

// silence ends the clients that write without reading.
func (w *world) silence(t *testing.T) {
	t.Helper()
	for n := range 3 {
		assert.NoError(t, w.clients[701+n*11].Close())
	}
}

// talk sends and gets back so many bytes, again and again.
func talk(conn net.Conn, size int, pause time.Duration, stop chan struct{}) {
	buffer := make([]byte, size)
	for {
		if _, err := conn.Write(buffer); err != nil {
			return
		}
		if _, err := io.ReadFull(conn, buffer); err != nil {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}

// comeAndGo opens and closes connections; every third one by a reset.
func (w *world) comeAndGo(stop chan struct{}) {
	for n := 0; ; n++ {
		conn, err := net.Dial("tcp", w.server.Addr().String())
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "hello")
		_, _ = conn.Read(make([]byte, 5))
		if n%3 == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(40+n*37%160) * time.Millisecond):
		}
	}
}
