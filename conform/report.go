package conform

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/midgemq/midge/mqtt"
)

// NotRun is the outcome of a statement no case of the run was about.
const NotRun Outcome = "-"

// A Report is what a run says about a target.
type Report struct {
	Target  string
	Results []Result
	Rows    []Row // one for each statement of the ledger
}

// A Row is the verdict on one statement: FAIL when any check of it failed,
// pass when at least one passed, skip when all were skipped.
type Row struct {
	Statement Statement
	Outcome   Outcome
	Checks    []string // names of the cases run for it
	Why       string   // details of the failure or the skip
}

// NewReport puts results together.
func NewReport(target string, results []Result) Report {
	byKey := make(map[Key][]Result)
	for _, r := range results {
		for _, k := range r.Case.Check.Proves() {
			if k.Version == r.Case.Version {
				byKey[k] = append(byKey[k], r)
			}
		}
	}
	rep := Report{Target: target, Results: results}
	for _, s := range Ledger() {
		row := Row{Statement: s, Outcome: NotRun}
		for _, r := range byKey[s.Key()] {
			row.add(r)
		}
		rep.Rows = append(rep.Rows, row)
	}
	return rep
}

func (row *Row) add(r Result) {
	row.Checks = append(row.Checks, r.Case.Check.Name)
	rank := map[Outcome]int{NotRun: 0, Skip: 1, Pass: 2, Fail: 3}
	if rank[r.Outcome] <= rank[row.Outcome] {
		return
	}
	row.Outcome, row.Why = r.Outcome, ""
	if r.Outcome != Pass {
		row.Why = r.Case.Check.Name + ": " + r.Detail
	}
}

// Failed returns the results that failed.
func (rep Report) Failed() []Result {
	var out []Result
	for _, r := range rep.Results {
		if r.Outcome == Fail {
			out = append(out, r)
		}
	}
	return out
}

// Count returns how many cases had the outcome.
func (rep Report) Count(o Outcome) int {
	n := 0
	for _, r := range rep.Results {
		if r.Outcome == o {
			n++
		}
	}
	return n
}

// WriteText writes the report as aligned tables: every statement that was
// tried, totals by version and duty, and the failed cases.
func (rep Report) WriteText(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "version\tstatement\twho\toutcome\twhy\n")
	for _, row := range rep.Rows {
		if row.Outcome != NotRun {
			s := row.Statement
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.Version, s.ID, s.Who, row.Outcome, row.Why)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	rep.writeTotals(tw)
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range rep.Failed() {
		fmt.Fprintf(w, "\nFAIL %s\n  %s\n", r.Case, r.Detail)
	}
	_, err := fmt.Fprintf(w, "\n%s: %d checks passed, %d failed, %d skipped\n",
		cmp.Or(rep.Target, "target"), rep.Count(Pass), rep.Count(Fail), rep.Count(Skip))
	return err
}

func (rep Report) writeTotals(w io.Writer) {
	fmt.Fprintf(w, "version\twho\tstatements\tpass\tFAIL\tskip\tnot run\n")
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, who := range []string{"server", "both", "client"} {
			n := make(map[Outcome]int)
			for _, row := range rep.Rows {
				if row.Statement.Version == v && row.Statement.Who == who {
					n[row.Outcome]++
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", v, who,
				n[Pass]+n[Fail]+n[Skip]+n[NotRun], n[Pass], n[Fail], n[Skip], n[NotRun])
		}
	}
}

type jsonReport struct {
	Target     string          `json:"target"`
	Cases      []jsonCase      `json:"cases"`
	Statements []jsonStatement `json:"statements"`
}

type jsonCase struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Outcome Outcome  `json:"outcome"`
	Detail  string   `json:"detail,omitempty"`
	Millis  int64    `json:"ms"`
	Log     []string `json:"log,omitempty"`
}

type jsonStatement struct {
	Version string   `json:"version"`
	ID      string   `json:"id"`
	Who     string   `json:"who"`
	Outcome Outcome  `json:"outcome"`
	Checks  []string `json:"checks,omitempty"`
	Why     string   `json:"why,omitempty"`
}

// WriteJSON writes the report as one JSON object, with the packets of the
// failed cases.
func (rep Report) WriteJSON(w io.Writer) error {
	out := jsonReport{Target: rep.Target}
	for _, r := range rep.Results {
		out.Cases = append(out.Cases, jsonCase{
			r.Case.Check.Name, r.Case.Version.String(), r.Outcome,
			r.Detail, r.Took.Milliseconds(), r.Log,
		})
	}
	for _, row := range rep.Rows {
		s := row.Statement
		out.Statements = append(out.Statements, jsonStatement{
			s.Version.String(), s.ID, s.Who,
			row.Outcome, row.Checks, row.Why,
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
