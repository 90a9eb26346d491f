package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tpgate/admin"
	"tpgate/authz"
	"tpgate/store"
)

// serveConfig is what `tpgate serve` is told. The usage texts of its flags are the reference.
type serveConfig struct {
	listen, adminListen, opsListen string
	redisURL, redisPasswordFile    string
	redisPassword                  string
	redisPrefix, dataDir           string
	defaults                       store.Defaults
	keyPrefix, workspaceHeader     string
	tokens                         store.Tokens
	decisionTimeout, drain         time.Duration
	acceptEmpty, check             bool
	adminTokenFile, adminToken     string // the one or the other
	adminTokensFile, pepperFile    string
	adminTLSCert, adminTLSKey      string
	adminOrigin                    string
	callers                        []admin.Token
	certificate                    *tls.Certificate // of the management API; nil: it is plain HTTP
	logFormat, logLevel            string
	level                          slog.Level
}

// Bounds of the durations.
const (
	minDecisionTimeout = time.Millisecond
	maxDecisionTimeout = time.Minute
	maxDrain           = time.Hour
)

// parseServe reads flags and environment. It returns all faults at once beside the configuration, and no configuration if the arguments cannot be understood.
func parseServe(w world, args []string) (*serveConfig, error) {
	c, f := &serveConfig{}, newFlags(w, "serve", "")
	c.define(f)
	rest, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		f.fault("serve takes no arguments besides flags")
	}
	c.redisPassword = f.secret("redis-password-file", c.redisPasswordFile)
	if c.adminTokenFile == "" {
		c.adminToken = strings.TrimSpace(w.env["TPGATE_ADMIN_TOKEN"])
	}
	if c.adminToken == "" {
		c.adminTokenFile = cmp.Or(c.adminTokenFile, filepath.Join(c.dataDir, "admin-token"))
	}
	c.validate(f)
	return c, f.done()
}

// define defines all flags of serve.
func (c *serveConfig) define(f *flags) {
	f.group("Listeners")
	f.string(&c.listen, "listen", ":8080", "where proxies ask: forward-auth checks, nothing else")
	f.string(&c.adminListen, "admin-listen", "127.0.0.1:8081", "where the management API is")
	f.string(&c.opsListen, "ops-listen", ":8082", "where /metrics, /livez and /readyz are")

	f.group("Store")
	f.string(&c.redisURL, "redis-url", "", "redis://, rediss:// or unix:// URL; with ?addr=HOST:PORT a Cluster, with ?master_name=NAME Sentinel; empty: the embedded store in --data-dir")
	f.string(&c.redisPasswordFile, "redis-password-file", "", "file with the password of Redis; wins over the URL's (or the variable TPGATE_REDIS_PASSWORD)")
	f.string(&c.redisPrefix, "redis-prefix", "tpgate", "all names in Redis begin with it and \":\"")
	f.string(&c.dataDir, "data-dir", "tpgate-data", "directory of the embedded store, the generated admin token and the known store's id")
	f.duration(&c.decisionTimeout, "decision-timeout", 150*time.Millisecond, "the longest a check waits for the store")
	f.bool(&c.acceptEmpty, "accept-empty-store", "start on an empty Redis although this data directory knew a filled one")

	f.group("Keys and quotas")
	f.limit(&c.defaults.KeyLimit, "key-limit", "60/1m", "quota of a key that has none of its own: N/DURATION, up to three with commas (10/1s,600/1m: all must admit), or off")
	f.limit(&c.defaults.WorkspaceLimit, "workspace-limit", "off", "quota shared by all keys of a workspace that has none of its own")
	f.string(&c.keyPrefix, "key-prefix", "tp_", "what keys begin with")
	f.string(&c.pepperFile, "pepper-file", "", "file with secrets that go into the digests of keys (HMAC-SHA-256), one a line: the first is current, the others and none still verify (or the variable TPGATE_PEPPER)")
	f.string(&c.workspaceHeader, "workspace-header", "X-Workspace-Id", "name of the header that carries the workspace to the backend")

	f.group("Management")
	f.string(&c.adminTokenFile, "admin-token-file", "", "file with the admin token; made with mode 0600 if missing (default admin-token in --data-dir; or the variable TPGATE_ADMIN_TOKEN)")
	f.string(&c.adminTokensFile, "admin-tokens-file", "", "file with further tokens, a line each: NAME SHA256HEX WORKSPACE|* admin|keys|read (or the variable TPGATE_ADMIN_TOKENS)")
	f.string(&c.adminTLSCert, "admin-tls-cert", "", "file with the certificate of the management API, PEM")
	f.string(&c.adminTLSKey, "admin-tls-key", "", "file with its private key, PEM")
	f.string(&c.adminOrigin, "admin-origin", "", "where browsers and clients reach the management API beyond loopback, such as https://keys.example.com")

	f.group("Service")
	f.duration(&c.drain, "drain", 5*time.Second, "after SIGTERM: not ready, still serving, for this long; a second one ends it at once")
	f.string(&c.logFormat, "log-format", "", "text or json (default text on a terminal, else json)")
	f.string(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.bool(&c.check, "check", "validate the configuration and the store, print every fault, and exit")
}

// validate notes every fault of the values.
func (c *serveConfig) validate(f *flags) {
	c.validateListeners(f)
	var err error
	if c.tokens, err = store.NewTokens(c.keyPrefix); err != nil {
		f.fault("--key-prefix: %w", err)
	}
	c.readPeppers(f)
	c.readManagement(f)
	if err := authz.CheckHeaderName(c.workspaceHeader); err != nil {
		f.fault("--workspace-header: %w", err)
	}
	if c.redisURL != "" {
		if err := store.CheckRedisURL(c.redisURL); err != nil {
			f.fault("--redis-url: %w", err)
		}
	}
	if c.dataDir == "" {
		f.fault("--data-dir: it is empty")
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
	if c.adminToken != "" {
		if err := checkAdminToken(c.adminToken); err != nil {
			f.fault("TPGATE_ADMIN_TOKEN %w", err)
		}
	}
	if c.logFormat != "" && c.logFormat != "text" && c.logFormat != "json" {
		f.fault("--log-format: %q is neither text nor json", c.logFormat)
	}
	if err := c.level.UnmarshalText([]byte(c.logLevel)); err != nil {
		f.fault("--log-level: %q is none of debug, info, warn, error", c.logLevel)
	}
}

// validateListeners notes addresses that no listener can have, and two listeners on one.
func (c *serveConfig) validateListeners(f *flags) {
	taken := map[string]string{}
	for _, l := range c.listeners() {
		_, port, err := net.SplitHostPort(l.address)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil || port == "" {
			f.fault("--%s: %q is not HOST:PORT or :PORT", l.flag, l.address)
			continue
		}
		if other, ok := taken[l.address]; ok && port != "0" {
			f.fault("--%s: %s is the address of --%s already", l.flag, l.address, other)
		}
		taken[l.address] = l.flag
	}
}

// listener is an address and the flag that sets it.
type listener struct{ flag, address string }

// listeners are data, management and ops, in this order.
func (c *serveConfig) listeners() []listener {
	return []listener{{"listen", c.listen}, {"admin-listen", c.adminListen}, {"ops-listen", c.opsListen}}
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
	server, token, client := "http://"+at.admin, cmp.Or(c.adminTokenFile, "the variable TPGATE_ADMIN_TOKEN"), ""
	if c.adminTLSCert != "" {
		server = cmp.Or(strings.TrimRight(c.adminOrigin, "/"), "https://"+at.admin)
	}
	if server != "http://127.0.0.1:8081" {
		client += " --server " + server
	}
	if c.adminTokenFile != "" && c.adminTokenFile != filepath.Join("tpgate-data", "admin-token") {
		client += " --admin-token-file " + c.adminTokenFile
	}
	return fmt.Sprintf(`tpgate is ready: %s
  checks      http://%s
  management  %s (token in %s)
  metrics     http://%s/metrics

Next, in another terminal, make a key and check it:

  KEY=$(%s keys create%s --workspace acme --name ci)
  curl -i -H "Authorization: Bearer $KEY" http://%s/

`, c.storeName(), at.data, server, token, at.ops, w.program, client, at.data)
}
