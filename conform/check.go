package conform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A Check is one named conversation and the statements it proves.
type Check struct {
	Name string // "chapter/what it shows"
	Slow bool   // waits for seconds of time

	run    func(*T)
	proves map[mqtt.Version][]string // the versions it runs for, and their statements
}

// Versions returns the versions the check runs for, oldest first.
func (c Check) Versions() []mqtt.Version {
	var vs []mqtt.Version
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		if _, ok := c.proves[v]; ok {
			vs = append(vs, v)
		}
	}
	return vs
}

// Proves returns the statements the check proves when it passes.
func (c Check) Proves() []Key {
	var keys []Key
	for _, v := range c.Versions() {
		for _, id := range c.proves[v] {
			keys = append(keys, Key{v, id})
		}
	}
	return keys
}

// check describes a check. Each version's statements are identifiers parted by
// spaces, "MQTT-" left out; a version without the argument is one the check
// does not run for.
func check(name string, run func(*T), opts ...checkOption) Check {
	c := Check{Name: name, run: run, proves: make(map[mqtt.Version][]string)}
	for _, o := range opts {
		o(&c)
	}
	return c
}

type checkOption func(*Check)

func on(v mqtt.Version, ids string) checkOption {
	return func(c *Check) {
		list := []string{}
		for _, id := range strings.Fields(ids) {
			if !strings.HasPrefix(id, "X") {
				id = "MQTT-" + id
			}
			list = append(list, id)
		}
		c.proves[v] = list
	}
}

func on5(ids string) checkOption   { return on(mqtt.V5, ids) }
func on311(ids string) checkOption { return on(mqtt.V311, ids) }

// on31 runs a check for MQTT 3.1 too, which has no numbered statements.
func on31(c *Check) { c.proves[mqtt.V31] = nil }

func slow(c *Check) { c.Slow = true }

// A Case is one check for one version.
type Case struct {
	Check   Check
	Version mqtt.Version
}

func (c Case) String() string { return c.Check.Name + " " + c.Version.String() }

// Outcome says how a case went.
type Outcome string

const (
	Pass Outcome = "pass"
	Fail Outcome = "FAIL"
	Skip Outcome = "skip"
)

// A Result is how one case went against one target.
type Result struct {
	Case    Case
	Outcome Outcome
	Detail  string        // what was wanted and what came, or why it was skipped
	Log     []string      // packets sent and received, for a failure
	Took    time.Duration // in the clock of the time package
}

// A T is one running case: it dials peers and collects the verdict.
type T struct {
	ctx     context.Context
	target  Target
	version mqtt.Version
	prefix  string // unique to this run of this case

	peers    []*peer
	retained []string // topics to clear
	kept     []string // client identifiers whose sessions to end
	closers  []func()

	mu  sync.Mutex
	log []string
}

// verdict is what failf and skipf panic with, to leave the check at once.
type verdict struct {
	outcome Outcome
	detail  string
}

func (t *T) failf(format string, args ...any) { panic(verdict{Fail, fmt.Sprintf(format, args...)}) }
func (t *T) skipf(format string, args ...any) { panic(verdict{Skip, fmt.Sprintf(format, args...)}) }

func (t *T) logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.log) < 400 {
		t.log = append(t.log, fmt.Sprintf(format, args...))
	}
}

func (t *T) v5() bool { return t.version == mqtt.V5 }

// topic returns a topic name or filter below this case's own prefix.
func (t *T) topic(tail string) string { return t.prefix + "/" + tail }

// clientID returns a client identifier of this case, letters and digits only.
func (t *T) clientID(name string) string { return t.prefix + name }

// wait lets time pass; a target may offer fake time.
func (t *T) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
		t.failf("%v", t.ctx.Err())
	}
}

// waitUnit is the shortest time MQTT can express.
const waitUnit = time.Second

// with makes the rest of the check run against a broker configured so, or
// skips it where there is none.
func (t *T) with(o Options) {
	if !t.tryWith(o) {
		t.skipf("needs a broker started with %s", o)
	}
}

func (t *T) tryWith(o Options) bool {
	if t.target.With == nil {
		return false
	}
	special, ok := t.target.With(o)
	if !ok {
		return false
	}
	if special.Close != nil {
		t.closers = append(t.closers, special.Close)
	}
	t.target = special
	return true
}

// String lists the options that ask for something.
func (o Options) String() string {
	type plain Options // without this method
	var set []string
	if o.MaxQoS != nil {
		set = append(set, fmt.Sprintf("MaxQoS %d", *o.MaxQoS))
		o.MaxQoS = nil
	}
	for _, f := range strings.Fields(strings.Trim(fmt.Sprintf("%+v", plain(o)), "{}")) {
		name, value, _ := strings.Cut(f, ":")
		switch value {
		case "", "0", "0s", "false", "<nil>":
		default:
			set = append(set, name+" "+value)
		}
	}
	return strings.Join(set, ", ")
}

// dial opens a connection that sent nothing yet.
func (t *T) dial(name string) *peer {
	p := t.dialStalled(name)
	p.read()
	return p
}

// dialStalled opens a connection that does not read until told to.
func (t *T) dialStalled(name string) *peer {
	ctx, cancel := context.WithTimeout(t.ctx, t.target.patience())
	defer cancel()
	c, err := t.target.Dial(ctx)
	if err != nil {
		t.failf("%s: cannot connect: %v", name, err)
	}
	p := newPeer(t, name, c)
	t.peers = append(t.peers, p)
	return p
}

// fill gives a CONNECT the case's client identifier and the target's credentials.
func (t *T) fill(name string, c connect) connect {
	if c.id == "" && !c.noID {
		c.id = t.clientID(name)
	}
	if c.user == "" && c.pass == "" {
		c.user, c.pass = t.target.User, t.target.Password
	}
	if c.lasts() && c.id != "" && !slices.Contains(t.kept, c.id) {
		t.kept = append(t.kept, c.id)
	}
	return c
}

// connect opens a connection and wants it accepted.
func (t *T) connect(name string, c connect) *peer {
	p := t.dial(name)
	p.send(t.fill(name, c))
	p.connack = p.want("CONNACK that accepts the CONNECT", typeCONNACK, code(0))
	return p
}

// older opens a connection that speaks MQTT 3.1.1 whatever the case's version.
func (t *T) older(name string) *peer { return t.olderWith(name, connect{}) }

func (t *T) olderWith(name string, c connect) *peer {
	if !t.target.offers(mqtt.V311) {
		t.skipf("broker does not offer MQTT 3.1.1 beside %s", t.version)
	}
	p := t.dialStalled(name)
	p.version = mqtt.V311
	p.read()
	p.send(t.fill(name, c))
	p.connack = p.want("CONNACK that accepts the CONNECT", typeCONNACK, code(0))
	return p
}

// session is connect for a client whose session outlives the connection.
func (t *T) session(name string) *peer { return t.connect(name, t.lasting(connect{keep: true})) }

// lasting makes the session of a CONNECT outlive its connection.
func (t *T) lasting(c connect) connect {
	c.keep = true
	if t.v5() {
		c.props = props(c.props, property(pSessionExpiry, 3600))
	}
	return c
}

// finish ends the case: the broker still has to serve, then all is tidied up.
func (t *T) finish() {
	for _, p := range t.peers {
		p.conn.Close()
	}
	last := t.connect("last", connect{})
	last.ping()
	for _, topic := range t.retained {
		last.send(publish{topic: topic, retain: true})
	}
	last.ping()
	last.bye()
	for _, id := range t.kept {
		t.connect("tidy", connect{id: id}).bye()
	}
}

// release closes what is still open and waits for the readers.
func (t *T) release() {
	for _, p := range t.peers {
		p.conn.Close()
		p.resume()
		if p.reading {
			<-p.done
		}
	}
	for _, f := range t.closers {
		f()
	}
}
