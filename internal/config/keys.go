package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Key is one setting, as people write it.
type Key struct {
	Path string // section.name; of a listener listener.N.name
	Help string
	Live bool // a change takes effect without a restart

	value reflect.Value
}

// sections are the structs of c by their names; [[listener]] is those of each.
func (c *Config) sections() (names []string, values map[string][]reflect.Value, help map[string]string) {
	values, help = map[string][]reflect.Value{}, map[string]string{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("toml")
		names = append(names, name)
		help[name] = f.Tag.Get("help")
		if v.Field(i).Kind() == reflect.Struct {
			values[name] = []reflect.Value{v.Field(i)}
			continue
		}
		for j := range v.Field(i).Len() {
			values[name] = append(values[name], v.Field(i).Index(j))
		}
	}
	return names, values, help
}

// A Section is a table of the file.
type Section struct {
	Header string // as it stands in the file: [name] or [[listener]]
	Help   string
	Keys   []Key
}

// Sections are those of c; of its listeners, of which it has one at least, the
// first.
func (c *Config) Sections() []Section {
	names, values, help := c.sections()
	all := make([]Section, len(names))
	for i, name := range names {
		all[i] = Section{header(name), help[name], keysOf(name, values[name][0])}
	}
	return all
}

// Keys lists every key of c, those of its listeners included.
func (c *Config) Keys() []Key {
	var all []Key
	names, values, _ := c.sections()
	for _, name := range names {
		for n, v := range values[name] {
			prefix := name
			if name == "listener" {
				prefix += "." + strconv.Itoa(n)
			}
			all = append(all, keysOf(prefix, v)...)
		}
	}
	return all
}

func keysOf(prefix string, v reflect.Value) []Key {
	var all []Key
	for i := range v.NumField() {
		f := v.Type().Field(i)
		all = append(all, Key{
			Path: prefix + "." + f.Tag.Get("toml"), Help: f.Tag.Get("help"), Live: f.Tag.Get("live") != "", value: v.Field(i),
		})
	}
	return all
}

// Set gives the key at path a value, written as on a command line: lists with
// commas. The listener after the last is made by its first key.
func (c *Config) Set(path, text string) error {
	c.grow(path)
	keys := c.Keys()
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Path == path })
	if i < 0 {
		paths := make([]string, len(keys))
		for i, k := range keys {
			paths[i] = k.Path
		}
		return fmt.Errorf("there is no key %q%s", path, suggest(path, paths))
	}
	if err := keys[i].set(text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// grow adds the listener that path names, if it is the next.
func (c *Config) grow(path string) {
	parts := strings.Split(path, ".")
	if len(parts) == 3 && parts[0] == "listener" && parts[1] == strconv.Itoa(len(c.Listeners)) {
		c.Listeners = append(c.Listeners, defaultListener())
	}
}

func (k *Key) set(text string) error {
	if u, ok := k.value.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v := k.value; v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		v.SetFloat(x)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Pointer:
		if text == "" {
			v.SetZero()
			return nil
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.Set(reflect.ValueOf(&b))
	case reflect.Slice:
		var list []string
		for _, s := range strings.Split(text, ",") {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		v.Set(reflect.ValueOf(list))
	}
	return nil
}

// said reports whether the value is another than its type's zero.
func (k *Key) said() bool {
	if k.value.Kind() == reflect.Slice {
		return k.value.Len() > 0
	}
	return !k.value.IsZero()
}

// text is the value as TOML; said is false for what has none: then it is an
// example.
func (k *Key) text() (s string, said bool) {
	if m, ok := k.value.Interface().(encoding.TextMarshaler); ok {
		text, _ := m.MarshalText()
		return strconv.Quote(string(text)), true
	}
	switch v := k.value; v.Kind() {
	case reflect.String:
		return quote(v.String()), true
	case reflect.Pointer:
		if v.IsNil() {
			return "false", false
		}
		return fmt.Sprint(v.Elem()), true
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = quote(v.Index(i).String())
		}
		return "[" + strings.Join(items, ", ") + "]", true
	}
	return fmt.Sprint(k.value), true
}

// Text is the value as TOML writes it; of one that is unsaid, an example.
func (k Key) Text() string {
	s, _ := k.text()
	return s
}

// quote is s as a string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Env is the name of the environment variable of a key.
func (k Key) Env() string {
	return "MIDGE_" + strings.ToUpper(strings.ReplaceAll(k.Path, ".", "_"))
}

// ReadEnv takes the keys that are in an environment, a list of NAME=value. A
// name that has a section, and no key of it, is an error; what else begins with
// MIDGE_ may be somebody else's, such as an orchestrator's.
func (c *Config) ReadEnv(environ []string) error {
	// The listeners in their order, so that each comes after the one before.
	environ = slices.Clone(environ)
	slices.SortFunc(environ, naturally)
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !ours(name) {
			continue
		}
		if parts := strings.SplitN(strings.ToLower(name), "_", 4); len(parts) == 4 && parts[1] == "listener" {
			c.grow("listener." + parts[2] + ".")
		}
		keys := c.Keys()
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Env() == name })
		if i < 0 {
			names := make([]string, len(keys))
			for i, k := range keys {
				names[i] = k.Env()
			}
			return fmt.Errorf("environment: %s is no key%s", name, suggest(name, names))
		}
		if err := keys[i].set(value); err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
	}
	return nil
}

// ours reports whether a variable is about a section.
func ours(name string) bool {
	rest, ok := strings.CutPrefix(name, "MIDGE_")
	section, _, _ := strings.Cut(rest, "_")
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		ok = ok && rest != section
		if ok && strings.EqualFold(section, t.Field(i).Tag.Get("toml")) {
			return true
		}
	}
	return false
}

// naturally orders listener 2 before listener 10.
func naturally(a, b string) int {
	if len(a) != len(b) && strings.HasPrefix(a, "MIDGE_LISTENER_") && strings.HasPrefix(b, "MIDGE_LISTENER_") {
		var x, y int
		fmt.Sscanf(a, "MIDGE_LISTENER_%d", &x)
		fmt.Sscanf(b, "MIDGE_LISTENER_%d", &y)
		if x != y {
			return x - y
		}
	}
	return strings.Compare(a, b)
}
