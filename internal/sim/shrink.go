package sim

import (
	"fmt"
	"strings"
)

// Shrink leaves out operations as long as fails says that what is left still
// fails, in at most tries of it, and returns what cannot be spared.
func Shrink(keep []int, tries int, fails func(keep []int) bool) []int {
	for size := max(len(keep)/2, 1); tries > 0; {
		shorter := false
		for at := 0; at < len(keep) && tries > 0; {
			less := append(append([]int{}, keep[:at]...), keep[min(at+size, len(keep)):]...)
			tries--
			if fails(less) {
				keep, shorter = less, true
			} else {
				at += size
			}
		}
		if size == 1 && !shorter {
			break
		}
		if !shorter || size > len(keep) {
			size = max(size/2, 1)
		}
	}
	return keep
}

// Ranges writes numbers as 0-3,7.
func Ranges(ops []int) string {
	var parts []string
	for i := 0; i < len(ops); {
		j := i
		for j+1 < len(ops) && ops[j+1] == ops[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(ops[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", ops[i], ops[j]))
		}
		i = j + 1
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ",")
}
