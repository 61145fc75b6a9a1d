//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "record: the pseudo terminal is Linux's")
	os.Exit(1)
}
