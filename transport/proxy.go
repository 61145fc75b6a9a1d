package transport

import (
	"bufio"
	"context"
	"encoding/base64"
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

// NetDial opens a socket: what net.Dialer's DialContext does.
type NetDial = func(ctx context.Context, network, address string) (net.Conn, error)

var errProxy = errors.New("transport: proxy: want socks5://, socks5h:// or http://[user:password@]host:port")

// ParseProxy reads a proxy's address.
func ParseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return nil, errProxy
	}
	ports := map[string]string{"socks5": "1080", "socks5h": "1080", "http": "80"}
	port, known := ports[u.Scheme]
	if !known {
		return nil, errProxy
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

// ProxyFromEnv returns the proxy that ALL_PROXY (or all_proxy) names for the
// server at u, nil for none: unix sockets, this machine, and what NO_PROXY
// lists (names, which include their subdomains, addresses, networks, *) are
// reached directly.
func ProxyFromEnv(getenv func(string) string, u *url.URL) (*url.URL, error) {
	proxy := first(getenv("ALL_PROXY"), getenv("all_proxy"))
	host := strings.ToLower(u.Hostname())
	ip := net.ParseIP(host)
	if proxy == "" || u.Scheme == "unix" || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil, nil
	}
	for _, entry := range strings.Split(first(getenv("NO_PROXY"), getenv("no_proxy")), ",") {
		if direct(strings.ToLower(strings.TrimSpace(entry)), host, ip) {
			return nil, nil
		}
	}
	return ParseProxy(proxy)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// direct reports whether one entry of NO_PROXY covers a host.
func direct(entry, host string, ip net.IP) bool {
	if entry == "" {
		return false
	}
	if _, network, err := net.ParseCIDR(entry); err == nil {
		return ip != nil && network.Contains(ip)
	}
	entry = strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
	return entry == "" || host == entry || strings.HasSuffix(host, "."+entry)
}

// ViaProxy returns a NetDial that goes through the proxy at p, which ParseProxy
// made, and reaches that by dial. Names are resolved by the proxy.
func ViaProxy(p *url.URL, dial NetDial) NetDial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" {
			return dial(ctx, network, address)
		}
		nc, err := dial(ctx, "tcp", p.Host)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", p.Host, err)
		}
		stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
		through := connectHTTP
		if strings.HasPrefix(p.Scheme, "socks5") {
			through = connectSOCKS
		}
		err = through(nc, p, address)
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			nc.Close()
			return nil, fmt.Errorf("proxy %s: %w", p.Host, err)
		}
		return nc, nil
	}
}

// connectHTTP asks for a tunnel (RFC 9110, 9.3.6).
func connectHTTP(nc net.Conn, p *url.URL, address string) error {
	req := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if p.User != nil {
		password, _ := p.User.Password()
		req += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(nc, req+"\r\n"); err != nil {
		return err
	}
	// Byte by byte: what follows the answer is not the proxy's.
	resp, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(oneByte{nc}, maxHTTPHeader), 16), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it says %s", resp.Status)
	}
	return nil
}

// oneByte reads no further than it is asked to.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// connectSOCKS speaks SOCKS 5 (RFC 1928), with user and password (RFC 1929).
func connectSOCKS(nc net.Conn, p *url.URL, address string) error {
	method := byte(0)
	if p.User != nil {
		method = 2
	}
	if _, err := nc.Write([]byte{5, 1, method}); err != nil {
		return err
	}
	var b [262]byte
	if _, err := io.ReadFull(nc, b[:2]); err != nil {
		return err
	}
	if b[0] != 5 || b[1] != method {
		return errors.New("it does not take this way of logging in")
	}
	if method == 2 {
		if err := loginSOCKS(nc, p.User); err != nil {
			return err
		}
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || len(host) > 255 {
		return fmt.Errorf("address %q", address)
	}
	req := []byte{5, 1, 0}
	switch ip := net.ParseIP(host); {
	case ip == nil:
		req = append(append(req, 3, byte(len(host))), host...)
	case ip.To4() != nil:
		req = append(append(req, 1), ip.To4()...)
	default:
		req = append(append(req, 4), ip...)
	}
	if _, err := nc.Write(append(req, byte(port>>8), byte(port))); err != nil {
		return err
	}
	return answerSOCKS(nc, b[:])
}

func loginSOCKS(nc net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) > 255 || len(password) > 255 {
		return errors.New("user or password is too long")
	}
	b := append([]byte{1, byte(len(name))}, name...)
	b = append(append(b, byte(len(password))), password...)
	if _, err := nc.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(nc, b[:2]); err != nil {
		return err
	}
	if b[1] != 0 {
		return errors.New("it refuses user and password")
	}
	return nil
}

var socksErrors = [...]string{
	1: "it failed", 2: "not allowed", 3: "network unreachable", 4: "host unreachable",
	5: "connection refused", 6: "TTL expired", 7: "command not supported", 8: "address not supported",
}

// answerSOCKS reads the answer and the address that comes with it.
func answerSOCKS(nc net.Conn, b []byte) error {
	if _, err := io.ReadFull(nc, b[:5]); err != nil {
		return err
	}
	if b[0] != 5 || b[1] != 0 {
		if int(b[1]) < len(socksErrors) && b[0] == 5 {
			return errors.New(socksErrors[b[1]])
		}
		return errors.New("it speaks no SOCKS 5")
	}
	rest := map[byte]int{1: 4 - 1, 3: int(b[4]), 4: 16 - 1}[b[3]] + 2
	_, err := io.ReadFull(nc, b[:rest])
	return err
}
