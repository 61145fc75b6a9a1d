// Package harness is what the commands and tests here need to run brokers: a
// midge built from this tree, addresses, and a line that says how far it is.
package harness
