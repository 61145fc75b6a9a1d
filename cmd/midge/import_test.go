//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A mosquitto.conf is imported, checked and run; what is refused stands in the
// way until it is said to be left out.
func TestMosquittoConf(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "mosquitto.conf")
	writeFile(t, conf, "listener 0 "+filepath.Join(dir, "s")+"\nallow_anonymous true\nmount_point x/\nautosave_interval 5\n")
	code, out, errs := runFor(t, "import", conf)
	if code != exitFailed || !strings.Contains(out, "unix://") || !strings.Contains(errs, conf+":3: mount_point is refused") || !strings.Contains(errs, ":4: autosave_interval") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	toml := filepath.Join(dir, "midge.toml")
	writeFile(t, toml, out)
	if code, out, errs := runFor(t, "check", "-c", toml); code != exitOK || !strings.Contains(out, "anyone") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := runFor(t, "serve", "--mosquitto-conf", conf); code != exitFailed || !strings.Contains(errs, "mosquitto.conf:3: mount_point") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, out, _ := runFor(t, "check", "--mosquitto-conf", conf, "--skip-refused"); code != exitOK || !strings.Contains(out, ":3: mount_point") {
		t.Errorf("exit %d: %s", code, out)
	}
	urls := serving(t, "serve", "--mosquitto-conf", conf, "--skip-refused")
	if len(urls) != 1 || urls[0] != "unix://"+filepath.Join(dir, "s") {
		t.Errorf("listens on %q", urls)
	}
}
