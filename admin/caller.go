package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"tpgate/limiter"
)

// role is what a token may do. Each includes those before it.
type role uint8

const (
	roleRead role = iota + 1
	roleKeys
	roleAdmin
)

// caller is who holds a token.
type caller struct {
	name      string
	digest    [sha256.Size]byte
	workspace string // the only one that it sees; "": all
	role      role
}

// Paces of the management API.
var (
	loginPace = limiter.Pace{Count: 10, Per: time.Minute}
	tokenPace = limiter.Pace{Count: 5000, Per: time.Second}
)

// authenticate finds the caller by the token. A wrong token counts against its address; a right one is never refused for the failures of others.
func (a *API) authenticate(r *http.Request) (caller, error) {
	token, ok := bearerToken(r)
	digest := sha256.Sum256([]byte(token))
	var found caller
	for _, c := range a.callers {
		if subtle.ConstantTimeCompare(c.digest[:], digest[:]) == 1 && ok {
			found = c
		}
	}
	if found.role == 0 {
		return caller{}, a.failedLogin(r)
	}
	// A pacer that cannot tell does not stop anybody: the store is asked next, and says itself that it is not available.
	if wait, err := a.config.Pacer.Allow(r.Context(), "token:"+found.name, tokenPace); err == nil && wait > 0 {
		return caller{}, tooMany(wait)
	}
	return found, nil
}

func (a *API) failedLogin(r *http.Request) error {
	if wait, err := a.config.Pacer.Allow(r.Context(), "login:"+address(r), loginPace); err == nil && wait > 0 {
		return tooMany(wait)
	}
	return &failure{status: http.StatusUnauthorized, Problem: Problem{Message: "Unauthenticated."}}
}

func tooMany(wait time.Duration) error {
	return &failure{status: http.StatusTooManyRequests, retryAfter: wait, Problem: Problem{Message: "Too many requests."}}
}

// authorize checks the caller's workspace and role. Another workspace's things do not exist for it.
func (a *API) authorize(c caller, r route, workspace string) error {
	if c.workspace != "" && workspace != "" && c.workspace != workspace {
		return notFound()
	}
	if c.role < r.role || (r.stream != nil && r.role == roleAdmin && c.workspace != "") {
		return &failure{status: http.StatusForbidden, Problem: Problem{Message: "This token may not do that."}}
	}
	return nil
}

func bearerToken(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}
