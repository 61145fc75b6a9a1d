package man

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

const help = `usage: midge frob [-c FILE | -d] ARG | midge frob list
Frobs what is there. A line that begins
.so with a dot, and 'quotes' stay; so does a \ and a-dash.

  midge frob x
  midge frob y

Examples:
  midge frob -t '^a~b'

Modes:
  fast       without looking
  thorough   --twice as long

Options, those of frobnicate:
  -c, --conf file  the file
  --dry            nothing

Formats: %t topic
Exit codes: 0; 1: anything else.
`

const page = `.TH MIDGE-FROB 1 2026-01-02 "midge 1"
.SH NAME
midge\-frob \- frob
.SH SYNOPSIS
.RS 4
.nf
midge frob [\-c FILE | \-d] ARG
midge frob list
.fi
.RE
.SH DESCRIPTION
Frobs what is there. A line that begins
\&.so with a dot, and \(aqquotes\(aq stay; so does a \e and a\-dash.
.PP
.RS 4
.nf
midge frob x
midge frob y
.fi
.RE
.SH EXAMPLES
.RS 4
.nf
midge frob \-t \(aq\(haa\(tib\(aq
.fi
.RE
.SH MODES
.TP
.B fast
without looking
.TP
.B thorough
\-\-twice as long
.SH OPTIONS
Those of frobnicate.
.TP
.B \-c, \-\-conf file
the file
.TP
.B \-\-dry
nothing
.SH FORMATS
%t topic
Exit codes: 0; 1: anything else.
.SH SEE ALSO
.BR midge (1) ,
.BR midge.toml (5)
`

func TestHelp(t *testing.T) {
	p := New("midge-frob", 1, "frob", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "midge 1")
	p.Help(help)
	p.See("midge(1)", "midge.toml(5)")
	if got := p.String(); got != page {
		t.Errorf("got\n%s", got)
	}
}

// A shell's words come out of a page as they went in.
func TestEscapesComeBack(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("SKIP: mandoc not found: apt-get install mandoc")
	}
	const line = `midge sub -t 'a/+/#' -F "%t\n" ^~ ` + "`x`" + ` .so`
	p := New("x", 1, "x", time.Time{}, "x")
	p.Section("Examples")
	p.Verbatim(line, ".so y", "'z")
	cmd := exec.Command(mandoc, "-T", "ascii")
	cmd.Stdin = strings.NewReader(p.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	for _, want := range []string{line, ".so y", "'z"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}
