package listener

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reexec starts this program again, with the listening sockets of listeners, and returns once the
// new process has called Ready. From then on both serve. The caller then shuts its listeners down:
// they drain, and leave everything that they have not accepted to the new process.
//
// The new process gets the sockets from Inherited, in the order of listeners, and serves them
// before it calls Ready:
//
//	inherited, err := listener.Inherited()
//	server, err := listener.Serve(root, inherited[0], factory, options)
//	err = listener.Ready()
//
// command is the program; nil means the running one's file, with its arguments, environment,
// directory and standard files. The file is that of os.Executable. A new file under the same name
// is used. A renamed file is found again under its new name, and of a symbolic link the file that
// it led to is used. A new version that comes by a rename or by a symbolic link needs a command.
// The command must not have been started and must not have ExtraFiles, and the new process must be
// its own, not a child of it.
//
// With an error nothing has changed: this process goes on serving. If the new process ended before
// it was ready, the error says how. If ctx was over first, or a listener was shut down meanwhile,
// the new process was killed. The connections that it had accepted by then are lost: give it the
// time that it needs. Any goroutine may call Reexec; a handler should not, because Reexec waits. It
// does not work on Windows.
func Reexec(ctx context.Context, command *exec.Cmd, listeners ...*Listener) (*os.Process, error) {
	if len(listeners) == 0 || slices.Contains(listeners, nil) {
		return nil, errors.New("berth: no listener to hand over")
	}
	if command == nil {
		var err error
		if command, err = sameProgram(); err != nil {
			return nil, err
		}
	}
	if len(command.ExtraFiles) > 0 {
		return nil, errors.New("berth: the command has ExtraFiles, where the sockets must come")
	}
	if ctx.Err() != nil {
		return nil, notInTime(ctx)
	}
	files, environment, err := give(listeners)
	if err != nil {
		return nil, err
	}
	ready, err := start(command, files, environment)
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	if err = awaitReady(ctx, ready); err == nil {
		err = handOver(listeners)
	}
	if err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("berth: the new process ended before it was ready: %s", command.ProcessState)
		}
		return nil, err
	}
	return command.Process, nil
}

// sameProgram is the command that started this process.
func sameProgram() (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	return &exec.Cmd{Path: path, Args: slices.Clone(os.Args), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, nil
}

// give returns duplicates of the sockets, and the environment that says what they are.
func give(listeners []*Listener) (files []*os.File, environment []string, err error) {
	from := handover{Parent: os.Getpid()}
	var names []string
	for _, l := range listeners {
		own, err := l.Files()
		if err != nil {
			closeFiles(files)
			return nil, nil, err
		}
		for _, file := range own {
			files = append(files, file)
			names = append(names, l.server.origin.name)
			from.Managed = append(from.Managed, l.server.origin.managed)
			from.Files = append(from.Files, l.server.slot(0).path.file) // with a path there is one slot
		}
	}
	text, err := json.Marshal(from)
	if err != nil {
		panic(err) // never: these are plain values
	}
	return files, []string{
		listenFDs + "=" + strconv.Itoa(len(files)),
		listenFDNames + "=" + strings.Join(names, ":"),
		handoverVariable + "=" + string(text),
	}, nil
}

// start starts the command with files, which are closed here, and returns the end of the pipe on
// which to wait.
func start(command *exec.Cmd, files []*os.File, environment []string) (*os.File, error) {
	defer func() { closeFiles(files) }()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	files = append(files, theirs)
	command.ExtraFiles = files
	command.Env = append(command.Environ(), environment...) // of two values of a variable the last counts
	if err := command.Start(); err != nil {
		_ = ready.Close()
		return nil, fmt.Errorf("berth: %w", err)
	}
	return ready, nil
}

// awaitReady returns io.EOF if the new process has ended, or closed its end of the pipe, first.
func awaitReady(ctx context.Context, pipe *os.File) error {
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		_ = pipe.SetReadDeadline(time.Unix(1, 0))
	})
	_, err := pipe.Read(make([]byte, 1))
	if !stop() {
		<-told
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return notInTime(ctx)
	}
	return err
}

func notInTime(ctx context.Context) error {
	return fmt.Errorf("berth: the new process was not ready in time: %w", context.Cause(ctx))
}

// handOver tells all listeners that another process serves their sockets, or none of them: a
// listener may have been shut down meanwhile.
func handOver(listeners []*Listener) error {
	for i, l := range listeners {
		if err := l.HandedOver(); err != nil {
			for _, before := range listeners[:i] {
				_ = before.server.handOver(false)
			}
			return err
		}
	}
	return nil
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}
