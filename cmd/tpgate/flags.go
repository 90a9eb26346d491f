package main

import (
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
	args   string // what the command takes besides flags
	set    map[string]bool
	faults []error
}

func newFlags(w world, name, args string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), world: w, args: args, set: map[string]bool{}}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// envName is the environment variable of a flag.
func envName(flagName string) string {
	return "TPGATE_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// parse reads flags, before and after other arguments, and then the environment. It returns the other arguments, and all faults at once as a usageError.
func (f *flags) parse(args []string) ([]string, error) {
	var rest []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			f.help()
			return nil, err
		} else if err != nil {
			return nil, usageError{err}
		}
		if args = f.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	f.Visit(func(fl *flag.Flag) { f.set[fl.Name] = true })
	f.VisitAll(func(fl *flag.Flag) {
		value := f.world.getenv(envName(fl.Name))
		if f.set[fl.Name] || value == "" {
			return
		}
		f.set[fl.Name] = true
		if err := f.Set(fl.Name, value); err != nil {
			f.fault("%s=%q: %w", envName(fl.Name), value, err)
		}
	})
	return rest, nil
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

// duration defines a flag for a duration, with "d" for days.
func (f *flags) duration(p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	f.Var(durationFlag{p}, name, usage)
}

type durationFlag struct{ p *time.Duration }

func (d durationFlag) String() string {
	if d.p == nil {
		return ""
	}
	return d.p.String()
}

func (d durationFlag) Set(text string) error {
	value, err := limiter.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write one such as 500ms, 5s or 7d", text)
	}
	*d.p = value
	return nil
}

// limit defines a flag for a quota.
func (f *flags) limit(p *limiter.Limit, name, value, usage string) {
	l := limitFlag{p}
	if err := l.Set(value); err != nil { // the default of a flag is a constant of this program
		panic(err)
	}
	f.Var(l, name, usage)
}

type limitFlag struct{ p *limiter.Limit }

func (l limitFlag) String() string {
	if l.p == nil {
		return ""
	}
	return l.p.String()
}

func (l limitFlag) Set(text string) error {
	value, err := limiter.Parse(text)
	if err == nil {
		*l.p = value
	}
	return err
}

// secret returns the content of a file, or of the environment variable of the flag's name without "-file"; "" if neither is set.
func (f *flags) secret(flagName, path string) string {
	if path == "" {
		return f.world.getenv(envName(strings.TrimSuffix(flagName, "-file")))
	}
	text, err := readSecret(path)
	if err != nil {
		f.fault("--%s: %w", flagName, err)
	}
	return text
}

// readSecret reads a file that holds one secret, and warns by refusing if everybody may read it.
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

// help prints the command's flags as they are set when nothing is given.
func (f *flags) help() {
	out := f.world.stdout
	fmt.Fprintf(out, "Usage: tpgate %s\n\n", strings.TrimSpace(f.Name()+" [flags] "+f.args))
	f.VisitAll(func(fl *flag.Flag) {
		fmt.Fprintf(out, "  --%s%s\n      %s\n", fl.Name, defaultText(fl), fl.Usage)
	})
	fmt.Fprintf(out, "\nEach flag is also an environment variable: --%s is %s. A flag that is given wins.\n", "data-dir", envName("data-dir"))
}

func defaultText(fl *flag.Flag) string {
	if fl.DefValue == "" {
		return ""
	}
	return " (default " + fl.DefValue + ")"
}
