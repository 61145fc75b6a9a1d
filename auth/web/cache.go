package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net"
	"sync"
	"time"
)

// A key stands for a request. Without the process's own secret it says nothing
// about the password in it.
type key [sha256.Size]byte

// A cache remembers answers for a time. When it is full, any makes room, but
// first those that let nobody in: of these strangers make as many as they like.
type cache struct {
	secret []byte
	room   int

	mu   sync.Mutex
	good map[key]remembered // guarded by mu; those that let in
	bad  map[key]remembered // guarded by mu
}

type remembered struct {
	answer Response
	until  time.Time
}

func newCache(room int) *cache {
	c := &cache{secret: make([]byte, 32), room: room, good: map[key]remembered{}, bad: map[key]remembered{}}
	rand.Read(c.secret)
	return c
}

// key leaves out the client's port: it has another one each time.
func (c *cache) key(q *Request, password []byte) (k key) {
	same := *q
	same.Password = ""
	if host, _, err := net.SplitHostPort(q.Address); err == nil {
		same.Address = host
	}
	text, _ := json.Marshal(&same) // a struct of strings
	h := hmac.New(sha256.New, c.secret)
	h.Write(text)
	h.Write([]byte{0})
	if password != nil {
		h.Write([]byte{1})
	}
	h.Write(password)
	h.Sum(k[:0])
	return k
}

func (c *cache) get(k key, now time.Time) (Response, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.good[k]
	if !ok {
		r, ok = c.bad[k]
	}
	if ok && !now.Before(r.until) {
		delete(c.good, k)
		delete(c.bad, k)
		return Response{}, false
	}
	return r.answer, ok
}

func (c *cache) put(k key, a Response, now time.Time, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.good, k)
	delete(c.bad, k)
	if len(c.good)+len(c.bad) >= c.room {
		c.makeRoomLocked(now)
	}
	into := c.bad
	if a.Result == "allow" {
		into = c.good
	}
	into[k] = remembered{a, now.Add(ttl)}
}

// makeRoomLocked drops one of a few, the first that is over or else the last of
// them: a map is gone through in no order.
func (c *cache) makeRoomLocked(now time.Time) {
	from := c.bad
	if len(from) == 0 {
		from = c.good
	}
	var drop key
	n := 0
	for k, r := range from {
		drop = k
		if n++; n == 8 || !now.Before(r.until) {
			break
		}
	}
	delete(from, drop)
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.good)
	clear(c.bad)
}
