//go:build unix

package main

import (
	"context"
	"net"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/transport"
)

// A reload takes up users, rules, limits and the level of the log; one who may
// stay stays, one who may not goes; a mistake changes nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file, users, pid := filepath.Join(dir, "m.toml"), filepath.Join(dir, "users"), filepath.Join(dir, "pid")
	base := "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n[auth]\npassword_file = 'users'\nallow_anonymous = false\n[process]\npid_file = 'pid'\n"
	writeFile(t, file, base)
	passwords(t, users, "alice", "bob")
	urls, logged, end := loggedServing(t, "serve", "-c", file)
	_, addr, _ := strings.Cut(urls[0], "://")
	host, port, _ := strings.Cut(addr, ":")
	pub := func(user string) int {
		code, _, _ := runFor(t, "pub", "-h", host, "-p", port, "-u", user, "-P", user, "-t", "t/"+user, "-m", "x", "-q", "1")
		return code
	}
	if pub("alice") != exitOK || pub("bob") != exitOK || pub("eve") == exitOK {
		t.Fatal("the users are not those of the file")
	}
	if code, _, _ := runFor(t, "pub", "-h", host, "-p", port, "-t", "t", "-m", "x"); code == exitOK {
		t.Error("somebody without credentials came in")
	}

	passwords(t, users, "alice", "eve")
	if code, _, errs := runFor(t, "reload", "-c", file); code != exitOK {
		t.Fatal(errs)
	}
	logged("msg=reloaded")
	if pub("alice") != exitOK || pub("bob") == exitOK || pub("eve") != exitOK {
		t.Error("the users are not those of the changed file")
	}

	writeFile(t, file, base+"[log]\nlevel = 'loud'\n")
	if code, _, errs := runFor(t, "reload", "-c", file); code == exitOK || !strings.Contains(errs, "log.level") {
		t.Errorf("a wrong configuration is handed on: %s", errs)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	logged("nothing was reloaded")

	writeFile(t, file, base+"[limits]\nmax_inflight = 7\n")
	if code, _, errs := runFor(t, "reload", "--pid-file", pid); code != exitOK {
		t.Fatal(errs)
	}
	logged("keys=limits.max_inflight")
	end()
	if _, err := os.Stat(pid); err == nil {
		t.Error("the pid file is still there")
	}
}

// A listener's rate takes effect with a reload.
func TestReloadRates(t *testing.T) {
	dir := t.TempDir()
	file, pid := filepath.Join(dir, "m.toml"), filepath.Join(dir, "pid")
	base := "[process]\npid_file = 'pid'\n[limits]\nover_rate = 'disconnect'\n[[listener]]\nurl = 'tcp://127.0.0.1:0'\n"
	writeFile(t, file, base)
	urls, logged, _ := loggedServing(t, "serve", "-c", file)
	_, addr, _ := strings.Cut(urls[0], "://")
	host, port, _ := strings.Cut(addr, ":")
	pub := func() { // it comes again when it is cut off
		if code, _, errs := runFor(t, "pub", "-h", host, "-p", port, "-t", "t", "-m", "x", "-q", "1", "--repeat", "20", "-V", "5"); code != exitOK {
			t.Error(errs)
		}
	}
	pub()
	writeFile(t, file, base+"message_rate = 10\n")
	if code, _, errs := runFor(t, "reload", "--pid-file", pid); code != exitOK {
		t.Fatal(errs)
	}
	logged("changed=listener.0.message_rate")
	pub()
	logged("faster than they may")
	logged("message rate too high")
}

// Who fails to log in is kept out, unless the configuration has come to exempt
// the address.
func TestReloadProtection(t *testing.T) {
	dir := t.TempDir()
	file, users, pid := filepath.Join(dir, "m.toml"), filepath.Join(dir, "users"), filepath.Join(dir, "pid")
	base := "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n[auth]\npassword_file = 'users'\n[process]\npid_file = 'pid'\n[protect]\nfailed_logins = 2\n"
	writeFile(t, file, base+"exempt = []\n")
	passwords(t, users, "alice")
	urls, logged, _ := loggedServing(t, "serve", "-c", file)
	_, addr, _ := strings.Cut(urls[0], "://")
	host, port, _ := strings.Cut(addr, ":")
	pub := func(password string) (errs string) {
		_, _, errs = runFor(t, "pub", "-h", host, "-p", port, "-u", "alice", "-P", password, "-t", "t", "-m", "x", "-q", "1", "-V", "5")
		return errs
	}
	for range 3 {
		pub("wrong")
	}
	logged("banned for a while")
	if errs := pub("alice"); !strings.Contains(errs, "refused: banned") {
		t.Errorf("told %q", errs)
	}
	writeFile(t, file, base)
	if code, _, errs := runFor(t, "reload", "--pid-file", pid); code != exitOK {
		t.Fatal(errs)
	}
	logged("changed=protect.exempt")
	if errs := pub("alice"); errs != "" {
		t.Errorf("exempt, and told %q", errs)
	}
}

// Who comes through a proxy is who its header says, and no stranger to rules
// about addresses; which proxies there are may change.
func TestReloadProxies(t *testing.T) {
	dir := t.TempDir()
	file, pid := filepath.Join(dir, "m.toml"), filepath.Join(dir, "pid")
	base := "[process]\npid_file = 'pid'\n[log]\nconnections = true\n"
	listeners := func(proxies string) (text string) {
		for _, kind := range []string{"tcp", "ws"} {
			text += "[[listener]]\nurl = '" + kind + "://127.0.0.1:0'\nallow_anonymous = true\nproxy_protocol = true\nproxies = ['" + proxies + "']\n"
		}
		return strings.Replace(text, "127.0.0.1:0'\nallow", "localhost:0'\nallow", 1)
	}
	writeFile(t, file, base+listeners("127.0.0.0/8"))
	urls, logged, _ := loggedServing(t, "serve", "-c", file)
	dial := func(url string) error {
		c, err := client.Dial(t.Context(), strings.Replace(url, "tcp:", "mqtt:", 1), client.Options{ClientID: "c", Dial: func(ctx context.Context, u *neturl.URL) (net.Conn, error) {
			return transport.Dial(ctx, strings.Replace(u.String(), "mqtt:", "tcp:", 1), transport.DialOptions{NetDial: func(_ context.Context, network, addr string) (net.Conn, error) {
				nc, err := net.Dial(network, addr)
				if err == nil {
					_, err = nc.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 4242 1883\r\n"))
				}
				return nc, err
			}})
		}})
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, u := range urls {
		if err := dial(u); err != nil {
			t.Error(u, err)
		}
		logged("remote=192.0.2.7:4242")
	}
	writeFile(t, file, base+listeners("198.51.100.1"))
	if code, _, errs := runFor(t, "reload", "--pid-file", pid); code != exitOK {
		t.Fatal(errs)
	}
	logged("listener.0.proxies")
	for _, u := range urls {
		if dial(u) == nil {
			t.Error(u, "takes a header from anybody")
		}
	}
	logged("none of the proxies")
}

// A file that changes is read again, if that is wished for.
func TestReloadWatches(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "m.toml")
	base := "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n[process]\nwatch = '100ms'\n"
	writeFile(t, file, base)
	_, logged, _ := loggedServing(t, "serve", "-c", file)
	writeFile(t, file, base+"[log]\nconnections = true\n")
	logged("changed=log.connections")
}

// What changes between the reading and the first look is seen, too.
func TestStampsAreTakenBeforeReading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.toml")
	seen := stamps{}
	seen.add([]string{file})
	if seen.stale([]string{file}) {
		t.Error("nothing has changed")
	}
	writeFile(t, file, "x")
	seen.add([]string{file}) // is no new look
	if !seen.stale([]string{file}) {
		t.Error("a change was missed")
	}
	folder := []string{filepath.Dir(file)} // of authorities, say
	seen.add(folder)
	writeFile(t, file, "xyz")
	if !seen.stale(folder) {
		t.Error("a change of a file in a folder was missed")
	}
}

// A log that was moved away is begun anew.
func TestReloadReopensLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	urls, _ := startServing(t, "serve", "--tcp", "127.0.0.1:0", "--set", "log.to="+log)
	if err := os.Rename(log, log+".1"); err != nil || len(urls) != 1 {
		t.Fatal(err, urls)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if text, _ := os.ReadFile(log); strings.Contains(string(text), "msg=reloaded") {
			return
		}
		<-tick.C
	}
	t.Fatal("nothing is in the new log")
}

// loggedServing is startServing whose log can be waited for.
func loggedServing(t *testing.T, args ...string) (urls []string, logged func(want string), end func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	urls, end = startServing(t, append(args, "--set", "log.to="+file)...)
	seen := 0
	return urls, func(want string) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range 4000 {
			text, _ := os.ReadFile(file)
			if i := strings.Index(string(text[seen:]), want); i >= 0 {
				seen += i + len(want)
				return
			}
			<-tick.C
		}
		text, _ := os.ReadFile(file)
		t.Fatalf("%q is not in the log:\n%s", want, text)
	}, end
}
