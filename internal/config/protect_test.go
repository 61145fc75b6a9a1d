package config

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/midgemq/midge/protect"
)

// The defaults are those of the package; what is off is said so there.
func TestProtect(t *testing.T) {
	c := Default()
	d := protect.Config{}.WithDefaults()
	d.Logger = nil
	if got := c.Shield(); !reflect.DeepEqual(got, d) {
		t.Errorf("%+v\nwant %+v", got, d)
	}
	c.Protect.Flaps, c.Protect.Exempt, c.Data.Dir = 0, nil, "data"
	s := c.Shield()
	if s.Flaps.Count >= 0 || s.Exempt == nil || len(s.Exempt) != 0 || s.File != filepath.Join("data", "bans.json") {
		t.Errorf("%+v", s)
	}
}
