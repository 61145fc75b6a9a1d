//go:build !windows

package main

import (
	"cmp"
	"os"
	"strings"
)

// takeEscapes does nothing: terminals here understand them.
func takeEscapes(*os.File) (restore func()) { return func() {} }

// knowsUTF8 reports whether the terminal shows more than ASCII, by the locale.
func knowsUTF8() bool {
	l := strings.ToLower(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	return strings.Contains(l, "utf-8") || strings.Contains(l, "utf8")
}
