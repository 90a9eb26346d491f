package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tpgate/admin"
	"tpgate/authz"
	"tpgate/limiter"
	"tpgate/store"
)

// openTimeout bounds opening the store, shutdownTimeout what is still under way when draining is over.
const (
	openTimeout     = 10 * time.Second
	shutdownTimeout = 5 * time.Second
)

// pacedStore is a store with the pacer that fits it.
type pacedStore interface {
	store.Store
	Pacer() limiter.Pacer
}

// runServe is the service, from configuration to the last answer.
func runServe(ctx context.Context, w world, args []string) error {
	c, err := parseServe(w, args)
	if c != nil && c.check {
		return c.checkAll(ctx, w, err)
	}
	if err != nil {
		return err
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // no core dumps with secrets in them; where it is forbidden, that is the limit already
	logger := c.logger(w)
	for _, name := range unknownVariables(w.env) {
		logger.Warn("environment variable means nothing to tpgate", "name", name)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	keys, err := openStore(ctx, c, store.NewMetrics(registry), logger)
	if err != nil {
		return err
	}
	defer func() {
		if err := keys.Close(); err != nil {
			logger.Error("closing the store failed", "error", err)
		}
	}()
	if c.adminToken == "" {
		if c.adminToken, err = adminToken(c.adminTokenFile); err != nil {
			return err
		}
		if warning := openToAll(c.adminTokenFile); warning != "" {
			logger.Warn(warning)
		}
	}
	s, err := newService(c, keys, registry, logger)
	if err != nil {
		return err
	}
	return s.serve(ctx, w)
}

// openStore opens the store that the configuration names, and remembers which Redis it was.
func openStore(ctx context.Context, c *serveConfig, metrics *store.Metrics, logger *slog.Logger) (pacedStore, error) {
	if c.redisURL == "" {
		return store.OpenEmbedded(store.EmbeddedConfig{Dir: c.dataDir, Defaults: c.defaults, Metrics: metrics, Logger: logger})
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	config, err := c.redisConfig(metrics, logger)
	if err != nil {
		return nil, err
	}
	r, err := store.OpenRedis(ctx, config)
	if err != nil {
		return nil, err
	}
	if config.KnownID != r.ID() {
		if err := writePrivate(c.idFile(), r.ID()+"\n", os.Rename); err != nil {
			return nil, errors.Join(fmt.Errorf("remembering the store's id: %w", err), r.Close())
		}
	}
	return r, nil
}

// idFile is where the installation remembers which Redis its keys are in.
func (c *serveConfig) idFile() string { return filepath.Join(c.dataDir, "store-id") }

func (c *serveConfig) redisConfig(metrics *store.Metrics, logger *slog.Logger) (store.RedisConfig, error) {
	known, err := os.ReadFile(c.idFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return store.RedisConfig{}, fmt.Errorf("reading the known store's id: %w", err)
	}
	return store.RedisConfig{
		URL: c.redisURL, Password: c.redisPassword, Prefix: c.redisPrefix, Defaults: c.defaults,
		KnownID: strings.TrimSpace(string(known)), AcceptEmpty: c.acceptEmpty, Metrics: metrics, Logger: logger,
	}, nil
}

// service is the three listeners and what stands behind them.
type service struct {
	config *serveConfig
	logger *slog.Logger
	data   *authz.Server
	admin  *http.Server
	ops    *http.Server
	probes *admin.Ops
}

// addresses are those that the listeners have got.
type addresses struct{ data, admin, ops string }

func newService(c *serveConfig, keys pacedStore, registry *prometheus.Registry, logger *slog.Logger) (*service, error) {
	data, err := authz.NewServer(authz.Config{
		Verifier: keys, Upgrader: keys, Tokens: c.tokens, WorkspaceHeader: c.workspaceHeader, Timeout: c.decisionTimeout,
		Metrics: authz.NewMetrics(registry), Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	api := admin.New(admin.Config{
		Store: keys, Tokens: c.tokens, AdminToken: c.adminToken, Pacer: keys.Pacer(), Hosts: c.hosts(), Logger: logger,
		Callers: c.callers, KeyLimit: c.defaults.KeyLimit, WorkspaceLimit: c.defaults.WorkspaceLimit,
	})
	management := admin.NewServer(api.Handler(), logger)
	management.RegisterOnShutdown(api.End)
	probes := &admin.Ops{Ready: keys.Ready, Gatherer: registry}
	return &service{
		config: c, logger: logger, data: data, probes: probes,
		admin: management, ops: admin.NewServer(probes.Handler(), logger),
	}, nil
}

// serveAdmin serves the management API, over TLS if there is a certificate.
func (s *service) serveAdmin(ln net.Listener) error {
	if s.config.certificate == nil {
		if allowedHosts(s.config.adminListen) == nil {
			s.logger.Warn("the management API is not on loopback and not encrypted: tokens can be read on the way", "admin_listen", s.config.adminListen)
		}
		return s.admin.Serve(ln)
	}
	s.admin.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*s.config.certificate}, MinVersion: tls.VersionTLS12}
	return s.admin.ServeTLS(ln, "", "")
}

// allowedHosts are the names under which a listener on loopback may be reached; nil, all, for others.
func allowedHosts(listen string) []string {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return nil
	}
	return []string{"127.0.0.1", "::1", "localhost", host} // a page that rebinds its name has to send that name, never an address
}

// serve opens the listeners, serves until ctx ends, and drains.
func (s *service) serve(ctx context.Context, w world) error {
	ended := make(chan error, 3)
	listeners, at, err := s.open()
	if err != nil {
		return err
	}
	go func() { ended <- s.data.Serve(listeners[0]) }()
	go func() { ended <- s.serveAdmin(listeners[1]) }()
	go func() { ended <- s.ops.Serve(listeners[2]) }()
	if s.config.textual(w) {
		fmt.Fprint(w.stderr, s.config.startText(w, at))
	}
	s.logger.Info("serving", "listen", at.data, "admin_listen", at.admin, "ops_listen", at.ops, "store", s.config.storeName(), "version", version())
	select {
	case err := <-ended:
		return fmt.Errorf("a listener ended unexpectedly: %w", err)
	case <-ctx.Done():
	}
	s.logger.Info("draining", "for", s.config.drain.String())
	s.probes.Drain()
	s.data.Drain()
	time.Sleep(s.config.drain)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = errors.Join(s.data.Shutdown(ctx), s.admin.Shutdown(ctx), s.ops.Shutdown(ctx))
	if err != nil {
		s.logger.Warn("connections cut off", "error", err)
	}
	s.logger.Info("stopped")
	return nil
}

// open opens all listeners, or none.
func (s *service) open() ([]net.Listener, addresses, error) {
	var listeners []net.Listener
	for _, l := range s.config.listeners() {
		ln, err := net.Listen("tcp", l.address)
		if err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return nil, addresses{}, fmt.Errorf("--%s %s cannot be used (%w): choose another address, or stop what is using it", l.flag, l.address, err)
		}
		listeners = append(listeners, ln)
	}
	return listeners, addresses{local(listeners[0]), local(listeners[1]), local(listeners[2])}, nil
}

// local returns the address under which this machine reaches a listener.
func local(ln net.Listener) string {
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return ln.Addr().String()
}
