package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// takeEscapes has the console understand escape sequences.
func takeEscapes(f *os.File) (restore func()) {
	h, mode := windows.Handle(f.Fd()), uint32(0)
	if windows.GetConsoleMode(h, &mode) != nil {
		return func() {}
	}
	windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING)
	return func() { windows.SetConsoleMode(h, mode) }
}

// knowsUTF8 reports whether the terminal shows more than ASCII.
func knowsUTF8() bool { return true }
