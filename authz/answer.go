package authz

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"tpgate/store"
)

// Header names as they go on the wire, in the spelling of their documents; SetCanonical writes them as they are.
var (
	headerKeyID           = []byte("X-Api-Key-Id")
	headerCacheControl    = []byte("Cache-Control")
	headerAuthenticate    = []byte("WWW-Authenticate")
	headerRetryAfter      = []byte("Retry-After")
	headerAuthBody        = []byte("X-Auth-Body")
	headerLimit           = []byte("X-RateLimit-Limit")
	headerRemaining       = []byte("X-RateLimit-Remaining")
	headerReset           = []byte("X-RateLimit-Reset")
	headerRateLimit       = []byte("RateLimit")
	headerRateLimitPolicy = []byte("RateLimit-Policy")
	noStore               = []byte("no-store")
	contentTypeJSON       = []byte("application/json")
)

// denial is a denial that says the same each time, ready to be written.
type denial struct {
	status    int
	body      []byte
	challenge []byte
}

// writer words decisions as HTTP answers.
type writer struct {
	workspaceHeader []byte // canonical
	denials         [verdicts]denial
}

func newWriter(workspaceHeader string) *writer {
	w := &writer{workspaceHeader: []byte(workspaceHeader)}
	for v, said := range wordings {
		w.denials[v] = denial{status: said.status, body: said.body(), challenge: []byte(said.challenge)}
	}
	return w
}

// grant is the one function that lets a request pass: status 200 together with the identity, which is checked once more here since it becomes a header.
// It returns false, having written nothing, if the decision does not carry a proven identity.
func (w *writer) grant(response *fasthttp.Response, d *store.Decision) bool {
	if d.Verdict != store.Allowed || !store.ValidID(d.Workspace) || !store.ValidID(d.KeyID) {
		return false
	}
	h := &response.Header
	w.standing(h, &d.Standing)
	h.SetCanonical(headerCacheControl, noStore)
	var value [64]byte
	h.SetCanonical(w.workspaceHeader, append(value[:0], d.Workspace...))
	h.SetCanonical(headerKeyID, append(value[:0], d.KeyID...))
	response.SetStatusCode(fasthttp.StatusOK)
	h.SetContentLength(0) // fasthttp does so too, but not in answer to HEAD
	return true
}

// deny writes any verdict but allowed. repeatBody sends the body also in a header, for nginx, whose auth_request throws bodies away.
func (w *writer) deny(response *fasthttp.Response, v verdict, standing *store.Standing, repeatBody bool) {
	if v == allowed {
		v = unavailable // only grant grants
	}
	said := &w.denials[v]
	h := &response.Header
	body := said.body
	var buffer [160]byte
	switch v {
	case limited:
		retryAfter := seconds(standing.Wait)
		body = appendLimitedBody(buffer[:0], retryAfter)
		setInt(h, headerRetryAfter, retryAfter)
		w.standing(h, standing)
	case unavailable:
		setInt(h, headerRetryAfter, 1)
	}
	if len(said.challenge) > 0 {
		h.SetCanonical(headerAuthenticate, said.challenge)
	}
	h.SetCanonical(headerCacheControl, noStore)
	h.SetContentTypeBytes(contentTypeJSON)
	if repeatBody {
		h.SetCanonical(headerAuthBody, body)
	}
	response.SetStatusCode(said.status)
	response.SetBody(body)
}

// standing writes the rate-limit headers of both generations: X-RateLimit-* and draft-ietf-httpapi-ratelimit-headers. None when no limit applies.
func (w *writer) standing(h *fasthttp.ResponseHeader, s *store.Standing) {
	name := `"key"`
	switch s.Scope {
	case store.ScopeNone:
		return
	case store.ScopeWorkspace:
		name = `"workspace"`
	}
	var forPolicy, forState [64]byte
	policy, permits := appendCount(append(forPolicy[:0], name...), ";q=", s.Window.Permits)
	policy = strconv.AppendInt(append(policy, ";w="...), seconds(s.Window.Length), 10)
	state, left := appendCount(append(forState[:0], name...), ";r=", s.Remaining)
	state = strconv.AppendInt(append(state, ";t="...), seconds(s.Wait), 10)
	h.SetCanonical(headerRateLimitPolicy, policy)
	h.SetCanonical(headerRateLimit, state)
	h.SetCanonical(headerLimit, permits)
	h.SetCanonical(headerRemaining, left)
	setInt(h, headerReset, (s.Reset.UnixMicro()+999_999)/1_000_000)
}

// appendCount appends a parameter, and returns its digits as they stand there, too: both generations have them.
func appendCount(dst []byte, parameter string, n int) (appended, digits []byte) {
	dst = append(dst, parameter...)
	start := len(dst)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return dst, dst[start:]
}

func setInt(h *fasthttp.ResponseHeader, name []byte, n int64) {
	var buffer [20]byte
	h.SetCanonical(name, strconv.AppendInt(buffer[:0], n, 10))
}

// seconds rounds up to whole seconds, and to 1 at least: who waits that long has waited long enough.
func seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
