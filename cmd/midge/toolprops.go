package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// properties are what -D sets.
type properties struct {
	connectUser, subscribeUser, unsubscribeUser, disconnectUser []mqtt.UserProperty

	receiveMaximum, maxPacket, aliasMaximum int
	problemInfo, responseInfo               *bool

	message    mqtt.Properties
	disconnect *uint32 // Session Expiry Interval
	authMethod string
	authData   []byte
}

// Which properties which packet takes, by Mosquitto's names.
var propertyNames = map[string][]string{
	"connect": {
		"authentication-data", "authentication-method", "maximum-packet-size", "receive-maximum",
		"request-problem-information", "request-response-information", "session-expiry-interval", "topic-alias-maximum", "user-property",
	},
	"publish": {
		"content-type", "correlation-data", "message-expiry-interval", "payload-format-indicator",
		"response-topic", "topic-alias", "user-property",
	},
	"will": {
		"content-type", "correlation-data", "message-expiry-interval", "payload-format-indicator",
		"response-topic", "user-property", "will-delay-interval",
	},
	"subscribe":   {"user-property"},
	"unsubscribe": {"user-property"},
	"disconnect":  {"session-expiry-interval", "user-property"},
	"puback":      {"user-property"}, "pubrec": {"user-property"}, "pubcomp": {"user-property"}, "auth": {"user-property"},
}

// propertyArgs returns how many words belong to a -D.
func propertyArgs(args []string) (int, error) {
	n := 3
	if len(args) > 1 && args[1] == "user-property" {
		n = 4
	}
	if len(args) < n {
		return 0, bad("--property argument given but not enough arguments specified.")
	}
	return n, nil
}

func setProperty(o *toolOptions, v []string) error {
	command, name, value := lower(v[0]), lower(v[1]), v[2]
	names, ok := propertyNames[command]
	if !ok {
		return bad("Invalid command given in --property argument: %s", v[0])
	}
	if !slices.Contains(names, name) {
		return bad("Invalid property name given in --property argument: %s has no %s", command, v[1])
	}
	o.version = mqtt.V5
	p := &o.properties
	if name == "user-property" {
		return p.addUser(o, command, mqtt.UserProperty{Name: v[2], Value: v[3]})
	}
	switch command {
	case "publish":
		return setMessageProperty(&p.message, name, value)
	case "will":
		o.willMore = true
		if name == "will-delay-interval" {
			n, err := number(name, value, 1<<32-1)
			o.will.Delay = time.Duration(n) * time.Second
			return err
		}
		return setMessageProperty(&o.will.Properties, name, value)
	case "disconnect":
		n, err := number(name, value, 1<<32-1)
		short := uint32(n)
		p.disconnect = &short
		return err
	}
	return p.setConnect(o, name, value)
}

func (p *properties) addUser(o *toolOptions, command string, u mqtt.UserProperty) error {
	lists := map[string]*[]mqtt.UserProperty{
		"connect": &p.connectUser, "publish": &p.message.User, "will": &o.will.User, "subscribe": &p.subscribeUser,
		"unsubscribe": &p.unsubscribeUser, "disconnect": &p.disconnectUser,
	}
	list, ok := lists[command]
	if !ok {
		return bad("-D %s is not offered: acknowledgements are the client's own; use -D publish", command)
	}
	*list = append(*list, u)
	return nil
}

func (p *properties) setConnect(o *toolOptions, name, value string) error {
	var n uint64
	var err error
	switch name {
	case "authentication-method":
		p.authMethod = value
	case "authentication-data":
		p.authData = []byte(value)
	case "session-expiry-interval":
		return setExpiry(o, []string{value})
	case "maximum-packet-size":
		n, err = number(name, value, mqtt.MaxPacketSize)
		p.maxPacket = int(n)
	case "receive-maximum":
		n, err = number(name, value, 65535)
		p.receiveMaximum = int(n)
	case "topic-alias-maximum":
		n, err = number(name, value, 65535)
		if p.aliasMaximum = int(n); n == 0 {
			p.aliasMaximum = -1
		}
	default:
		n, err = number(name, value, 1)
		yes := n == 1
		if name == "request-problem-information" {
			p.problemInfo = &yes
		} else {
			p.responseInfo = &yes
		}
	}
	return err
}

func setMessageProperty(p *mqtt.Properties, name, value string) error {
	switch name {
	case "content-type":
		p.ContentType = value
	case "correlation-data":
		p.CorrelationData = []byte(value)
	case "response-topic":
		p.ResponseTopic = value
	case "message-expiry-interval":
		n, err := number(name, value, 1<<32-1)
		p.HasExpiry, p.MessageExpiry = true, uint32(n)
		return err
	case "payload-format-indicator":
		n, err := number(name, value, 1)
		p.PayloadUTF8 = n == 1
		return err
	case "topic-alias":
		return bad("-D publish topic-alias is not offered: the client uses aliases by itself where the broker has them")
	}
	return nil
}

func number(name, value string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > most {
		return 0, bad("Property value too large, or no number, for %s: %s", name, value)
	}
	return n, nil
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func setSample(o *toolOptions, v []string) error {
	f, err := strconv.ParseFloat(v[0], 64)
	if err != nil || f <= 0 || f > 100 {
		return bad("Invalid --random-filter given: want more than 0, at most 100")
	}
	o.sample = f
	return nil
}
