package disk_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/disk"
)

func Example() {
	dir, _ := os.MkdirTemp("", "midge")
	defer os.RemoveAll(dir)
	options := disk.Options{Logger: slog.New(slog.DiscardHandler)}
	st, err := disk.Open(dir, options)
	if err != nil {
		panic(err)
	}
	pos := st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1, Client: "lamp", Expiry: 3600}})
	safe := make(chan bool)
	st.After(pos, func() { close(safe) })
	<-safe // only now may the session be acknowledged
	st.Close()

	st, _ = disk.Open(dir, options)
	defer st.Close()
	st.Sessions(func(s *store.Snapshot) bool {
		fmt.Println(s.Client, s.Expiry)
		return true
	})
	// Output: lamp 3600
}
