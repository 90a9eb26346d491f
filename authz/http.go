// Package authz is the data plane.
package authz

import (
	"context"
	"log/slog"
	"net"
	"time"

	"tpgate/store"
)

// Config says how checks are decided and answered.
type Config struct {
	Verifier        store.Verifier
	Tokens          store.Tokens
	WorkspaceHeader string        // name of the injected header
	Timeout         time.Duration // the longest a check waits for the store
	Metrics         *Metrics
	Logger          *slog.Logger
}

// Server answers forward-auth checks over HTTP. Use [NewServer].
type Server struct{}

// NewServer returns a server that is ready to Serve.
func NewServer(config Config) *Server { panic("not yet") }

// Serve answers checks on ln until Shutdown; it returns nil after Shutdown and otherwise why it could not go on.
func (s *Server) Serve(ln net.Listener) error { panic("not yet") }

// Shutdown stops accepting, lets checks under way finish, and returns when all connections are closed or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { panic("not yet") }
