package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/midgemq/midge/auth"
)

// passwdFlags are the options of midge passwd: those of mosquitto_passwd.
type passwdFlags struct {
	create, remove, batch, upgrade bool
	algorithm                      string
	rounds                         int
}

func passwdCmd(_ context.Context, args []string, out, errs io.Writer) error {
	var f passwdFlags
	fs := newFlags("passwd", out, errs, "midge passwd [options] FILE USER [PASSWORD]", `
Keeps a password file, for midge and for Mosquitto: adds a user or changes a
password, which is asked for, or read from the input if that is no terminal.
The options are those of mosquitto_passwd.

Examples:
  midge passwd -c passwords alice            a new file with one user
  midge passwd passwords bob                 another user, or another password
  midge passwd -b passwords eve s3cret       without asking; others can see it in ps
  midge passwd -H scram-sha-256 passwords esp
                                             for a device that logs in with SCRAM
  midge passwd -D passwords bob              a user less
  midge passwd -U passwords                  hash what stands there in clear`)
	fs.BoolVar(&f.create, "c", false, "create the file, in place of the one there is")
	fs.BoolVar(&f.remove, "D", false, "delete the user")
	fs.BoolVar(&f.batch, "b", false, "take the password from the command line")
	fs.BoolVar(&f.upgrade, "U", false, "hash every password that stands in the file in clear")
	fs.StringVar(&f.algorithm, "H", string(auth.Argon2id), "`algorithm`: argon2id (Mosquitto 2.1), sha512-pbkdf2 (2.0), sha512, or scram-sha-256 (midge alone)")
	fs.IntVar(&f.rounds, "I", 0, "`iterations` of sha512-pbkdf2 (0: 210000) and scram-sha-256 (0: 4096)")
	want := func() int {
		switch {
		case f.upgrade:
			return 1
		case f.batch && !f.remove:
			return 3
		}
		return 2
	}
	if err := parseCounted(fs, args, want); err != nil {
		return err
	}
	switch {
	case f.create && f.remove, f.upgrade && (f.create || f.remove || f.batch):
		return usage(fs, errors.New("of -c, -D and -U only one makes sense, and -b not with -U"))
	case f.rounds < 0 || f.rounds > 10_000_000:
		return usage(fs, fmt.Errorf("-I %d is not within [0, 10000000]", f.rounds))
	}
	if !f.upgrade {
		if err := auth.CheckUser(fs.Arg(1)); err != nil {
			return usage(fs, err)
		}
	}
	return f.run(fs, out, errs)
}

// run does what the options say.
func (f *passwdFlags) run(fs *flagSet, out, errs io.Writer) error {
	path, user := fs.Arg(0), fs.Arg(1)
	file := auth.NewPasswordFile(path)
	if !f.create {
		var err error
		if file, err = auth.ReadPasswordFile(path); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w\nmidge passwd -c creates it", err)
		} else if err != nil {
			return err
		}
	}
	said := ""
	switch {
	case f.upgrade:
		n, err := file.Upgrade(auth.Algorithm(f.algorithm), f.rounds)
		if err != nil {
			return err
		}
		said = fmt.Sprintf("%d passwords hashed", n)
	case f.remove:
		if !file.Delete(user) {
			return fmt.Errorf("there is no user %q in %s", user, path)
		}
		said = "user " + user + " deleted"
	default:
		password, err := f.password(fs, errs)
		if err != nil {
			return err
		}
		hash, err := auth.HashPassword(auth.Algorithm(f.algorithm), password, f.rounds)
		if err != nil {
			return err
		}
		said = "user " + user + " added"
		if file.Set(user, hash) {
			said = "password of " + user + " changed"
		}
	}
	if err := file.Write(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s\n", path, said)
	return nil
}

// password is the one to set: asked for twice where somebody can answer.
func (f *passwdFlags) password(fs *flagSet, errs io.Writer) (string, error) {
	var got string
	in, isFile := stdin.(*os.File)
	switch {
	case f.batch:
		got = fs.Arg(2)
	case isFile && term.IsTerminal(int(in.Fd())):
		var again string
		for _, ask := range []struct {
			prompt string
			to     *string
		}{{"Password: ", &got}, {"Reenter password: ", &again}} {
			fmt.Fprint(errs, ask.prompt)
			line, err := term.ReadPassword(int(in.Fd()))
			fmt.Fprintln(errs)
			if err != nil {
				return "", err
			}
			*ask.to = string(line)
		}
		if got != again {
			return "", errors.New("the two passwords are not the same: nothing was changed")
		}
	default:
		line, err := bufio.NewReader(stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		got = strings.TrimRight(line, "\r\n")
	}
	if got == "" {
		return "", errors.New("an empty password lets everybody in: nothing was changed")
	}
	return got, nil
}
