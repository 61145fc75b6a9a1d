package client_test

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
)

func TestSocketOptions(t *testing.T) {
	b, err := midge.New(midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	try := func(o client.Options) error {
		c, err := client.Dial(ctx, b.Addrs()[0], o)
		if err == nil {
			c.Close()
			<-c.Done()
		}
		return err
	}
	keepAlive := net.KeepAliveConfig{Enable: true, Idle: 7 * time.Second, Interval: 3 * time.Second, Count: 2}
	if err := try(client.Options{TCPKeepAlive: keepAlive, LocalAddr: "127.0.0.1", Proxy: "none"}); err != nil {
		t.Error(err)
	}
	if err := try(client.Options{LocalAddr: "nonsense"}); err == nil || !strings.Contains(err.Error(), "LocalAddr") {
		t.Error(err)
	}
	if err := try(client.Options{LocalAddr: "192.0.2.1"}); err == nil {
		t.Error("an address that is not ours")
	}
	if err := try(client.Options{Proxy: "ftp://x"}); err == nil {
		t.Error("a proxy that is none")
	}
	if err := try(client.Options{Proxy: "socks5://127.0.0.1:1"}); err == nil {
		t.Error("a proxy that is not there")
	}
	if runtime.GOOS != "linux" {
		return
	}
	if err := try(client.Options{Interface: "lo"}); err != nil && !errors.Is(err, syscall.EPERM) {
		t.Error(err)
	}
	if err := try(client.Options{Interface: "nosuch0"}); err == nil {
		t.Error("an interface that is not there")
	}
}
