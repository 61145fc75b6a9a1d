package auth

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
)

// nameOf makes a distinguished name, type by type; a "+" before a type puts it
// with the one before.
func nameOf(t *testing.T, parts ...string) []byte {
	t.Helper()
	types := map[string]string{}
	for number, name := range attributeNames {
		types[name] = number
	}
	var all pkix.RDNSequence
	for _, p := range parts {
		name, value, _ := strings.Cut(p, "=")
		name, joined := strings.CutPrefix(name, "+")
		number := name
		if types[name] != "" {
			number = types[name]
		}
		var oid asn1.ObjectIdentifier
		for _, n := range strings.Split(number, ".") {
			arc := 0
			for _, digit := range n {
				arc = arc*10 + int(digit-'0')
			}
			oid = append(oid, arc)
		}
		a := pkix.AttributeTypeAndValue{Type: oid, Value: value}
		if joined {
			all[len(all)-1] = append(all[len(all)-1], a)
		} else {
			all = append(all, pkix.RelativeDistinguishedNameSET{a})
		}
	}
	der, err := asn1.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What openssl x509 -subject -nameopt RFC2253 says of the same names, and what
// Mosquitto 2.0.11 says of the first.
func TestSubjectName(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"C=DE", "O=Works", "CN=alice", "emailAddress=a@x.org"}, "emailAddress=a@x.org,CN=alice,O=Works,C=DE"},
		{[]string{"C=DE", "ST=Ba", "L=M", "O=a", "OU=b", "OU=c", "CN=d"}, "CN=d,OU=c,OU=b,O=a,L=M,ST=Ba,C=DE"},
		{[]string{"C=DE", `ST=Ba,v"a`, "O= Works ", "OU=a", "OU=b", "CN=#al ice"}, `CN=\#al ice,OU=b,OU=a,O=\ Works\ ,ST=Ba\,v\"a,C=DE`},
		{[]string{"UID=u1", "DC=example", "DC=org", "CN=Jürgen"}, `CN=J\C3\BCrgen,DC=org,DC=example,UID=u1`},
		{[]string{"C=DE", "+CN=multi", "serialNumber=5", "street=S 1"}, `street=S 1,serialNumber=5,CN=multi+C=DE`},
		{[]string{"1.2.3.4=x", "CN=a\nb"}, `CN=a\0Ab,1.2.3.4=#130178`},
		{nil, ""},
	} {
		if got := subjectName(nameOf(t, c.parts...)); got != c.want {
			t.Errorf("%q: %s, want %s", c.parts, got, c.want)
		}
	}
	if got := subjectName([]byte("\x30\x05no")); got != "" {
		t.Errorf("what is no name is %q", got)
	}
}
