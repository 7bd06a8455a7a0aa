// Package simnet is a TCP network in memory. Its only clock is package time, and its only way to
// wait is a channel. So testing/synctest can run days of it in a moment and see when it has come to
// rest.
//
// A connection behaves as one of Linux on loopback. Where the two could differ, a test of this
// package plays one script on both and compares every result. Servers often do not expect this
// behaviour:
//
//   - A reset leaves what had arrived readable. Then the next call that fails, be it Read or Write,
//     gets [syscall.ECONNRESET]; that error is told once, and later calls get [io.EOF] or
//     [syscall.EPIPE].
//   - Close with unread input resets the peer, and what was still queued at the sender is lost: the
//     reply that Write accepted is cut short. Input that arrives after Close does the same.
//     [Options].Window says how much is lost.
//   - After CloseRead, what arrives is still readable; Read returns io.EOF only while nothing is
//     there.
//   - The first write to a peer that has closed succeeds. The reset it provokes fails the next one.
//
// It differs from the kernel in four points, each so that tests repeat exactly. There is no loss
// and no congestion: a byte takes [Options].Latency, or waits for a partition to heal. A reader's
// free space is known to the sender at once. Nothing is retried on a timer, so a partition that is
// never healed is never noticed by the network itself, and a reset sent into one is kept for Heal,
// where a real one would be lost. SetLinger knows only zero and not zero.
//
// Nothing here runs on a goroutine or a timer of its own. Each call of a method brings the state of
// its connection up to date, and each blocked call holds the timer for the next event. So nothing
// is left over, whether a connection was closed or not. Connections and listeners belong to the
// synctest bubble they were made in.
package simnet
