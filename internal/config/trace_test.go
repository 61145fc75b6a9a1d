package config

import (
	"strings"
	"testing"
)

func TestTrace(t *testing.T) {
	for text, want := range map[string]string{
		"client = 'a'\npackets = true\npayload = 10": "",
		"address = 'x'":                    "trace.address",
		"topic = 'a#'":                     "trace.topic",
		"topic = '#'\npayload = -1":        "trace.payload",
		"packets = true":                   "trace.packets: does nothing without trace.client, user, address or topic",
		"user = 'u'\nfor = '1m'":           "for",
		"address = '10.0.0.0/8'\nuser='u'": "",
	} {
		c, err := Parse("m.toml", []byte("[trace]\n"+text))
		if err == nil {
			err = c.Check()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		} else if err == nil && (!c.Trace.On() || c.Trace.Filter().For >= 0 || c.Trace.Filter().User != c.Trace.User) {
			t.Errorf("%s: %+v", text, c.Trace.Filter())
		}
	}
	if Default().Trace.On() {
		t.Error("a broker that is told nothing traces")
	}
}
