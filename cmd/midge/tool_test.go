package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// TestMain keeps the options files of whoever runs the tests out of them.
// With MIDGE_TEST_MAIN it is midge itself.
func TestMain(m *testing.M) {
	if os.Getenv("MIDGE_TEST_MAIN") != "" {
		main()
	}
	dir, err := os.MkdirTemp("", "midge")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CONFIG_HOME", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A toolbox is a broker and calls against it.
type toolbox struct {
	t    *testing.T
	port string
}

func newToolbox(t *testing.T) *toolbox {
	t.Helper()
	url := serving(t, "--tcp", "127.0.0.1:0")[0]
	return &toolbox{t, url[strings.LastIndex(url, ":")+1:]}
}

func (b *toolbox) run(tool string, args ...string) (code int, out, errs string) {
	b.t.Helper()
	return runFor(b.t, append([]string{tool, "-h", "127.0.0.1", "-p", b.port}, args...)...)
}

func (b *toolbox) must(tool string, args ...string) string {
	b.t.Helper()
	code, out, errs := b.run(tool, args...)
	if code != exitOK {
		b.t.Fatalf("%s %q: exit %d\n%s%s", tool, args, code, out, errs)
	}
	return out
}

func withStdin(t *testing.T, text string) {
	old := stdin
	stdin = strings.NewReader(text)
	t.Cleanup(func() { stdin = old })
}

// What is retained is there to be read: no call has to run beside another.
func TestPubAndSub(t *testing.T) {
	b := newToolbox(t)
	b.must("pub", "-t", "k/a", "-m", "hello", "-r", "-q", "1")
	b.must("pub", "-t", "k/b", "-m", `{"x":1}`, "-r", "-q", "2", "-V", "5", "-D", "publish", "content-type", "text",
		"-D", "PUBLISH", "user-property", "a", "b", "-D", "publish", "response-topic", "r", "-D", "publish", "correlation-data", "c",
		"-D", "publish", "message-expiry-interval", "1000", "-D", "publish", "payload-format-indicator", "1")
	file := filepath.Join(t.TempDir(), "f")
	os.WriteFile(file, []byte("from a file"), 0o600)
	b.must("pub", "-t", "f", "-r", "-f", file)
	withStdin(t, "all\nof it\n")
	b.must("pub", "-t", "s", "-r", "-s")
	withStdin(t, "one\ntwo\nlast")
	b.must("pub", "-t", "l", "-r", "-l", "-q", "1")
	b.must("pub", "-t", "n", "-r", "-m", "x")
	b.must("pub", "-t", "n", "-r", "-n")
	b.must("pub", "-t", "x", "--repeat", "3", "-m", "r", "-r", "--repeat-delay", "0.001", "-V", "31")
	for want, args := range map[string]string{
		"hello\n":                    "-t k/a -C 1",
		"hello":                      "-t k/a -C 1 -N",
		"k/a hello\n":                "-t k/a -C 1 -v",
		"k/a hello\nk/b {\"x\":1}\n": "-t k/# -C 2 -v",
		"k/b {\"x\":1}\n":            "-t k/# -T k/a -C 1 -v",
		"from a file\n":              "-t f -C 1 -V mqttv31",
		"all\nof it\n\n":             "-t s -C 1",
		"last\n":                     "-t l -C 1 -q 2",
		"text a:b r c 1 {\"x\":1}\n": "-t k/b -C 1 -V 5 -F %C_%P_%R_%D_%F_%p",
		"":                           "-t nothing -E",
		"{\"x\":1}\n":                "-t k/b -C 1 --retained-only",
		"{\n\t\"x\": 1\n}\n\n":       "-t k/b -C 1 --pretty",
	} {
		words := strings.Fields(args)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "_", " ")
		}
		if got := b.must("sub", words...); got != want {
			t.Errorf("sub %s: %q, want %q", args, got, want)
		}
	}
	if code, out, _ := b.run("sub", "-t", "n", "-W", "0.1"); code != exitTimeout || out != "" {
		t.Errorf("an empty retained message: exit %d, %q", code, out)
	}
	b.must("sub", "-t", "k/a", "--remove-retained", "-C", "1")
	if code, out, errs := b.run("sub", "-t", "k/a", "-W", "0.1"); code != exitTimeout || out != "" || errs != "Timed out\n" {
		t.Errorf("a removed message: exit %d, %q %q", code, out, errs)
	}
}

func TestSubJSON(t *testing.T) {
	b := newToolbox(t)
	b.must("pub", "-t", "j/<a>", "-m", `{"x": [1, "é"]}`, "-r", "-V", "5", "-D", "publish", "user-property", "k", "v")
	for args, want := range map[string]string{
		"--json":         `"topic":"j/<a>","qos":0,"retain":1,"payloadlen":16,"properties":{"user-properties":{"k":"v"}},"payload":"{\"x\": [1, \"é\"]}"}`,
		"-F %J":          `"topic":"j/<a>","qos":0,"retain":1,"payloadlen":16,"properties":{"user-properties":{"k":"v"}},"payload":{"x":[1,"é"]}}`,
		"-F %J --pretty": "\"payload\": {\n\t\t\"x\": [\n",
	} {
		out := b.must("sub", append(strings.Fields(args), "-V", "5", "-C", "1", "-t", "j/#")...)
		if !strings.Contains(out, want) || !strings.HasPrefix(strings.Join(strings.Fields(out), ""), `{"tst":"20`) {
			t.Errorf("%s: %s", args, out)
		}
	}
	b.must("pub", "-t", "no", "-m", "json", "-r")
	if _, out, errs := b.run("sub", "-t", "no", "-C", "1", "-F", "%J %t"); out != " no\n" || !strings.Contains(errs, "not valid JSON on topic no") {
		t.Errorf("%q %q", out, errs)
	}
}

func TestRequestAndResponse(t *testing.T) {
	b := newToolbox(t)
	c, err := client.New(client.Config{Servers: []string{"mqtt://127.0.0.1:" + b.port}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Close(); <-c.Done() }()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Respond(t.Context(), "upper", 1, func(_ context.Context, m client.Message) (mqtt.Message, error) {
		return mqtt.Message{Payload: bytes.ToUpper(m.Payload)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if out := b.must("rr", "-t", "upper", "-e", "me/answers", "-m", "hello", "-W", "10", "-v"); out != "me/answers HELLO\n" {
		t.Errorf("%q", out)
	}
	if out := b.must("rr", "-t", "upper", "-e", "me/answers", "-m", "x", "-W", "10", "--latency"); !strings.HasPrefix(out, "X\nlatency: ") {
		t.Errorf("%q", out)
	}
	if code, _, errs := b.run("rr", "-t", "nobody", "-e", "me", "-n", "-W", "0.1"); code != exitTimeout || errs != "Timed out\n" {
		t.Errorf("exit %d %q", code, errs)
	}
}

func TestToolMistakes(t *testing.T) {
	for line, says := range map[string]string{
		"pub -t a":                                "Both topic and message must be supplied.",
		"pub -t a -m x -m y":                      "Only one type of message can be sent at once.",
		"pub -t a -m x --frob":                    "Unknown option '--frob'.",
		"pub -t a -m x -q 3":                      "Invalid QoS given: 3",
		"pub -t a -m x -p 70000":                  "Invalid port given: 70000",
		"pub -t a -m x -k 1":                      "Invalid keepalive given",
		"pub -t a -m x -c":                        "client id",
		"pub -t a -m x --cert y":                  "certfile and keyfile",
		"pub -t a -m x --will-payload y":          "no will topic given",
		"pub -t a -m x -P y":                      "-P needs -u",
		"pub -t a -m x --psk 11":                  "--psk is not offered",
		"pub -t a -m x --tls-engine e":            "client.TLS.Signer",
		"pub -t a -m x --keyform engine":          "--keyform is not offered",
		"pub -t a -m x --ciphers RC4":             "Unknown or unsafe",
		"pub -t a -m x --tls-version tlsv1.1":     "Unknown TLS version",
		"pub -t a -m":                             "-m argument given",
		"pub -t a -m x -D publish":                "not enough arguments",
		"pub -t a -m x -D frob x y":               "Invalid command given",
		"pub -t a -m x -D will topic-alias 1":     "Invalid property name",
		"pub -t a -m x -D publish topic-alias 1":  "topic-alias is not offered",
		"pub -t a -m x -D puback user-property a": "not enough arguments",
		"pub -t a -m x -L http://x/y":             "Unsupported URL scheme",
		"pub -t a -m x -L nonsense":               "Invalid URL",
		"pub -t a -m x -i a -I b":                 "cannot be used together",
		"pub -t a -f nofile -p 1":                 "connection refused",
		"pub -t a -l --repeat 3":                  "--repeat",
		"pub -t a/# -m x":                         "Invalid publish topic 'a/#'",
		"rr -t a/+ -m x -e b":                     "Invalid publish topic 'a/+'",
		"sub -t a/#/b":                            "Invalid filter 'a/#/b'",
		"sub -t a -T #a":                          "Invalid filter '#a'",
		"rr -t a -m x -e b#":                      "Invalid filter 'b#'",
		"pub -t a -m x --frob --help":             "Unknown option '--frob'.",
		"sub":                                     "You must specify a topic to subscribe to.",
		"sub -t a -V 7":                           "Invalid protocol version argument given.",
		"sub -t a -F %Z":                          "Invalid format specifier 'Z'.",
		`sub -t a -F \q`:                          "Invalid escape specifier 'q'.",
		"sub -t a -F %":                           "Incomplete format specifier.",
		`sub -t a -F \`:                           "Incomplete escape specifier.",
		"sub -t a -w":                             "-w is not offered",
		"sub -t a --message-rate":                 "--message-rate is not offered",
		"sub -t a --random-filter 0":              "--random-filter",
		"sub -t a --retain-handling x":            "--retain-handling",
		"sub -t a -R --retained-only":             "exclude each other",
		"sub -t a -x y":                           "session-expiry",
		"sub -t a -W x":                           "Invalid timeout",
		"sub -t a -D connect receive-maximum x":   "no number",
		"sub -t a -o nofile":                      "nofile",
		"sub -t a -h 127.0.0.1 -p 1":              "Is there a broker?",
		"rr -t a -m x":                            "All of topic, message, and response topic must be supplied.",
		"rr -l":                                   "-l is not offered",
	} {
		code, out, errs := runFor(t, strings.Fields(line)...)
		if code != 1 || !strings.Contains(errs, says) || out != "" {
			t.Errorf("midge %s: exit %d, want 1; want %q in %q", line, code, says, errs)
		}
	}
	if code, out, errs := runFor(t, strings.Fields("sub -t a -h 127.0.0.1 -p 1 --quiet")...); code != 1 || out+errs != "" {
		t.Errorf("--quiet: exit %d %q", code, out+errs)
	}
	for _, tool := range []string{"pub", "sub", "rr"} {
		code, out, _ := runFor(t, tool, "--help")
		if code != exitOK || !strings.Contains(out, "--cafile") || strings.Contains(out, "--psk") || strings.Contains(out, "%p payload") == (tool == "pub") {
			t.Errorf("midge %s --help: exit %d\n%s", tool, code, out)
		}
	}
}

// The refusals of CONNACK are exit codes.
func TestToolExitCodes(t *testing.T) {
	for v, want := range map[string]int{"311": 4, "5": 134} {
		r := &toolRun{o: &toolOptions{quiet: true}}
		refused := &client.ConnectError{Code: mqtt.BadUserNameOrPassword}
		if v == "311" {
			refused.Return = mqtt.RefusedCredentials
		}
		if err := r.outcome(fmt.Errorf("wrapped: %w", refused)); err.(*exitError).code != want {
			t.Errorf("%s: %v", v, err)
		}
	}
}

func TestToolServers(t *testing.T) {
	for args, want := range map[string]string{
		"":                                 "mqtt://localhost:1883",
		"-h there":                         "mqtt://there:1883",
		"-p 8883":                          "mqtts://localhost:8883",
		"-p 8883 --no-tls":                 "mqtt://localhost:8883",
		"--tls-use-os-certs":               "mqtts://localhost:8883",
		"--ws -p 80":                       "ws://localhost:80/mqtt",
		"--unix /run/s":                    "unix:///run/s",
		"-L mqtt://there/a/#":              "mqtt://there:1883",
		"-L mqtts://joe:p%40@[::1]:99/a/b": "mqtts://[::1]:99",
		"-L wss://there/a":                 "wss://there:8883/mqtt",
	} {
		o, err := parseTool("sub", append(strings.Fields(args), "-t", "x"))
		if err != nil || o.server() != want {
			t.Errorf("%q: %v, want %s", args, err, want)
			continue
		}
		if strings.Contains(args, "joe") && (o.username != "joe" || o.password != "p@" || o.topics[0] != "a/b") {
			t.Errorf("%q: %q %q %q", args, o.username, o.password, o.topics)
		}
		if strings.Contains(args, "#") && o.topics[0] != "a/#" {
			t.Errorf("%q: %q", args, o.topics)
		}
	}
}

func TestToolOptionsFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	os.WriteFile(filepath.Join(dir, "mosquitto_sub"), []byte("# mine\n-h there\n\n-t a topic\n-D connect user-property k v\n-v\n"), 0o600)
	o, err := parseTool("sub", []string{"-q", "1"})
	if err != nil || o.host != "there" || !slices.Equal(o.topics, []string{"a topic"}) || !o.verbose || o.version != mqtt.V5 || o.qos != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	other := filepath.Join(dir, "other")
	os.WriteFile(other, []byte("-p 99"), 0o600)
	if o, err := parseTool("sub", []string{"-o", other, "-t", "x"}); err != nil || o.port != 99 || o.host == "there" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestFormat(t *testing.T) {
	at := time.Date(2026, 3, 9, 15, 4, 5, 123456789, time.UTC)
	m := &shown{at: at}
	m.Topic, m.Payload, m.QoS = "a/b", []byte("hello"), 1
	binary := &shown{at: at}
	binary.Payload = []byte{0, 0, 0x20, 0x41}
	for f, want := range map[string]string{
		"%t %p %q %r %l %m":      "a/b hello 1 0 5 0",
		"%10t|%-10t|%010t|%.2t|": "       a/b|a/b       |0000000a/b|a/|",
		"%5l|%05l|%-5l|":         "    5|00005|5    |",
		"%x %X %:x %.2:X %.3x":   "68656c6c6f 68656C6C6F 68:65:6c:6c:6f 68:65 68656c",
		"%E%F%S%A%C%D%R%P|":      "|",
		"%% @@ @%":               "% @ %",
		`a\tb\n\\\0\a\e\v\r`:     "a\tb\n\\\x00\a\x1b\v\r",
		"%I|%U":                  "2026-03-09T15:04:05+0000|1773068645.123456789",
		"@A @a @B @b @d @e @j":   "Monday Mon March Mar 09  9 068",
		"@H:@M:@S @I@p @k @l":    "15:04:05 03PM 15  3",
		"@F @T @R @D @y @C @Y":   "2026-03-09 15:04:05 15:04 03/09/26 26 20 2026",
		"@G @g @V @U @W @u @w":   "2026 26 11 10 10 1 1",
		"@s.@N @z @Z@n@t":        "1773068645.123456789 +0000 UTC\n\t",
		"%f%d|":                  "|",
		"@":                      "", // refused
	} {
		parsed, err := parseFormat(f)
		if f == "@" {
			if err == nil {
				t.Error("@ alone")
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", f, err)
			continue
		}
		if got, err := parsed.append(nil, m); string(got) != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", f, got, err, want)
		}
	}
	parsed, _ := parseFormat("%f %.2f %d")
	if got, _ := parsed.append(nil, binary); string(got) != fmt.Sprintf("%f %.2f ", math.Float32frombits(0x41200000), 10.0) {
		t.Errorf("%q", got)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("%-010.3:x @Y \\n")
	m := &shown{at: time.Unix(0, 0)}
	m.Payload = []byte("payload")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parseFormat(s); err == nil {
			p.append(nil, m)
		}
	})
}

func TestCipherNames(t *testing.T) {
	o := &toolOptions{}
	if err := setCiphers(o, []string{"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}); err != nil || len(o.tls.CipherSuites) != 3 {
		t.Errorf("%v, %v", o.tls.CipherSuites, err)
	}
}

// What a terminal gets and a pipe does not.
func TestOnATerminal(t *testing.T) {
	p := &printer{color: true}
	for name, want := range map[string]string{
		"a/long/name": "\x1b[36ma/long/name\x1b[0m",
		"a":           "\x1b[36ma\x1b[0m          ",
	} {
		p.width = len("a/long/name")
		if got := p.topic(nil, name); string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if p := (&printer{}); string(p.topic(nil, "a")) != "a" {
		t.Error("colour in a pipe")
	}
	if terminal(&bytes.Buffer{}) != nil {
		t.Error("a buffer is a terminal")
	}
	pub := &publishing{toolRun: &toolRun{o: &toolOptions{}}, sent: 3}
	if got := pub.line(); got != "3 messages sent" {
		t.Error(got)
	}
	pub.o.repeat = 5
	if got := pub.line(); got != "3 of 5 messages sent" {
		t.Error(got)
	}
}

// A message the broker refuses is told, and is the exit code.
func TestPubRefused(t *testing.T) {
	b := newToolbox(t)
	code, _, errs := b.run("pub", "-t", "$SYS/x", "-m", "x", "-q", "1", "-V", "5")
	if code != int(mqtt.NotAuthorized) || !strings.Contains(errs, "Warning: Publish 1 failed: not authorized.") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

// A message comes once, however many of the filters match it.
func TestSubOverlap(t *testing.T) {
	b := newToolbox(t)
	b.must("pub", "-t", "k/a", "-m", "once", "-r", "-q", "1")
	b.must("pub", "-t", "z", "-m", "end", "-r", "-q", "1")
	for _, version := range []string{"311", "5"} { // the broker sends it for each of two
		if out := b.must("sub", "-t", "k/#", "-t", "k/a", "-t", "z", "-V", version, "-C", "3"); out != "once\nonce\nend\n" {
			t.Errorf("%s: %q", version, out)
		}
	}
}

// What a session has kept is printed from its first message on, and what -C
// leaves is there for the next call.
func TestSubOneAtATime(t *testing.T) {
	b := newToolbox(t)
	for _, q := range []string{"1", "2"} {
		sub := []string{"-c", "-i", "worker" + q, "-q", q, "-t", "jobs"}
		b.must("sub", append(sub, "-E")...)
		for i := range 4 {
			b.must("pub", "-t", "jobs", "-q", "2", "-m", fmt.Sprint(i))
		}
		for i := range 4 {
			if out := b.must("sub", append(sub, "-C", "1")...); out != fmt.Sprintf("%d\n", i) {
				t.Fatalf("QoS %s: call %d got %q", q, i, out)
			}
		}
		if code, out, _ := b.run("sub", append(sub, "-W", "0.1")...); code != exitTimeout || out != "" {
			t.Errorf("QoS %s: left over: %q", q, out)
		}
		b.must("sub", "-i", "worker"+q, "-t", "jobs", "-E")
	}
}

// A call that waits for its input is interrupted all the same.
func TestPubIsInterrupted(t *testing.T) {
	b := newToolbox(t)
	old := stdin
	r, w := io.Pipe()
	stdin = r
	t.Cleanup(func() { w.Close(); stdin = old })
	for _, how := range []string{"-l", "-s"} {
		ctx, interrupt := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		code := make(chan int)
		go func() {
			code <- run(ctx, []string{"pub", "-h", "127.0.0.1", "-p", b.port, "-t", "a", how}, &out, &errs)
		}()
		w.Write([]byte("something\n")) // it is reading
		interrupt()
		if got := <-code; got != exitFailed || errs.String() != "Error: interrupted\n" {
			t.Errorf("%s: exit %d, %q", how, got, errs.String())
		}
		w.CloseWithError(io.EOF) // ends the reading that was left behind
		r, w = io.Pipe()
		stdin = r
	}
}

// The second server has its turn before the tool gives up.
func TestToolFailsOver(t *testing.T) {
	r := &toolRun{servers: 2, ended: make(chan error, 1)}
	var err error
	if r.c, err = client.New(client.Config{}); err != nil {
		t.Fatal(err)
	}
	defer func() { r.c.Close(); <-r.c.Done() }()
	if pause, err := r.retry(io.EOF, time.Second); pause != 0 || err != nil {
		t.Errorf("%v, %v", pause, err)
	}
	if _, err := r.retry(io.EOF, time.Second); err != io.EOF {
		t.Error(err)
	}
}

func TestValuesAreNoOptions(t *testing.T) {
	b := newToolbox(t)
	b.must("pub", "-t", "help", "-r", "-m", "--help")
	if out := b.must("sub", "-t", "help", "-C", "1"); out != "--help\n" {
		t.Errorf("%q", out)
	}
}
