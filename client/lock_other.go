//go:build !unix

package client

import "os"

func lockFile(*os.File) error { return nil }
