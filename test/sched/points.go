package sched

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit is a change of a file of the module: the text Old, which occurs there once, becomes New.
type Edit struct {
	File     string // from the module's root
	Old, New string
}

// Points let others run in the middle of a turn, where another goroutine could come in between. A
// program has them only if it was built with -overlay: users run no such line.
var Points = []Edit{
	// Room is reserved for a write, and the write is not in the queue yet.
	before("connection/writer.go", "	c.writer.post(e)\n"),
	// The room of a write is given back, and its waiters have not been told.
	before("connection/writer.go", "	w.c.giveBack(g.memory)\n"),
	// A write finds room, and takes it; a write gives room back.
	before("connection/credit.go", "		if c.word.CompareAndSwap(word, next) {\n			return crossed, nil\n"),
	before("connection/credit.go", "		if c.word.CompareAndSwap(word, next) {\n			return crossed\n"),
	// Writes are refused from now on, and those that wait for room have not been told.
	after("connection/room.go", "	c.credit.close()\n"),
	// A write was refused, and the connection has not been told.
	before("connection/room.go", "	c.signalOnce(signalRefused)\n"),
	// An actor has found nothing to do, and its turn has not ended.
	before("actor/mailbox.go", "			m.mu.Lock()\n			if m.stirred {\n"),
	// A mailbox takes no more mail, and what was left in it has not been dropped.
	before("actor/mailbox.go", "	for {\n		message, ok := m.Take()\n"),
	// A worker has taken a turn that has not begun; its turn has returned, and it counts as inside.
	before("actor/event_loop.go", "		w.inside.Add(1)\n		t.run()\n"),
	after("actor/event_loop.go", "		t.run()\n"),
	// The monitor has seen an event loop without work, and does not doze yet.
	before("actor/monitor.go", "		if !c.doze() {\n"),
	// An event loop is closed, and its monitor has not been told.
	before("actor/event_loop_end.go", "	close(c.stop)\n"),
	// The reader of a stream has an answer, and has not told.
	before("connection/transport/stream.go", "		s.events.Readable(true)\n"),
}

const yield = "seam.Yield()\n"

func before(file, text string) Edit { return Edit{file, text, "\t" + yield + text} }
func after(file, text string) Edit  { return Edit{file, text, text + "\t" + yield} }

// Overlay writes the changed files into dir, and beside them the file for -overlay, of which it
// returns the path: all points, after the given edits. A point that an edit has removed is left
// out.
func Overlay(root, dir string, edits ...Edit) (path string, err error) {
	texts := map[string]string{}
	apply := func(e Edit, must bool) error {
		text, read := texts[e.File]
		if !read {
			original, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File)))
			if err != nil {
				return err
			}
			text = string(original)
		}
		n := strings.Count(text, e.Old)
		if n != 1 && must {
			return fmt.Errorf("the text to replace occurs %d times in %s: the code has changed, the table must follow", n, e.File)
		}
		if n == 1 {
			text = strings.Replace(text, e.Old, e.New, 1)
		}
		texts[e.File] = text
		return nil
	}
	for _, e := range edits {
		if err := apply(e, true); err != nil {
			return "", err
		}
	}
	for _, p := range Points {
		if err := apply(p, len(edits) == 0); err != nil {
			return "", err
		}
	}
	replace := map[string]string{}
	for file, text := range texts {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(imported(text)), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = changed
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// imported returns a file that imports package seam if it uses it.
func imported(text string) string {
	const path = "\"github.com/go-berth/berth/internal/seam\"\n"
	if !strings.Contains(text, yield) || strings.Contains(text, path) {
		return text
	}
	return strings.Replace(text, "\nimport ", "\nimport "+path+"import ", 1)
}
