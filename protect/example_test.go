package protect_test

import (
	"fmt"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/protect"
)

func Example() {
	shield, err := protect.New(protect.Config{PerAddress: 100, FailedLogins: protect.Tolerance{Count: 10, Within: time.Minute}})
	if err != nil {
		panic(err)
	}
	cfg := midge.Config{Listeners: []midge.Listener{}}
	shield.Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		panic(err)
	}
	defer b.Close()
	shield.Protect(b)

	site, err := protect.ParseAddress("198.51.100.0/24")
	if err != nil {
		panic(err)
	}
	if _, err := shield.Ban(protect.Ban{Address: site, Reason: "scans"}); err != nil {
		panic(err)
	}
	for _, ban := range shield.Bans() {
		fmt.Println(ban.Address, ban.Reason, ban.By)
	}
	// Output: 198.51.100.0/24 scans operator
}
