// Package config is the configuration file of midge serve: what its keys are,
// what they say by default, and what is wrong with a file. It starts nothing.
//
// A key is written in TOML, as MIDGE_SECTION_KEY in the environment, or as
// --set section.key=value on the command line; the later of these wins. Keys
// are found by reflection in [Config]: its tags are the documentation.
package config
