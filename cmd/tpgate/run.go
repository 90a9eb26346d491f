package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// world is what the operating system gives to a command.
type world struct {
	program string // as it was called
	getenv  func(string) string
	stdout  io.Writer
	stderr  io.Writer
}

// command is one line of the usage text.
type command struct {
	name  string // "serve", "keys create"
	args  string // what stands behind the flags
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
		{"workspaces list", "", "the workspaces", listWorkspaces},
		{"workspaces show", "WORKSPACE", "one workspace", showWorkspace},
		{"workspaces update", "WORKSPACE", "set a workspace's limit; suspend it or lift that", updateWorkspace},
		{"version", "", "which version this is", printVersion},
	}
}

// usageError is a wrong call of a command: exit code 2.
type usageError struct{ error }

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	w := world{program: args[0], getenv: getenv, stdout: stdout, stderr: stderr}
	cmd, rest := find(args[1:])
	if cmd == nil {
		return w.overview(args[1:])
	}
	err := cmd.run(ctx, w, rest)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitFine
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "%s\nSee: %s %s --help\n", err, w.program, cmd.name)
		return exitUsage
	default:
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
}

// find returns the command that args begin with, and the arguments after it.
func find(args []string) (*command, []string) {
	for _, cmd := range commands() {
		words := strings.Fields(cmd.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == cmd.name {
			return &cmd, args[len(words):]
		}
	}
	return nil, nil
}

// overview prints all commands: on stdout if somebody asked for help, else on stderr as an error.
func (w world) overview(args []string) int {
	out, code := w.stderr, exitUsage
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		out, code = w.stdout, exitFine
	} else {
		fmt.Fprintf(out, "there is no command %q\n\n", strings.Join(args[:min(len(args), 2)], " "))
	}
	fmt.Fprint(out, "tpgate: API keys for services behind nginx, Traefik and Envoy\n\nCommands:\n")
	for _, cmd := range commands() {
		fmt.Fprintf(out, "  %-30s %s\n", strings.TrimSpace("tpgate "+cmd.name+" "+cmd.args), cmd.about)
	}
	fmt.Fprint(out, "\nEach has --help. Exit codes: 0 fine, 1 the operation failed, 2 wrong usage.\n")
	return code
}
