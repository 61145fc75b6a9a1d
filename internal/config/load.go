package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Load reads a file. An error names it, and each line that is wrong. Files
// that it names are relative to its folder.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(path, data)
}

// Parse is Load of a text. name is what errors call it; its folder is what
// names of files are relative to.
func Parse(name string, data []byte) (*Config, error) {
	c := Default()
	d := toml.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("config: %w", explain(name, err))
	}
	for i := range c.Listeners {
		if c.Listeners[i].TLSMin == "" {
			c.Listeners[i].TLSMin = "1.2"
		}
	}
	c.resolvePaths(filepath.Dir(name))
	return c, nil
}

// explain makes errors that people can act on of a decoder's.
func explain(name string, err error) error {
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var all []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, fmt.Errorf("%s:%d: %s", name, line, unknownKey(e.Key())))
		}
		return errors.Join(all...)
	case errors.As(err, &wrong):
		line, column := wrong.Position()
		key := ""
		if len(wrong.Key()) > 0 {
			key = strings.Join(wrong.Key(), ".") + ": "
		}
		return fmt.Errorf("%s:%d:%d: %s%s", name, line, column, key, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", name, err)
}

// unknownKey says that there is no such key, and which there is.
func unknownKey(key []string) string {
	c := Default()
	c.Complete()
	names, values, _ := c.sections()
	if len(key) < 2 || values[key[0]] == nil {
		text := fmt.Sprintf("there is no section [%s]", key[0])
		if near := suggest(key[0], names); near != "" {
			return text + near
		}
		for _, k := range c.Keys() { // a key without its section?
			if section, last, _ := strings.Cut(k.Path, "."); last == key[len(key)-1] {
				return fmt.Sprintf("%s stands in [%s]", last, section)
			}
		}
		return text
	}
	last := key[len(key)-1]
	var here []string
	t := values[key[0]][0].Type()
	for i := range t.NumField() {
		here = append(here, t.Field(i).Tag.Get("toml"))
	}
	if near := suggest(last, here); near != "" {
		return fmt.Sprintf("there is no key %s in [%s]%s", last, key[0], near)
	}
	for _, name := range names {
		for _, k := range keysOf(name, values[name][0]) {
			if strings.HasSuffix(k.Path, "."+last) {
				return fmt.Sprintf("there is no key %s in [%s]; there is one in [%s]", last, key[0], name)
			}
		}
	}
	return fmt.Sprintf("there is no key %s in [%s]; it has %s", last, key[0], strings.Join(here, ", "))
}

// resolvePaths makes the names of files absolute, or relative to where the
// program runs.
func (c *Config) resolvePaths(dir string) {
	for _, p := range c.paths() {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if c.Log.ToFile() && !filepath.IsAbs(c.Log.To) {
		c.Log.To = filepath.Join(dir, c.Log.To)
	}
}

// Absolute makes every file name absolute, as seen from where the program
// runs.
func (c *Config) Absolute() error {
	dir, err := filepath.Abs(".")
	if err == nil {
		c.resolvePaths(dir)
	}
	return err
}

// paths are the fields that hold the name of a file or folder.
func (c *Config) paths() []*string {
	all := []*string{&c.Auth.PasswordFile, &c.Auth.ACLFile, &c.JWT.SecretFile, &c.HTTP.TokenFile, &c.Admin.TokenFile, &c.Admin.Cert, &c.Admin.Key, &c.Telemetry.HeadersFile, &c.Telemetry.CAFile, &c.Protect.BansFile, &c.Data.Dir, &c.Process.PIDFile}
	for i := range c.JWT.KeyFiles {
		all = append(all, &c.JWT.KeyFiles[i])
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		all = append(all, &l.PasswordFile, &l.ACLFile, &l.Cert, &l.Key, &l.ClientCA)
		for j := range l.CRL {
			all = append(all, &l.CRL[j])
		}
	}
	return all
}

// ToFile reports whether the log goes to a file.
func (l *Log) ToFile() bool { return l.To != "stderr" && l.To != "stdout" && l.To != "" }

// Files are those whose change may change what the broker does, without
// duplicates: a watcher's list.
func (c *Config) Files() []string {
	var all []string
	seen := map[string]bool{"": true, c.Data.Dir: true, c.Protect.BansFile: true, c.Process.PIDFile: true}
	for _, p := range c.paths() {
		if !seen[*p] {
			seen[*p] = true
			all = append(all, *p)
		}
	}
	return all
}

// Take returns what can be in force after c without a restart if next is wished
// for: next's live keys, and c's others. It names the keys that change, and
// those that wait for a restart: "listener" if one comes or goes.
func (c *Config) Take(next *Config) (now *Config, live, restart []string) {
	n := *next
	now = &n
	now.Listeners = slices.Clone(c.Listeners)
	var used []int
	for i := range now.Listeners {
		j := slices.IndexFunc(next.Listeners, func(l Listener) bool { return l.URL == now.Listeners[i].URL })
		if j >= 0 && !slices.Contains(used, j) {
			used = append(used, j)
			now.Listeners[i] = next.Listeners[j]
		}
	}
	if len(used) < len(c.Listeners) || len(used) < len(next.Listeners) {
		restart = append(restart, "listener")
	}
	were := c.Keys()
	for i, k := range now.Keys() {
		switch {
		case reflect.DeepEqual(k.value.Interface(), were[i].value.Interface()):
		case k.Live:
			live = append(live, k.Path)
		default:
			restart = append(restart, k.Path)
			k.value.Set(were[i].value)
		}
	}
	return now, live, restart
}
