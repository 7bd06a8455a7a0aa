//go:build !unix || aix

package listener

func closeOnExec(int) error { return errNoHandover }

func checkListening(int) error { return errNoHandover }
