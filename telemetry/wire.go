package telemetry

import (
	"encoding/binary"
	"math"
)

// How protocol buffers stand on the wire, as far as OTLP needs it: a field is
// its number and type, then its value. Zero values are left out.

const (
	asVarint = 0
	as64     = 1
	asBytes  = 2
	as32     = 5
)

func appendTag(b []byte, field, kind uint64) []byte {
	return binary.AppendUvarint(b, field<<3|kind)
}

func appendUint(b []byte, field, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(appendTag(b, field, asVarint), v)
}

func appendFixed64(b []byte, field, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint64(appendTag(b, field, as64), v)
}

func appendFixed32(b []byte, field uint64, v uint32) []byte {
	if v == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint32(appendTag(b, field, as32), v)
}

// appendDouble writes a zero, too: it stands where one of several kinds has to.
func appendDouble(b []byte, field uint64, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(b, field, as64), math.Float64bits(v))
}

func appendBytes[T ~string | ~[]byte](b []byte, field uint64, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return append(binary.AppendUvarint(appendTag(b, field, asBytes), uint64(len(v))), v...)
}

// appendMessage writes what f appends as a field.
func appendMessage(b []byte, field uint64, f func(b []byte) []byte) []byte {
	m := f(nil)
	return append(binary.AppendUvarint(appendTag(b, field, asBytes), uint64(len(m))), m...)
}

// appendText and appendInt write a KeyValue.
func appendText(b []byte, field uint64, key, value string) []byte {
	return appendMessage(b, field, func(b []byte) []byte {
		return appendMessage(appendBytes(b, 1, key), 2, func(b []byte) []byte {
			return append(binary.AppendUvarint(appendTag(b, 1, asBytes), uint64(len(value))), value...)
		})
	})
}

func appendInt(b []byte, field uint64, key string, value int) []byte {
	return appendMessage(b, field, func(b []byte) []byte {
		return appendMessage(appendBytes(b, 1, key), 2, func(b []byte) []byte {
			return binary.AppendUvarint(appendTag(b, 3, asVarint), uint64(value))
		})
	})
}

// partial reads the answer to a request: how many of its spans or data points
// the collector did not take, and why. Both kinds of answer look alike.
func partial(b []byte) (rejected uint64, why string) {
	fields(b, func(field, _ uint64, value []byte) {
		if field != 1 {
			return
		}
		fields(value, func(field, n uint64, text []byte) {
			switch field {
			case 1:
				rejected = n
			case 2:
				why = string(text)
			}
		})
	})
	return rejected, why
}

// fields calls f with each field of a message, as a number or as bytes. What is
// damaged ends it.
func fields(b []byte, f func(field, n uint64, value []byte)) {
	for len(b) > 0 {
		tag, size := binary.Uvarint(b)
		if size <= 0 {
			return
		}
		b = b[size:]
		switch tag & 7 {
		case asVarint, asBytes:
			n, size := binary.Uvarint(b)
			if size <= 0 {
				return
			}
			if b = b[size:]; tag&7 == asVarint {
				f(tag>>3, n, nil)
				continue
			}
			if n > uint64(len(b)) {
				return
			}
			f(tag>>3, 0, b[:n])
			b = b[n:]
		case as64, as32:
			skip := 8
			if tag&7 == as32 {
				skip = 4
			}
			if len(b) < skip {
				return
			}
			b = b[skip:]
		default:
			return
		}
	}
}
