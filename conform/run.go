package conform

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Checks returns every check, in the order of the standard's chapters.
func Checks() []Check {
	return slices.Concat(malformedChecks, connectChecks, subscribeChecks, publishChecks, qosChecks, sessionChecks, willChecks, retainChecks, keepAliveChecks, topicChecks, flowChecks, sharedChecks, authChecks, propertyChecks, stallChecks, webSocketChecks)
}

// Cases returns every check once for each version it runs for.
func Cases() []Case {
	var all []Case
	for _, c := range Checks() {
		for _, v := range c.Versions() {
			all = append(all, Case{c, v})
		}
	}
	return all
}

// Filter selects cases; nil selects all.
type Filter func(Case) bool

// Match returns a filter for cases whose "chapter/name version" the regular
// expression matches.
func Match(pattern string) (Filter, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("conform: %w", err)
	}
	return func(c Case) bool { return re.MatchString(c.String()) }, nil
}

// Run runs the selected cases against the target, one after the other, and
// reports. progress, when not nil, is called after each case, on the caller's
// goroutine. A ctx that ends fails the running case and stops.
func Run(ctx context.Context, target Target, filter Filter, progress func(Result)) Report {
	var results []Result
	for _, c := range Cases() {
		if filter != nil && !filter(c) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		r := c.Run(ctx, target)
		results = append(results, r)
		if progress != nil {
			progress(r)
		}
	}
	return NewReport(target.Name, results)
}

// Run runs one case and blocks until its connections are closed and its
// goroutines gone. Results can be put together with [NewReport], so a test can
// give each case a bubble and a broker of its own.
func (c Case) Run(ctx context.Context, target Target) (res Result) {
	res.Case = c
	start := time.Now()
	t := &T{ctx: ctx, target: target, version: c.Version, prefix: "cf" + rand.Text()[:8]}
	defer func() {
		res.Took = time.Since(start)
		if res.Outcome == Fail {
			res.Log = t.log
		}
	}()
	switch {
	case !target.offers(c.Version):
		res.Outcome, res.Detail = Skip, "broker does not offer MQTT "+c.Version.String()
		return res
	case c.Check.Slow && target.NoSlow:
		res.Outcome, res.Detail = Skip, "waits for seconds of real time"
		return res
	}
	defer t.release()
	res.Outcome, res.Detail = t.judge(func() { c.Check.run(t); t.finish() })
	if res.Outcome != Pass && len(t.peers) > 0 {
		t.judge(t.finish) // as far as it goes: what is left behind is not the check's fault
	}
	return res
}

// judge runs a check and turns its verdict into an outcome.
func (t *T) judge(run func()) (o Outcome, detail string) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case verdict:
			o, detail = v.outcome, v.detail
		default:
			panic(v)
		}
	}()
	run()
	return Pass, ""
}
