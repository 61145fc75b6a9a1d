package auth

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// subjectName writes a distinguished name as RFC 2253 has it, in OpenSSL's way,
// so that it is the user Mosquitto makes of the same certificate. (That of
// crypto/x509 has an order of its own, and numbers where OpenSSL has names.)
func subjectName(der []byte) string {
	var parts []attributeSET
	if rest, err := asn1.Unmarshal(der, &parts); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		for j := len(parts[i]) - 1; j >= 0; j-- {
			switch {
			case j < len(parts[i])-1:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			parts[i][j].write(&b)
		}
	}
	return b.String()
}

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type attributeSET []attribute

// attributeNames are OpenSSL's short ones.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.17": "postalCode", "2.5.4.41": "name",
	"2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
	"1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

func (a *attribute) write(b *strings.Builder) {
	name, known := attributeNames[a.Type.String()]
	text, plain := textOf(&a.Value)
	if !known || !plain {
		if !known {
			name = a.Type.String()
		}
		b.WriteString(name + "=#" + strings.ToUpper(hex.EncodeToString(a.Value.FullBytes)))
		return
	}
	b.WriteString(name + "=")
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(b, `\%02X`, c)
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && c == '#', (i == 0 || i == len(text)-1) && c == ' ':
			b.WriteString(`\` + string(c))
		default:
			b.WriteByte(c)
		}
	}
}

// textOf is the text of a string that is one of ASCII or UTF-8.
func textOf(v *asn1.RawValue) (text string, ok bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		return string(v.Bytes), v.Class == asn1.ClassUniversal && utf8.Valid(v.Bytes)
	}
	return "", false
}
