package memory_test

import (
	"testing"

	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
	"github.com/midgemq/midge/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func(bool) store.Store) {
		st := memory.New()
		return st, func(bool) store.Store { st.Close(); return st }
	})
}

// Whatever nobody refers to any more is not kept.
func TestNothingIsLeftBehind(t *testing.T) {
	for seed := range uint64(20) {
		script, st := storetest.NewScript(seed, 10), memory.New()
		for range 1000 {
			st.Append(script.Next())
		}
		st.Close()
		var ids []store.SessionID
		st.Sessions(func(s *store.Snapshot) bool { ids = append(ids, s.ID); return true })
		for _, id := range ids {
			st.Append(&store.Op{Kind: store.EndSession, Session: id})
		}
		var topics []string
		st.Retained(func(_ store.MessageID, m *store.Message) bool { topics = append(topics, string(m.Topic)); return true })
		for _, topic := range topics {
			st.Append(&store.Op{Kind: store.Unretain, Filter: topic})
		}
		if n := st.Messages(); n != 0 {
			t.Fatalf("seed %d: %d messages are kept for nobody", seed, n)
		}
	}
}
