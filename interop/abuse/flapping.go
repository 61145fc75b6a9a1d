package main

import (
	"context"
	"errors"
)

// flapping comes and goes, with credentials that are right.
var flapping = attack{
	name:   "flapping",
	about:  "20 clients that log in and hang up, 100 times a second each, from an address each",
	config: protected,
	brief:  protectedBriefly,
	strike: func(ctx context.Context, f *field) error {
		return flood(ctx, f, 2_000, 20, func(home string) (id, user, password string) {
			return "moth of " + home, "mallory", "mallory"
		})
	},
	judge: wantsBan("flapping"),
}

// takeovers has clients fight over one identifier.
var takeovers = attack{
	name:   "takeovers",
	about:  "2,000 logins a second with one identifier, from 20 addresses",
	config: protected,
	brief:  protectedBriefly,
	strike: func(ctx context.Context, f *field) error {
		return flood(ctx, f, 2_000, 20, func(string) (id, user, password string) { return "twin", "mallory", "mallory" })
	},
	judge: wantsBan(""),
}

// wantsBan fails an attack that was told of no ban.
func wantsBan(why string) func(*result) error {
	return func(r *result) error {
		if r.heard("banned: "+why) == 0 {
			return errors.New("the attacker was not told of a ban")
		}
		return nil
	}
}
