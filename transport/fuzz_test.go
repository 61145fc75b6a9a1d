package transport

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzWebSocket throws bytes at the server's side of a WebSocket: as the HTTP
// request when raw, else after a valid upgrade. Whatever they are, everything
// ends by a deadline (synctest finds whatever does not), what was read does
// not depend on how it was cut, and memory stays near the input's size.
func FuzzWebSocket(f *testing.F) {
	f.Add(true, uint8(1), []byte(request("/mqtt")))
	f.Add(true, uint8(64), []byte(request("/mqtt", "Origin: http://evil.example")))
	f.Add(true, uint8(64), []byte(request("/mqtt", "Content-Length: 100", "Expect: 100-continue")))
	f.Add(true, uint8(64), []byte("POST /mqtt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"))
	f.Add(true, uint8(200), slices.Concat([]byte(request("/mqtt")), clientFrame(0x82, "early"), clientFrame(0x88, "")))
	f.Add(false, uint8(3), slices.Concat(clientFrame(0x82, "one"), clientFrame(0x02, "two"), clientFrame(0x89, "p"), clientFrame(0x80, "three")))
	f.Add(false, uint8(1), clientFrame(0x81, "text"))
	f.Add(false, uint8(255), clientFrame(0x88, "\x03\xe8bye"))
	f.Add(false, uint8(2), []byte{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 'x'})
	f.Add(false, uint8(9), []byte{0x82, 0xFE, 0, 126, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, raw bool, cut uint8, input []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		synctest.Test(t, func(t *testing.T) {
			stream := input
			if !raw {
				stream = append([]byte(request("/mqtt")), input...)
			}
			data, err := throw(t, stream, int(cut)+1)
			if raw {
				return
			}
			want, _, werr := feedIn(deframer{masked: true, maxFrame: 1 << 20}, input, len(input)+1)
			if !bytes.Equal(data, want) {
				t.Errorf("read %q, in one piece %q", data, want)
			}
			var got, expected *CloseError
			if errors.As(werr, &expected) && (!errors.As(err, &got) || got.Code != expected.Code) {
				t.Errorf("ended with %v, in one piece with %v", err, werr)
			}
		})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20+64*uint64(len(input)) {
			t.Errorf("%d bytes allocated for an input of %d", used, len(input))
		}
	})
}

// throw writes stream to a listener and reads what its connection, should one
// come of it, makes of it: cut bytes at a time.
func throw(t *testing.T, stream []byte, cut int) (data []byte, err error) {
	l, p := overPipe(t, "ws://broker", Options{WebSocket: WebSocket{MaxFrame: 1 << 20}, HandshakeTimeout: 5 * time.Second})
	client, err := p.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for piece := range slices.Chunk(stream, cut) {
			if _, err := client.Write(piece); err != nil {
				break
			}
		}
		client.CloseWrite()
		io.Copy(io.Discard, client)
		client.Close()
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, aerr := l.Accept()
		if aerr != nil {
			return // the request was refused, and the listener closed below
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, cut)
		for {
			n, rerr := c.Read(buf)
			data = append(data, buf[:n]...)
			if rerr != nil {
				err = rerr
				return
			}
		}
	}()
	<-time.After(2 * time.Minute) // fake: every deadline has passed
	l.Close()
	<-done
	return data, err
}
