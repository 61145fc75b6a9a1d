package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// wsPair is a server's WebSocket connection and the raw other end of it.
func wsPair(size int, maxFrame int64) (*wsConn, Conn) {
	a, b := NewPipe(size)
	return newWSConn(a, WS, false, maxFrame, nil), b
}

// serverFrames reads frames a server sent until the stream ends.
func serverFrames(t *testing.T, raw io.Reader) (data, control []byte) {
	t.Helper()
	stream, err := io.ReadAll(raw)
	if err != nil {
		t.Fatal(err)
	}
	data, control, err = feedIn(deframer{}, stream, len(stream)+1)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return data, control
}

func closeFrame(code uint16) string {
	return "\x08" + string(binary.BigEndian.AppendUint16(nil, code))
}

func TestWSPingAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := wsPair(0, 0)
		raw.Write(slices.Concat(clientFrame(0x82, "da"), clientFrame(0x89, "one"), clientFrame(0x89, "two"),
			clientFrame(0x82, "ta"), clientFrame(0x88, "\x03\xe9")))
		got, err := io.ReadAll(c)
		if string(got) != "data" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := c.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after the close handshake = %v", err)
		}
		c.Close()
		if data, control := serverFrames(t, raw); len(data) != 0 || string(control) != "\x0atwo"+closeFrame(CloseGoingAway) {
			t.Errorf("answered %q %q", data, control)
		}
	})
}

func TestWSPeerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			stream []byte
			want   CloseError
			answer string
		}{
			// [MQTT-6.0.0-1, 3.1.1] [MQTT-6.0.0-1, 5.0]
			{"text", clientFrame(0x81, "x"), CloseError{Code: CloseUnsupported, Local: true}, closeFrame(CloseUnsupported)},
			{"oversize", clientFrame(0x82, strings.Repeat("x", 2000)), CloseError{Code: CloseTooBig, Local: true}, closeFrame(CloseTooBig)},
			{"peer says 1011", clientFrame(0x88, "\x03\xf3boom"), CloseError{Code: 1011, Reason: "boom"}, closeFrame(1011)},
			{"peer says nonsense", clientFrame(0x88, "\x00\x01"), CloseError{Code: CloseProtocol, Local: true}, closeFrame(CloseProtocol)},
		} {
			c, raw := wsPair(0, 1000)
			raw.Write(slices.Concat(clientFrame(0x82, "before"), tt.stream))
			got, err := io.ReadAll(c)
			var ce *CloseError
			if string(got) != "before" || !errors.As(err, &ce) || ce.Code != tt.want.Code || ce.Local != tt.want.Local {
				t.Errorf("%s: read %q, %v", tt.name, got, err)
			}
			if _, again := c.Read(make([]byte, 1)); again != err {
				t.Errorf("%s: then %v", tt.name, again)
			}
			if tt.want.Local {
				// Closed without the engine's help.
				if _, err := raw.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%s: connection still open: %v", tt.name, err)
				}
			}
			c.Close()
			if _, control := serverFrames(t, raw); !strings.HasPrefix(string(control), tt.answer) {
				t.Errorf("%s: answered %q", tt.name, control)
			}
		}
	})
}

func TestWSEndsWithoutClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for cut, want := range map[int]error{0: nil, 1: io.ErrUnexpectedEOF, 5: io.ErrUnexpectedEOF, 8: io.ErrUnexpectedEOF} {
			c, raw := wsPair(0, 0)
			raw.Write(clientFrame(0x82, "whole"))
			raw.Write(clientFrame(0x82, "partial")[:cut])
			raw.Close()
			got, err := io.ReadAll(c)
			if !strings.HasPrefix(string(got), "whole") || !errors.Is(err, want) {
				t.Errorf("cut at %d: %q, %v", cut, got, err)
			}
		}
	})
}

// Deadlines fall anywhere in a frame; no byte is lost.
func TestWSReadResumesWithinFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := wsPair(0, 0)
		var got []byte
		buf := make([]byte, 3)
		stream := slices.Concat(clientFrame(0x02, "hel"), clientFrame(0x89, "p"), clientFrame(0x80, strings.Repeat("lo", 100)))
		for _, b := range stream {
			raw.Write([]byte{b})
			c.SetReadDeadline(time.Now().Add(time.Second))
			for {
				n, err := c.Read(buf)
				got = append(got, buf[:n]...)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := "hel" + strings.Repeat("lo", 100); string(got) != want {
			t.Errorf("read %q", got)
		}
		c.Close()
		raw.Close()
	})
}

// A peer that pings and never reads must not hold Read beyond controlWait,
// and a writer stuck on it must not hold Read at all.
func TestWSReadWaitsForNoWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := wsPair(1024, 0)
		stuck := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 5000))
			stuck <- err
		}()
		synctest.Wait()
		raw.Write(slices.Concat(clientFrame(0x89, "ping"), clientFrame(0x82, "data")))
		start := time.Now()
		buf := make([]byte, 64)
		if n, err := c.Read(buf); string(buf[:n]) != "data" || err != nil || time.Since(start) != 0 {
			t.Errorf("read %q, %v after %v", buf[:n], err, time.Since(start))
		}
		// The writer, freed, leaves the pong behind its frame.
		go io.Copy(io.Discard, io.LimitReader(raw, 4+5000))
		if err := <-stuck; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n, err := raw.Read(buf); string(buf[:n]) != "\x8a\x04ping" || err != nil {
			t.Errorf("pong is %q, %v", buf[:n], err)
		}
		// Now the buffer is full and nobody writes: the pong gets its second.
		c.raw.Write(make([]byte, 1024))
		raw.Write(slices.Concat(clientFrame(0x89, "ping"), clientFrame(0x82, "data")))
		start = time.Now()
		if n, err := c.Read(buf); string(buf[:n]) != "data" || err != nil || time.Since(start) != controlWait {
			t.Errorf("read %q, %v after %v", buf[:n], err, time.Since(start))
		}
		start = time.Now()
		c.Close()
		if took := time.Since(start); took > closeWait {
			t.Errorf("Close took %v", took)
		}
		raw.Close()
	})
}

func TestWSWriteDeadlineSurvivesPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := wsPair(64, 0)
		start := time.Now()
		c.SetWriteDeadline(start.Add(time.Minute))
		raw.Write(slices.Concat(clientFrame(0x89, "ping"), clientFrame(0x82, "x")))
		c.Read(make([]byte, 8))
		n, err := c.Write(make([]byte, 1000))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute || n >= 64 {
			t.Errorf("Write = %d, %v after %v", n, err, time.Since(start))
		}
		if _, again := c.Write([]byte("x")); again == nil {
			t.Error("a cut frame was followed by another")
		}
		c.Close()
		raw.Close()
	})
}

// Close frees a writer that waits for a peer which reads nothing.
func TestWSCloseFreesWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := wsPair(64, 0)
		stuck := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 1000))
			stuck <- err
		}()
		synctest.Wait()
		start := time.Now()
		c.Close()
		if err := <-stuck; err == nil || time.Since(start) != 0 {
			t.Errorf("Write = %v after %v", err, time.Since(start))
		}
		raw.Close()
	})
}

// Both ends against each other, every size around the encodings' borders.
func TestWSBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPipe(0)
		client, server := newWSConn(a, WS, true, 0, nil), newWSConn(b, WS, false, 0, nil)
		for _, size := range []int{1, 125, 126, 127, 16<<10 - 15, 16 << 10, 65535, 65536, 200000} {
			want := bytes.Repeat([]byte{byte(size), 7, 3}, size/3+1)[:size]
			for _, ends := range [][2]*wsConn{{client, server}, {server, client}} {
				go ends[0].Write(want)
				got := make([]byte, size)
				if _, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: equal %v, %v", size, bytes.Equal(got, want), err)
				}
				synctest.Wait()
			}
		}
		client.Close()
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read after the peer's close = %v", err)
		}
		server.Close()
	})
}

// sink swallows writes and repeats one stream for ever.
type sink struct {
	net.Conn
	stream []byte
}

func (s *sink) Read(p []byte) (int, error)       { return copy(p, s.stream), nil }
func (s *sink) Write(p []byte) (int, error)      { return len(p), nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func TestWSAllocatesNothing(t *testing.T) {
	c := newWSConn(&sink{stream: clientFrame(0x82, "publish")}, WS, false, 0, nil)
	buf, packet := make([]byte, 64), make([]byte, 300)
	if n := testing.AllocsPerRun(1000, func() {
		c.Read(buf)
		c.Write(packet)
	}); n != 0 {
		t.Errorf("%v allocations for a read and a write", n)
	}
}
