//go:build tinygo && (esp32 || esp32c3 || esp32s3)

// Command esp32 is the broker on an ESP32-C3, ESP32-S3 or ESP32, in a Wi-Fi
// network. Network, password and, if DHCP is not to be asked, the address are
// built in:
//
//	tinygo flash -target=esp32c3-generic -stack-size=8kb \
//		-ldflags '-X main.ssid=NETWORK -X main.password=PASSWORD' ./esp32
package main

import (
	"time"

	"github.com/midgemq/midge/firmware/internal/console"
	"github.com/midgemq/midge/firmware/internal/lan"
	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/firmware/internal/server"
	"github.com/midgemq/midge/tiny"
	"tinygo.org/x/espradio"
)

// Set at build time; addr empty: DHCP.
var ssid, password, addr string

var (
	stack lan.Stack
	srv   server.Server
	con   console.Console
	frame [espradio.MaxFrameSize]byte
)

const (
	patience = 10 * time.Second // with a radio that does not send, before joining again
	pause    = time.Second      // between two tries to join
)

func main() {
	start := time.Now()
	broker, err := tiny.New(plan.Limits(), tiny.Hooks{})
	console.Check(err)
	console.Check(espradio.Enable(espradio.Config{Logging: espradio.LogLevelError}))
	console.Check(espradio.Start())
	join()
	dev, err := espradio.StartNetDev()
	console.Check(err)
	mac, err := dev.HardwareAddr6()
	console.Check(err)
	// How long joining took is what differs from boot to boot.
	seed := uint32(time.Since(start)) ^ uint32(mac[3])<<16 ^ uint32(mac[4])<<8 ^ uint32(mac[5])
	console.Check(srv.Configure(broker, seed))
	console.Check(stack.Configure(lan.Config{MAC: mac, Addr: console.Address(addr), Hostname: "midge", Seed: seed}, &srv))
	con.Broker, con.Stack = broker, &stack

	var sent time.Duration // when the radio last took a frame, or had none to take
	for {
		now := time.Since(start)
		n, err := dev.EthPoll(frame[:])
		if err != nil {
			n = 0 // nothing came; sending notices a network that is gone
		}
		if n > 0 {
			stack.Receive(frame[:n])
		}
		stack.Step(now)
		srv.Step(now)
		busy, ok := n > 0, true
		for n = stack.Send(frame[:]); n > 0 && ok; n = stack.Send(frame[:]) {
			ok = dev.SendEthFrame(frame[:n]) == nil // TCP sends again what is lost
			busy = true
		}
		if ok {
			sent = now
		} else if now-sent > patience {
			join()
			sent = time.Since(start)
		}
		con.Step(now)
		if !busy {
			time.Sleep(time.Millisecond)
		}
	}
}

// join enters the network, however long that takes.
func join() {
	println("joining:", ssid)
	for {
		err := espradio.Connect(espradio.STAConfig{SSID: ssid, Password: password})
		if err == nil {
			return
		}
		println("joining:", err.Error())
		time.Sleep(pause)
	}
}
