package transport

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for url, want := range map[string]address{
		"tcp://h:1":                     {kind: TCP, host: "h:1", name: "h"},
		"tcp://h":                       {kind: TCP, host: "h:1883", name: "h"},
		"mqtt://[::1]/":                 {kind: TCP, host: "[::1]:1883", name: "::1"},
		"tcp://:1883":                   {kind: TCP, host: ":1883"},
		"tls://h":                       {kind: TLS, host: "h:8883", name: "h"},
		"mqtts://h:1":                   {kind: TLS, host: "h:1", name: "h"},
		"ws://h":                        {kind: WS, host: "h:80", name: "h", path: "/mqtt"},
		"ws://h/":                       {kind: WS, host: "h:80", name: "h", path: "/"},
		"wss://h/a%20b?token=x":         {kind: WSS, host: "h:443", name: "h", path: "/a%20b?token=x"},
		"wss://h?token=x":               {kind: WSS, host: "h:443", name: "h", path: "/mqtt?token=x"},
		"unix:///run/midge.sock":        {kind: Unix, host: "/run/midge.sock"},
		"unix:midge.sock":               {kind: Unix, host: "midge.sock"},
		"ws://broker.example:9001/mqtt": {kind: WS, host: "broker.example:9001", name: "broker.example", path: "/mqtt"},
	} {
		got, err := parseAddress(url)
		got.authority = ""
		if want.kind == TCP || want.kind == TLS {
			got.path = ""
		}
		if err != nil || got != want {
			t.Errorf("%s = %+v, %v", url, got, err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, url := range []string{
		"", "localhost:1883", "127.0.0.1:1883", "http://h", "tcp://", "tcp:h", "tcp://h/path", "tls://h?x=1",
		"tcp://user:secret@h", "tcp://user:secret@h:port", "smtp://user:secret@h",
		"unix://run/midge.sock", "unix://", "tcp://[::1", "tcp://h:99999999999x",
	} {
		_, err := parseAddress(url)
		if err == nil {
			t.Errorf("%q was understood", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// What a listener says of itself is read as the same.
func TestURLOfZone(t *testing.T) {
	const host = "[fe80::1%eth0]:1883"
	got, err := parseAddress(urlOf(TCP, host))
	if err != nil || got.host != host {
		t.Errorf("%q, %v", got.host, err)
	}
}
