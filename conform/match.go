package conform

import (
	"fmt"
	"slices"
)

// A match looks at a packet and says what is wrong with it, or "".
type match func(*reply) string

func differ[V comparable](what string, got, want V) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s is %v, not %v", what, got, want)
}

func code(want ...byte) match {
	return func(r *reply) string {
		if slices.Contains(want, r.code) {
			return ""
		}
		return fmt.Sprintf("code is 0x%02X, not one of % 02X", r.code, want)
	}
}

// failed wants a reason code that stands for a failure.
func failed(r *reply) string {
	if r.code < 0x80 {
		return fmt.Sprintf("code 0x%02X says no failure", r.code)
	}
	return ""
}

func present(want bool) match {
	return func(r *reply) string { return differ("Session Present", r.sessionPresent, want) }
}

func id(want uint16) match {
	return func(r *reply) string { return differ("packet identifier", r.id, want) }
}

func topic(want string) match {
	return func(r *reply) string { return differ("topic", r.topic, want) }
}

func payload(want string) match {
	return func(r *reply) string {
		if r.payload == want {
			return ""
		}
		return fmt.Sprintf("payload of %d bytes is not the one sent (%d bytes)", len(r.payload), len(want))
	}
}

func qos(want byte) match {
	return func(r *reply) string { return differ("QoS", r.qos(), want) }
}

func dup(want bool) match {
	return func(r *reply) string { return differ("DUP", r.dup(), want) }
}

func retained(want bool) match {
	return func(r *reply) string { return differ("RETAIN", r.retain(), want) }
}

func codes(want ...byte) match {
	return func(r *reply) string {
		if slices.Equal(r.codes, want) {
			return ""
		}
		return fmt.Sprintf("codes are % 02X, not % 02X", r.codes, want)
	}
}

// number wants a numeric property of that value.
func number(id byte, want uint32) match {
	return func(r *reply) string {
		if !r.has(id) {
			return propNames[id] + " is missing"
		}
		return differ(propNames[id], r.num(id, 0), want)
	}
}

// text wants a string or binary property of that value.
func text(id byte, want string) match {
	return func(r *reply) string {
		if !r.has(id) {
			return propNames[id] + " is missing"
		}
		return differ(propNames[id], r.text(id), want)
	}
}

func with(id byte) match {
	return func(r *reply) string {
		if r.has(id) {
			return ""
		}
		return propNames[id] + " is missing"
	}
}

func without(ids ...byte) match {
	return func(r *reply) string {
		for _, id := range ids {
			if r.has(id) {
				return propNames[id] + " may not be there"
			}
		}
		return ""
	}
}

// users wants exactly these user properties in this order.
func users(want ...[2]string) match {
	return func(r *reply) string {
		var got [][2]string
		for _, p := range r.all(pUser) {
			got = append(got, [2]string{p.text, p.value})
		}
		if slices.Equal(got, want) {
			return ""
		}
		return fmt.Sprintf("User Properties are %q, not %q", got, want)
	}
}

// subIDs wants exactly these subscription identifiers in any order.
func subIDs(want ...uint32) match {
	return func(r *reply) string {
		var got []uint32
		for _, p := range r.all(pSubscriptionID) {
			got = append(got, p.num)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return ""
		}
		return fmt.Sprintf("Subscription Identifiers are %d, not %d", got, want)
	}
}

// atMost wants the packet to fit into n bytes.
func atMost(n int) match {
	return func(r *reply) string {
		if r.size <= n {
			return ""
		}
		return fmt.Sprintf("packet takes %d bytes, more than the %d allowed", r.size, n)
	}
}
