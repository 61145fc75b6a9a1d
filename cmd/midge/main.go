// Command midge is an MQTT broker and its tools in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes, the same for every command.
const (
	exitOK     = 0
	exitFailed = 1 // the work itself went wrong
	exitUsage  = 2 // the command line did
	exitNone   = 3 // who was named is not there
)

// A command is one word of the binary.
type command struct {
	name  string
	brief string
	run   func(ctx context.Context, args []string, out, errs io.Writer) error
}

func commands() []command {
	return []command{
		{"serve", "run the broker (what midge does without a command)", serve},
		{"config", "print a configuration file with every key explained", configCmd},
		{"check", "look through a configuration, or what the broker has stored", checkCmd},
		{"import", "make a configuration of a mosquitto.conf", importCmd},
		{"reload", "have a running broker read its configuration again", reloadCmd},
		{"top", "watch a running broker", topCmd},
		{"health", "say whether a running broker should get clients", healthCmd},
		{"clients", "list the clients of a running broker", clientsCmd},
		{"kick", "disconnect clients of a running broker", kickCmd},
		{"ban", "keep somebody out of a running broker", banCmd},
		{"unban", "let them in again", unbanCmd},
		{"bans", "list who is kept out of a running broker", bansCmd},
		{"trace", "show what happens around a client or topic of a running broker", traceCmd},
		{"pub", "publish messages", pubCmd},
		{"sub", "subscribe and print messages", subCmd},
		{"rr", "make a request and print the response", rrCmd},
		{"passwd", "keep a file of users and passwords", passwdCmd},
		{"acl", "say what a file of access rules allows, and why", aclCmd},
		{"tiny", "run the fixed-memory broker, or print its memory bill", tinyCmd},
		{"conform", "test any MQTT broker against the standards", conformCmd},
		{"bench", "load any MQTT broker and measure it", benchCmd},
		{"completion", "print what completes midge's commands in a shell", completionCmd},
		{"man", "write the manual pages into a folder", manCmd},
		{"version", "print the version", version},
	}
}

// errUsage is a command line that makes no sense, errHelp one that asks for
// help; what there is to say has been printed.
var (
	errUsage = errors.New("usage")
	errHelp  = errors.New("help")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run picks the command and turns its outcome into an exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	name, rest := "serve", args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, rest = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "-help") {
		name = "help"
	}
	if name == "help" {
		help(out)
		return exitOK
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		var exit *exitError
		switch err := c.run(ctx, rest, out, errs); {
		case errors.As(err, &exit):
			return exit.code
		case err == nil, errors.Is(err, errHelp):
			return exitOK
		case errors.Is(err, errUsage):
			return exitUsage
		default:
			fmt.Fprintf(errs, "midge %s: %v\n", name, err)
			return exitFailed
		}
	}
	fmt.Fprintf(errs, "midge: there is no command %q; midge help lists them\n", name)
	return exitUsage
}

func help(out io.Writer) {
	fmt.Fprint(out, "midge: an MQTT 3.1, 3.1.1 and 5.0 broker\n\n")
	for _, c := range commands() {
		fmt.Fprintf(out, "  midge %-10s  %s\n", c.name, c.brief)
	}
	fmt.Fprint(out, `
Examples:
  midge                                        a broker on 127.0.0.1:1883
  midge -c midge.toml                          as a configuration file says
  midge --tcp :1883 --password-file users      on every address, for those who have a password
  midge --tls :8883 --cert c.pem --key k.pem   with TLS
  midge --data /var/lib/midge                  remembering what it acknowledged
  midge conform 127.0.0.1:1883                 test the broker there

midge COMMAND --help has the options of a command.
`)
}
