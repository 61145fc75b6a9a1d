// Package disk keeps a store in files: a log of changes, cut into segments,
// written at its end alone. In memory it has where everything lies, some 85
// bytes for a queued message; what messages say stays on the disk until
// somebody asks.
//
// One writer takes all changes that have come since its last turn, writes them
// with one call and syncs them with another, so that what many connections do
// at once costs one sync (group commit). Space is won back from the oldest
// segment: what of it still counts is written once more at the end of the log,
// and the file goes. A store that is opened begins a new segment, so that
// nothing a crash left behind is ever taken for what comes after it. The log is
// never much larger than twice what it keeps, and neither is what has to be
// read at the start.
//
// The format is described in docs/durability.md, the choice in docs/decisions.
package disk
