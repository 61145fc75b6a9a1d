//go:build !unix

package main

import (
	"errors"
	"os"
)

// hangUps are the wishes for a reload: there is no such signal here, and
// process.watch reloads.
func hangUps() (told chan os.Signal, stop func()) { return nil, func() {} }

func hangUp(int) error {
	return errors.New("this system has no SIGHUP: set process.watch, and a changed file is read again")
}

// resized is never told: the next sample finds it out.
func resized() (told chan os.Signal, stop func()) { return nil, func() {} }
