//go:build tinygo && cortexm

package cortexm

import (
	"device/arm"
	"runtime"
	"unsafe"
)

// What the linker knows; only the addresses mean anything. RAM is laid out as
// stack, data, bss, heap.
//
//go:extern _stack_top
var stackTop [0]byte

//go:extern _sdata
var dataStart [0]byte

//go:extern _edata
var dataEnd [0]byte

//go:extern _ebss
var bssEnd [0]byte

//go:extern _sidata
var dataInFlash [0]byte

const (
	ram    = 0x20000000
	unused = 0xdeadbeef
)

func address(symbol *[0]byte) uintptr { return uintptr(unsafe.Pointer(symbol)) }

// Memory is a program's bill, in bytes.
type Memory struct {
	Flash  int // code, constants and initial values
	Static int // data and bss
	Stack  int // reserved
	Heap   int // in use
}

// PaintStack marks the unused part of the stack, for StackUsed. It is to be
// called once, early, from main.
func PaintStack() {
	for p := uintptr(ram); p < arm.AsmFull("mov {}, sp", nil); p += 4 {
		*(*uint32)(unsafe.Pointer(p)) = unused
	}
}

// StackUsed is the stack's high-water mark since PaintStack, in bytes.
func StackUsed() int {
	deepest := uintptr(ram)
	for deepest < address(&stackTop) && *(*uint32)(unsafe.Pointer(deepest)) == unused {
		deepest += 4
	}
	return int(address(&stackTop) - deepest)
}

// Measure reads the bill.
func Measure() Memory {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return Memory{
		Flash:  int(address(&dataInFlash) + address(&dataEnd) - address(&dataStart)),
		Static: int(address(&bssEnd) - address(&dataStart)),
		Stack:  int(address(&stackTop) - ram),
		Heap:   int(stats.HeapInuse),
	}
}
