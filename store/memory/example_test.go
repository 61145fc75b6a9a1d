package memory_test

import (
	"fmt"

	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
)

func Example() {
	st := memory.New()
	st.Append(&store.Op{Kind: store.PutMessage, Message: 1, Body: &store.Message{Topic: []byte("t"), Payload: []byte("on")}})
	st.Append(&store.Op{Kind: store.Retain, Message: 1, Filter: "t"})
	st.Append(&store.Op{Kind: store.Commit, Message: 1})
	st.Retained(func(_ store.MessageID, m *store.Message) bool {
		fmt.Printf("%s %s\n", m.Topic, m.Payload)
		return true
	})
	// Output: t on
}
