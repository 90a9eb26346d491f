package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"tpgate/store"
)

// checkAll is serve --check: it adds the faults of the store and the admin token to those of the configuration. It makes no files.
func (c *serveConfig) checkAll(ctx context.Context, w world, faults error) error {
	for _, name := range unknownVariables(w.env) {
		fmt.Fprintf(w.stderr, "warning: the environment variable %s means nothing to tpgate\n", name)
	}
	if usage, ok := errors.AsType[usageError](faults); ok {
		faults = usage.error // what is asked for here is the answer, not a wrong call
	}
	faults = errors.Join(faults, c.checkStore(ctx, w), c.checkToken(w))
	if faults != nil {
		return faults
	}
	fmt.Fprintf(w.stdout, "the configuration and the store (%s) are fine\n", c.storeName())
	return nil
}

// checkStore looks at the store and leaves it as it is: an embedded one that is not there yet is not made, one that a running service uses is its own, and an empty Redis stays empty.
func (c *serveConfig) checkStore(ctx context.Context, w world) error {
	metrics, logger := store.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
	if c.redisURL != "" {
		if store.CheckRedisURL(c.redisURL) != nil {
			return nil // told already
		}
		config, err := c.redisConfig(metrics, logger)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		return store.CheckRedis(ctx, config)
	}
	file := filepath.Join(c.dataDir, "keys.db")
	if about, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) || err == nil && about.Size() == 0 { // empty: whoever made it ended before the first write
		return checkWritable(c.dataDir)
	}
	const write = 2 // access(2): W_OK
	if err := syscall.Access(file, write); err != nil {
		return fmt.Errorf("the key file %s cannot be written by this user: %w", file, err)
	}
	err := store.CheckEmbedded(store.EmbeddedConfig{Dir: c.dataDir, Defaults: c.defaults, Metrics: metrics, Logger: logger})
	if errors.Is(err, store.ErrInUse) {
		fmt.Fprintf(w.stderr, "warning: the store in %s is not looked at, since a running tpgate uses it\n", c.dataDir)
		return nil
	}
	return err
}

// checkToken reads the admin token. One that is not there yet would be made: then only its directory is looked at.
func (c *serveConfig) checkToken(w world) error {
	if c.adminToken != "" {
		return nil
	}
	if _, err := os.Stat(c.adminTokenFile); errors.Is(err, fs.ErrNotExist) {
		if dir := filepath.Dir(c.adminTokenFile); c.redisURL != "" || filepath.Clean(dir) != filepath.Clean(c.dataDir) { // else told by the store
			return checkWritable(dir)
		}
		return nil
	}
	if warning := openToAll(c.adminTokenFile); warning != "" {
		fmt.Fprintln(w.stderr, "warning: "+warning)
	}
	_, err := adminToken(c.adminTokenFile)
	return err
}

// checkWritable returns an error if files cannot be made in a directory, or the directory itself cannot be made.
func checkWritable(dir string) error {
	for path := filepath.Clean(dir); ; path = filepath.Dir(path) {
		about, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path):
			continue
		case err != nil:
			return fmt.Errorf("the directory %s cannot be used: %w", dir, err)
		case !about.IsDir():
			return fmt.Errorf("the directory %s cannot be used: %s is a file", dir, path)
		}
		const writeAndEnter = 2 | 1 // access(2): W_OK, X_OK
		if err := syscall.Access(path, writeAndEnter); err != nil {
			return fmt.Errorf("the directory %s cannot be written by this user: %s: %w", dir, path, err)
		}
		return nil
	}
}

// kubernetes is what it adds to the environment of every container for services named tpgate, tpgate-admin and so on.
var kubernetes = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|^TPGATE_([A-Z0-9_]+_)?PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// clientVariables are those that only the client's commands read.
const clientVariables = "TPGATE_SERVER TPGATE_JSON TPGATE_WORKSPACE TPGATE_NAME TPGATE_EXPIRES TPGATE_LIMIT TPGATE_OVERLAP TPGATE_DISABLED TPGATE_SUSPENDED TPGATE_DRY_RUN"

// unknownVariables returns those variables that no command reads: most likely misspelt.
func unknownVariables(env map[string]string) []string {
	known := map[string]bool{}
	for name := range strings.FieldsSeq(clientVariables) {
		known[name] = true
	}
	f := newFlags(world{}, "serve", "")
	new(serveConfig).define(f)
	f.VisitAll(func(fl *flag.Flag) {
		known[envName(fl.Name)] = true
		known[envName(strings.TrimSuffix(fl.Name, "-file"))] = true
	})
	var unknown []string
	for name, value := range env {
		if value != "" && !known[name] && !kubernetes.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
