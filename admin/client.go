package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DefaultURL is where midge's own commands look for a broker.
const DefaultURL = "http://127.0.0.1:9883"

// A Client asks a Handler. Its methods may be called from any goroutine; each
// waits for the answer, for as long as its context allows, and 30 seconds.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// Open makes a Client for http://host:port, https://host:port or unix:///path.
// roots, if not nil, are what https is checked with. Nothing is asked yet.
func Open(where, token string, roots *tls.Config) (*Client, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.TLSClientConfig = nil, roots
	c := &Client{base: strings.TrimSuffix(where, "/"), token: token, http: &http.Client{Transport: t, Timeout: 30 * time.Second}}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, fmt.Errorf("admin: %q has no host", where)
		}
	case "unix":
		c.base = "http://localhost"
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
	default:
		return nil, fmt.Errorf("admin: %q: want http://host:port, https://host:port or unix:///path", where)
	}
	return c, nil
}

// Close gives its connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An Error is a request that was answered, and refused.
type Error struct {
	Status      int    // of HTTP
	Text        string // what is wrong
	Instruction string // what to do about it
}

func (e *Error) Error() string { return e.Text + ": " + e.Instruction }

// Ready asks whether the broker should get new clients; an [*Error] says why
// not. It needs no token.
func (c *Client) Ready(ctx context.Context) error {
	_, err := ask[struct{}](ctx, c, http.MethodGet, "/readyz", nil, nil)
	return err
}

// Stats asks for everything there is to count.
func (c *Client) Stats(ctx context.Context) (*Counts, error) {
	return ask[Counts](ctx, c, http.MethodGet, "/api/v1/stats", nil, nil)
}

// Sessions asks for those that q chooses.
func (c *Client) Sessions(ctx context.Context, q Query) (*List, error) {
	return ask[List](ctx, c, http.MethodGet, "/api/v1/clients", q.values(), nil)
}

// Slow asks for the subscribers that keep up least, limit of them at most;
// those that are away and have something waiting count.
func (c *Client) Slow(ctx context.Context, limit int) (*List, error) {
	return ask[List](ctx, c, http.MethodGet, "/api/v1/slow", url.Values{"limit": {strconv.Itoa(limit)}}, nil)
}

// Session asks for one client; an [*Error] of status 404 says there is none.
func (c *Client) Session(ctx context.Context, id string) (*Session, error) {
	return ask[Session](ctx, c, http.MethodGet, "/api/v1/clients", url.Values{"id": {id}}, nil)
}

// Kick disconnects a client; an [*Error] of status 404 says it is not connected.
func (c *Client) Kick(ctx context.Context, id string) error {
	_, err := ask[struct{}](ctx, c, http.MethodDelete, "/api/v1/clients", url.Values{"id": {id}}, nil)
	return err
}

// Bans asks for those in force. Where the broker has no Shield, it answers 404.
func (c *Client) Bans(ctx context.Context) (*Bans, error) {
	return ask[Bans](ctx, c, http.MethodGet, "/api/v1/bans", nil, nil)
}

// Ban keeps somebody out, and disconnects whom that is about.
func (c *Client) Ban(ctx context.Context, b Ban) (*Banned, error) {
	return ask[Banned](ctx, c, http.MethodPost, "/api/v1/bans", nil, &b)
}

// Unban lifts the ban of b's Client, User and Address; an [*Error] of status 404
// says there is none.
func (c *Client) Unban(ctx context.Context, b Ban) error {
	v := url.Values{}
	for key, value := range map[string]string{"client": b.Client, "user": b.User, "address": b.Address} {
		if value != "" {
			v.Set(key, value)
		}
	}
	_, err := ask[struct{}](ctx, c, http.MethodDelete, "/api/v1/bans", v, nil)
	return err
}

// Forget ends the session of a client, connected or away, and what waits for it;
// an [*Error] of status 404 says there is none.
func (c *Client) Forget(ctx context.Context, id string) error {
	_, err := ask[struct{}](ctx, c, http.MethodDelete, "/api/v1/clients", url.Values{"id": {id}, "forget": {"true"}}, nil)
	return err
}

func (q *Query) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"state": q.State, "find": q.Find, "sort": q.Sort} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Rates {
		v.Set("rates", "true")
	}
	return v
}

// ask sends one request; body, if not nil, goes along as JSON.
func ask[T any](ctx context.Context, c *Client, method, path string, query url.Values, body any) (*T, error) {
	w, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	v := new(T)
	if err := json.NewDecoder(w.Body).Decode(v); err != nil {
		return nil, fmt.Errorf("the answer is none of midge's: %w", err)
	}
	return v, nil
}

// send returns an answer of success, whose body is the caller's to close.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path+"?"+query.Encode(), content)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	w, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the address is said by who knows what it is for
		}
		return nil, err
	}
	if w.StatusCode/100 != 2 {
		defer w.Body.Close()
		return nil, refused(w)
	}
	return w, nil
}

// refused is what an answer says that is none.
func refused(w *http.Response) *Error {
	var p problem
	json.NewDecoder(io.LimitReader(w.Body, 64<<10)).Decode(&p) // of somebody else, it may be anything
	return &Error{
		Status: w.StatusCode, Text: cmp.Or(p.Text, "the answer is "+w.Status),
		Instruction: cmp.Or(p.Instruction, "is that the admin address of midge?"),
	}
}
