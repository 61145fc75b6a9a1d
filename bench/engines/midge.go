package main

import (
	"fmt"
	"log/slog"

	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/disk"
)

// midgeLog is store/disk, told exactly what the broker tells it.
type midgeLog struct{ st *disk.Store }

func openMidge(dir string) (engine, error) {
	st, err := disk.Open(dir, disk.Options{Logger: slog.New(slog.DiscardHandler)})
	return &midgeLog{st}, err
}

func (e *midgeLog) sessions(n int) {
	for i := range n {
		id := store.SessionID(i + 1)
		e.st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: id, Client: fmt.Sprint("client", i), Expiry: 3600}})
	}
}

func (e *midgeLog) Put(session, seq, message uint64, payload []byte, fn func()) {
	id := store.MessageID(message)
	e.st.Append(&store.Op{Kind: store.PutMessage, Message: id, Body: &store.Message{Topic: []byte("t"), Payload: payload, QoS: 1}})
	e.st.Append(&store.Op{Kind: store.Queue, Session: store.SessionID(session), Entry: &store.Entry{Seq: seq, MessageID: id, QoS: 1}})
	e.st.After(e.st.Append(&store.Op{Kind: store.Commit, Message: id}), fn)
}

func (e *midgeLog) Done(session, seq, _ uint64) {
	e.st.Append(&store.Op{Kind: store.Done, Session: store.SessionID(session), Seq: seq})
}

func (e *midgeLog) Queued() (sessions, messages int, err error) {
	err = e.st.Sessions(func(s *store.Snapshot) bool {
		sessions++
		messages += s.Queued
		return true
	})
	return sessions, messages, err
}

func (e *midgeLog) counts() counts {
	n := e.st.Stats().Syncs
	return counts{n, n}
}

func (e *midgeLog) Close() error { return e.st.Close() }
