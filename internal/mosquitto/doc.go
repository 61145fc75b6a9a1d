// Package mosquitto reads mosquitto.conf, of Mosquitto 2.1 and before, as a
// configuration of midge. Its table of directives is what docs/mosquitto.md is
// made of.
package mosquitto
