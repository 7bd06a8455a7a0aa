// Package systemd tells the service manager what a server does: it serves, it is replaced by
// another process, it stops, it is alive. It speaks the protocol of sd_notify(3). A process without
// NOTIFY_SOCKET in its environment has no manager that listens, and there every call does nothing.
//
// A unit with Type=notify or Type=notify-reload follows the service over restarts by berth.Reexec:
//
//   - The first process calls Ready once it serves.
//   - Before Reexec a process calls Reloading, and after it MainPID with the number of the new one.
//     If Reexec failed, it calls Ready.
//   - The new process calls Ready as the first one did. The package knows that the old process
//     speaks for it, and sends nothing.
//   - The process that ends the service calls Stopping before it drains.
//
// So every message comes from the process that the manager knows as the main one, and
// NotifyAccess=main, the default, is enough. After MainPID a process is not the service any more,
// and every call in it does nothing: in particular, it may call Stopping.
//
// Package berth and the packages below it do not import this one.
package systemd
