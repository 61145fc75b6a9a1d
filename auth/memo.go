package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// A digest stands for credentials and what they were compared with. Without
// the process's own key it says nothing about them.
type digest [sha256.Size]byte

// A memo remembers how comparisons went, so that the expensive ones are made
// once. What was compared is in the digest: an answer never goes stale.
type memo struct {
	key []byte

	mu   sync.Mutex
	good map[string]digest   // guarded by mu, by hash
	bad  map[digest]struct{} // guarded by mu
	ring []digest            // guarded by mu: bad, in order of age
	next int                 // guarded by mu: the oldest of ring
}

// How many answers are remembered: failures, of which strangers make as many
// as they like, do not push out the others.
const (
	goodKept = 65536
	badKept  = 4096
)

func newMemo() *memo {
	m := &memo{key: make([]byte, 32), good: map[string]digest{}, bad: map[digest]struct{}{}}
	rand.Read(m.key)
	return m
}

func (m *memo) digest(parts ...[]byte) (d digest) {
	h := hmac.New(sha256.New, m.key)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	h.Sum(d[:0])
	return d
}

// recall returns how a comparison went, if it is known. Digests are compared
// in constant time, and found by a value nobody outside can aim at.
func (m *memo) recall(hash string, d digest) (good, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g, ok := m.good[hash]; ok && hmac.Equal(g[:], d[:]) {
		return true, true
	}
	_, known = m.bad[d]
	return false, known
}

func (m *memo) remember(hash string, d digest, good bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if good {
		if len(m.good) >= goodKept {
			for any := range m.good {
				delete(m.good, any)
				break
			}
		}
		m.good[hash] = d
		return
	}
	if _, known := m.bad[d]; known {
		return
	}
	if len(m.ring) < badKept {
		m.ring = append(m.ring, d)
	} else {
		delete(m.bad, m.ring[m.next])
		m.ring[m.next] = d
		m.next = (m.next + 1) % badKept
	}
	m.bad[d] = struct{}{}
}
