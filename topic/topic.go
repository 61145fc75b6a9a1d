// Package topic knows Topic Names, Topic Filters and shared subscriptions:
// which are well-formed, and what matches what (MQTT 5.0 and 3.1.1, 4.7;
// 5.0, 4.8.2). Nothing here allocates.
package topic

import (
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
)

// An Error is a malformed name or filter: the fault of whoever made it.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

var (
	errEmpty    = &Error{"topic is empty"}
	errLong     = &Error{"topic is longer than 65535 bytes"}
	errUTF8     = &Error{"topic is not well-formed UTF-8"}
	errNUL      = &Error{"topic contains U+0000"}
	errWildcard = &Error{"topic name contains a wildcard"}
	errHash     = &Error{"# is not alone in the last level"}
	errPlus     = &Error{"+ shares its level with other characters"}
	errShare    = &Error{"$share without a share name and a filter"}
	errGroup    = &Error{"share name contains a wildcard"}
)

const sharePrefix = "$share/"

// CheckName returns an *Error unless name is a Topic Name: 1 to 65,535 bytes
// of UTF-8 without U+0000 and wildcards.
// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT-3.3.2-2]
func CheckName[T ~string | ~[]byte](name T) error {
	if err := checkText(name); err != nil {
		return err
	}
	if HasWildcard(name) {
		return errWildcard
	}
	return nil
}

// CheckFilter returns an *Error unless filter is a Topic Filter, or a shared
// subscription's with $share/ and all.
func CheckFilter[T ~string | ~[]byte](filter T) error {
	if err := checkText(filter); err != nil {
		return err
	}
	if begins(filter, sharePrefix[:len(sharePrefix)-1]) &&
		(len(filter) == len(sharePrefix)-1 || filter[len(sharePrefix)-1] == '/') {
		return checkShared(filter)
	}
	return checkWildcards(filter)
}

// checkShared holds a filter that begins with $share against
// [MQTT-4.8.2-1] [MQTT-4.8.2-2, 5.0].
func checkShared[T ~string | ~[]byte](filter T) error {
	group, rest, ok := Shared(filter)
	if !ok {
		return errShare
	}
	if HasWildcard(group) {
		return errGroup
	}
	return checkWildcards(rest)
}

func checkText[T ~string | ~[]byte](s T) error {
	switch {
	case len(s) == 0:
		return errEmpty
	case len(s) > mqtt.MaxStringLen:
		return errLong
	}
	ascii := true
	for i := range len(s) {
		if s[i] == 0 {
			return errNUL
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if !ascii && !validUTF8(s) {
		return errUTF8
	}
	return nil
}

// validUTF8 is utf8.Valid for strings and slices alike, without a conversion
// that would copy.
func validUTF8[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		var four [4]byte
		n := copy(four[:], s[i:min(i+4, len(s))])
		r, size := utf8.DecodeRune(four[:n])
		if r == utf8.RuneError && size < 2 {
			return false
		}
		i += size
	}
	return true
}

// checkWildcards wants # last and alone, + alone in its level
// [MQTT-4.7.1-1, 5.0] [MQTT-4.7.1-2, 5.0] [MQTT-4.7.1-2, 3.1.1] [MQTT-4.7.1-3, 3.1.1].
func checkWildcards[T ~string | ~[]byte](f T) error {
	for i := range len(f) {
		first := i == 0 || f[i-1] == '/'
		switch f[i] {
		case '#':
			if !first || i != len(f)-1 {
				return errHash
			}
		case '+':
			if !first || (i < len(f)-1 && f[i+1] != '/') {
				return errPlus
			}
		}
	}
	return nil
}

// Shared takes a shared subscription's filter apart. ok is false for any
// other filter, and for one that lacks a share name or a filter behind it.
func Shared[T ~string | ~[]byte](filter T) (group, rest T, ok bool) {
	if !begins(filter, sharePrefix) {
		return group, rest, false
	}
	for i := len(sharePrefix); i < len(filter); i++ {
		if filter[i] != '/' {
			continue
		}
		group, rest = filter[len(sharePrefix):i], filter[i+1:]
		return group, rest, len(group) > 0 && len(rest) > 0
	}
	return group, rest, false
}

// begins reports whether s begins with prefix, without a conversion that a
// small compiler would copy for.
func begins[T ~string | ~[]byte](s T, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if s[i] != prefix[i] {
			return false
		}
	}
	return true
}

// HasWildcard reports whether t contains + or #.
func HasWildcard[T ~string | ~[]byte](t T) bool {
	for i := range len(t) {
		if t[i] == '+' || t[i] == '#' {
			return true
		}
	}
	return false
}

// Levels returns how many levels t has: one more than slashes.
func Levels[T ~string | ~[]byte](t T) int {
	n := 1
	for i := range len(t) {
		if t[i] == '/' {
			n++
		}
	}
	return n
}

// Match reports whether filter, without $share, matches name. Both must have
// passed their checks. Bytes are compared as they are [MQTT-4.7.3-4].
func Match[F, N ~string | ~[]byte](filter F, name N) bool {
	// [MQTT-4.7.2-1]
	if len(name) > 0 && name[0] == '$' && len(filter) > 0 && (filter[0] == '#' || filter[0] == '+') {
		return false
	}
	return MatchFrom(filter, name, 0)
}

// MatchFrom is Match for a filter and a name that agree in their first n bytes,
// none of them a wildcard.
func MatchFrom[F, N ~string | ~[]byte](filter F, name N, n int) bool {
	for f := n; f < len(filter); f++ {
		c := filter[f]
		switch {
		case n < len(name) && name[n] == c:
			n++
		case c == '+':
			for n < len(name) && name[n] != '/' {
				n++
			}
		case c == '#':
			return true
		default: // "a/#" matches "a", too
			return n == len(name) && c == '/' && f+2 == len(filter) && filter[f+1] == '#'
		}
	}
	return n == len(name)
}
