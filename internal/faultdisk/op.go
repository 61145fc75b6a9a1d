package faultdisk

// An Op is something that changes the disk.
type Op byte

// The operations. A Header is a write to the very beginning of a file.
const (
	Create Op = iota + 1
	Header
	Write
	Sync
	Remove
	SyncNames
	Rename
	Ops // is how many there are, and one
)

// A Call is one use of an operation.
type Call struct {
	Op    Op
	Size  int  // of the file, for those that have one
	Names []Op // what names went through since they were synced
}
