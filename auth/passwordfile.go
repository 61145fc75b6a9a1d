package auth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A PasswordFile is the text of a password file, to be changed and written
// back: lines of name:hash, comments left as they are.
type PasswordFile struct {
	path  string
	lines []string
}

// NewPasswordFile returns an empty one, for [PasswordFile.Write] to create.
func NewPasswordFile(path string) *PasswordFile { return &PasswordFile{path: path} }

// ReadPasswordFile reads one. It takes every text for one.
func ReadPasswordFile(path string) (*PasswordFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: passwords: %w", err)
	}
	f := &PasswordFile{path: path}
	for l := range strings.Lines(string(data)) {
		f.lines = append(f.lines, strings.TrimRight(l, "\r\n"))
	}
	return f, nil
}

// entry takes a line apart. ok is false for one that names nobody.
func entry(l string) (user, hash string, ok bool) {
	if l == "" || l[0] == '#' {
		return "", "", false
	}
	user, hash, _ = strings.Cut(l, ":")
	return user, hash, true
}

// hashes reads the entries. An error names every one that is wrong.
func (f *PasswordFile) hashes() (map[string]*Hash, error) {
	users := map[string]*Hash{}
	var errs []error
	fail := func(i int, format string, args ...any) {
		if len(errs) < maxErrors {
			errs = append(errs, fmt.Errorf("%s:%d: "+format, append([]any{f.path, i + 1}, args...)...))
		}
	}
	for i, l := range f.lines {
		user, text, ok := entry(l)
		if !ok {
			continue
		}
		switch h, err := ParseHash(text); {
		case user == "":
			fail(i, "a user name is missing")
		case text != "" && text[0] != '$':
			fail(i, "the password of %q is not hashed: midge passwd -U does that", user)
		case err != nil:
			fail(i, "user %q: %w", user, err)
		case users[user] != nil:
			fail(i, "user %q is there twice", user)
		default:
			users[user] = h
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("auth: passwords: %w", err)
	}
	return users, nil
}

// CheckUser returns an error for a name that no password file can hold.
func CheckUser(user string) error {
	if user == "" || user[0] == '#' || strings.ContainsAny(user, ":\r\n\x00") || len(user) > 65535 {
		return fmt.Errorf("auth: %q cannot be a user name: it has to have 1 to 65535 bytes, no colon and no line end, and not to begin with #", user)
	}
	return nil
}

// Set gives a user a hash, and reports whether there was such a user before.
func (f *PasswordFile) Set(user string, h *Hash) (known bool) {
	l := user + ":" + h.text
	if i := f.find(user); i >= 0 {
		f.lines[i] = l
		return true
	}
	f.lines = append(f.lines, l)
	return false
}

// Delete removes a user, and reports whether there was one.
func (f *PasswordFile) Delete(user string) bool {
	i := f.find(user)
	if i >= 0 {
		f.lines = slices.Delete(f.lines, i, i+1)
	}
	return i >= 0
}

func (f *PasswordFile) find(user string) int {
	return slices.IndexFunc(f.lines, func(l string) bool {
		u, _, ok := entry(l)
		return ok && u == user
	})
}

// Upgrade hashes every password that stands there in clear, and returns how
// many did.
func (f *PasswordFile) Upgrade(a Algorithm, rounds int) (n int, err error) {
	for i, l := range f.lines {
		user, text, ok := entry(l)
		if !ok || text == "" || text[0] == '$' {
			continue
		}
		h, err := HashPassword(a, text, rounds)
		if err != nil {
			return n, err
		}
		f.lines[i] = user + ":" + h.text
		n++
	}
	return n, nil
}

// Write puts the file in place of what is there, at once or not at all. A new
// one is for its owner alone to read; an old one keeps its mode and its owner.
func (f *PasswordFile) Write() error {
	mode := os.FileMode(0o600)
	path := f.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	old, gone := os.Stat(path)
	if gone == nil {
		mode = old.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("auth: passwords: %w", err)
	}
	defer os.Remove(tmp.Name())
	if gone == nil {
		err = keepOwner(tmp, old)
	}
	var text bytes.Buffer
	for _, l := range f.lines {
		text.WriteString(l + "\n")
	}
	_, cut := tmp.Write(text.Bytes())
	err = errors.Join(err, cut, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("auth: passwords: %w", err)
	}
	return nil
}
