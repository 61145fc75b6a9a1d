package admin

import (
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// Package net/http/pprof would do, if importing it did not also put profiles on
// the default mux of every program that embeds us.

// profiles lists those there are.
func (h *Handler) profiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "profile?seconds=30\ntrace?seconds=1")
	for _, p := range pprof.Profiles() {
		fmt.Fprintf(w, "%s (%d)\n", p.Name(), p.Count())
	}
}

// profile takes one. Those of the processor and of what goes on last as long as
// asked, 5 minutes at most.
func (h *Handler) profile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	w.Header().Set("Content-Type", "application/octet-stream")
	switch name {
	case "profile":
		record(w, r, 30, pprof.StartCPUProfile, pprof.StopCPUProfile)
		return
	case "trace":
		record(w, r, 1, trace.Start, trace.Stop)
		return
	}
	p := pprof.Lookup(name)
	if p == nil {
		fail(w, &problem{http.StatusNotFound, "there is no profile " + name, "GET /debug/pprof/ lists what there is"})
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	p.WriteTo(w, debug) // an error is a client that has gone
}

// record runs one of the recorders of the runtime, of which there is one each.
func record(w http.ResponseWriter, r *http.Request, usual int, start func(io.Writer) error, stop func()) {
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if err != nil {
		seconds = usual
	}
	span := time.Duration(min(max(seconds, 1), 300)) * time.Second
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(span + answerPatience))
	if err := start(w); err != nil {
		fail(w, &problem{http.StatusConflict, err.Error(), "wait until it is over"})
		return
	}
	defer stop()
	select {
	case <-r.Context().Done():
	case <-time.After(span):
	}
}
