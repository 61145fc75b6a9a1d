// Package systemd speaks the two protocols by which systemd, or anything that
// does the same, runs a server: readiness and liveness told to $NOTIFY_SOCKET,
// and listening sockets handed over from descriptor 3 on.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Notifier tells the service manager how the service is. The nil Notifier
// tells nobody. Its methods may be called from any goroutine and do not block
// for long.
type Notifier struct {
	addr     *net.UnixAddr
	watchdog time.Duration
}

// NewNotifier returns what the environment asks for: nil if nobody wants to
// know. getenv is os.Getenv, or a stand-in for it.
func NewNotifier(getenv func(string) string) (*Notifier, error) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("systemd: NOTIFY_SOCKET is %q, want a path or an abstract name", name)
	}
	n := &Notifier{addr: &net.UnixAddr{Name: name, Net: "unixgram"}}
	usec := getenv("WATCHDOG_USEC")
	if usec == "" || !forUs(getenv("WATCHDOG_PID")) {
		return n, nil
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || us <= 0 || us > int64(100*365*24*time.Hour/time.Microsecond) {
		return nil, fmt.Errorf("systemd: WATCHDOG_USEC is %q, want microseconds", usec)
	}
	n.watchdog = time.Duration(us) * time.Microsecond
	return n, nil
}

// forUs reports whether pid, as the environment gives it, is this process or
// none.
func forUs(pid string) bool { return pid == "" || pid == strconv.Itoa(os.Getpid()) }

// Watchdog is how long the manager waits for the next Alive before it takes
// the service for dead; 0: it does not.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that the service serves.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Stopping says that it is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Alive says that it has looked after itself and found itself well.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Status is a line for people, which systemctl status shows.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Extend asks for more time to start or to stop in: d from now.
func (n *Notifier) Extend(d time.Duration) error {
	return n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

func (n *Notifier) send(state string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.addr)
	if err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	_, err = c.Write([]byte(state))
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	return nil
}
