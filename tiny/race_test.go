//go:build race

package tiny

func init() { Raced = true }
