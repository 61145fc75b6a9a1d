package interop

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const installMosquitto = "apt-get install mosquitto-clients"

var versions = []string{"mqttv31", "mqttv311", "mqttv5"}

// mosquitto is how its clients reach a broker.
type mosquitto struct {
	t        *testing.T
	pub, sub string
	where    []string
}

func clients(t *testing.T, where ...string) mosquitto {
	t.Helper()
	return mosquitto{t, need(t, "mosquitto_pub", installMosquitto), need(t, "mosquitto_sub", installMosquitto), where}
}

func at(address string) []string {
	host, port, _ := net.SplitHostPort(address)
	return []string{"-h", host, "-p", port}
}

// listen starts mosquitto_sub and waits until it is subscribed.
func (m mosquitto) listen(args ...string) *process {
	m.t.Helper()
	stdbuf := need(m.t, "stdbuf", "apt-get install coreutils") // line by line, into a pipe too
	p := start(m.t, stdbuf, slices.Concat([]string{"-oL", m.sub}, m.where, []string{"-d", "-F", "got %t %p qos=%q retain=%r"}, args)...)
	p.want("Subscribed (mid")
	return p
}

func (m mosquitto) say(args ...string) {
	m.t.Helper()
	run(m.t, m.pub, slices.Concat(m.where, args)...)
}

func TestMosquittoVersionsAndQoS(t *testing.T) {
	b := serve(t, "--tcp", "127.0.0.1:0")
	m := clients(t, at(b.at["tcp"])...)
	for _, v := range versions {
		for q := range 3 {
			t.Run(fmt.Sprintf("%s QoS %d", v, q), func(t *testing.T) {
				m := m
				m.t = t
				topic, qos := fmt.Sprintf("%s/%d", v, q), fmt.Sprint(q)
				sub := m.listen("-V", v, "-t", topic, "-q", qos)
				m.say("-V", v, "-t", topic, "-q", qos, "-m", "hello")
				sub.want(fmt.Sprintf("got %s hello qos=%d retain=0", topic, q))
				// Retained, and across versions.
				m.say("-V", v, "-t", topic+"/kept", "-q", qos, "-r", "-m", "kept")
				for _, w := range versions {
					late := m.listen("-V", w, "-t", topic+"/#", "-q", qos)
					late.want(fmt.Sprintf("got %s/kept kept qos=%d retain=1", topic, q))
				}
			})
		}
	}
	b.stop(syscall.SIGTERM)
}

func TestMosquittoWill(t *testing.T) {
	b := serve(t, "--tcp", "127.0.0.1:0")
	m := clients(t, at(b.at["tcp"])...)
	for _, v := range versions {
		listener := m.listen("-V", v, "-t", "will/"+v, "-q", "1")
		doomed := m.listen("-V", v, "-t", "x", "--will-topic", "will/"+v, "--will-payload", "gone", "--will-qos", "1")
		doomed.cmd.Process.Kill()
		listener.want("got will/" + v + " gone qos=1")
	}
}

func TestMosquittoShared(t *testing.T) {
	b := serve(t, "--tcp", "127.0.0.1:0")
	m := clients(t, at(b.at["tcp"])...)
	// Each hears "end" too, behind everything it gets before: so a second copy
	// of a job would be seen.
	var workers []*process
	for range 2 {
		workers = append(workers, m.listen("-V", "mqttv5", "-t", "$share/g/work", "-t", "end", "-q", "1"))
	}
	const n = 20
	for i := range n {
		m.say("-V", "mqttv5", "-t", "work", "-q", "1", "-m", fmt.Sprintf("job-%d", i))
	}
	m.say("-V", "mqttv5", "-t", "end", "-q", "1", "-m", "of work")
	copies := map[string]int{}
	for i, p := range workers {
		p.want("got end of work")
		idle := true
		for _, l := range p.output() {
			if strings.HasPrefix(l, "got work ") {
				copies[strings.Fields(l)[2]]++
				idle = false
			}
		}
		if idle {
			t.Errorf("worker %d got no job", i)
		}
	}
	for i := range n {
		if job := fmt.Sprintf("job-%d", i); copies[job] != 1 {
			t.Errorf("%s came %d times", job, copies[job])
		}
	}
}

func TestMosquittoSessionKeepsMessages(t *testing.T) {
	b := serve(t, "--tcp", "127.0.0.1:0")
	m := clients(t, at(b.at["tcp"])...)
	for _, v := range versions {
		keep := []string{"-V", v, "-i", "keeper" + v, "-t", "k/" + v, "-q", "1", "-c"}
		if v == "mqttv5" {
			keep = append(keep, "-x", "1000")
		}
		first := m.listen(keep...)
		first.cmd.Process.Kill()
		first.ended()
		m.say("-V", v, "-t", "k/"+v, "-q", "1", "-m", "while away")
		m.listen(keep...).want("got k/" + v + " while away qos=1")
	}
}

func TestMosquittoTLS(t *testing.T) {
	c := makeCerts(t)
	b := serve(t, "--tls", "127.0.0.1:0", "--cert", c.server, "--key", c.serverKey)
	m := clients(t, append(at(b.at["tls"]), "--cafile", c.ca)...)
	sub := m.listen("-t", "secret", "-V", "mqttv5")
	m.say("-t", "secret", "-m", "over TLS")
	sub.want("got secret over TLS")

	strict := serve(t, "--tls", "127.0.0.1:0", "--cert", c.server, "--key", c.serverKey, "--cafile", c.ca, "--require-cert")
	where := append(at(strict.at["tls"]), "--cafile", c.ca, "-t", "x", "-m", "x", "-q", "1")
	run(t, m.pub, append(where, "--cert", c.client, "--key", c.clientKey)...)
	for name, extra := range map[string][]string{"none": nil, "a stranger's": {"--cert", c.stranger, "--key", c.strangerKey}} {
		if out, code := try(t, m.pub, append(where, extra...)...); code == 0 {
			t.Errorf("let in with %s certificate: %s", name, out)
		}
	}
}

func TestMosquittoUnix(t *testing.T) {
	path := t.TempDir() + "/midge.sock"
	serve(t, "--unix", path)
	m := clients(t, "--unix", path)
	sub := m.listen("-t", "local")
	m.say("-t", "local", "-m", "through a file")
	sub.want("got local through a file")
}

func TestIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("SKIP: no IPv6 on this machine: ", err)
	}
	ln.Close()
	b := serve(t, "--tcp", "[::1]:0")
	m := clients(t, at(b.at["tcp"])...)
	sub := m.listen("-t", "six")
	m.say("-t", "six", "-m", "hello")
	sub.want("got six hello")
}

// Everyone hears of the end, and the process ends in good order.
func TestMosquittoShutdown(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			b := serve(t, "--tcp", "127.0.0.1:0")
			m := clients(t, at(b.at["tcp"])...)
			sub := m.listen("-t", "will", "-V", "mqttv5")
			m.listen("-t", "x", "-V", "mqttv5", "--will-topic", "will", "--will-payload", "said at the end")
			b.stop(sig)
			sub.want("got will said at the end")
			sub.want("DISCONNECT")
		})
	}
}
