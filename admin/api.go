package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

// Config says what the management API manages. All fields are needed.
type Config struct {
	Store  store.Store
	Tokens store.Tokens
	// AdminToken may do everything. Instances that share it accept each other's page cursors.
	AdminToken string
	// Pacer counts failed logins and requests a token.
	Pacer limiter.Pacer
	// Hosts are the names under which browsers may reach the API; nil allows all.
	Hosts []string
	// Further tokens; and the service's default quotas, which bound what a token of role keys may give.
	Callers                  []Token
	KeyLimit, WorkspaceLimit limiter.Limit
	Logger                   *slog.Logger
}

// API is the management API. Use [New].
type API struct {
	config    Config
	callers   []caller
	cursorKey []byte
	listeners atomic.Int64 // of revocations
	resetting atomic.Bool
	ended     chan struct{} // closed by End
}

// New returns the management API.
func New(config Config) *API {
	key := hmac.New(sha256.New, []byte(config.AdminToken))
	key.Write([]byte("page cursor"))
	api := &API{
		config:    config,
		callers:   []caller{{name: "admin", digest: sha256.Sum256([]byte(config.AdminToken)), role: roleAdmin}},
		cursorKey: key.Sum(nil),
		ended:     make(chan struct{}),
	}
	for _, token := range config.Callers {
		api.callers = append(api.callers, token.caller)
	}
	return api
}

// End ends the streams that would go on for as long as somebody listens. It may be called once.
func (a *API) End() { close(a.ended) }

// route is one line of the API. Its pattern is http.ServeMux's; fields are what its body may have.
type route struct {
	method  string
	pattern string
	role    role // the least that a token must have
	fields  []string
	handle  func(*API, *request) (reply, error)
	stream  func(*API, http.ResponseWriter, *request) error // in place of handle: reads and writes itself. With roleAdmin, for tokens of all workspaces only
}

// routes is the whole API.
var routes = []route{
	{"GET", "/v1/workspaces", roleRead, nil, (*API).listWorkspaces, nil},
	{"GET", "/v1/workspaces/{workspace}", roleRead, nil, (*API).showWorkspace, nil},
	{"PATCH", "/v1/workspaces/{workspace}", roleAdmin, []string{"limit", "suspended"}, (*API).updateWorkspace, nil},
	{"GET", "/v1/workspaces/{workspace}/keys", roleRead, nil, (*API).listKeys, nil},
	{"POST", "/v1/workspaces/{workspace}/keys", roleKeys, []string{"name", "expires_at", "limit"}, (*API).createKey, nil},
	{"DELETE", "/v1/workspaces/{workspace}/keys", roleKeys, nil, (*API).deleteKeys, nil},
	{"GET", "/v1/workspaces/{workspace}/keys/{id}", roleRead, nil, (*API).showKey, nil},
	{"PATCH", "/v1/workspaces/{workspace}/keys/{id}", roleKeys, []string{"name", "expires_at", "limit", "disabled"}, (*API).updateKey, nil},
	{"DELETE", "/v1/workspaces/{workspace}/keys/{id}", roleKeys, nil, (*API).deleteKey, nil},
	{"GET", "/v1/workspaces/{workspace}/keys/{id}/usage", roleRead, nil, (*API).showUsage, nil},
	{"POST", "/v1/workspaces/{workspace}/keys/{id}/rotate", roleKeys, []string{"overlap"}, (*API).rotateKey, nil},
	{"GET", "/v1/revocations", roleRead, nil, nil, (*API).streamRevocations},
	{"GET", "/v1/audit", roleRead, nil, (*API).listAudit, nil},
	{"POST", "/v1/import", roleAdmin, nil, nil, (*API).importKeys},
	{"GET", "/v1/export", roleAdmin, nil, nil, (*API).exportKeys},
}

// Handler returns the API as a handler. Paths are taken as they are written: no redirects, no cleaning, so that two spellings never mean one thing.
func (a *API) Handler() http.Handler {
	methods := map[string]map[string]route{}
	for _, r := range routes {
		if methods[r.pattern] == nil {
			methods[r.pattern] = map[string]route{}
		}
		methods[r.pattern][r.method] = r
	}
	mux := http.NewServeMux()
	for pattern, byMethod := range methods {
		mux.Handle(pattern, a.serveMethods(byMethod))
	}
	mux.HandleFunc("GET /openapi.json", a.serveOpenAPI)
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { a.refuse(w, notFound()) }))
	return a.guard(mux)
}

// Limits of the management listener: people and scripts, not proxies.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// NewServer returns an http.Server for a control-plane handler, with all its limits set.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is a path like any other: not found
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
