// Package authz is the data plane: it answers a proxy's question "may this request pass?".
//
// The path of a check: http.go receives it (no routes: every request is one check), credential.go reads the one Authorization header, a [store.Verifier] decides,
// verdict.go has the table of what each verdict means, answer.go writes it. Nothing but the credential influences a verdict, and only writer.grant writes a 200.
package authz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"tpgate/store"
)

// Limits of the data listener.
const (
	// readTimeout bounds a request's headers; a client that sends one byte at a time is cut off then.
	readTimeout = 2 * time.Second
	// writeTimeout bounds sending an answer of at most a kilobyte.
	writeTimeout = 2 * time.Second
	// idleTimeout is longer than nginx (60 s) and Traefik (90 s) keep upstream connections, or the two would close and use a connection at the same moment.
	idleTimeout = 100 * time.Second
	// maxHeaderSize admits what any of the proxies passes on; more is 431. It is the read buffer of a connection while a request is under way.
	maxHeaderSize = 64 << 10
)

// Config says how checks are decided and answered. All fields are needed.
type Config struct {
	Verifier        store.Verifier
	Upgrader        Upgrader // the same store
	Tokens          store.Tokens
	WorkspaceHeader string        // name of the injected header, an RFC 9110 token
	Timeout         time.Duration // the longest a check waits for the store
	Metrics         *Metrics
	Logger          *slog.Logger
}

// Server answers forward-auth checks over HTTP/1.1. Use [NewServer].
type Server struct {
	config   Config
	upgrades *upgrades
	writer   *writer
	http     *fasthttp.Server
	draining atomic.Bool
	faults   sampler
}

// NewServer returns a server that is ready to Serve. It returns an error if the workspace header's name is no header name.
func NewServer(config Config) (*Server, error) {
	if err := CheckHeaderName(config.WorkspaceHeader); err != nil {
		return nil, err
	}
	s := &Server{config: config, upgrades: newUpgrades(config.Upgrader, config.Logger), writer: newWriter(config.WorkspaceHeader)}
	s.http = &fasthttp.Server{
		Handler:        s.check,
		HeaderReceived: skipBody,
		ErrorHandler:   malformed,
		ReadTimeout:    readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ReadBufferSize:               maxHeaderSize,
		MaxRequestBodySize:           1, // no body is ever read; this is the second lock
		Concurrency:                  maxConnections(),
		CloseOnShutdown:              true,
		TCPKeepalive:                 true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true, NoDefaultDate: true, NoDefaultContentType: true,
		LazyRequestTime:   true,
		ReduceMemoryUsage: true, // see clientConn
		Logger:            quiet{},
	}
	return s, nil
}

// Serve answers checks on ln until Shutdown; it returns nil after Shutdown and otherwise why it could not go on.
func (s *Server) Serve(ln net.Listener) error { return s.http.Serve(tolerantListener{ln}) }

// Drain makes every answer from now on close its connection, so that proxies move to another instance while this one still serves.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown stops accepting, lets checks under way finish, and returns when all connections are closed or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.ShutdownWithContext(ctx) }

// check answers one request. Its path and method mean nothing, except that a path beginning with /nginx asks for the body in a header too.
func (s *Server) check(ctx *fasthttp.RequestCtx) {
	ctx.Response.SetStatusCode(fasthttp.StatusServiceUnavailable)
	repeatBody := bytes.HasPrefix(ctx.RequestURI(), []byte("/nginx"))
	start := time.Now()
	s.config.Metrics.begin()
	outcome := unavailable
	defer func() {
		if fault := recover(); fault != nil {
			outcome = unavailable
			ctx.Response.Reset()
			s.writer.deny(&ctx.Response, unavailable, nil, repeatBody)
			s.config.Logger.Error("check panicked", "panic", fault, "stack", string(debug.Stack()))
		}
		s.config.Metrics.end(outcome, time.Since(start))
	}()

	var decision store.Decision
	key, digest, refused := s.credential(&ctx.Request.Header)
	outcome = refused
	if key != nil {
		deadline := start.Add(s.config.Timeout)
		decision = s.config.Verifier.Verify(digest, deadline)
		if decision.Verdict == store.Unknown {
			s.tryOlderForms(key, digest, deadline, &decision)
		}
		if decision.Err != nil {
			s.report(decision.Err, start)
		}
		outcome = verdictOf(decision.Verdict)
	}
	if outcome != allowed || !s.writer.grant(&ctx.Response, &decision) {
		if outcome == allowed {
			outcome = unavailable
		}
		s.writer.deny(&ctx.Response, outcome, &decision.Standing, repeatBody)
	}
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
	if h := &ctx.Request.Header; h.ContentLength() == 0 && h.ConnectionClose() { // skipBody's mark
		linger(ctx)
	}
}

// linger makes the connection close only when the client has had time to read its answer: it may be sending still.
func linger(ctx *fasthttp.RequestCtx) {
	if c, ok := ctx.Conn().(*clientConn); ok {
		c.linger = true
	}
}

// credential returns the presented key and its digest. Without a key that could be one of ours, the verdict stands. Only the digest may be kept: fasthttp uses the header's memory again for the next request.
func (s *Server) credential(h *fasthttp.RequestHeader) ([]byte, store.Digest, verdict) {
	key, found := parseAuthorization(h.PeekAll(fasthttp.HeaderAuthorization))
	if found == bearerMissing {
		return nil, store.Digest{}, missing
	}
	digest, ok := s.config.Tokens.Digest(key)
	if found == bearerInvalid || !ok {
		return nil, store.Digest{}, invalid
	}
	return key, digest, 0
}

// report says in the log why a check was not decided.
func (s *Server) report(err error, at time.Time) {
	if s.faults.due(at) {
		s.config.Logger.Error("check not decided", "error", err)
	}
}

// tryOlderForms looks for a key under the forms in which it may be stored until it is used: other peppers, none, bcrypt. Whoever finds none looks at the current form once more, since the key may have
// been moved to it just between the two looks.
func (s *Server) tryOlderForms(key []byte, current store.Digest, deadline time.Time, decision *store.Decision) {
	older, legacy := s.config.Tokens.Older(key), s.config.Upgrader.HasLegacy()
	for _, digest := range older {
		*decision = s.config.Verifier.Verify(digest, deadline)
		if decision.Verdict == store.Allowed {
			s.upgrades.adopt(decision, digest, current)
		}
		if decision.Verdict != store.Unknown {
			return
		}
	}
	if legacy {
		lookup := store.LookupDigest(s.config.Tokens.Lookup(string(key)))
		if err := s.upgrades.legacy(string(key), lookup, current, deadline); err != nil {
			*decision = store.Decision{Verdict: store.Unavailable, Err: err}
			return
		}
	}
	if legacy || len(older) > 0 {
		*decision = s.config.Verifier.Verify(current, deadline)
	}
}

// skipBody makes the server answer at once whatever body a request announces, and close the connection if there was one to come: a proxy that forgets to take
// Content-Length from its subrequest must not make every upload wait for the read timeout. −2 is "no body", the usual case, and keeps the connection.
func skipBody(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	h.Del(fasthttp.HeaderExpect)
	if n := h.ContentLength(); n > 0 || n == -1 {
		h.SetContentLength(0)
		h.SetConnectionClose()
	}
	return fasthttp.RequestConfig{}
}

// malformed answers what is not HTTP, or too large: an empty body, and the connection closes.
func malformed(ctx *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusBadRequest
	if _, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err); ok {
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		status = fasthttp.StatusRequestTimeout
	}
	ctx.Response.SetStatusCode(status)
	ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
	ctx.SetConnectionClose()
	linger(ctx)
}

// CheckHeaderName returns an error that says what is wrong with the name of the injected header.
func CheckHeaderName(name string) error {
	if len(name) == 0 || len(name) > 64 {
		return fmt.Errorf("the workspace header %q has %d characters: 1 to 64 are possible", name, len(name))
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-') {
			return fmt.Errorf("the workspace header %q contains %q: letters, digits and - are possible (proxies drop or alias others)", name, c)
		}
	}
	if slices.ContainsFunc(takenHeaders, func(taken string) bool { return strings.EqualFold(taken, name) }) {
		return fmt.Errorf("the workspace header %q has a meaning of its own: choose another, such as X-Workspace-Id", name)
	}
	return nil
}

// takenHeaders are those that an answer has anyway, or that HTTP itself, or the proxy, would act on.
var takenHeaders = []string{
	"X-Api-Key-Id", "X-Auth-Body", "Authorization", "Proxy-Authorization", "WWW-Authenticate", "Retry-After", "Cache-Control",
	"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy",
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Date", "Expect", "Host", "Keep-Alive", "Location", "Server", "Set-Cookie", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
}
