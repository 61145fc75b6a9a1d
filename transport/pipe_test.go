package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPipe(8)
		defer a.Close()
		defer b.Close()
		if n, err := a.Write([]byte("12345678")); n != 8 || err != nil {
			t.Fatalf("Write within the buffer = %d, %v", n, err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := a.Write([]byte("9abcdefghijkl"))
			done <- err
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("Write beyond the buffer did not block")
		default:
		}
		got := make([]byte, 21)
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != "123456789abcdefghijkl" {
			t.Errorf("read %q", got)
		}
		if err := <-done; err != nil {
			t.Errorf("blocked Write = %v", err)
		}
	})
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPipe(4)
		defer a.Close()
		defer b.Close()
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Minute))
		_, err := a.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Fatalf("Read = %v after %v", err, time.Since(start))
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("ok"))
		if n, err := a.Read(make([]byte, 4)); n != 2 || err != nil {
			t.Errorf("Read after a lifted deadline = %d, %v", n, err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write([]byte("123456")); n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write into a full pipe = %d, %v", n, err)
		}
		// A deadline set while Read blocks wakes it.
		got := make(chan error, 1)
		go func() {
			_, err := a.Read(make([]byte, 1))
			got <- err
		}()
		synctest.Wait()
		a.SetReadDeadline(time.Now())
		if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("woken Read = %v", err)
		}
	})
}

func TestPipeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewPipe(0)
		a.Write([]byte("last words"))
		a.CloseWrite()
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after CloseWrite = %v", err)
		}
		if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
			t.Errorf("ReadAll = %q, %v", got, err)
		}
		b.Write([]byte("reply"))
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "reply" || err != nil {
			t.Errorf("ReadAll = %q, %v", got, err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close = %v", err)
		}
		c, d := NewPipe(1)
		d.Close()
		if _, err := c.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write to a closed peer = %v", err)
		}
		a.Close()
		c.Close()
	})
}

func TestPipeListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ListenPipe("test", 0)
		client, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if server.Kind() != Pipe || server.TLS() != nil || server.Handshake(t.Context()) != nil {
			t.Errorf("kind %s, TLS %v", server.Kind(), server.TLS())
		}
		if got := server.RemoteAddr().String(); got != "test/1" || l.String() != "pipe://test" {
			t.Errorf("remote %s at %s", got, l)
		}
		client.Write([]byte("hi"))
		buf := make([]byte, 2)
		if _, err := io.ReadFull(server, buf); err != nil || string(buf) != "hi" {
			t.Errorf("read %q, %v", buf, err)
		}
		for range pipeBacklog {
			if _, err := l.Dial(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial past the backlog = %v", err)
		}
		waiting := l.queue[0]
		l.Close()
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a connection nobody accepted stays open: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close = %v", err)
		}
		if _, err := l.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after Close = %v", err)
		}
	})
}
