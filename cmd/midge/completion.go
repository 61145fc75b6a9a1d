package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// The scripts ask the binary for options when they are needed: they are those
// of the midge that is there.
const bashCompletion = `_midge() {
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
	if [ "$COMP_CWORD" -eq 1 ] && [ "${word#-}" = "$word" ]; then
		COMPREPLY=($(compgen -W "%[1]s" -- "$word"))
		return
	fi
	[ "${command#-}" != "$command" ] && command=serve
	if [ "${word#-}" != "$word" ]; then
		COMPREPLY=($(compgen -W "$(midge "$command" --help 2>/dev/null | sed -n 's/^  \(--[a-zA-Z0-9-]*\).*/\1/p')" -- "$word"))
	else
		COMPREPLY=($(compgen -f -- "$word"))
	fi
}
complete -o filenames -F _midge midge
`

const zshCompletion = `#compdef midge
_midge() {
	local command=${words[2]}
	if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then
		local -a commands=(
%[2]s		)
		_describe command commands
		return
	fi
	[[ $command == -* ]] && command=serve
	if [[ $PREFIX == -* ]]; then
		compadd -- ${(f)"$(midge $command --help 2>/dev/null | sed -n 's/^  \(--[a-zA-Z0-9-]*\).*/\1/p')"}
	else
		_files
	fi
}
compdef _midge midge
`

const fishCompletion = `function __midge_options
	set -l words (commandline -opc)
	set -l command serve
	if test (count $words) -gt 1; and not string match -q -- '-*' $words[2]
		set command $words[2]
	end
	midge $command --help 2>/dev/null | sed -n 's/^  \(--[a-zA-Z0-9-]*\) *\(.*\)/\1\t\2/p'
end
complete -c midge -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__midge_options)'
%[3]s`

func completionCmd(_ context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("completion", out, errs, "midge completion bash|zsh|fish", `
Prints a script that completes midge's commands and options.

Examples:
  source <(midge completion bash)
  midge completion zsh > "${fpath[1]}/_midge"
  midge completion fish > ~/.config/fish/completions/midge.fish`)
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[fs.Arg(0)]
	if !ok {
		return usage(fs, fmt.Errorf("%q is none of bash, zsh and fish", fs.Arg(0)))
	}
	var names, zsh, fish []string
	for _, c := range commands() {
		names = append(names, c.name)
		zsh = append(zsh, fmt.Sprintf("\t\t\t'%s:%s'\n", c.name, strings.ReplaceAll(c.brief, "'", `'\''`)))
		fish = append(fish, fmt.Sprintf("complete -c midge -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, strings.ReplaceAll(c.brief, "'", `\'`)))
	}
	text := strings.NewReplacer("%[1]s", strings.Join(names, " "), "%[2]s", strings.Join(zsh, ""), "%[3]s", strings.Join(fish, "")).Replace(script)
	_, err := io.WriteString(out, text)
	return err
}
