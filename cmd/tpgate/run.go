package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// world is what the operating system gives to a command.
type world struct {
	program string            // as it was called
	env     map[string]string // the environment variables that begin with TPGATE_
	stdout  io.Writer
	stderr  io.Writer
}

// command is one line of the overview.
type command struct {
	name  string // "serve", "keys create"
	args  string // what it takes besides flags
	about string
	run   func(ctx context.Context, w world, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "", "the service", runServe},
		{"keys create", "", "make a key; its secret alone is printed on stdout", createKey},
		{"keys list", "", "the keys of a workspace, newest first", listKeys},
		{"keys show", "KEY_ID", "one key", showKey},
		{"keys update", "KEY_ID", "change a key's name, expiry or limit; disable or enable it", updateKey},
		{"keys rotate", "KEY_ID", "give a key a new secret, printed on stdout", rotateKey},
		{"keys delete", "KEY_ID", "end a key for good, or all of a workspace with --all --yes", deleteKey},
		{"keys import", "FILE", "take over hashes of keys that exist, NDJSON or CSV (- for stdin)", importKeys},
		{"keys export", "", "all keys as NDJSON that import takes back: digests, never secrets", exportKeys},
		{"workspaces list", "", "the workspaces", listWorkspaces},
		{"workspaces show", "WORKSPACE", "one workspace", showWorkspace},
		{"workspaces update", "WORKSPACE", "set a workspace's limit; suspend it or lift that", updateWorkspace},
		{"completion", "bash|zsh|fish", "what completes commands and flags in a shell: source <(tpgate completion bash)", completion},
		{"version", "", "which version this is", printVersion},
	}
}

// usageError is a wrong call of a command: exit code 2.
type usageError struct{ error }

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	w := world{program: args[0], env: map[string]string{}, stdout: stdout, stderr: stderr}
	for _, variable := range environ {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, envPrefix) {
			w.env[name] = value
		}
	}
	words := args[1:]
	if len(words) > 0 && words[0] == "help" { // help keys create = keys create --help
		words = append(slices.Clone(words[1:]), "--help")
	}
	cmd, rest := find(words)
	if cmd == nil {
		return w.overview(words)
	}
	err := cmd.run(ctx, w, rest)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitFine
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "%s\nSee: %s %s --help\n", withoutKeys(err.Error()), w.program, cmd.name)
		return exitUsage
	default:
		fmt.Fprintln(stderr, withoutKeys(err.Error()))
		return exitFailed
	}
}

// find returns the command that words begin with, and the arguments after it.
func find(words []string) (*command, []string) {
	for _, cmd := range commands() {
		name := strings.Fields(cmd.name)
		if len(words) >= len(name) && slices.Equal(words[:len(name)], name) {
			return &cmd, words[len(name):]
		}
	}
	return nil, nil
}

// overview lists the commands, or those of the noun that words begin with: on stdout if somebody asked for help, else on stderr after what is wrong.
func (w world) overview(words []string) int {
	listed := commands()
	if len(words) > 0 && !asksForHelp(words[0]) {
		listed = slices.DeleteFunc(listed, func(c command) bool { return !strings.HasPrefix(c.name, words[0]+" ") })
	}
	var text bytes.Buffer
	out, code := w.stderr, exitUsage
	switch {
	case len(words) == 0 || asksForHelp(words[0]) || len(listed) > 0 && len(words) == 2 && asksForHelp(words[1]):
		out, code = w.stdout, exitFine
	case len(listed) > 0 && len(words) == 1:
		fmt.Fprintf(&text, "what shall be done with %s?\n\n", words[0])
	default:
		fmt.Fprintf(&text, "there is no command %q\n\n", withoutKeys(strings.Join(words[:min(len(words), 2)], " ")))
	}
	if len(listed) == 0 {
		listed = commands()
	}
	fmt.Fprint(&text, "tpgate: API keys for services behind nginx, Traefik and Envoy\n\nCommands:\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, cmd := range listed {
		fmt.Fprintf(table, "  %s\t%s\n", strings.TrimSpace("tpgate "+cmd.name+" "+cmd.args), cmd.about)
	}
	_ = table.Flush() // a buffer takes all
	fmt.Fprint(&text, "\nEach has --help. Exit codes: 0 fine, 1 the operation failed, 2 wrong usage.\n")
	if _, err := out.Write(text.Bytes()); err != nil {
		return exitFailed
	}
	return code
}

// withoutKeys cuts what looks like a key or a token: somebody pasted it in the wrong place, and errors end in logs and tickets.
func withoutKeys(text string) string {
	return regexp.MustCompile(`([A-Za-z]{1,15}[_-])[A-Za-z0-9]{40,}`).ReplaceAllString(text, "$1…")
}

func asksForHelp(word string) bool { return word == "-h" || word == "-help" || word == "--help" }
