//go:build race

package arch

func init() { race = true }
