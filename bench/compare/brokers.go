package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A broker is a server that can be started here.
type broker struct {
	name    string
	file    string // its executable
	version string

	// command returns the arguments that make it listen at addr, with TLS by
	// the lab's certificate or without; it may write files into dir.
	command func(l *lab, dir, addr string, tls bool) ([]string, error)
}

// A lab is where brokers are measured.
type lab struct {
	options
	dir     string // temporary
	midge   string // the generator
	brokers []*broker
}

// prepare installs and builds what is missing.
func prepare(ctx context.Context, o options) (*lab, error) {
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, dir: dir, midge: filepath.Join(dir, "midge")}
	if err := l.certificate(); err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, "compare: building")
	if err := build(ctx, l.midge, "-C", "../..", "./cmd/midge"); err != nil { // with what its own module asks for
		return nil, err
	}
	for name := range strings.SplitSeq(o.brokers, ",") {
		b, err := l.broker(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		l.brokers = append(l.brokers, b)
	}
	return l, nil
}

// build makes file of a package, of this module or of the one that -C names.
func build(ctx context.Context, file string, what ...string) error {
	pkg := len(what) - 1
	args := append(append([]string{"build"}, what[:pkg]...), "-trimpath", "-o", file, what[pkg])
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", what[pkg], err, out)
	}
	return nil
}

func (l *lab) broker(ctx context.Context, name string) (*broker, error) {
	b := &broker{name: name, file: filepath.Join(l.dir, name)}
	var err error
	switch name {
	case "midge":
		b.command = midgeCommand
		b.version, err = said(b.file, "version")
	case "mosquitto":
		b.command = mosquittoCommand
		if b.file, err = mosquitto(ctx); err == nil {
			b.version, _ = said(b.file, "-h") // which ends with 3
		}
	case "mochi":
		b.command = mochiCommand
		err = build(ctx, b.file, "github.com/mochi-mqtt/server/v2/cmd")
		b.version = module(ctx, "github.com/mochi-mqtt/server/v2")
	case "nats-server":
		b.command = natsCommand
		err = build(ctx, b.file, "github.com/nats-io/nats-server/v2")
		b.version = module(ctx, "github.com/nats-io/nats-server/v2")
	case "relay": // no broker: see there
		b.command = func(_ *lab, _, addr string, _ bool) ([]string, error) { return []string{"-listen", addr}, nil }
		err = build(ctx, b.file, "./relay")
	default:
		err = errors.New("nobody here knows how to start it")
	}
	return b, err
}

// said is the version a program names.
func said(file, arg string) (string, error) {
	out, err := exec.Command(file, arg).CombinedOutput()
	if m := regexp.MustCompile(`\d+\.\d+\.\d+`).Find(out); m != nil {
		return string(m), err
	}
	return "", err
}

func module(ctx context.Context, path string) string {
	out, _ := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", path).Output()
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
}

// mosquitto finds Debian's, or installs it.
func mosquitto(ctx context.Context) (string, error) {
	find := func() (string, error) {
		if file, err := exec.LookPath("mosquitto"); err == nil {
			return file, nil
		}
		return exec.LookPath("/usr/sbin/mosquitto") // not on everybody's PATH
	}
	if file, err := find(); err == nil {
		return file, nil
	}
	if os.Getuid() != 0 {
		return "", errors.New("not installed: apt-get install mosquitto")
	}
	for _, args := range []string{"update -qq", "install -y -qq --no-install-recommends mosquitto"} {
		cmd := exec.CommandContext(ctx, "apt-get", strings.Fields(args)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w\n%s", args, err, out)
		}
	}
	return find()
}

func midgeCommand(l *lab, _, addr string, tls bool) ([]string, error) {
	if tls {
		return []string{"serve", "--tls", addr, "--cert", l.cert(), "--key", l.key()}, nil
	}
	return []string{"serve", "--tcp", addr}, nil
}

// Rivals run as they come. Mosquitto has to be told to let anyone in.
func mosquittoCommand(l *lab, dir, addr string, tls bool) ([]string, error) {
	host, port, _ := net.SplitHostPort(addr)
	conf := fmt.Sprintf("listener %s %s\nallow_anonymous true\nuser root\n", port, host)
	if tls {
		conf += fmt.Sprintf("certfile %s\nkeyfile %s\n", l.cert(), l.key())
	}
	file := filepath.Join(dir, "mosquitto.conf")
	return []string{"-c", file}, os.WriteFile(file, []byte(conf), 0o600)
}

func mochiCommand(l *lab, _, addr string, tls bool) ([]string, error) {
	args := []string{"-tcp", addr, "-ws", "127.0.0.1:0", "-info", "127.0.0.1:0"}
	if tls {
		args = append(args, "-tls-cert-file", l.cert(), "-tls-key-file", l.key())
	}
	return args, nil
}

// nats-server speaks MQTT on top of JetStream, which keeps its streams in a
// folder.
func natsCommand(l *lab, dir, addr string, tls bool) ([]string, error) {
	secure := ""
	if tls {
		secure = fmt.Sprintf("tls { cert_file: %q, key_file: %q }", l.cert(), l.key())
	}
	conf := fmt.Sprintf("server_name: compare\nlisten: 127.0.0.1:-1\njetstream { store_dir: %q }\nmqtt { listen: %q\n%s }\n",
		filepath.Join(dir, "js"), addr, secure)
	file := filepath.Join(dir, "nats.conf")
	return []string{"-c", file}, os.WriteFile(file, []byte(conf), 0o600)
}

func (l *lab) cert() string { return filepath.Join(l.dir, "cert.pem") }
func (l *lab) key() string  { return filepath.Join(l.dir, "key.pem") }

func (l *lab) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(l.cert(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(l.key(), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}), 0o600),
	)
}
