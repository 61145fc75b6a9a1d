// Package interop drives the built midge binary with clients other people
// wrote: mosquitto's, MQTT.js and paho, in Go and in Python. It is a module of its own, so that
// what these need never shows in the go.sum of a program that embeds midge.
package interop
