package conform

import (
	"embed"
	"fmt"
	"strings"

	"github.com/midgemq/midge/mqtt"
)

//go:embed ledger/*.tsv
var ledgerFiles embed.FS

// A Key names a statement. The identifier alone does not: the same one means
// different things in different versions of the standard.
type Key struct {
	Version mqtt.Version
	ID      string // "MQTT-3.1.0-2", or "X5-..." / "X311-..." for rules the standard left unnumbered
}

func (k Key) String() string { return k.ID + ", " + k.Version.String() }

// A Statement is one normative statement, paraphrased.
type Statement struct {
	Version mqtt.Version
	ID      string
	Section string // number and title
	Who     string // who has the duty: "server", "client" or "both"
	Level   string // "MUST", "MUST NOT", "SHOULD", "Protocol Error", ...
	Packets string
	Text    string
}

// Key returns the statement's key.
func (s Statement) Key() Key { return Key{s.Version, s.ID} }

// Numbered reports whether the standard itself gives the statement its id.
func (s Statement) Numbered() bool { return strings.HasPrefix(s.ID, "MQTT-") }

// BindsServer reports whether a server has the duty.
func (s Statement) BindsServer() bool { return s.Who == "server" || s.Who == "both" }

// Ledger returns every statement: 3.1.1's numbered ones, 5.0's numbered ones,
// then the unnumbered rules, each in the order of the standard. It panics when
// the embedded files are broken, which a test would have shown.
func Ledger() []Statement {
	var all []Statement
	for _, f := range []string{"mqtt-3.1.1.tsv", "mqtt-5.0.tsv", "unnumbered.tsv"} {
		for _, row := range readRows("ledger/"+f, 7) {
			all = append(all, Statement{
				Version: versionOf(f, row[0]),
				ID:      row[0], Section: row[1], Who: row[2], Level: row[3],
				Packets: row[4], Text: row[5],
			})
		}
	}
	return all
}

// Reasons returns, for statements no check proves, why not.
func Reasons() map[Key]string {
	out := make(map[Key]string)
	for _, row := range readRows("ledger/reasons.tsv", 3) {
		v := mqtt.V5
		if row[0] == "3.1.1" {
			v = mqtt.V311
		}
		out[Key{v, row[1]}] = row[2]
	}
	return out
}

// Excused says why the fixed-memory broker, package tiny, cannot be asked what
// a check asks; "" is no reason: it has to pass.
func Excused(c Check) string {
	for _, row := range readRows("ledger/tiny.tsv", 2) {
		if strings.HasPrefix(c.Name, row[0]) {
			return row[1]
		}
	}
	return ""
}

func versionOf(file, id string) mqtt.Version {
	if file == "mqtt-3.1.1.tsv" || strings.HasPrefix(id, "X311-") {
		return mqtt.V311
	}
	return mqtt.V5
}

// readRows returns the rows after the header, each of n columns.
func readRows(name string, n int) [][]string {
	b, err := ledgerFiles.ReadFile(name)
	if err != nil {
		panic("conform: " + err.Error())
	}
	var rows [][]string
	for i, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		cols := strings.Split(line, "\t")
		if len(cols) != n {
			panic(fmt.Sprintf("conform: %s line %d has %d columns, not %d", name, i+1, len(cols), n))
		}
		if i > 0 {
			rows = append(rows, cols)
		}
	}
	return rows
}
