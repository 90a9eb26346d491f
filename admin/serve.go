package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tpgate/store"
)

// request is what a handler gets: who asks, of what, and the body's fields.
type request struct {
	*http.Request
	caller    caller
	workspace string
	id        string
	newID     string // of the key that is made, if it was chosen before
	raw       []byte
	body      object
}

// reply is what a handler returns: a status, a value to encode (none: no body), and the target of the next page.
type reply struct {
	status int
	value  any
	next   string
}

// failure is an error with its status and body.
type failure struct {
	Problem
	status     int
	retryAfter time.Duration
	allow      string
}

func (f *failure) Error() string { return f.Message }

func notFound() *failure {
	return &failure{status: http.StatusNotFound, Problem: Problem{Message: "Not found."}}
}

func malformed(err error) *failure {
	return &failure{status: http.StatusBadRequest, Problem: Problem{Message: "The request is malformed: " + err.Error() + "."}}
}

// failureOf is the one place where an error becomes a status.
func (a *API) failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrIDTaken), errors.Is(err, store.ErrConflict):
		return &failure{status: http.StatusConflict, Problem: Problem{Message: "Conflict: " + err.Error() + "."}}
	default:
		a.config.Logger.Error("management request failed", "error", err)
		return &failure{status: http.StatusServiceUnavailable, retryAfter: time.Second, Problem: Problem{Message: "The store is not available. The change may or may not have been made: please look, and try again."}}
	}
}

// unsure reports whether a change that ended with this error may have been made all the same: the store did not say, as when its reply is lost.
func unsure(err error) bool {
	if _, refused := errors.AsType[*failure](err); refused || err == nil {
		return false
	}
	return !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict)
}

// guard stands in front of all routes: security headers, the host a browser may use, paths in one spelling, and no panic that ends the process.
func (a *API) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		defer func() {
			if fault := recover(); fault == http.ErrAbortHandler {
				panic(fault) // a stream that must not look whole
			} else if fault != nil {
				a.config.Logger.Error("management request panicked", "panic", fault, "stack", string(debug.Stack()))
				a.refuse(w, &failure{status: http.StatusInternalServerError, Problem: Problem{Message: "Internal error."}})
			}
		}()
		switch {
		case !a.hostAllowed(r.Host):
			a.refuse(w, &failure{status: http.StatusMisdirectedRequest, Problem: Problem{Message: "This host name is not served: use 127.0.0.1 or localhost."}})
		case r.URL.RawPath != "" || path.Clean("/"+r.URL.Path) != r.URL.Path:
			a.refuse(w, notFound())
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostAllowed protects a listener on loopback against DNS rebinding: a page of another origin whose name was pointed at 127.0.0.1 sends its own name.
func (a *API) hostAllowed(host string) bool {
	if a.config.Hosts == nil {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	return slices.Contains(a.config.Hosts, strings.ToLower(strings.Trim(name, "[]")))
}

func (a *API) serveMethods(byMethod map[string]route) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(byMethod)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		route, ok := byMethod[method]
		if !ok {
			a.refuse(w, &failure{status: http.StatusMethodNotAllowed, allow: allow, Problem: Problem{Message: "Method not allowed."}})
			return
		}
		a.serveJSON(w, r, route)
	})
}

// serveJSON authenticates, decodes, calls and encodes: the way of every request.
func (a *API) serveJSON(w http.ResponseWriter, r *http.Request, route route) {
	in, err := a.open(w, r, route)
	if err != nil {
		a.refuse(w, a.failureOf(err))
		return
	}
	if route.stream != nil {
		if err := route.stream(a, w, in); err != nil {
			a.refuse(w, a.failureOf(err))
		}
		return
	}
	out, err := a.call(route, in)
	if err != nil {
		a.refuse(w, a.failureOf(err))
		return
	}
	if out.next != "" {
		w.Header().Set("Link", "<"+out.next+`>; rel="next"`)
	}
	writeJSON(w, out.status, out.value)
}

// call calls the route's handler; a POST only once for each Idempotency-Key.
func (a *API) call(route route, in *request) (reply, error) {
	do := func() (reply, error) { return route.handle(a, in) }
	if route.method == http.MethodPost {
		return a.onlyOnce(in, do)
	}
	return do()
}

// open makes a request of what came: its caller, its place, its body.
func (a *API) open(w http.ResponseWriter, r *http.Request, route route) (*request, error) {
	caller, err := a.authenticate(r)
	if err != nil {
		return nil, err
	}
	in := &request{Request: r, caller: caller, workspace: r.PathValue("workspace"), id: r.PathValue("id")}
	if strings.Contains(route.pattern, "{workspace}") && !store.ValidID(in.workspace) {
		return nil, badWorkspace(r.Method)
	}
	if err := a.authorize(caller, route, in.workspace); err != nil {
		return nil, err
	}
	if strings.Contains(route.pattern, "{id}") && !store.ValidID(in.id) {
		return nil, notFound()
	}
	if route.stream != nil {
		return in, nil
	}
	if in.raw, err = readBody(w, r); err != nil {
		return nil, err
	}
	if in.body, err = parseObject(in.raw, route.fields); err != nil {
		return nil, malformed(err)
	}
	return in, nil
}

// badWorkspace answers an id that no workspace can have: nothing is there, and nothing can be made there.
func badWorkspace(method string) error {
	if method != http.MethodPost {
		return notFound()
	}
	var f faults
	f.add("workspace", "The workspace must be 1 to 64 of A–Z, a–z, 0–9, _ and -.")
	return f.problem()
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &failure{status: http.StatusRequestEntityTooLarge, Problem: Problem{Message: fmt.Sprintf("The body is larger than %d bytes.", maxBody)}}
	}
	if err != nil {
		return nil, malformed(errors.New("the body ended early"))
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); len(body) > 0 && kind != "application/json" {
		return nil, &failure{status: http.StatusUnsupportedMediaType, Problem: Problem{Message: "The body must be JSON: send Content-Type: application/json."}}
	}
	return body, nil
}

// refuse writes a failure.
func (a *API) refuse(w http.ResponseWriter, f *failure) {
	if f.allow != "" {
		w.Header().Set("Allow", f.allow)
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(math.Ceil(f.retryAfter.Seconds())))
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tpgate"`)
	}
	writeJSON(w, f.status, f.Problem)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	if value == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	body, err := json.Marshal(value)
	if err != nil { // wire types hold nothing that cannot be encoded
		panic(err)
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // an error means that the caller has gone
}
