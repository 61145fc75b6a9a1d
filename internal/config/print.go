package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

const preamble = `# The configuration of midge: midge serve -c FILE. What is here is the default.
#
# Each key may be given in the environment, as MIDGE_SECTION_KEY, and on the
# command line, as --set section.key=value; a listener's as MIDGE_LISTENER_0_KEY
# and --set listener.0.key=value. The command line comes before the environment,
# and that before this file. midge check -c FILE says what is wrong in a file, and what
# will listen where.
#
# (live) behind a key: a change takes effect with midge reload or SIGHUP, and
# nobody who may stay is disconnected.
#
# Sizes are numbers of bytes or "64KiB", "1GiB"; durations "30s", "5m", "7d".
# Files are looked for in the folder of this one.
`

// About is what there is to say of the file as a whole, a paragraph each.
func About() []string {
	text := strings.ReplaceAll(strings.TrimPrefix(preamble, "# "), "\n# ", "\n")
	return strings.Split(strings.TrimSpace(text), "\n#\n")
}

// WriteDefault writes the default configuration with every key explained.
func WriteDefault(w io.Writer) error {
	c := Default()
	c.Complete()
	var b strings.Builder
	b.WriteString(preamble)
	for _, s := range c.Sections() {
		b.WriteString("\n" + comment(s.Help) + s.Header + "\n")
		for _, k := range s.Keys {
			text := k.Help
			if k.Live {
				text += " (live)"
			}
			b.WriteString("\n" + comment(text) + k.line())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Write writes what differs from the default. Keys that notes has a word about
// get it as a comment.
func (c *Config) Write(w io.Writer, notes map[string]string) error {
	d := Default()
	plain := reflect.ValueOf(defaultListener())
	var b strings.Builder
	names, values, _ := c.sections()
	_, defaults, _ := d.sections()
	for _, name := range names {
		for i, v := range values[name] {
			base, path := plain, fmt.Sprintf("%s.%d", name, i)
			if name != "listener" {
				base, path = defaults[name][0], name
			}
			var lines strings.Builder
			for j, k := range keysOf(path, v) {
				// A listener says where it is, whatever is the default.
				if reflect.DeepEqual(k.value.Interface(), base.Field(j).Interface()) && (name != "listener" || j > 0) {
					continue
				}
				if note := notes[k.Path]; note != "" {
					lines.WriteString(comment(note))
				}
				lines.WriteString(k.line())
			}
			if lines.Len() > 0 {
				b.WriteString("\n" + header(name) + "\n" + lines.String())
			}
		}
	}
	_, err := io.WriteString(w, strings.TrimPrefix(b.String(), "\n"))
	return err
}

func header(name string) string {
	if name == "listener" {
		return "[[listener]]"
	}
	return "[" + name + "]"
}

// Example is the key and its value, as they stand in a file.
func (k Key) Example() string {
	return strings.TrimPrefix(strings.TrimSpace(k.line()), "#")
}

// line is the key as a line of TOML; a comment if it has no value.
func (k *Key) line() string {
	text, said := k.text()
	line := k.Path[strings.LastIndexByte(k.Path, '.')+1:] + " = " + text + "\n"
	if !said {
		return "#" + line
	}
	return line
}

// comment breaks text into lines that people like to read.
func comment(text string) string {
	const width = 92
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}
