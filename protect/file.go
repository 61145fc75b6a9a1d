package protect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A rollFile is what File holds.
type rollFile struct {
	Bans []Ban `json:"bans"`
}

// load reads File.
func (s *Shield) load() error {
	path := s.set.Load().File
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f rollFile
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return fmt.Errorf("protect: bans of %s: %w (mend the file, or move it away to begin without bans)", path, err)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range f.Bans {
		if err := b.Check(); err != nil {
			return fmt.Errorf("protect: bans of %s: number %d: %w", path, i+1, err)
		}
		if !b.over(now) {
			s.roll.add(b)
		}
	}
	return nil
}

// save writes File anew, whole or not at all.
func (s *Shield) save() error {
	path := s.set.Load().File
	if path == "" {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	f := rollFile{Bans: s.roll.list(time.Now())}
	s.mu.Unlock()
	text, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = replace(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("protect: bans: %w", err)
	}
	return nil
}

// replace puts text in place of a file, for its owner alone to read.
func replace(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	dir.Sync() // not every system can; the file is whole either way
	return dir.Close()
}
