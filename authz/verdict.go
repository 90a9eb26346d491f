package authz

import (
	"encoding/json"
	"net/http"
	"strconv"

	"tpgate/store"
)

// verdict is what a check comes to, as clients and metrics see it. The zero verdict denies.
type verdict uint8

const (
	unavailable verdict = iota
	allowed
	missing
	invalid
	expired
	suspended
	limited
	verdicts // how many there are
)

// wording is how one verdict is said: the only place of statuses, names, messages and challenges.
type wording struct {
	label     string // in metrics
	status    int
	name      string // of the JSON body, for programs; none: no body
	message   string // of the JSON body; clients match on it
	challenge string // WWW-Authenticate, RFC 6750 section 3
}

const (
	challengeMissing = `Bearer realm="api"`
	challengeInvalid = `Bearer realm="api", error="invalid_token"`
)

var wordings = [verdicts]wording{
	unavailable: {"unavailable", http.StatusServiceUnavailable, "auth_unavailable", "Authentication is temporarily unavailable.", ""},
	allowed:     {"allowed", http.StatusOK, "", "", ""},
	missing:     {"missing", http.StatusUnauthorized, "missing_api_key", "Missing API key.", challengeMissing},
	invalid:     {"invalid", http.StatusUnauthorized, "invalid_api_key", "Invalid API key.", challengeInvalid},
	expired:     {"expired", http.StatusUnauthorized, "expired_api_key", "API key has expired.", challengeInvalid},
	suspended:   {"suspended", http.StatusForbidden, "workspace_suspended", "This workspace is suspended.", ""},
	limited:     {"limited", http.StatusTooManyRequests, "rate_limit_exceeded", "", ""},
}

// verdictOf words a store's verdict. What a client may not tell apart (unknown, deleted, disabled) is one verdict here.
func verdictOf(v store.Verdict) verdict {
	switch v {
	case store.Allowed:
		return allowed
	case store.Unknown, store.Disabled:
		return invalid
	case store.Expired:
		return expired
	case store.Suspended:
		return suspended
	case store.Limited:
		return limited
	default:
		return unavailable
	}
}

// body returns the JSON body of a denial that says the same each time.
func (w wording) body() []byte {
	if w.name == "" {
		return nil
	}
	body, _ := json.Marshal(struct { // two strings always encode
		Name    string `json:"name"`
		Message string `json:"message"`
	}{w.name, w.message})
	return body
}

// appendLimitedBody appends the JSON body of a 429: the only one with a number in it.
func appendLimitedBody(dst []byte, retryAfter int64) []byte {
	dst = append(dst, `{"name":"rate_limit_exceeded","message":"Rate limit exceeded. Please retry after `...)
	dst = strconv.AppendInt(dst, retryAfter, 10)
	dst = append(dst, ` seconds.","retry_after_seconds":`...)
	dst = strconv.AppendInt(dst, retryAfter, 10)
	return append(dst, '}')
}
