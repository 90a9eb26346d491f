package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"tpgate/limiter"
)

// flags is the flag set of one command. Every flag can also be set by an environment variable, TPGATE_ and its name in capitals with "_" for "-"; a flag that was given wins.
type flags struct {
	*flag.FlagSet
	world  world
	args   string   // what the command takes besides flags
	order  []string // of the flags in the help; "# " begins the heading of a group
	set    map[string]bool
	faults []error
}

func newFlags(w world, name, args string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), world: w, args: args, set: map[string]bool{}}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// group heads the flags that are defined after it, in the help.
func (f *flags) group(heading string) { f.order = append(f.order, "# "+heading) }

// define, string and bool define a flag, in the order of the help.
func (f *flags) define(value flag.Value, name, usage string) {
	f.order = append(f.order, name)
	f.Var(value, name, usage)
}

func (f *flags) string(p *string, name, value, usage string) {
	f.order = append(f.order, name)
	f.StringVar(p, name, value, usage)
}

func (f *flags) bool(p *bool, name, usage string) {
	f.order = append(f.order, name)
	f.BoolVar(p, name, *p, usage)
}

// duration defines a flag for a duration, with "d" for days.
func (f *flags) duration(p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	f.define(&durationFlag{p, f, name}, name, usage)
}

// limit defines a flag for a quota.
func (f *flags) limit(p *limiter.Limit, name, value, usage string) {
	l := &limitFlag{p, f, name}
	_ = l.Set(value) // a default that is wrong is told as a fault of every start
	f.define(l, name, usage)
}

// durationFlag and limitFlag note a value that they cannot read and go on: one look shall show all faults.
type durationFlag struct {
	p     *time.Duration
	flags *flags
	name  string
}

func (d *durationFlag) String() string {
	if d.p == nil { // package flag asks a zero value
		return ""
	}
	return d.p.String()
}

func (d *durationFlag) Set(text string) error {
	value, err := limiter.ParseDuration(text)
	if err != nil {
		d.flags.fault("--%s: %q is not a duration: write one such as 500ms, 5s or 7d", d.name, text)
		return nil
	}
	*d.p = value
	return nil
}

type limitFlag struct {
	p     *limiter.Limit
	flags *flags
	name  string
}

func (l *limitFlag) String() string {
	if l.p == nil {
		return ""
	}
	return l.p.String()
}

func (l *limitFlag) Set(text string) error {
	value, err := limiter.Parse(text)
	if err != nil {
		l.flags.fault("--%s: %w", l.name, err)
		return nil
	}
	*l.p = value
	return nil
}

// twoDashes writes flags in package flag's messages as the help does.
var twoDashes = strings.NewReplacer(": -", ": --", " for -", " for --")

const envPrefix = "TPGATE_"

// envName is the environment variable of a flag.
func envName(flagName string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// parse reads flags, before and after other arguments, and then the environment. It returns the other arguments. What cannot be understood at all is a usageError at once,
// other faults are noted.
func (f *flags) parse(args []string) ([]string, error) {
	var rest []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, cmp.Or(f.help(), err)
		} else if err != nil {
			return nil, usageError{errors.New(twoDashes.Replace(err.Error()))}
		}
		read := len(args) - f.NArg()
		if ended := read > 0 && args[read-1] == "--"; ended || f.NArg() == 0 {
			rest = append(rest, f.Args()...)
			break
		}
		args = f.Args()
		rest, args = append(rest, args[0]), args[1:]
	}
	f.Visit(func(fl *flag.Flag) { f.set[fl.Name] = true })
	f.VisitAll(func(fl *flag.Flag) {
		value := f.world.env[envName(fl.Name)]
		if f.set[fl.Name] || value == "" {
			return
		}
		f.set[fl.Name] = true
		if err := f.Set(fl.Name, value); err != nil {
			f.fault("%s: %q: %w", envName(fl.Name), value, err)
		}
	})
	return rest, nil
}

// onlyArguments makes flags that no environment variable sets: a confirmation that stands in the environment confirms nothing.
func (f *flags) onlyArguments(names ...string) {
	for _, name := range names {
		f.set[name] = true
	}
}

// given reports whether a flag was set, by an argument or by the environment, be it to its default.
func (f *flags) given(name string) bool { return f.set[name] }

// fault notes what is wrong with the configuration; done reports all of it.
func (f *flags) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf(format, args...))
}

func (f *flags) done() error {
	if len(f.faults) == 0 {
		return nil
	}
	return usageError{errors.Join(f.faults...)}
}

// secret returns the content of a file, or of the environment variable of the flag's name without "-file"; "" if neither is set.
func (f *flags) secret(flagName, path string) string {
	if path == "" {
		return strings.TrimSpace(f.world.env[envName(strings.TrimSuffix(flagName, "-file"))])
	}
	text, err := readSecret(path)
	if err != nil {
		f.fault("--%s: %w", flagName, err)
	}
	return text
}

// readSecret reads a file that holds one secret, without the space around it.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// help prints the command's flags with their defaults.
func (f *flags) help() error {
	var out bytes.Buffer
	if len(f.order) == 0 {
		fmt.Fprintf(&out, "Usage: tpgate %s\n", strings.TrimSpace(f.Name()+" "+f.args))
	} else {
		fmt.Fprintf(&out, "Usage: tpgate %s\n\n", strings.TrimSpace(f.Name()+" [flags] "+f.args))
		f.helpFlags(&out)
		fmt.Fprintf(&out, "\nEach flag is also an environment variable: --admin-token-file is %s. A flag that is given wins.\n", envName("admin-token-file"))
	}
	_, err := f.world.stdout.Write(out.Bytes())
	return err
}

func (f *flags) helpFlags(out io.Writer) {
	for i, name := range f.order {
		if heading, ok := strings.CutPrefix(name, "# "); ok {
			if i > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "%s:\n", heading)
			continue
		}
		fl := f.Lookup(name)
		fmt.Fprintf(out, "  --%s%s\n      %s\n", name, defaultText(fl), fl.Usage)
	}
}

func defaultText(fl *flag.Flag) string {
	if fl.DefValue == "" {
		return ""
	}
	return " (default " + fl.DefValue + ")"
}
