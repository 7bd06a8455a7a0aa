//go:build !linux

package listener

// lockDirectory locks nothing, and no path is taken over.
func lockDirectory(string) (unlock func(), locked bool) { return func() {}, false }

// forsaken is not known: macOS and the BSDs say refused for a full backlog too.
func forsaken(string) bool { return false }
