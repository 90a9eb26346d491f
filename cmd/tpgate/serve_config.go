package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tpgate/authz"
	"tpgate/store"
)

// serveConfig is what `tpgate serve` is told. The usage texts of its flags are the reference.
type serveConfig struct {
	listen, adminListen, opsListen string
	redisURL, redisPassword        string
	redisPrefix, dataDir           string
	defaults                       store.Defaults
	keyPrefix, workspaceHeader     string
	tokens                         store.Tokens
	decisionTimeout, drain         time.Duration
	acceptEmpty, check             bool
	adminTokenFile, adminToken     string // the token itself only if the environment has it
	logFormat, logLevel            string
	level                          slog.Level
}

// Bounds of the durations.
const (
	minDecisionTimeout = time.Millisecond
	maxDecisionTimeout = time.Minute
	maxDrain           = time.Hour
)

// parseServe reads flags and environment, and returns all faults at once.
func parseServe(w world, args []string) (*serveConfig, error) {
	var c serveConfig
	var passwordFile string
	f := newFlags(w, "serve", "")
	f.StringVar(&c.listen, "listen", ":8080", "where proxies ask: forward-auth checks, nothing else")
	f.StringVar(&c.adminListen, "admin-listen", "127.0.0.1:8081", "where the management API is")
	f.StringVar(&c.opsListen, "ops-listen", ":8082", "where /metrics, /livez and /readyz are")
	f.StringVar(&c.redisURL, "redis-url", "", "redis://, rediss:// or unix:// URL; with ?addr=HOST:PORT a Cluster, with ?master_name=NAME Sentinel; empty: the embedded store in --data-dir")
	f.StringVar(&passwordFile, "redis-password-file", "", "file with the password of Redis; wins over the URL's (or the variable TPGATE_REDIS_PASSWORD)")
	f.StringVar(&c.redisPrefix, "redis-prefix", "tpgate", "all names in Redis begin with it and \":\"")
	f.StringVar(&c.dataDir, "data-dir", "tpgate-data", "directory of the embedded store, the generated admin token and the known store's id")
	f.limit(&c.defaults.KeyLimit, "key-limit", "60/1m", "quota of a key that has none of its own: N/DURATION, up to three with commas (10/1s,600/1m: all must admit), or off")
	f.limit(&c.defaults.WorkspaceLimit, "workspace-limit", "off", "quota shared by all keys of a workspace that has none of its own")
	f.StringVar(&c.keyPrefix, "key-prefix", "tp_", "what keys begin with")
	f.StringVar(&c.workspaceHeader, "workspace-header", "X-Workspace-Id", "name of the header that carries the workspace to the backend")
	f.duration(&c.decisionTimeout, "decision-timeout", 150*time.Millisecond, "the longest a check waits for the store")
	f.BoolVar(&c.acceptEmpty, "accept-empty-store", false, "start on an empty Redis although this data directory knew a filled one")
	f.StringVar(&c.adminTokenFile, "admin-token-file", "", "file with the admin token; made with mode 0600 if missing (default admin-token in --data-dir; or the variable TPGATE_ADMIN_TOKEN)")
	f.duration(&c.drain, "drain", 5*time.Second, "after SIGTERM: not ready, still serving, for this long")
	f.StringVar(&c.logFormat, "log-format", "", "text or json (default text on a terminal, else json)")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&c.check, "check", false, "validate the configuration and the store, print every fault, and exit")
	rest, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		f.fault("serve takes no arguments, but there is %q", rest[0])
	}
	c.redisPassword = f.secret("redis-password-file", passwordFile)
	if c.adminTokenFile == "" {
		c.adminToken = w.getenv("TPGATE_ADMIN_TOKEN")
	}
	c.adminTokenFile = cmp.Or(c.adminTokenFile, filepath.Join(c.dataDir, "admin-token"))
	c.validate(f)
	return &c, f.done()
}

// validate notes every fault of the values.
func (c *serveConfig) validate(f *flags) {
	var err error
	if c.tokens, err = store.NewTokens(c.keyPrefix); err != nil {
		f.fault("--key-prefix: %w", err)
	}
	if err := authz.CheckHeaderName(c.workspaceHeader); err != nil {
		f.fault("--workspace-header: %w", err)
	}
	if c.redisURL != "" {
		if err := store.CheckRedisURL(c.redisURL); err != nil {
			f.fault("--redis-url: %w", err)
		}
	}
	if strings.ContainsAny(c.redisPrefix, "{} \t\r\n*?[]\\") || c.redisPrefix == "" || len(c.redisPrefix) > 64 {
		f.fault("--redis-prefix: %q is not 1–64 characters without braces, spaces and wildcards", c.redisPrefix)
	}
	if c.decisionTimeout < minDecisionTimeout || c.decisionTimeout > maxDecisionTimeout {
		f.fault("--decision-timeout: %s is not from %s to %s", c.decisionTimeout, minDecisionTimeout, maxDecisionTimeout)
	}
	if c.drain < 0 || c.drain > maxDrain {
		f.fault("--drain: %s is not from 0s to %s", c.drain, maxDrain)
	}
	if c.adminToken != "" && len(c.adminToken) < minAdminToken {
		f.fault("TPGATE_ADMIN_TOKEN is shorter than %d characters", minAdminToken)
	}
	if c.logFormat != "" && c.logFormat != "text" && c.logFormat != "json" {
		f.fault("--log-format: %q is neither text nor json", c.logFormat)
	}
	if err := c.level.UnmarshalText([]byte(c.logLevel)); err != nil {
		f.fault("--log-level: %q is none of debug, info, warn, error", c.logLevel)
	}
}

// storeName says where keys live, without a password.
func (c *serveConfig) storeName() string {
	if c.redisURL == "" {
		return "embedded store in " + c.dataDir
	}
	return "Redis"
}

// logger writes to stderr, as text if a person reads it.
func (c *serveConfig) logger(w world) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.level}
	if c.textual(w) {
		return slog.New(slog.NewTextHandler(w.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(w.stderr, options))
}

// textual reports whether a person reads the log.
func (c *serveConfig) textual(w world) bool {
	if c.logFormat != "" {
		return c.logFormat == "text"
	}
	file, ok := w.stderr.(*os.File)
	if !ok {
		return false
	}
	about, err := file.Stat()
	return err == nil && about.Mode()&os.ModeCharDevice != 0
}

// startText says what is where, and what to type next.
func (c *serveConfig) startText(w world, at addresses) string {
	client := ""
	if at.admin != "127.0.0.1:8081" {
		client += " --server http://" + at.admin
	}
	if c.adminTokenFile != filepath.Join("tpgate-data", "admin-token") {
		client += " --admin-token-file " + c.adminTokenFile
	}
	return fmt.Sprintf(`tpgate is ready: %s
  checks      http://%s
  management  http://%s (token in %s)
  metrics     http://%s/metrics

Next, in another terminal, make a key and check it:

  KEY=$(%s keys create%s --workspace acme --name ci)
  curl -i -H "Authorization: Bearer $KEY" http://%s/

`, c.storeName(), at.data, at.admin, c.adminTokenFile, at.ops, w.program, client, at.data)
}
