package transport

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// dialWS upgrades raw, which is open and secured already.
func (a address) dialWS(ctx context.Context, raw net.Conn, opts DialOptions) (Conn, error) {
	// Past deadlines end whatever the handshake waits for.
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	early, err := a.requestUpgrade(raw, opts)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return newWSConn(raw, a.kind, true, 0, early), nil
}

// requestUpgrade sends the request, judges the response (RFC 6455, 4.1) and
// returns what followed it.
func (a address) requestUpgrade(raw net.Conn, opts DialOptions) (early []byte, err error) {
	target, err := url.ParseRequestURI(a.path)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	key := base64.StdEncoding.EncodeToString(nonce)
	offer := opts.Subprotocols
	if len(offer) == 0 {
		offer = []string{"mqtt"}
	}
	r := &http.Request{Method: http.MethodGet, URL: target, Host: a.authority, Header: opts.Header.Clone()}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", key)
	// [MQTT-6.0.0-3, 3.1.1] [MQTT-6.0.0-3, 5.0]
	r.Header.Set("Sec-WebSocket-Protocol", strings.Join(offer, ", "))
	if err := r.Write(raw); err != nil {
		return nil, err
	}
	br := bufio.NewReader(io.LimitReader(raw, maxHTTPHeader))
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return nil, fmt.Errorf("websocket: no HTTP response: %w", err)
	}
	defer resp.Body.Close()
	h := resp.Header
	switch {
	case resp.StatusCode != http.StatusSwitchingProtocols:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return nil, &RefusedError{raw.RemoteAddr(), resp.StatusCode, strings.TrimSpace(string(text))}
	case !hasToken(h, "Connection", "upgrade"), !hasToken(h, "Upgrade", "websocket"), h.Get("Sec-Websocket-Accept") != acceptKey(key):
		return nil, errors.New("websocket: the answer is no WebSocket handshake")
	case h.Get("Sec-Websocket-Extensions") != "":
		return nil, errors.New("websocket: server uses an extension not offered")
	case !slices.Contains(offer, h.Get("Sec-Websocket-Protocol")):
		// [MQTT-6.0.0-4, 3.1.1] [MQTT-6.0.0-4, 5.0]
		return nil, fmt.Errorf("websocket: server selected subprotocol %q, none of %q", h.Get("Sec-Websocket-Protocol"), offer)
	}
	buffered, _ := br.Peek(br.Buffered())
	return slices.Clone(buffered), nil
}
