package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const recipe = "../docs/recipes/home-assistant.md"

// pahoPython returns a Python that has paho-mqtt.
func pahoPython(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import paho.mqtt.client").Run() == nil {
			return python
		}
	}
	missing(t, "no Python with paho-mqtt: apt-get install python3-paho-mqtt")
	return ""
}

// A household is a broker as the recipe has it, and its inhabitants.
type household struct {
	t               *testing.T
	dir             string
	plain, tls      string
	c               certs
	python          string
	node, mqttjs    string
	version         string
	broker          *broker
	bridge, homeApp *process
	switches        io.Writer
}

// recipeFiles writes the code blocks of the recipe as files of dir, listeners
// on free ports and paths below dir.
func (h *household) recipeFiles() {
	h.t.Helper()
	text, err := os.ReadFile(recipe)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range []struct{ heading, name string }{{"## /etc/midge/midge.toml", "midge.toml"}, {"## /etc/midge/acl", "acl"}} {
		m := regexp.MustCompile("(?s)" + f.heading + "\n\n```[a-z]*\n(.*?)```").FindSubmatch(text)
		if m == nil {
			h.t.Fatalf("%s has no %s", recipe, f.heading)
		}
		content := strings.NewReplacer(
			"tcp://:1883", "tcp://"+h.plain, "tls://:8883", "tls://"+h.tls,
			"fullchain.pem", h.c.server, "privkey.pem", h.c.serverKey,
			"/var/lib/midge", filepath.Join(h.dir, "data"), "/run/midge/midge.pid", filepath.Join(h.dir, "pid"),
		).Replace(string(m[1]))
		if err := os.WriteFile(filepath.Join(h.dir, f.name), []byte(content), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	for i, user := range []string{"homeassistant", "zigbee2mqtt", "esp-attic"} {
		args := []string{"passwd", "-b", filepath.Join(h.dir, "users"), user, user + "!"}
		if i == 0 {
			args = append([]string{"passwd", "-c"}, args[1:]...)
		}
		run(h.t, binary, args...)
	}
}

func (h *household) open() {
	h.t.Helper()
	h.broker = &broker{process: start(h.t, binary, "serve", "-c", filepath.Join(h.dir, "midge.toml"))}
	h.broker.want("listens on ")
}

// reopen restarts the broker, with what it has stored.
func (h *household) reopen() {
	h.t.Helper()
	h.broker.stop(syscall.SIGTERM)
	h.open()
}

func (h *household) startBridge() {
	h.t.Helper()
	h.bridge = start(h.t, h.node, "testdata/zigbee2mqtt.cjs", h.mqttjs, "mqtts://"+h.tls, h.version, h.c.ca, "zigbee2mqtt", "zigbee2mqtt!")
	h.bridge.want("connected")
}

func (h *household) startHome() {
	h.t.Helper()
	host, port, _ := net.SplitHostPort(h.tls)
	version := map[string]string{"4": "3.1.1", "5": "5"}[h.version]
	cmd := exec.Command(h.python, "testdata/homeassistant.py", host, port, version, h.c.ca, "homeassistant", "homeassistant!")
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	h.homeApp, h.switches = launch(h.t, cmd), in
	h.homeApp.want("connected")
}

// die ends a program as a power cut does.
func die(p *process) {
	p.cmd.Process.Kill()
	<-p.done
}

// press has Home Assistant switch the lamp, and waits until it shines or not.
func (h *household) press(state string) {
	h.t.Helper()
	fmt.Fprintln(h.switches, state)
	h.bridge.want("set " + state)
	h.homeApp.want("lamp " + state + " live")
}

// Home Assistant and Zigbee2MQTT find each other through midge as the recipe
// has it: discovery, commands, birth, wills, and a broker that restarts.
func TestHomeAssistant(t *testing.T) {
	node, module := mqttjs(t)
	python := pahoPython(t)
	for _, version := range []string{"4", "5"} {
		t.Run("version "+version, func(t *testing.T) {
			h := &household{t: t, dir: t.TempDir(), plain: freeAddress(t), tls: freeAddress(t), c: makeCerts(t), python: python, node: node, mqttjs: module, version: version}
			h.recipeFiles()
			h.open()
			h.live()
			h.strangers()
		})
	}
}

func (h *household) live() {
	h.startBridge()
	h.startHome()
	h.homeApp.want("discovered 0x0123_light_zigbee2mqtt retained 1500")
	h.homeApp.want("bridge online retained")
	h.homeApp.want("lamp OFF")
	h.bridge.want("home online")
	h.homeApp.want("discovered 0x0123_light_zigbee2mqtt live") // for the birth
	h.press("ON")

	die(h.homeApp)
	h.bridge.want("home offline")
	h.startHome()
	h.bridge.wantNth("home online", 2)
	h.homeApp.want("lamp ON retained")

	h.reopen() // both come back by themselves
	h.bridge.wantNth("connected", 2)
	h.homeApp.wantNth("connected", 2)
	h.homeApp.wantNth("lamp ON retained", 2) // and has subscribed
	h.press("OFF")

	die(h.bridge)
	h.homeApp.want("bridge offline live")
	die(h.homeApp)
	h.reopen() // and what is retained is there, with nobody to say it again
	h.startHome()
	h.homeApp.want("discovered 0x0123_light_zigbee2mqtt retained 1500")
	h.homeApp.want("bridge offline retained")
	h.homeApp.want("lamp OFF retained")
	for _, l := range append(h.bridge.output(), h.homeApp.output()...) {
		if strings.HasPrefix(l, "error") {
			h.t.Error(l)
		}
	}
}

// strangers tries what the recipe's rules do not allow.
func (h *household) strangers() {
	host, port, _ := net.SplitHostPort(h.plain)
	for _, c := range []struct {
		user, password, topic string
		ok                    bool
	}{
		{"esp-attic", "esp-attic!", "esp-attic/sensor/t/state", true},
		{"esp-attic", "esp-attic!", "homeassistant/sensor/esp-attic/t/config", true},
		{"esp-attic", "esp-attic!", "homeassistant/sensor/esp-cellar/t/config", false},
		{"esp-attic", "esp-attic!", "zigbee2mqtt/lamp/set", false},
		{"esp-attic", "guess", "esp-attic/sensor/t/state", false},
		{"zigbee2mqtt", "zigbee2mqtt!", "esp-attic/command", false},
		{"", "", "esp-attic/sensor/t/state", false},
	} {
		args := []string{"pub", "-V", "5", "-h", host, "-p", port, "-q", "1", "-t", c.topic, "-m", "x"}
		if c.user != "" {
			args = append(args, "-u", c.user, "-P", c.password)
		}
		if out, code := try(h.t, binary, args...); (code == 0) != c.ok {
			h.t.Errorf("%s says %s: exit %d, %s", c.user, c.topic, code, out)
		}
	}
}
