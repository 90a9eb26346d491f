package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// completions are the scripts by shell. Each asks "tpgate completion words" what may come next, so that it never knows less than the program.
var completions = map[string]string{
	"bash": `_tpgate() {
	COMPREPLY=($(compgen -W "$(tpgate completion words "${COMP_WORDS[@]:1:COMP_CWORD-1}")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _tpgate tpgate
`,
	"zsh": `#compdef tpgate
_tpgate() { compadd -- $(tpgate completion words "${(@)words[2,CURRENT-1]}") }
compdef _tpgate tpgate
`,
	"fish": `complete -c tpgate -a '(tpgate completion words (commandline -opc)[2..])'
`,
}

// completion prints the completion of a shell, or, for those scripts, the words that may come after others.
func completion(_ context.Context, w world, args []string) error {
	if len(args) > 0 && args[0] == "words" {
		fmt.Fprintln(w.stdout, strings.Join(nextWords(args[1:]), "\n"))
		return nil
	}
	f := newFlags(w, "completion", "bash|zsh|fish")
	rest, err := f.parse(args)
	if err != nil {
		return err
	}
	if len(rest) != 1 || completions[rest[0]] == "" {
		return usageError{errors.New("completion takes bash, zsh or fish; in bash: source <(tpgate completion bash)")}
	}
	_, err = io.WriteString(w.stdout, completions[rest[0]])
	return err
}

// nextWords returns what may follow these words: the next word of a command, or the flags of a whole one.
func nextWords(words []string) []string {
	cmd, _ := find(words)
	switch {
	case cmd == nil:
		var next []string
		for _, cmd := range commands() {
			name := strings.Fields(cmd.name)
			if len(name) > len(words) && slices.Equal(name[:len(words)], words) && !slices.Contains(next, name[len(words)]) {
				next = append(next, name[len(words)])
			}
		}
		return next
	case cmd.name == "completion":
		return slices.Sorted(maps.Keys(completions))
	default:
		return flagsOf(cmd)
	}
}

// flagsOf reads a command's flags from its help.
func flagsOf(cmd *command) []string {
	var help bytes.Buffer
	if err := cmd.run(context.Background(), world{program: "tpgate", stdout: &help, stderr: io.Discard}, []string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		return nil
	}
	var flags []string
	for line := range strings.Lines(help.String()) {
		if strings.HasPrefix(line, "  --") {
			flags = append(flags, strings.Fields(line)[0])
		}
	}
	return flags
}
