package main

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// boltDB has a bucket of messages and one of queues. Its commit writes pages,
// syncs, writes a meta page, and syncs again.
type boltDB struct {
	*committer
	db *bbolt.DB
}

var bucketMessages, bucketQueues = []byte("messages"), []byte("queues")

func openBolt(dir string) (engine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMessages, bucketQueues} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	e := &boltDB{db: db}
	e.committer = newCommitter(e.write)
	return e, err
}

func (e *boltDB) write(batch []change) error {
	return e.db.Update(func(tx *bbolt.Tx) error {
		messages, queues := tx.Bucket(bucketMessages), tx.Bucket(bucketQueues)
		messages.FillPercent = 0.9 // keys come in order
		for i := range batch {
			c := &batch[i]
			var err error
			if c.payload == nil {
				if err = queues.Delete(c.queue); err == nil {
					err = messages.Delete(c.message)
				}
			} else if err = queues.Put(c.queue, c.message); err == nil {
				err = messages.Put(c.message, c.payload)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *boltDB) Queued() (sessions, messages int, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		last := uint64(0)
		return tx.Bucket(bucketQueues).ForEach(func(k, _ []byte) error {
			if s := binary.BigEndian.Uint64(k); s != last {
				sessions++
				last = s
			}
			messages++
			return nil
		})
	})
	return sessions, messages, err
}

func (e *boltDB) counts() counts { n := e.commits(); return counts{n, 2 * n} }

func (e *boltDB) Close() error {
	if err := e.end(); err != nil {
		return err
	}
	return e.db.Close()
}
